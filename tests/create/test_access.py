"""Runs that a Python starts are confined without a word of the person's; other commands are, once a person says so."""

import sys
import time
from pathlib import Path

import pytest

from cockpit.core.model import Outcome
from cockpit.core.state import State
from cockpit.create.access import is_confined
from cockpit.fleet.node import confinement
from cockpit.read.needs import NeedKind, needs
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.settings import NewSession
from tests.worker.sessions import end_baseline, make, repository, state_of

SCORES = 'DEPTH = 8\nprint("val_bpb: 0.98")\n'
DENIED = 'DEPTH = 8\nopen("/home/labels.txt", "w")\nprint("val_bpb: 0.98")\n'
WALL = confinement.available().wall


def measured(place: Path, script: str, command: str, confine: bool | None = None) -> State:
    """Return a session on this machine once its baseline has ended."""
    repo = repository(place / "repo", script)
    research = ResearchSettings(files=("train.py",), command=command, confine=confine)
    new = NewSession(fleet="local", clusters=1, mode="manual")
    return state_of(end_baseline(make(place, repo, new, time.time(), research=research)))


@pytest.mark.parametrize(
    ("command", "confined"),
    [
        ("", True),
        ("python train.py --depth 3", True),
        ("python3.12 -m pkg.train cfg.yaml", True),
        ("/opt/venv/bin/python -u bench.py", True),
        ("env OMP_NUM_THREADS=1 python3 train.py", True),
        ("uv run train.py", False),
        ("make bench", False),
        ("sh -c 'python train.py'", False),
        ("env -i python train.py", False),
    ],
)
def test_a_run_is_confined_if_a_python_starts_it_or_a_person_says_so(command: str, confined: bool) -> None:
    assert is_confined(ResearchSettings(command=command)) is confined
    assert is_confined(ResearchSettings(command=command, confine=True))
    assert not is_confined(ResearchSettings(command=command, confine=False))


def test_env_counts_with_the_python_that_it_starts(tmp_path: Path) -> None:
    made = tmp_path / "env"
    (made / "bin").mkdir(parents=True)
    (made / "bin" / "python").symlink_to(sys.executable)
    (made / "pyvenv.cfg").write_text("")
    python = str(made / "bin" / "python")
    for command in ([python, "train.py"], ["env", "LR=1", "DEPTH=2", python, "train.py"]):
        assert made in confinement.environment_paths(command)


def test_a_python_command_runs_behind_the_wall_of_this_machine(tmp_path: Path) -> None:
    state = measured(tmp_path, SCORES, "env DEPTH=8 python3 train.py")
    run = state.attempts["e0000.1"]
    assert (run.outcome, run.wall) == (Outcome.VALID, str(WALL))
    assert not any("unconfined" in message.text for message in state.messages)


@pytest.mark.parametrize(("confine", "told"), [(None, 1), (False, 0)])
def test_a_session_says_that_its_runs_are_unconfined_unless_a_person_chose_it(
    tmp_path: Path, confine: bool | None, told: int
) -> None:
    state = measured(tmp_path, SCORES, "sh -c 'python3 train.py'", confine)
    assert state.attempts["e0000.1"].wall == "unconfined"
    said = [message.text for message in state.messages if message.text.startswith("Runs are unconfined")]
    assert len(said) == told
    assert all("--confine confines them" in text for text in said)


@pytest.mark.skipif(WALL is confinement.Wall.NONE, reason="runs are unconfined here")
def test_a_baseline_that_its_wall_may_have_stopped_says_how_the_wall_opens(tmp_path: Path) -> None:
    state = measured(tmp_path, DENIED, "python3 train.py")
    (need,) = (one for one in needs(state, state.now) if one.kind is NeedKind.BASELINE)
    assert "a new session with --readable PATH, --network or --no-confine opens the wall" in need.sentence
