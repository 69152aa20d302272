"""Another program's locks on a session's files, and garbage in its inbox, delay the worker and never end it."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.cli.steer import send_and_await
from cockpit.core.events import IntentTaken, Trouble
from cockpit.core.intents import Hold, Resume, Say, encode_intent
from cockpit.session import lock, worker_process
from cockpit.session.inbox import Inbox
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from tests.worker.sessions import sim_session, state_of, wait_for

LOCKED_S = 12.0


@pytest.fixture
def running(tmp_path: Path) -> Iterator[SessionFolder]:
    folder = sim_session(tmp_path, speed=60.0, clusters=4)
    worker_process.start(folder)
    yield folder
    worker_process.terminate(folder)


def taken(folder: SessionFolder) -> list[int]:
    reader = LedgerReader(folder)
    try:
        return [event.intent for event in reader.since(0) if isinstance(event, IntentTaken)]
    finally:
        reader.close()


@pytest.mark.parametrize("name", ["ledger", "inbox"])
def test_a_lock_of_12_s_is_waited_out_and_reported(running: SessionFolder, name: str) -> None:
    path = running.ledger if name == "ledger" else running.inbox
    send_and_await(running, Hold())
    pid = lock.worker_status(running).pid
    holder = sqlite3.connect(path, isolation_level=None, timeout=10)
    holder.execute("BEGIN EXCLUSIVE")
    if name == "ledger":
        inbox = Inbox(path.with_name("inbox.db"))
        inbox.put("ann", encode_intent(Say("The worker has something to write.")))
        inbox.close()
    until = time.monotonic() + LOCKED_S
    notes = set()
    while time.monotonic() < until:
        now = lock.worker_status(running)
        assert now.state == "running"
        notes.add(now.note)
        time.sleep(0.2)
    holder.close()
    if name == "ledger":
        assert any("locked by another program" in note for note in notes)
    send_and_await(running, Resume())
    assert lock.worker_status(running).pid == pid
    assert len(taken(running)) == (3 if name == "ledger" else 2)


def test_garbage_in_the_inbox_is_set_aside_and_told(running: SessionFolder) -> None:
    send_and_await(running, Hold())
    pid = lock.worker_status(running).pid
    for suffix in ("-wal", "-shm"):
        running.inbox.with_name(f"inbox.db{suffix}").unlink(missing_ok=True)
    garbage = running.root / "garbage"
    garbage.write_bytes(b"garbage " * 4096)
    garbage.rename(running.inbox)
    wait_for(lambda: list(running.root.glob("inbox.db.damaged-*")), 20, "the damaged inbox to be set aside")
    send_and_await(running, Resume())
    assert lock.worker_status(running).pid == pid
    assert taken(running) == [1, 2]
    reader = LedgerReader(running)
    assert any("inbox.db" in event.text for event in reader.since(0) if isinstance(event, Trouble))
    reader.close()


@pytest.mark.timeout(1_200)
def test_10000_intents_in_a_second_are_taken_in_order(running: SessionFolder) -> None:
    inbox = Inbox(running.inbox)
    inbox.open()
    db = sqlite3.connect(running.inbox, isolation_level=None)
    db.execute("BEGIN")
    bodies = [encode_intent(Hold() if number % 2 else Resume()) for number in range(2)]
    db.executemany("INSERT INTO intents (author, body) VALUES ('me', ?)", ((bodies[n % 2],) for n in range(10_000)))
    db.execute("COMMIT")
    db.close()
    inbox.close()
    taken_so_far = 0
    while taken_so_far < 10_000:  # as long as it takes, while it gets on
        wait_for(lambda before=taken_so_far: state_of(running).intent > before, 60, "more intents to be taken")
        taken_so_far = state_of(running).intent
    assert taken(running) == list(range(1, 10_001))
