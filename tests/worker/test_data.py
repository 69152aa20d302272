"""A run on other data than the baseline's has no result, and the session is held until the data are back."""

import sys
import time
from pathlib import Path

from cockpit.cli.steer import send_and_await
from cockpit.core.intents import Arm, Draft, Propose, Resume
from cockpit.core.model import Change, Outcome
from cockpit.core.state import State
from cockpit.session import worker_process
from cockpit.session.paths import SessionFolder
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.settings import NewSession
from tests.worker.sessions import git, make, state_of, wait_for

TRAIN = """
import os
STEPS = 3
value = float(open("data/val.txt").read())
print(f"val_bpb: {value + STEPS / 1000 + int(os.environ['SEED']) % 97 * 1e-6:.6f}")
"""
NEW = NewSession(fleet="local", clusters=1, mode="autopilot", proposer="human")


def session(tmp_path: Path, train: str = TRAIN, confine: bool = True) -> SessionFolder:
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "train.py").write_text(train)
    (repo / ".gitignore").write_text("data/\n")
    (repo / "data").mkdir()
    (repo / "data" / "val.txt").write_text("0.98")
    git(repo, "init", "-q")
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    research = ResearchSettings(confine=confine, command="" if confine else f"{sys.executable} train.py")
    return make(tmp_path, repo, NEW, time.time(), research=research, filler=False)


def propose(folder: SessionFolder, steps: int) -> None:
    arms = (Arm(Change(constants={"STEPS": steps})),)
    send_and_await(folder, Propose(Draft(proposer="ann", question="more?", arms=arms)))


def ended(folder: SessionFolder, name: str) -> bool:
    attempt = state_of(folder).attempts.get(name)
    return attempt is not None and attempt.outcome is not None


def test_a_run_on_other_data_is_a_mismatch_and_holds_the_session(tmp_path: Path) -> None:
    folder = session(tmp_path)
    value = tmp_path / "repo" / "data" / "val.txt"
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).incumbent, 120, "the baseline")
        assert state_of(folder).data["data"].startswith("1 file, 4 bytes, ")
        value.write_text("0.50")
        propose(folder, 2)
        wait_for(lambda: state_of(folder).held, 120, "the hold")
        found = state_of(folder)
        first = found.attempts["e0001.1"]
        assert first.outcome is Outcome.MISMATCH and first.metrics is None
        assert "its data differ from the baseline's: data is 1 file, 4 bytes" in first.message
        assert "put those back and resume" in found.held_reason
        value.write_text("0.98")
        send_and_await(folder, Resume())
        propose(folder, 1)
        wait_for(lambda: ended(folder, "e0002.1"), 120, "a run on the data as they were")
    finally:
        worker_process.terminate(folder)
    assert state_of(folder).attempts["e0002.1"].outcome is Outcome.VALID


def run_an_arm(folder: SessionFolder) -> State:
    """Run the baseline and one arm. Return the state after both."""
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).incumbent, 120, "the baseline")
        propose(folder, 2)
        wait_for(lambda: ended(folder, "e0001.1"), 120, "the arm")
    finally:
        worker_process.terminate(folder)
    return state_of(folder)


def test_data_that_change_while_a_run_reads_them_are_reported(tmp_path: Path) -> None:
    change = 'if STEPS == 2:\n    open("data/val.txt", "w").write("0.50")\n'
    state = run_an_arm(session(tmp_path, TRAIN + change, confine=False))
    assert state.attempts["e0001.1"].outcome is Outcome.MISMATCH


def test_a_cache_that_the_baseline_adds_belongs_to_the_data(tmp_path: Path) -> None:
    cache = 'if not os.path.exists("data/cache.bin"):\n    open("data/cache.bin", "w").write("tokens")\n'
    state = run_an_arm(session(tmp_path, TRAIN + cache, confine=False))
    assert state.data["data"].startswith("2 files")
    assert state.attempts["e0001.1"].outcome is Outcome.VALID


RESTORES = 'if STEPS == {steps}:\n    for text in ("0.50", "0.98"):\n        open("data/val.txt", "w").write(text)\n'


def test_data_that_are_changed_and_restored_during_a_run_are_reported(tmp_path: Path) -> None:
    state = run_an_arm(session(tmp_path, TRAIN + RESTORES.format(steps=2), confine=False))
    attempt = state.attempts["e0001.1"]
    assert attempt.outcome is Outcome.MISMATCH and not state.held
    assert attempt.message == "data was written to while it ran, and restored: its result does not count"


def test_data_that_the_baseline_writes_anew_may_be_written_anew(tmp_path: Path) -> None:
    state = run_an_arm(session(tmp_path, TRAIN + RESTORES.format(steps="STEPS"), confine=False))
    assert state.data_restored == {"data"}
    assert state.attempts["e0001.1"].outcome is Outcome.VALID
