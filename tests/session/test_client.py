"""A client's intent is answered, or left to the next worker if this one ends without taking it."""

import threading
from pathlib import Path

import pytest

from cockpit.core.events import SessionCreated
from cockpit.core.intents import Interrupt
from cockpit.core.model import Envelope, Mode
from cockpit.session.client import NoAnswer, SessionClient
from cockpit.session.heartbeat import write_heartbeat
from cockpit.session.inbox import Inbox
from cockpit.session.ledger import Ledger
from cockpit.session.lock import WorkerLock
from cockpit.session.paths import SessionFolder
from tests.core.histories import SESSION
from tests.core.invariants import CREATED

NOT_AT_ALL_S = 0.0


@pytest.fixture
def folder(tmp_path: Path) -> SessionFolder:
    folder = SessionFolder(tmp_path / "night")
    ledger = Ledger.create(folder.ledger)
    ledger.append([SessionCreated(at=CREATED, session=SESSION, mode=Mode.MANUAL, envelope=Envelope())])
    ledger.close()
    return folder


def release_once_asked(folder: SessionFolder, held: WorkerLock) -> None:
    inbox = Inbox(folder.inbox)
    asked = threading.Event()
    while not inbox.after(0):
        asked.wait(0.01)
    inbox.close()
    held.release()


def test_an_ending_worker_is_waited_for_and_leaves_the_intent_to_the_next(folder: SessionFolder) -> None:
    held = WorkerLock.take(folder)
    write_heartbeat(folder, stopped=True)
    client = SessionClient(folder, "me")
    worker = threading.Thread(target=release_once_asked, args=(folder, held))
    worker.start()
    assert client.do(Interrupt(), NOT_AT_ALL_S) is None
    worker.join()
    assert client.waits_after(0)
    client.close()


def test_a_worker_that_runs_and_is_silent_has_not_answered(folder: SessionFolder) -> None:
    held = WorkerLock.take(folder)
    write_heartbeat(folder)
    client = SessionClient(folder, "me")
    with pytest.raises(NoAnswer, match="the worker of night has not answered"):
        client.do(Interrupt(), NOT_AT_ALL_S)
    client.close()
    held.release()


def test_the_answer_of_a_worker_that_works_is_awaited_beyond_the_limit(folder: SessionFolder) -> None:
    client = SessionClient(folder, "me")
    looks = iter([False, False, True])
    looked = []

    def is_silent() -> bool:
        looked.append(next(looks))
        return looked[-1]

    with pytest.raises(NoAnswer):
        client.ask(Interrupt(), NOT_AT_ALL_S, is_silent=is_silent)
    client.close()
    assert looked == [False, False, True]
