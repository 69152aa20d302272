"""Another program's lock delays the worker and never ends it. A watcher can lock no file that the worker needs."""

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cockpit.session import inbox as inbox_module
from cockpit.session.inbox import Inbox
from cockpit.session.ledger import Ledger
from cockpit.session.ledger_errors import LedgerBusy, LedgerDamaged, LedgerError
from cockpit.session.lock import WorkerLock
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from tests.session.test_ledger import said, texts

WAL_BYTES_AT_MOST = 8 << 20


def locked(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("BEGIN EXCLUSIVE")
    return db


def test_an_append_waits_for_another_programs_lock_and_says_so(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path / "night" / "ledger.db")
    holder = locked(ledger.path)
    appending = threading.Thread(target=ledger.append, args=(said("a"),))
    appending.start()
    until = time.monotonic() + 10
    while not ledger.waits_for and time.monotonic() < until:
        time.sleep(0.02)
    assert "ledger.db is locked by another program" in ledger.waits_for
    holder.close()
    appending.join(10)
    assert ledger.waits_for == ""
    assert texts(ledger.since(0)) == ["a"]
    ledger.close()


def test_a_worker_that_is_asked_to_stop_waits_no_longer(tmp_path: Path) -> None:
    stop = threading.Event()
    Ledger.create(tmp_path / "night" / "ledger.db").close()
    ledger = Ledger.open(tmp_path / "night" / "ledger.db", stop)
    holder = locked(ledger.path)
    stop.set()
    with pytest.raises(LedgerBusy):
        ledger.append(said("a"))
    holder.close()
    assert ledger.last_seq() == 0
    ledger.close()


def test_no_lock_on_a_file_that_a_watcher_can_open_delays_the_worker(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "night")
    ledger = Ledger.create(folder.ledger)
    ledger.append(said("a"))
    ledger.close()
    readable = [path for path in folder.root.iterdir() if path.stat().st_mode & 0o040]
    assert folder.events in readable and folder.ledger not in readable
    held = [path.open("rb") for path in readable]
    for file in held:
        fcntl.flock(file, fcntl.LOCK_SH)
        fcntl.lockf(file, fcntl.LOCK_SH)
    lock = WorkerLock.take(folder)
    again = Ledger.open(folder.ledger)
    began = time.monotonic()
    again.append(said("b"))
    assert time.monotonic() - began < 1
    assert texts(again.since(0)) == ["a", "b"]
    again.close()
    lock.release()
    for file in held:
        file.close()


def test_readers_do_not_hold_up_checkpoints(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "night")
    ledger = Ledger.create(folder.ledger)
    reader = LedgerReader(folder)
    for _ in range(200):
        ledger.append(said(*("word " * 100 for _ in range(100))))
        assert len(reader.since(ledger.last_seq() - 1)) == 1
    assert folder.ledger.with_name("ledger.db-wal").stat().st_size < WAL_BYTES_AT_MOST
    reader.close()
    ledger.close()


def test_a_locked_inbox_is_busy_and_later_read(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox.db", busy_timeout_s=0.05)
    inbox.put("me", b"a")
    db = sqlite3.connect(inbox.path, isolation_level=None)
    db.execute("PRAGMA locking_mode=EXCLUSIVE")
    inbox.close()
    db.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerBusy):
        inbox.after(0)
    db.close()
    assert inbox.after(0) == [(1, "me", b"a")]
    inbox.close()


def test_a_damaged_inbox_is_set_aside_and_its_numbers_continue(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox.db")
    assert [inbox.put("me", b"a"), inbox.put("me", b"b")] == [1, 2]
    inbox.close()
    inbox.path.write_bytes(b"garbage " * 1000)
    with pytest.raises(LedgerDamaged):
        inbox.after(2)
    aside = inbox.set_aside(2)
    assert aside.read_bytes().startswith(b"garbage")
    assert inbox.put("me", b"c") == 3
    assert inbox.after(2) == [(3, "me", b"c")]
    inbox.close()


def test_an_open_sender_finds_the_new_inbox(tmp_path: Path) -> None:
    inbox, sender = Inbox(tmp_path / "inbox.db"), Inbox(tmp_path / "inbox.db")
    sender.put("me", b"a")
    inbox.set_aside(1)
    assert sender.put("me", b"b") == 2
    assert inbox.after(1) == [(2, "me", b"b")]
    inbox.close()
    sender.close()


def test_programs_that_create_the_inbox_at_once_all_leave_their_intent(tmp_path: Path) -> None:
    for round_ in range(30):
        path, senders = tmp_path / f"{round_}.db", 8
        together = threading.Barrier(senders)

        def send(number: int, path: Path = path, together: threading.Barrier = together) -> int:
            inbox = Inbox(path)
            together.wait()
            try:
                return inbox.put("me", str(number).encode())
            finally:
                inbox.close()

        with ThreadPoolExecutor(senders) as pool:
            assert sorted(pool.map(send, range(senders))) == list(range(1, senders + 1))


def test_an_inbox_that_another_program_is_making_delays_no_sender(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let one program pause while it makes the inbox: the other one makes its own, and both use the one in place."""
    pauses, resumes = threading.Event(), threading.Event()
    prepare = inbox_module._prepare

    def paused(db: sqlite3.Connection, deadline_s: float) -> None:
        prepare(db, deadline_s)
        if threading.current_thread().name == "slow" and not pauses.is_set():
            db.execute("BEGIN EXCLUSIVE")
            pauses.set()
            resumes.wait(20)
            db.execute("COMMIT")

    monkeypatch.setattr(inbox_module, "_prepare", paused)
    slow, fast = Inbox(tmp_path / "inbox.db"), Inbox(tmp_path / "inbox.db", busy_timeout_s=0.0)
    numbers: list[int] = []
    making = threading.Thread(target=lambda: numbers.append(slow.put("ann", b"slow")), name="slow")
    making.start()
    assert pauses.wait(20)
    assert fast.put("bob", b"fast") == 1
    resumes.set()
    making.join(20)
    assert numbers == [2]
    assert [body for _, _, body in fast.after(0)] == [b"fast", b"slow"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    slow.close()
    fast.close()


def test_a_second_connection_of_a_program_leaves_the_locks_of_the_first(tmp_path: Path) -> None:
    """Open the inbox twice in one process, which holds a write lock: another process still finds it locked."""
    first, second = Inbox(tmp_path / "inbox.db"), Inbox(tmp_path / "inbox.db", busy_timeout_s=0.0)
    first.open()
    holder = first._connected()
    holder.execute("PRAGMA journal_mode=DELETE")  # its locks are then on the file itself
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerBusy):
        second.after(0)
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    other = subprocess.run([sys.executable, "-c", code, str(first.path)], capture_output=True, text=True)
    assert "database is locked" in other.stderr
    first.close()
    second.close()


def test_a_replaced_inbox_continues_the_numbers_and_repeats_nothing(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox.db")
    assert [inbox.put("ann", b"old") for _ in range(2)] == [1, 2]
    assert not inbox.continue_after(2)
    assert inbox.continue_after(7)
    assert inbox.after(7) == []
    assert inbox.put("ann", b"new") == 8
    assert not inbox.continue_after(7)
    assert inbox.after(7) == [(8, "ann", b"new")]
    inbox.close()


@pytest.mark.parametrize("in_place", ["folder", "loop", "nothing", "pipe"])
def test_a_pipe_a_folder_or_a_link_in_the_place_of_the_inbox_is_set_aside(tmp_path: Path, in_place: str) -> None:
    inbox = Inbox(tmp_path / "inbox.db")
    if in_place == "folder":
        inbox.path.mkdir()
    elif in_place == "pipe":
        os.mkfifo(inbox.path)
    else:
        inbox.path.symlink_to(inbox.path if in_place == "loop" else tmp_path / "missing")
    with pytest.raises(LedgerDamaged, match="is not a file"):
        inbox.after(0)
    inbox.set_aside(3)
    assert inbox.put("ann", b"a") == 4
    inbox.close()


def test_an_inbox_that_is_the_ledger_under_another_name_is_set_aside(tmp_path: Path) -> None:
    """Open no database under two names: each would have a log of its own."""
    ledger = Ledger.create(tmp_path / "ledger.db")
    inbox = Inbox(tmp_path / "inbox.db")
    inbox.put("ann", b"a")
    inbox.path.unlink()
    os.link(ledger.path, inbox.path)
    with pytest.raises(LedgerDamaged, match="is the ledger under another name"):
        inbox.after(1)
    inbox.set_aside(1)
    assert inbox.put("ann", b"b") == 2
    ledger.append(said("a"))
    assert ledger.last_seq() == 1
    inbox.close()
    ledger.close()


def test_two_thousand_intents_sent_one_by_one_are_taken_in_order(tmp_path: Path) -> None:
    inbox, sender = Inbox(tmp_path / "inbox.db"), Inbox(tmp_path / "inbox.db")
    sending = threading.Thread(target=lambda: [sender.put("me", str(n).encode()) for n in range(2_000)])
    sending.start()
    taken: list[tuple[int, str, bytes]] = []
    while sending.is_alive() or len(taken) < len(inbox.after(0, 2_000)):
        taken += inbox.after(taken[-1][0] if taken else 0)
    assert [(number, int(body)) for number, _, body in taken] == [(n + 1, n) for n in range(2_000)]
    inbox.close()
    sender.close()


@pytest.mark.parametrize("in_place", ["nothing", "an older copy"])
def test_an_intent_that_is_put_into_a_new_inbox_is_numbered_after_those_taken(tmp_path: Path, in_place: str) -> None:
    sender = Inbox(tmp_path / "inbox.db", last_taken=lambda: 7)
    assert [sender.put("ann", b"old") for _ in range(2)] == [108, 109]
    sender.close()
    shutil.copy(sender.path, tmp_path / "copy.db")
    with sqlite3.connect(tmp_path / "copy.db") as db:
        db.execute("UPDATE sqlite_sequence SET seq = 3")
    db.close()
    for suffix in ("-wal", "-shm", ""):
        sender.path.with_name(f"inbox.db{suffix}").unlink(missing_ok=True)
    if in_place == "an older copy":
        (tmp_path / "copy.db").rename(sender.path)
    assert sender.put("ann", b"new") >= 108
    assert sender.after(107)[-1][1:] == ("ann", b"new")
    sender.close()


def test_an_intent_that_lands_in_a_file_that_was_just_replaced_is_put_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let the worker move a damaged inbox away between the moment a sender has opened it and its write."""
    worker, sender = Inbox(tmp_path / "inbox.db"), Inbox(tmp_path / "inbox.db")
    sender.put("ann", b"a")
    connected, left = sender._connected, [1]

    def connected_before() -> sqlite3.Connection:
        db = connected()
        if left[0]:
            left[0] -= 1
            worker.set_aside(1)
        return db

    monkeypatch.setattr(sender, "_connected", connected_before)
    assert sender.put("ann", b"b") == 2
    assert worker.after(1) == [(2, "ann", b"b")]
    left[0] = 100
    with pytest.raises(LedgerError, match="replaced again and again"):
        sender.put("ann", b"c")
    worker.close()
    sender.close()
