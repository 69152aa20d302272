"""A worker that fails starts again from the ledger. A fault that returns each time is raised."""

import errno
import logging
import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

from cockpit.core.events import Event
from cockpit.core.intents import AnyIntent, Hold, Say, encode_intent
from cockpit.core.session import FleetSpec, Session
from cockpit.core.state import State
from cockpit.decide.decisions import decide
from cockpit.decide.handle_intents import handle_intent
from cockpit.decide.intents.request import Prepared
from cockpit.fleet.base import FleetError
from cockpit.session import worker_process
from cockpit.session.heartbeat import write_heartbeat
from cockpit.session.inbox import Inbox
from cockpit.session.ledger_errors import LedgerDamaged, LedgerError
from cockpit.session.lock import WorkerLock
from cockpit.worker import loop
from cockpit.worker.build import build
from cockpit.worker.main import WholeTraces
from cockpit.worker.supervisor import FAULTS_AT_MOST, run_session, waits_for
from tests.faults.checks import nothing_counted_twice
from tests.worker.sessions import local_session, state_of, wait_for


class Faulty:
    """The decisions, with a fault at each of the first `faults` calls."""

    def __init__(self, faults: int) -> None:
        self.left = faults

    def __call__(self, state: State, now: float) -> list[Event]:
        if self.left:
            self.left -= 1
            raise RuntimeError("an unforeseen fault")
        return decide(state, now)


def test_a_worker_that_fails_starts_again_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "decide", Faulty(2))
    monkeypatch.setattr("cockpit.worker.supervisor.RETRY_FULL_S", 0.1)
    folder = local_session(tmp_path, clusters=1, mode="manual")
    stop, wake = threading.Event(), threading.Event()
    thread = threading.Thread(target=run_session, args=(folder, stop, wake))
    thread.start()
    try:
        wait_for(lambda: state_of(folder).incumbent == "e0000", 30, "the baseline to be measured")
    finally:
        stop.set()
        wake.set()
        thread.join(20)
    assert not thread.is_alive()


def test_a_fault_that_always_returns_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty = Faulty(1_000)
    monkeypatch.setattr(loop, "decide", faulty)
    monkeypatch.setattr("cockpit.worker.supervisor.RETRY_FULL_S", 0.1)
    folder = local_session(tmp_path, clusters=1, mode="manual")
    with pytest.raises(RuntimeError, match="an unforeseen fault"):
        run_session(folder, threading.Event(), threading.Event())
    assert 1_000 - faulty.left == FAULTS_AT_MOST + 1


PASSING: list[tuple[Exception, BaseException | None]] = [
    (FleetError("a log cannot be written"), PermissionError(errno.EACCES, "Permission denied")),
    (FleetError("a log cannot be written"), NotADirectoryError(errno.ENOTDIR, "Not a directory")),
    (FileExistsError(errno.EEXIST, "File exists"), None),
    (OSError(errno.EROFS, "Read-only file system"), None),
    (OSError(errno.EMFILE, "Too many open files"), None),
    (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), None),
    (RuntimeError("can't start new thread"), None),
    (LedgerError("ledger.db cannot be opened: check that it exists and that you may read it"), None),
]


@pytest.mark.parametrize(("error", "cause"), PASSING)
def test_an_error_that_may_pass_is_waited_out_however_long_it_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, cause: BaseException | None
) -> None:
    left = [2 * FAULTS_AT_MOST]

    def passes(state: State, now: float) -> list[Event]:
        if left[0]:
            left[0] -= 1
            raise error from cause
        stop.set()
        return decide(state, now)

    monkeypatch.setattr(loop, "decide", passes)
    monkeypatch.setattr("cockpit.worker.supervisor.RETRY_FULL_S", 0.0)
    folder = local_session(tmp_path, clusters=1, mode="manual")
    stop = threading.Event()
    assert run_session(folder, stop, threading.Event()) == "it was asked to stop"
    assert left == [0]


