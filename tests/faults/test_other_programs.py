"""Other programs that read, hold, restore or stop a session's files and processes: the session continues whole."""

import fcntl
import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from cockpit.core.events import Trouble
from cockpit.session import lock, worker_process
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from tests.cli.shell import terminal
from tests.faults.checks import a_fold_from_nothing_is_the_state, nothing_counted_twice
from tests.fleet.test_runner import SCORE, Run
from tests.worker.sessions import sim_session, state_of, wait_for

WAL_BYTES_AT_MOST = 8 << 20


@pytest.fixture
def running(tmp_path: Path) -> Iterator[SessionFolder]:
    folder = sim_session(tmp_path, speed=300.0, clusters=2, mode="autopilot", proposer="search")
    worker_process.start(folder)
    yield folder
    worker_process.terminate(folder)


def continues(folder: SessionFolder, events: int = 5) -> None:
    before = state_of(folder).seq
    wait_for(lambda: state_of(folder).seq >= before + events, 90, "more events")


def is_whole(folder: SessionFolder) -> None:
    assert worker_process.terminate(folder)
    nothing_counted_twice(folder)
    a_fold_from_nothing_is_the_state(folder)


def copied(source: Path, target: Path) -> Path:
    """Copy a database as it is now, by SQLite itself."""
    with sqlite3.connect(source) as db, sqlite3.connect(target) as copy:
        db.backup(copy)
    db.close()
    copy.close()
    return target


def renamed(backup: Path, ledger: Path) -> None:
    backup.rename(ledger)


def renamed_without_log(backup: Path, ledger: Path) -> None:
    for suffix in ("-wal", "-shm"):
        ledger.with_name(f"{ledger.name}{suffix}").unlink()
    backup.rename(ledger)


def overwritten(backup: Path, ledger: Path) -> None:
    shutil.copyfile(backup, ledger)


def restored_by_sqlite(backup: Path, ledger: Path) -> None:
    with sqlite3.connect(backup) as db, sqlite3.connect(ledger, timeout=30) as there:
        db.backup(there)
    db.close()
    there.close()


def last_events_deleted(backup: Path, ledger: Path) -> None:
    with sqlite3.connect(ledger, timeout=30) as db:
        db.execute("DELETE FROM events WHERE seq > 12")
    db.close()


RESTORED = [renamed, renamed_without_log, overwritten, restored_by_sqlite, last_events_deleted]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("way", RESTORED)
def test_an_old_ledger_that_is_put_under_a_running_worker_loses_no_event(
    running: SessionFolder, tmp_path: Path, way: Callable[[Path, Path], None]
) -> None:
    wait_for(lambda: state_of(running).seq > 10, 30, "some events")
    backup = copied(running.ledger, tmp_path / "backup.db")
    continues(running)
    reader = LedgerReader(running)
    before = reader.since(0)
    way(backup, running.ledger)
    continues(running)
    assert worker_process.terminate(running)
    worker_process.start(running)
    continues(running)
    is_whole(running)
    assert reader.since(0)[: len(before)] == before
    if way in (restored_by_sqlite, last_events_deleted):
        told = [event.text for event in reader.since(0) if isinstance(event, Trouble)]
        assert any("events, which came back from events.log" in text for text in told)
    reader.close()


@contextmanager
def read_transaction(folder: SessionFolder) -> Iterator[None]:
    db = sqlite3.connect(folder.ledger, isolation_level=None)
    db.execute("BEGIN")
    db.execute("SELECT COUNT(*) FROM events").fetchall()
    yield
    db.close()


@contextmanager
def followed(folder: SessionFolder) -> Iterator[None]:
    with subprocess.Popen(["tail", "-f", str(folder.events)], stdout=subprocess.DEVNULL) as tail:
        yield
        tail.kill()


@contextmanager
def watched(folder: SessionFolder) -> Iterator[None]:
    reader = LedgerReader(folder)
    reader.state()
    yield
    seq = reader.last_seq()
    assert len(reader.since(0)) >= seq
    reader.close()


