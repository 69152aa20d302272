"""The worker sets aside a report, an end or an intent that raises an unforeseen error, says so, and takes the next."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cockpit.core.events import Ended, Event, Held, IntentTaken, Trouble
from cockpit.core.fold import fold as core_fold
from cockpit.core.intents import Hold, Resume, Say, encode_intent
from cockpit.core.model import Outcome
from cockpit.core.state import State
from cockpit.fleet.base import JobEnded, JobStarted, JobSubmitted, Report
from cockpit.fleet.run_log import RunLog
from cockpit.fleet.sim.fleet import SimFleet
from cockpit.session.client import SessionClient
from cockpit.session.inbox import Inbox
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.worker import loop
from cockpit.worker.build import build
from cockpit.worker.loop import Worker
from cockpit.worker.react import Reactor
from cockpit.worker.reports import Reports
from cockpit.worker.supervisor import run_session
from tests.faults.checks import a_fold_from_nothing_is_the_state, every_start_has_one_end, nothing_counted_twice
from tests.worker.sessions import local_session, sim_session, state_of, wait_for


@pytest.fixture
def folder(tmp_path: Path) -> SessionFolder:
    return sim_session(tmp_path, speed=0, clusters=2, mode="manual")


def started(folder: SessionFolder) -> Worker:
    worker = build(folder, threading.Event(), threading.Event())
    worker.start()
    return worker


def run(worker: Worker, until: Callable[[State], object]) -> None:
    """Tick, and let the clock of the simulation jump, until the state is as wanted."""
    for _ in range(400):
        worker.tick()
        if until(worker.state):
            return
        worker._sleep()
    raise AssertionError("it did not come so far")


def events_of(folder: SessionFolder) -> list[Event]:
    reader = LedgerReader(folder)
    try:
        return list(reader.since(0))
    finally:
        reader.close()


def troubles(folder: SessionFolder, word: str) -> list[str]:
    return [event.text for event in events_of(folder) if isinstance(event, Trouble) and word in event.text]


def fails_on(kind: type[Report], patch: pytest.MonkeyPatch) -> list[Report]:
    """Let the handling of reports of a kind fail. Returns those that were handed in."""
    handed: list[Report] = []
    whole = Reports.events

    def events(reports: Reports, state: State, report: Report) -> list[Event]:
        if isinstance(report, kind):
            handed.append(report)
            raise KeyError("an unforeseen fault")
        return whole(reports, state, report)

    patch.setattr(Reports, "events", events)
    return handed


def test_the_end_of_a_run_that_cannot_be_handled_is_set_aside_and_the_run_is_lost_once(
    folder: SessionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed = fails_on(JobEnded, monkeypatch)
    worker = started(folder)
    run(worker, lambda state: state.outcome_counts)
    assert worker.state.outcome_counts == {Outcome.LOST: 1}
    worker.abandon()
    monkeypatch.undo()
    before = len(handed)
    again = started(folder)
    run(again, lambda state: state.incumbent)
    again.close("the test is over")
    assert (len(handed), again.state.incumbent) == (before, "e0000"), "the report was not read again"
    ended = [event for event in events_of(folder) if isinstance(event, Ended)]
    assert [event.outcome for event in ended] == [Outcome.LOST, Outcome.VALID]
    assert "cockpit failed on the report of its end (KeyError" in ended[0].message
    assert len(troubles(folder, "set it aside: see ")) == 1
    kept = [json.loads(line) for line in folder.set_aside.read_text().splitlines()]
    assert [one["kind"] for one in kept] == ["JobEnded"]
    assert "JobEnded(" in kept[0]["item"] and "an unforeseen fault" in kept[0]["error"]
    every_start_has_one_end(folder)
    a_fold_from_nothing_is_the_state(folder)


@pytest.mark.parametrize("kind", [JobSubmitted, JobStarted])
def test_another_report_that_cannot_be_handled_is_set_aside_and_the_run_counts(
    folder: SessionFolder, monkeypatch: pytest.MonkeyPatch, kind: type[Report]
) -> None:
    handed = fails_on(kind, monkeypatch)
    worker = started(folder)
    run(worker, lambda state: state.incumbent)
    worker.close("the test is over")
    assert set(worker.state.outcome_counts) == {Outcome.VALID}
    assert len(troubles(folder, f"({kind.__name__}; KeyError")) == 1, "the same sentence is said once"
    assert len(folder.set_aside.read_text().splitlines()) == len(handed)
    a_fold_from_nothing_is_the_state(folder)


@pytest.mark.parametrize(("owner", "name"), [(Reactor, "_job"), (SimFleet, "launch")])
def test_an_effect_that_cockpit_fails_on_is_set_aside_and_tried_again(
    folder: SessionFolder, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    """Let the first submission, or the first launch, fail: the baseline is measured all the same."""
    whole = getattr(owner, name)
    left = [1]

    def fails_first(*given: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise KeyError("an unforeseen fault")
        return whole(*given)

    monkeypatch.setattr(owner, name, fails_first)
    worker = started(folder)
    run(worker, lambda state: state.incumbent)
    worker.close("the test is over")
    assert worker.state.outcome_counts.get(Outcome.LOST, 0) == (owner is Reactor)
    assert len(troubles(folder, "cockpit failed to carry out")) == 1
    assert len(folder.set_aside.read_text().splitlines()) == 1
    nothing_counted_twice(folder)
    a_fold_from_nothing_is_the_state(folder)


def fold_that_fails_on(patch: pytest.MonkeyPatch, kind: type[Event], times: int = 1) -> None:
    """Let the fold of a kind of event fail after it has changed half of the state."""
    whole = core_fold
    left = [times]

    def fold(state: State | None, event: Event) -> State:
        if isinstance(event, kind) and left[0]:
            left[0] -= 1
            assert state is not None
            state.seq += 7
            state.phase = "half of an event"
            raise ZeroDivisionError("an unforeseen fault")
        return whole(state, event)

    patch.setattr(loop, "fold", fold)


def test_an_end_that_cannot_be_folded_is_not_written_and_the_state_is_as_before(
    folder: SessionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold_that_fails_on(monkeypatch, Ended)
    worker = started(folder)
    run(worker, lambda state: state.incumbent)
    worker.close("the test is over")
    ended = [event for event in events_of(folder) if isinstance(event, Ended)]
    assert [event.outcome for event in ended] == [Outcome.LOST, Outcome.VALID]
    assert worker.state.phase != "half of an event"
    every_start_has_one_end(folder)
    a_fold_from_nothing_is_the_state(folder)


def test_an_intent_whose_event_cannot_be_folded_is_refused_and_the_next_is_taken(
    folder: SessionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold_that_fails_on(monkeypatch, Held)
    inbox = Inbox(folder.inbox)
    numbers = [inbox.put("ann", encode_intent(intent)) for intent in (Hold(), Say("are you there?"), Hold())]
    inbox.close()
    worker = started(folder)
    run(worker, lambda state: state.intent == numbers[-1])
    worker.close("the test is over")
    taken = [event for event in events_of(folder) if isinstance(event, IntentTaken)]
    assert [event.intent for event in taken] == numbers
    assert [bool(event.refused) for event in taken] == [True, False, False]
    assert taken[0].refused.startswith("cockpit failed on it (ZeroDivisionError): see ")
    assert worker.state.held and worker.state.phase != "half of an event"
    a_fold_from_nothing_is_the_state(folder)


def test_a_write_that_fails_leaves_nothing_in_the_state(folder: SessionFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = started(folder)
    seq = worker.state.seq
    monkeypatch.setattr(worker._ledger, "_insert", fails)
    with pytest.raises(OSError, match="no room"):
        worker.record(Held(at=worker.now(), author="ann"))
    assert (worker.state.seq, worker.state.held) == (seq, False)
    monkeypatch.undo()
    worker.record(Held(at=worker.now(), author="ann"))
    assert (worker.state.seq, worker.state.held) == (seq + 1, True)
    monkeypatch.setattr(worker._ledger, "_insert", fails)
    with pytest.raises(OSError, match="no room"):
        worker.record(Held(at=worker.now(), author="ann"))
    worker.abandon()
    assert worker.finished == "", "a worker that was let go of reads no ledger"
    monkeypatch.undo()
    worker = started(folder)
    worker.close("the test is over")
    a_fold_from_nothing_is_the_state(folder)


def fails(*given: Any) -> None:
    raise OSError(28, "no room")


def test_output_that_cockpit_fails_on_ends_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the output of a run be poison: it is told while the run is going, and its end makes the run lost."""
    whole = RunLog.feed

    def feed(log: RunLog, data: bytes, at: float) -> None:
        if data:
            raise OverflowError("an unforeseen number")
        whole(log, data, at)

    monkeypatch.setattr(RunLog, "feed", feed)
    folder = local_session(tmp_path, clusters=1, mode="manual")
    stop, wake = threading.Event(), threading.Event()
    thread = threading.Thread(target=run_session, args=(folder, stop, wake))
    thread.start()
    try:
        wait_for(lambda: state_of(folder).outcome_counts.get(Outcome.LOST, 0) >= 2, 60, "the runs to be lost")
    finally:
        stop.set()
        wake.set()
        thread.join(20)
    assert "CRASH" not in state_of(folder).outcome_counts
    told = troubles(folder, "cockpit failed on its output (OverflowError)")
    assert len(told) == len(set(told)), "each is told once"
    every_end = [event for event in events_of(folder) if isinstance(event, Ended)]
    assert all("cockpit failed on its output" in event.message for event in every_end)
    nothing_counted_twice(folder)


