"""Commands for agents: the clients' configurations, the guide, and the work by shell alone."""

import argparse
import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from cockpit.cli import show
from cockpit.cli.agent_setup import CLIENTS, guide_text
from cockpit.cli.commands import agents
from cockpit.cli.main import main
from cockpit.cli.parser import parser
from cockpit.cli.thinned_log import HELD_BYTES, ThinnedLog
from cockpit.session import worker_process
from cockpit.session.paths import SessionFolder
from tests.cli.shell import cockpit, refusal
from tests.tui import stories
from tests.worker.sessions import local_session, state_of, wait_for

WAIT_S = 90


@pytest.fixture
def night(tmp_path: Path) -> SessionFolder:
    return local_session(tmp_path, mode="copilot", proposer="grid")


def setup(place: Path, client: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return cockpit(place, "agent-setup", client, "night", *words, HOME=str(place / "home"), CODEX_HOME="")


@pytest.mark.parametrize("client", CLIENTS)
def test_each_client_s_configuration_is_shown_and_written_once_confirmed(
    tmp_path: Path, night: SessionFolder, client: str
) -> None:
    told = refusal(setup(tmp_path, client))
    assert "add --yes to confirm" in told
    done = setup(tmp_path, client, "--yes")
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.splitlines()[0].removeprefix("--- "))
    text = path.read_text()
    found = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    assert str(night.root.resolve()) in json.dumps(found) and "--longest-wait" in json.dumps(found)
    again = setup(tmp_path, client, "--yes")
    assert again.returncode == 0 and path.read_text() == text, "a second time changes nothing"


def test_the_rest_of_a_client_s_configuration_stays(tmp_path: Path, night: SessionFolder) -> None:
    codex = tmp_path / "home" / ".codex" / "config.toml"
    codex.parent.mkdir(parents=True)
    codex.write_text('model = "m"\n\n[mcp_servers.cockpit]\ncommand = "old"\n\n[other]\nkey = 1\n')
    setup(tmp_path, "codex", "--yes")
    found = tomllib.loads(codex.read_text())
    assert (found["model"], found["other"]) == ("m", {"key": 1})
    assert found["mcp_servers"]["cockpit"]["command"] != "old"
    gemini = tmp_path / "repo" / ".gemini" / "settings.json"
    gemini.parent.mkdir()
    gemini.write_text('{"theme": "x", "mcpServers": {"other": {"command": "o"}}}')
    setup(tmp_path, "gemini", "--yes")
    kept = json.loads(gemini.read_text())
    assert kept["theme"] == "x" and set(kept["mcpServers"]) == {"other", "cockpit"}


def test_a_configuration_with_comments_is_left_alone_with_what_to_add(tmp_path: Path, night: SessionFolder) -> None:
    zed = tmp_path / "home" / ".config" / "zed" / "settings.json"
    zed.parent.mkdir(parents=True)
    zed.write_text("// mine\n{}\n")
    done = setup(tmp_path, "zed", "--yes")
    assert done.returncode == 1 and '"context_servers"' in done.stderr and zed.read_text() == "// mine\n{}\n"


def test_the_command_line_names_every_client() -> None:
    assert tuple(CLIENTS) == agents.CLIENTS


def test_the_guide_is_printed_and_has_its_skill(tmp_path: Path) -> None:
    assert cockpit(tmp_path, "guide").stdout == guide_text("AGENTS.md")
    skill = cockpit(tmp_path, "guide", "--skill").stdout
    assert skill.startswith("---\nname: cockpit\ndescription: ")
    assert "cockpit guide" in cockpit(tmp_path, "--help").stdout


def test_an_agent_with_a_shell_alone_starts_proposes_and_waits(tmp_path: Path, night: SessionFolder) -> None:
    stopped = cockpit(tmp_path, "wait", "-s", "night", "--as", "sh")
    assert stopped.returncode == 1 and "`cockpit start night` starts it" in stopped.stderr
    assert "`cockpit start night` starts it" in cockpit(tmp_path, "propose", "DEPTH=5,6", "-s", "night").stdout
    assert "is started" in cockpit(tmp_path, "start", "night").stdout
    try:
        assert "runs already" in cockpit(tmp_path, "start", "-s", "night").stdout
        wait_for(lambda: len(state_of(night).proposals) > 0, WAIT_S, "the queued proposal")
        wave = next(iter(state_of(night).proposals))
        assert cockpit(tmp_path, "reject", wave, "not this", "-s", "night").returncode == 0
        told = cockpit(tmp_path, "wait", wave, "-s", "night", "--as", "sh", "--seconds", "60")
        assert f"{wave} was rejected by" in told.stdout and ": not this." in told.stdout, told.stderr
        assert cockpit(tmp_path, "wait", "w999", "-s", "night").returncode == 1
    finally:
        worker_process.terminate(night)


def test_every_command_on_a_session_takes_its_name_by_option() -> None:
    (commands,) = (each for each in parser()._actions if isinstance(each, argparse._SubParsersAction))
    names = {
        name for name, each in commands.choices.items() if any(action.dest == "session" for action in each._actions)
    }
    assert {"status", "wait", "log", "approve", "verify", "tool"} <= names
    without = {name for name in names if "-s" not in commands.choices[name]._option_string_actions}
    assert without == {"new", "launch", "import"}, "these name a session that is to be made"


def test_overwritten_progress_is_thinned_and_lines_stay() -> None:
    steps = b"".join(b"\rstep %d" % number for number in range(100))
    log = b"begin\n" + steps + b"\nend of it\nunfinished"
    whole = ThinnedLog()
    shown = whole.feed(log) + whole.end()
    assert shown.split(b"\n") == [
        b"begin",
        *(b"step %d" % number for number in (0, 20, 40, 60, 80, 99)),
        b"end of it",
        b"unfinished",
        b"",
    ]
    pieces = ThinnedLog()
    assert b"".join(pieces.feed(log[at : at + 7]) for at in range(0, len(log), 7)) + pieces.end() == shown


def test_a_line_without_an_end_is_shown_as_it_comes() -> None:
    thinned = ThinnedLog()
    assert thinned.feed(b"x" * HELD_BYTES) == b""
    assert thinned.feed(b"yz") == b"x" * HELD_BYTES + b"yz"
    assert thinned.feed(b" end\nnext") == b" end\n"
    assert thinned.end() == b"next\n"


@pytest.mark.parametrize(
    ("words", "wanted"), [((), b"begin\nstep 2\nend\n"), (("--raw",), b"begin\nstep 0\rstep 1\rstep 2\nend\n")]
)
def test_the_log_command_thins_progress_unless_all_of_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes],
    words: tuple[str, ...], wanted: bytes,
) -> None:  # fmt: skip
    state = stories.night().state
    folder = SessionFolder(tmp_path / "night")
    attempt = next(iter(state.attempts))
    folder.log(attempt).parent.mkdir(parents=True)
    folder.log(attempt).write_bytes(b"begin\nstep 0\rstep 1\rstep 2\nend\n")
    monkeypatch.setattr(show, "session", lambda name: folder)
    monkeypatch.setattr(show, "state_of", lambda folder: state)
    with pytest.raises(SystemExit):
        main(["log", attempt, *words])
    assert capfdbinary.readouterr().out.replace(b"step 0\n", b"") == wanted
