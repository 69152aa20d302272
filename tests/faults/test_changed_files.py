"""Another program changes the files of a session while it runs: the worker mends them, or sets them aside."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cockpit.cli.steer import send_and_await
from cockpit.core.intents import Say
from cockpit.session import lock, worker_process
from cockpit.session.inbox import Inbox
from cockpit.session.ledger_errors import LedgerDamaged, LedgerError
from cockpit.session.paths import SessionFolder
from tests.faults.checks import a_fold_from_nothing_is_the_state, nothing_counted_twice
from tests.worker.sessions import sim_session, state_of, wait_for

VIEW = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS id, 'a' AS author, x'41' AS body"
CHANGES = {
    "a view without end": f"DROP TABLE intents; CREATE VIEW intents AS {VIEW} FROM c",
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON intents BEGIN DELETE FROM intents; END",
    "other columns": "DROP TABLE intents; CREATE TABLE intents (x)",
    "no table": "DROP TABLE intents",
    "one table more": "CREATE TABLE more (x)",
    "the largest number": "INSERT INTO intents VALUES (9223372036854775807, 'ann', x'41')",
    "the largest number given": "UPDATE sqlite_sequence SET seq = 9223372036854775807",
}


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    made = Inbox(tmp_path / "inbox.db")
    made.put("ann", b"a")
    yield made
    made.close()


def changed(path: Path, statements: str) -> None:
    db = sqlite3.connect(path, isolation_level=None, timeout=10)
    db.executescript(statements)
    db.close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("change", CHANGES)
def test_an_inbox_with_other_tables_or_numbers_is_set_aside(inbox: Inbox, change: str) -> None:
    changed(inbox.path, CHANGES[change])
    with pytest.raises(LedgerDamaged):
        inbox.after(1)
    inbox.set_aside(1)
    assert inbox.put("ann", b"b") == 2
    assert inbox.after(1) == [(2, "ann", b"b")]


def test_an_author_that_is_not_text_holds_up_no_other_intent(inbox: Inbox) -> None:
    changed(inbox.path, "INSERT INTO intents (author, body) VALUES (CAST(x'ff41' AS TEXT), x'41')")
    assert inbox.put("ann", b"b") == 3
    assert inbox.after(1) == [(2, "\ufffdA", b"A"), (3, "ann", b"b")]


def test_numbers_below_one_are_not_read(inbox: Inbox) -> None:
    changed(inbox.path, "INSERT INTO intents VALUES (0, 'ann', x'41'), (-5, 'ann', x'41')")
    assert inbox.after(0) == [(1, "ann", b"a")]


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_a_folder_in_the_place_of_a_file_of_sqlite_is_named(tmp_path: Path, suffix: str) -> None:
    inbox = Inbox(tmp_path / "inbox.db")
    inbox.put("ann", b"a")
    inbox.close()
    inbox.path.with_name(f"inbox.db{suffix}").mkdir()
    with pytest.raises(LedgerError, match=f"inbox.db{suffix} is not a file: move it away"):
        inbox.put("ann", b"b")
    inbox.path.with_name(f"inbox.db{suffix}").rmdir()
    assert inbox.put("ann", b"b") == 2
    inbox.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[SessionFolder]:
    folder = sim_session(tmp_path, speed=300.0, clusters=2, mode="autopilot", proposer="search")
    worker_process.start(folder)
    wait_for(lambda: state_of(folder).seq > 12, 60, "some events")
    send_and_await(folder, Say("it is used"))
    yield folder
    worker_process.terminate(folder)


def continues_whole(folder: SessionFolder, pid: int = 0) -> None:
    """Check that a worker takes an intent without a person's help, and that the session is whole once it has ended.

    The worker is the same one if its process is given.
    """

    def more() -> bool:
        try:
            return state_of(folder).seq > before + 5
        except LedgerError:
            return False  # until the next event

    before = last_seq(folder)
    wait_for(more, 60, "more events")
    send_and_await(folder, Say("are you there?"))
    if pid:
        wait_for(lambda: lock.worker_status(folder).pid == pid, 20, "the heartbeat of the same worker")
    assert worker_process.terminate(folder)
    nothing_counted_twice(folder)
    a_fold_from_nothing_is_the_state(folder)


def last_seq(folder: SessionFolder) -> int:
    try:
        return state_of(folder).seq
    except LedgerError:
        return 0


def indexes(folder: SessionFolder) -> list[Path]:
    """Return the files that SQLite maps into the worker's memory."""
    return [folder.root / f"{name}.db-shm" for name in ("ledger", "inbox", "sim")]


@pytest.mark.timeout(180)
def test_an_index_of_a_log_that_is_removed_ends_no_worker(running: SessionFolder) -> None:
    pid = lock.worker_status(running).pid
    for path in indexes(running):
        path.unlink()
    continues_whole(running, pid)


@pytest.mark.timeout(300)
def test_an_index_of_a_log_that_is_cut_again_and_again_ends_no_session(running: SessionFolder) -> None:
    """Cut it between two transactions, which the worker mends, and in the middle of some, which end its process."""
    for _ in range(8):
        for path in indexes(running):
            with suppress(FileNotFoundError):  # while a worker starts
                os.truncate(path, 0)
        time.sleep(0.05)
    continues_whole(running)


@pytest.mark.timeout(180)
def test_folders_in_the_place_of_files_for_readers_are_moved_away(running: SessionFolder) -> None:
    pid = lock.worker_status(running).pid
    paths = (running.events, running.progress, running.heartbeat, running.snapshot)
    for path in paths:
        path.unlink(missing_ok=True)
        (path / "within").mkdir(parents=True)
    continues_whole(running, pid)
    assert all(path.is_file() for path in paths)
    assert all((moved / "within").is_dir() for moved in running.root.glob("*.moved-*"))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("anew", [False, True])
def test_a_lock_whose_file_was_removed_is_taken_again(running: SessionFolder, anew: bool) -> None:
    pid = lock.worker_status(running).pid
    running.lock.unlink()
    if anew:
        running.lock.touch()
    wait_for(lambda: lock.is_locked(running), 30, "the lock")
    assert worker_process.start(running).pid == pid, "no second worker is started"
    continues_whole(running, pid)
