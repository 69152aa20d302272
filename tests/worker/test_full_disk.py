"""A full disk costs only time: the worker waits, reports it, and continues when there is space again."""

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.core.events import Ended
from cockpit.create.new_session import SIM_EPOCH
from cockpit.session import lock, worker_process
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.session.settings import NewSession
from tests.cli.shell import cockpit, refusal
from tests.worker.sessions import SCRIPT, git, make, repository, state_of, wait_for

SIZE = "8m"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of a few megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "small", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root on Linux can make a small disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Fill the disk to its last byte."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 16, 1):
            while True:
                try:
                    file.write(b"x" * size)
                except OSError:
                    break
    return filler


def attempts_ended(folder: SessionFolder) -> Counter[str]:
    ledger = LedgerReader(folder)
    ended = Counter(event.attempt for event in ledger.since(0) if isinstance(event, Ended))
    ledger.close()
    return ended


@pytest.mark.timeout(280)
def test_a_worker_waits_while_the_disk_is_full_and_loses_nothing(small: Path, tmp_path: Path) -> None:
    script = SCRIPT.replace("SECONDS = 0.6", "SECONDS = 3.0").replace("RUNS_FILE", repr(str(tmp_path / "runs.txt")))
    repo = repository(tmp_path / "repo", script)
    folder = make(small, repo, NewSession(fleet="local", clusters=1, mode="manual"), 1.0)
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).in_flight, 30, "the baseline to be submitted")
        filler = fill(small)
        wait_for(
            lambda: "is full" in lock.worker_status(folder).note,
            60,
            "the worker to tell of the full disk",
        )
        shown = cockpit(tmp_path, "status", str(folder.root))
        assert shown.returncode == 0 and "is full: free some space" in shown.stdout, shown.stderr
        said = cockpit(tmp_path, "say", "still there?", "-s", str(folder.root))
        assert said.returncode == 0 or "is full: free some space" in said.stderr, "neither done nor refused"
        assert lock.worker_status(folder).state == "running"
        before = attempts_ended(folder)
        filler.unlink()
        wait_for(lambda: state_of(folder).incumbent == "e0000", 120, "the baseline to be measured")
        wait_for(lambda: not lock.worker_status(folder).note, 20, "the worker to take its word back")
    finally:
        worker_process.terminate(folder)
    ended = attempts_ended(folder)
    assert before <= ended and set(ended.values()) == {1}
    state = state_of(folder)
    outcomes = {state.attempts[name].outcome for name in ended}
    assert "crash" not in outcomes, "the full disk counted as a crash of the code"


@pytest.mark.timeout(120)
def test_run_files_that_do_not_fit_name_the_full_disk(small: Path, tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", SCRIPT.replace("RUNS_FILE", repr(str(tmp_path / "runs.txt"))))
    (repo / "weights.bin").write_bytes(os.urandom(12 << 20))
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "too large")
    folder = make(small, repo, NewSession(fleet="local", clusters=1, mode="manual"), 1.0)
    worker_process.start(folder)
    try:
        wait_for(lambda: lock.worker_status(folder).note, 60, "the worker to tell of the full disk")
        note = lock.worker_status(folder).note
        assert note.startswith(f"the disk that holds {small}") and "is full: free some space" in note
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        wait_for(lambda: state_of(folder).incumbent == "e0000", 60, "the baseline to be measured")
    finally:
        worker_process.terminate(folder)


@pytest.mark.timeout(120)
def test_a_new_session_on_a_full_disk_is_refused_and_leaves_nothing(small: Path, tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", SCRIPT)
    fill(small)
    done = cockpit(tmp_path, "new", "night", "--fleet", "sim", cwd=repo, COCKPIT_SESSIONS=str(small / "sessions"))
    assert "is full" in refusal(done)
    (small / "filler").unlink()
    again = cockpit(tmp_path, "new", "night", "--fleet", "sim", cwd=repo, COCKPIT_SESSIONS=str(small / "sessions"))
    assert again.returncode == 0, again.stderr
    worker_process.terminate(SessionFolder(small / "sessions" / "night"))


@pytest.mark.timeout(120)
def test_a_simulated_session_waits_while_the_disk_is_full(small: Path, tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", SCRIPT)
    folder = make(small, repo, NewSession(fleet="sim", clusters=4, mode="autopilot"), SIM_EPOCH, speed=600.0)
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).in_flight, 30, "the baseline to be submitted")
        filler = fill(small)
        wait_for(lambda: "is full" in lock.worker_status(folder).note, 60, "the worker to tell of the full disk")
        assert lock.worker_status(folder).state == "running"
        seq = state_of(folder).seq
        filler.unlink()
        wait_for(lambda: state_of(folder).seq > seq, 60, "the session to continue")
        wait_for(lambda: not lock.worker_status(folder).note, 20, "the worker to take its word back")
    finally:
        worker_process.terminate(folder)
    assert max(attempts_ended(folder).values(), default=1) == 1
