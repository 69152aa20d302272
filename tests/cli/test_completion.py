"""Completion: commands, flags, choices, and the names of sessions, waves and experiments."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cockpit.cli.completion import SCRIPTS, WORDS_AT_MOST, next_words
from cockpit.cli.parser import parser
from cockpit.core.events import Proposed
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder
from tests.cli.shell import ANSWER_WITHIN_S, environment
from tests.tui import stories
from tests.worker.sessions import local_session


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SessionFolder:
    """Return a session with a proposed wave."""
    made = local_session(tmp_path)
    state = stories.night().state
    wave = state.waves[next(iter(state.proposals))]
    ledger = Ledger.open(made.ledger)
    ledger.append([Proposed(at=1.0, wave=wave, experiments=[state.experiments[name] for name in wave.arms])])
    ledger.close()
    monkeypatch.setenv("COCKPIT_SESSIONS", str(made.root.parent))
    monkeypatch.delenv("COCKPIT_SESSION", raising=False)
    return made


def words(*given: str) -> list[str]:
    return next_words(parser(), given)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (("appr",), ["approve"]),
        (("--re",), ["--repo"]),
        (("approve", "--tr"), ["--trust"]),
        (("mode", ""), ["manual", "copilot", "autopilot"]),
        (("new", "--fleet", "s"), ["sky", "sim"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("frobnicate", "x"), []),
        (("say", "w"), []),
    ],
)
def test_the_words_of_the_command_line_are_completed(given: tuple[str, ...], found: list[str]) -> None:
    assert words(*given) == found


def test_the_names_of_a_session_are_completed(folder: SessionFolder) -> None:
    assert words("open", "") == [folder.name]
    wave = words("approve", "")[0]
    assert wave.startswith("w") and wave != "w000"
    assert wave in words("hold", "-s", folder.name, "w")
    experiments = words("diff", "e")
    assert experiments and experiments == sorted(experiments, reverse=True)
    assert words("diff", experiments[0], "--against", experiments[-1]) == [experiments[-1]]
    assert words("finding", "Width pays.", experiments[0], "e") == experiments
    assert words("approve", "-s", "nowhere", "") == []


def test_the_words_are_bounded() -> None:
    assert WORDS_AT_MOST <= 500 and len(words("")) <= WORDS_AT_MOST


ASKED = {
    "bash": "COMP_WORDS=(cockpit approve w); COMP_CWORD=2; _cockpit; echo ${COMPREPLY[*]}",
    "zsh": "words=(cockpit approve w); CURRENT=3; _cockpit",
    "fish": "complete -C 'cockpit approve w'",
}
"""Asks a shell for the words after `cockpit approve w`."""
WITHOUT_A_LINE = 'compdef() {}; compadd() { print -l -- "${(@P)@[-1]}" }\n'
"""The parts of zsh that only work while a line is typed."""


@pytest.mark.parametrize("shell", sorted(ASKED))
def test_a_shell_completes_a_wave(shell: str, folder: SessionFolder, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    command = tmp_path / "bin" / "cockpit"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m cockpit "$@"\n')
    command.chmod(0o755)
    script = (WITHOUT_A_LINE if shell == "zsh" else "") + SCRIPTS[shell] + ASKED[shell]
    variables = environment(folder.root.parent, HOME=str(tmp_path))
    done = subprocess.run(
        [shell, *(["-f"] if shell == "zsh" else []), "-c", script],
        cwd=tmp_path, capture_output=True, text=True, timeout=ANSWER_WITHIN_S,
        env=variables | {"PATH": os.pathsep.join((str(command.parent), variables["PATH"]))},
    )  # fmt: skip
    assert done.stderr == "" and done.stdout.split() == words("approve", "w")


@pytest.mark.parametrize("shell", sorted(SCRIPTS))
def test_a_shell_accepts_its_script(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(SCRIPTS[shell])
    subprocess.run([shell, "-n", str(path)], check=True, timeout=ANSWER_WITHIN_S)