def test_a_session_that_cannot_be_used_from_the_start_is_refused_at_once(tmp_path: Path) -> None:
    for error in (LedgerError("not yours"), OSError(errno.EACCES, "Permission denied"), FleetError("no such fleet")):
        assert waits_for(error, has_run=False) == ""
    assert "cannot" in waits_for(LedgerError("it cannot be opened"), has_run=True)
    assert waits_for(LedgerDamaged("event 7 is not the one that was written"), has_run=True) == ""


def test_a_session_whose_folder_is_removed_ends_with_that_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = local_session(tmp_path, clusters=1, mode="manual")

    def removes(state: State, now: float) -> list[Event]:
        shutil.rmtree(folder.root, ignore_errors=True)
        return []

    monkeypatch.setattr(loop, "decide", removes)
    with pytest.raises(LedgerError, match=f"{folder.root} was removed or moved while its session ran: the worker ends"):
        run_session(folder, threading.Event(), threading.Event())


def test_a_session_whose_folder_is_renamed_for_a_moment_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = local_session(tmp_path, clusters=1, mode="manual")
    elsewhere, left = folder.root.with_name("elsewhere"), [3]

    def renames(state: State, now: float) -> list[Event]:
        left[0] -= 1
        if not left[0]:
            stop.set()
        elif left[0] == 1:
            folder.root.rename(elsewhere)
            raise FileNotFoundError(folder.ledger)
        return []

    class Returning(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            if elsewhere.exists():
                elsewhere.rename(folder.root)
            return super().wait(0.0)

    stop = Returning()
    monkeypatch.setattr(loop, "decide", renames)
    assert run_session(folder, stop, threading.Event()) == "it was asked to stop"
    assert left == [0] and not elsewhere.exists()
    nothing_counted_twice(folder)


def test_an_intent_that_cannot_be_handled_is_set_aside_and_the_next_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Send a poisoned intent, one with brackets in brackets, and a good one: the worker takes all three, once."""

    def fails_on_speech(state: State, intent: AnyIntent, author: str, now: float, made: Prepared | None) -> list[Event]:
        if isinstance(intent, Say):
            raise KeyError("an unforeseen fault")
        return handle_intent(state, intent, author, now, made)

    monkeypatch.setattr(loop, "handle_intent", fails_on_speech)
    folder = local_session(tmp_path, clusters=1, mode="manual")
    inbox = Inbox(folder.inbox)
    deep = b"[" * 20_000 + b"]" * 20_000
    numbers = [
        inbox.put("ann", body)
        for body in (encode_intent(Say("hello")), b'{"kind":"Hold","more":' + deep + b"}", encode_intent(Hold()))
    ]
    worker = build(folder, threading.Event(), threading.Event())
    worker.start()
    worker.tick()
    worker.tick()
    worker.close("the test is over")
    inbox.close()
    state = state_of(folder)
    assert state.held and state.intent == numbers[-1]
    assert state.refusals[str(numbers[0])].startswith("cockpit failed on it (KeyError): see ")
    assert "it is nested too deeply" in state.refusals[str(numbers[1])]


def test_traces_are_complete_although_skypilot_silences_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "tracebacklimit", 0, raising=False)
    record = None
    try:
        Faulty(1)(State(Session("s", "/repo", "c0", FleetSpec("sim", ()), 0.0, "ann")), 0.0)
    except RuntimeError:
        record = logging.LogRecord("cockpit", logging.ERROR, __file__, 1, "a fault", (), sys.exc_info())
    assert record is not None
    assert "in __call__" in WholeTraces("%(message)s").format(record)


def test_a_worker_that_is_started_while_another_ends_runs(tmp_path: Path) -> None:
    """Start a worker once the last event of the one before is written, which still holds the lock."""
    folder = local_session(tmp_path, clusters=1, mode="manual")
    held = WorkerLock.take(folder)
    write_heartbeat(folder, stopped=True)
    ending = threading.Timer(1.0, held.release)
    ending.start()
    started = worker_process.start(folder)
    try:
        assert started.state == "running" and started.pid != os.getpid()
    finally:
        worker_process.terminate(folder)
        ending.join()