@pytest.mark.parametrize("in_place", ["folder", "pipe", "loop"])
def test_a_pipe_a_folder_or_a_link_in_the_place_of_a_log_delays_no_tick(tmp_path: Path, in_place: str) -> None:
    from cockpit.core.metric import VAL_BPB
    from cockpit.worker.reports import LogReader

    path = tmp_path / "e0001.1.log"
    if in_place == "folder":
        path.mkdir()
    elif in_place == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path)
    reader = LogReader(path, VAL_BPB)
    assert reader.read(1.0) == 0
    assert str(path) in reader.problem
    path.rmdir() if in_place == "folder" else path.unlink()
    path.write_bytes(b"val_bpb: 1.25\n")
    assert reader.read(2.0) == 14
    assert reader.problem == ""


@pytest.mark.parametrize("first", [True, False])
def test_an_intent_is_taken_from_an_inbox_that_the_worker_has_not_seen_yet(folder: SessionFolder, first: bool) -> None:
    """Remove the inbox, with its intents taken, and send to the one that the sender makes before the worker looks."""
    worker = started(folder)
    client = SessionClient(folder, "ann")
    for intent in (Hold(), Resume(), Hold()):
        client.send(intent)
    worker.tick()
    assert worker.state.held
    if first:
        client.close()
        client = SessionClient(folder, "ann")
    for path in folder.root.glob("inbox.db*"):
        path.unlink()
    number = client.send(Resume())
    worker.tick()
    assert (worker.state.held, worker.state.intent) == (False, number)
    assert len(troubles(folder, "lacks intents of the one before it")) == 1
    client.send(Hold())
    worker.tick()
    assert worker.state.held
    assert len(troubles(folder, "lacks intents of the one before it")) == 1
    worker.close("the test is over")
    client.close()
    nothing_counted_twice(folder)