@contextmanager
def locked_files(folder: SessionFolder) -> Iterator[None]:
    """Lock, as another program of the owner, every file that readers are given."""
    with ExitStack() as held:
        for path in (folder.events, folder.snapshot, folder.progress, folder.heartbeat, folder.worker_log):
            if path.exists():
                file = held.enter_context(path.open("r+b"))
                fcntl.flock(file, fcntl.LOCK_EX)
                fcntl.lockf(file, fcntl.LOCK_EX)
        yield


@contextmanager
def open_many_times(folder: SessionFolder) -> Iterator[None]:
    readers = [LedgerReader(folder) for _ in range(200)]
    yield
    for reader in readers:
        assert reader.last_seq() >= 10
        reader.close()


@contextmanager
def listed_by_python(folder: SessionFolder) -> Iterator[None]:
    """Keep descriptors of everything in the folder open, the folder's own included."""
    opened = [os.open(path, os.O_RDONLY) for path in [folder.root, *folder.root.iterdir()]]
    yield
    for descriptor in opened:
        os.close(descriptor)


READERS = [read_transaction, followed, watched, locked_files, open_many_times, listed_by_python]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("reader", READERS)
def test_a_reader_that_holds_a_session_open_delays_no_event(
    running: SessionFolder, reader: Callable[[SessionFolder], object]
) -> None:
    wait_for(lambda: state_of(running).seq > 10, 30, "some events")
    pid = lock.worker_status(running).pid
    with reader(running):  # type: ignore[attr-defined]
        continues(running, 30)
        assert worker_process.terminate(running), "a reader held the end up"
        worker_process.start(running)
        continues(running)
        pid = lock.worker_status(running).pid
    continues(running)
    assert lock.worker_status(running).pid == pid
    assert running.ledger.with_name("ledger.db-wal").stat().st_size < WAL_BYTES_AT_MOST
    is_whole(running)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("times", [1, 5])
def test_a_worker_that_was_stopped_for_longer_than_its_heartbeat_continues(running: SessionFolder, times: int) -> None:
    wait_for(lambda: state_of(running).seq > 10, 30, "some events")
    worker = psutil.Process(lock.worker_status(running).pid)
    for _ in range(times):
        worker.suspend()
        wait_for(lambda: worker.status() == psutil.STATUS_STOPPED, 10, "the worker to stop")
        if times == 1:
            wait_for(lambda: lock.worker_status(running).state == "stale", 60, "the heartbeat to become stale")
            assert worker_process.start(running).pid == worker.pid, "no second worker is started"
        worker.send_signal(signal.SIGCONT)
    continues(running)
    assert lock.worker_status(running).pid == worker.pid
    wait_for(lambda: lock.worker_status(running).state == "running", 20, "a heartbeat")
    is_whole(running)


SCREEN_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGPIPE, signal.SIGWINCH)


@pytest.mark.timeout(180)
def test_a_screen_that_was_stopped_shows_the_present_and_takes_keys(running: SessionFolder, tmp_path: Path) -> None:
    with terminal(tmp_path, "open", "night", columns=120, rows=34, cwd=tmp_path / "repo") as screen:
        screen.until("gpu-02")
        process = psutil.Process(screen.process.pid)
        process.suspend()
        continues(running, 30)
        for number in SCREEN_SIGNALS:
            process.send_signal(number)
        process.resume()
        screen.keys("?")
        screen.until("In clusters")
        assert screen.leave("qq") == 0
    continues(running)


@pytest.mark.timeout(120)
def test_a_runner_that_was_stopped_ends_its_run_as_usual(tmp_path: Path) -> None:
    run = Run(tmp_path, f"import time\ntime.sleep(2)\n{SCORE}")
    note = run.notes / "started"
    wait_for(lambda: note.exists() and note.read_text(), 30, "the runner")
    runner = psutil.Process(json.loads(note.read_text())["pid"])
    runner.suspend()
    wait_for(lambda: all(one.status() == psutil.STATUS_ZOMBIE for one in runner.children()), 30, "the run to end")
    assert not (run.notes / "ended.json").exists()
    runner.resume()
    assert (run.ended().reason, run.log()) == ("exited", "val_bpb: 0.98\n")
