"""A mistyped name gets the nearest one; any locale gets an answer without a traceback."""

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from cockpit.cli.main import main
from cockpit.cli.show import watch_status
from cockpit.core.events import SessionEnded
from cockpit.core.intents import Approve, Hold, Rerun
from cockpit.core.nearest import NAMES_COMPARED, did_you_mean
from cockpit.core.state import State
from cockpit.decide.handle_intents import handle_intent
from cockpit.decide.intents.request import Refused
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder
from tests.cli.shell import ANSWER_WITHIN_S, environment
from tests.tui import stories
from tests.worker.sessions import local_session

LOCALES = (
    {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONIOENCODING": "latin-1"},
)


@pytest.fixture(scope="module")
def state() -> State:
    return stories.night().state


@pytest.mark.parametrize(
    ("word", "meant"),
    [("e1", "e0001"), ("1", "e0001"), ("E0001", "e0001"), ("w1", "w001"), ("w0001", "w001"), ("gpu-1", "gpu-01")],
)
def test_a_short_or_long_number_is_completed(word: str, meant: str) -> None:
    assert did_you_mean(word, {"e0001": 1, "w001": 1, "gpu-01": 1}) == f"did you mean {meant}?"


def test_a_name_far_from_all_has_no_nearest() -> None:
    assert did_you_mean("moon", ["night", "e0001"]) == ""
    assert did_you_mean("e0009", ["e0001", "e0090"]) == ""


def test_the_comparison_is_bounded() -> None:
    names = [f"run-{number}" for number in range(NAMES_COMPARED)]
    assert did_you_mean("zebra", [*names, "zebras"]) == ""


def test_the_worker_names_the_nearest(state: State) -> None:
    wave = next(iter(state.waves))
    experiment = next(iter(state.experiments))
    cluster = next(iter(state.clusters))
    for intent, meant in (
        (Approve(f"w{int(wave[1:])}"), wave),
        (Rerun(f"e{int(experiment[1:])}"), experiment),
        (Hold(cluster.replace("-", "_")), cluster),
    ):
        with pytest.raises(Refused, match=rf"did you mean {meant}\?"):
            handle_intent(state, intent, "ann", 0.0)


def test_a_mistyped_session_gets_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = local_session(tmp_path)
    monkeypatch.setenv("COCKPIT_SESSIONS", str(folder.root.parent))
    with pytest.raises(SystemExit) as ended:
        main(["status", folder.name[:-1]])
    assert ended.value.code == 1
    assert f"did you mean {folder.name}?" in capsys.readouterr().err


def in_locale(folder: SessionFolder, locale: dict[str, str], *words: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command about a session, and return its output as bytes: its encoding is not that of the test."""
    return subprocess.run(
        [sys.executable, "-m", "cockpit", *words],
        env=environment(folder.root.parent) | {"COCKPIT_SESSION": str(folder.root)} | locale,
        cwd=folder.root, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_WITHIN_S,
    )  # fmt: skip


@pytest.mark.parametrize("locale", LOCALES, ids=["C", "ascii", "latin-1"])
def test_no_locale_gets_a_traceback(tmp_path: Path, locale: dict[str, str]) -> None:
    folder = local_session(tmp_path)
    for words in (
        ["status"], ["list"], ["results"], ["report", "-o", "-"], ["tool", "brief"], ["tool", "--list"], ["--help"],
        ["propose", "L→R=é"], ["status", "nächt"],
    ):  # fmt: skip
        done = in_locale(folder, locale, *words)
        assert b"Traceback" not in done.stderr, (words, done.stderr)
        assert done.returncode in (0, 1), words


def test_json_of_a_tool_is_json_in_any_encoding(tmp_path: Path) -> None:
    folder = local_session(tmp_path)
    done = in_locale(folder, LOCALES[1], "tool", "--list")
    assert {tool["name"] for tool in json.loads(done.stdout)} >= {"brief", "propose_wave"}


def test_a_watched_status_is_printed_again_until_the_session_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = local_session(tmp_path)
    ledger = Ledger.open(folder.ledger)

    def end_session(seconds: float) -> None:
        ledger.append([SessionEnded(at=time.time(), reason="done")])

    # Only this module's waiting: the ledger itself sleeps where its file is locked.
    monkeypatch.setattr("cockpit.cli.show.time", SimpleNamespace(sleep=end_session))
    watch_status(str(folder.root), as_json=False)
    ledger.close()
    assert capsys.readouterr().out.count("worker    stopped") == 2
