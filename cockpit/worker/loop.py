"""The worker: reports, log lines, intents and proposals become events, events become state, state becomes decisions.

One tick takes in all that has happened, then decides until there is nothing left to decide. Only this thread touches
the state, the ledger, the fleet and the repository.
"""

import logging
import threading
import time
from collections.abc import Sequence

import msgspec

from cockpit import __version__
from cockpit.agent.proposer_api import Receipt
from cockpit.core.errors import CockpitError
from cockpit.core.events import Event, IntentTaken, Proposed, Submitting, Trouble, WorkerStarted, WorkerStopped
from cockpit.core.fold import fold
from cockpit.core.intents import INTENT_BYTES_AT_MOST, Draft, HostAgent, Resume, decode_intent
from cockpit.core.state import State
from cockpit.core.whole_text import with_whole_text
from cockpit.create.agents import with_command
from cockpit.decide.decisions import decide, wake_at
from cockpit.decide.handle_intents import handle_intent
from cockpit.decide.intents.request import Refused
from cockpit.decide.unfinished import unfinished
from cockpit.fleet.base import JobEnded, Report
from cockpit.session.clock import WallClock, boot_id, steady_s
from cockpit.session.inbox import READ_AT_MOST, Inbox
from cockpit.session.ledger_errors import LedgerDamaged, LedgerError
from cockpit.session.watched_thread import WatchedThread
from cockpit.variant.errors import VariantError
from cockpit.worker.baseline import mended_baseline
from cockpit.worker.intake import prepare, prepare_wave
from cockpit.worker.parts import WorkerParts
from cockpit.worker.proposer_host import ProposerHost
from cockpit.worker.react import REACTIONS, Reactor
from cockpit.worker.reports import Reports
from cockpit.worker.set_aside import SetAside
from cockpit.worker.shortage import is_of_the_machine, lacks_room, shortage

LOOK_EVERY_S = 0.5
"""Seconds between two looks for step lines and intents."""
DECISIONS_A_TICK = 500
SNAPSHOT_EVERY = 2_000
STOPPED_S = 30.0
"""Seconds between two looks from which the process counts as stopped meanwhile."""
REPLACED = "was replaced by one of fewer intents: those in it are not taken, send again what was not answered"
LACKS = "lacks intents of the one before it: send again what was not answered"

log = logging.getLogger("cockpit.worker")


class WorkerWasStopped(CockpitError):
    """The worker's process was stopped, or its machine slept: its runs may have had no processor time either."""


class Worker:
    """Owns a session while it runs. The caller holds the session's lock."""

    def __init__(self, parts: WorkerParts) -> None:
        self.folder = parts.folder
        self.store = parts.store
        self._state: State | None = None
        self._parts = parts
        self._ledger = parts.ledger
        self._fleet = parts.fleet
        self._proposers = ProposerHost(self, parts.proposers, parts.make_agent, parts.wake, parts.inline)
        self._reactor = Reactor(parts, self._proposers)
        self._reports = Reports(parts.folder.log, self.state.session.metric)
        self._set_aside = SetAside(parts.folder.set_aside)
        self._snapshot_seq = self.state.seq
        self._inbox_note = ""
        self._has_more_intents = False
        self.threads: list[WatchedThread] = []
        """Threads beside the worker's own that it watches."""
        self.ticked_at = time.monotonic()

    @property
    def state(self) -> State:
        """The state after every event of the ledger."""
        if self._state is None:
            self._state = self._ledger.state()
        return self._state

    @property
    def waits_for(self) -> str:
        """The lock of another program that the worker waits for; empty for none."""
        return self._ledger.waits_for or self._inbox_note

    @property
    def finished(self) -> str:
        """Why the session has ended; empty until then."""
        state = self._state  # read from the ledger again by the next worker, where the last write failed
        return state.end_reason if state is not None and state.ended_at else ""

    def now(self) -> float:
        return self._parts.clock.now()

    def record(self, *events: Event) -> None:
        """Append and fold, all of the events or none.

        An event that cannot be folded is not written. After a failure the state is read from the ledger again, so that
        it never holds what the ledger does not.
        """
        if not events:
            return
        try:
            try:
                self._ledger.append(events, lambda: self._fold(events))
            except UnicodeEncodeError:
                whole = [with_whole_text(event) for event in events]
                self._ledger.append(whole, lambda: self._fold(whole))
        except BaseException:
            self._state = None
            raise

    def _fold(self, events: Sequence[Event]) -> None:
        for event in events:
            self._state = fold(self.state, event)

    def apply(self, *events: Event) -> None:
        """Record the events, then react to each, and apply what comes of it."""
        self.record(*events)
        self._carry_out(events)

    def _carry_out(self, events: Sequence[Event]) -> None:
        """React to recorded events, once they would survive a power cut."""
        effective = [event for event in events if type(event) in REACTIONS]
        if effective and not self._fleet.simulated:
            self._ledger.sync()  # a simulated world goes down with the power, and has nothing to find again
        for event in effective:
            self._react(event)

    def ingest(self, draft: Draft, ask: int) -> Receipt:
        """Propose a proposer's draft; the receipt names the arms that were left out, or why the draft was refused."""
        try:
            made = prepare_wave(self.store, self.state, with_whole_text(draft), self.now())
        except (Refused, VariantError) as error:
            return Receipt("", (), tuple(map(str, error.args)), "refused")
        self.apply(Proposed(at=made.wave.proposed_at, wave=made.wave, experiments=made.experiments, ask=ask))
        return Receipt(made.wave.id, (*made.wave.arms, *made.wave.again), made.problems, "proposed")

    def start(self) -> None:
        """Record the start, find the runs in flight again, and finish the effects that a killed worker began."""
        parts = self._parts
        started = WorkerStarted(at=self.now(), pid=parts.pid, host=parts.host, user=parts.user, version=__version__)
        if isinstance(parts.clock, WallClock):
            started.boot, started.clock_origin = boot_id(), parts.clock.origin
        self.apply(started)
        for note in self._ledger.notes:
            self.record(Trouble(at=self.now(), text=note))
        self.apply(*mended_baseline(self.store, self.state, parts.user, self.now()))
        for event in unfinished(self.state):
            self._react(event)

    def run(self, stop: threading.Event) -> str:
        """Tick until the session has ended or `stop` is set. Returns why it ended."""
        while not (stop.is_set() or self.finished):
            self.tick()
            if not self.finished:
                self._sleep()
        return self.finished or "it was asked to stop"

    def tick(self) -> None:
        """Take in what has happened, then decide and act until there is nothing left to do."""
        self.ticked_at = time.monotonic()
        if problem := self.folder.folder_problem():
            raise LedgerError(problem)  # before a run counts as lost, or the session is held
        for report in self._reports.due():
            self._take_report(report)
        self._take_reports()
        self.apply(*self._reactor.continue_work(self.state))
        self.apply(*self._reports.progress(self.state, self.now()))
        self._proposers.drain_calls()
        self.apply(*self._proposers.finished())
        self._take_intents()
        self._decide()
        self.apply(*self._reactor.notify(self.state, self.now()))
        words = [word for thread in self.threads if (word := thread.mend())] + self._proposers.mend()
        self.apply(*(Trouble(at=self.now(), text=word) for word in words))
        self._ledger.catch_up()
        if self.state.seq - self._snapshot_seq >= max(SNAPSHOT_EVERY, len(self.state.experiments)):
            self.snapshot()

    def close(self, reason: str) -> None:
        """Close everything, and leave runs running."""
        self.apply(*self._reactor.close(self.state))
        self._proposers.stop_all()
        self.apply(*self._proposers.finished())
        self.record(WorkerStopped(at=self.now(), reason=reason))
        self._ledger.compact(self.state)
        self.abandon()

    def abandon(self) -> None:
        """Close everything without recording it, because the ledger cannot be written."""
        self._proposers.close()
        self._fleet.close()
        self.store.close()
        self._ledger.close()
        if self._parts.inbox is not None:
            self._parts.inbox.close()

    def snapshot(self) -> None:
        self._ledger.begin_snapshot(self.state)
        self._snapshot_seq = self.state.seq

    def _react(self, event: Event) -> None:
        """Carry out the effect of an event. Set aside one that raises an unforeseen error."""
        try:
            events = self._reactor.react(self.state, event)
        except Exception as error:  # one effect must not end each worker that tries it
            if is_of_the_machine(error) or isinstance(error, CockpitError) or isinstance(event, WorkerStarted):
                raise
            if isinstance(event, Submitting):
                self._fleet.cancel(event.attempt)  # it may have begun
            events = self._set_aside.effect(self.state, event, error, self.now())
        self.apply(*events)

    def _sleep(self) -> None:
        if self._reports.has_work or self._has_more_intents or self._reactor.has_work:
            return  # the next piece of a long log, or of a run's folder, is handled at once
        now = self.now()
        until = wake_at(self.state, now)
        if not self._parts.inline:
            until = min(until, now + LOOK_EVERY_S)
        began = steady_s()
        self._parts.clock.wait(self._parts.wake, until)
        self._parts.wake.clear()
        if not self._parts.inline and (slept_s := steady_s() - began) > STOPPED_S:
            raise WorkerWasStopped(f"the worker was stopped for {slept_s:.0f} s: each run gets its whole limit again")

    def _decide(self) -> None:
        for _ in range(DECISIONS_A_TICK):
            events = decide(self.state, self.now())
            if not events:
                return
            self.apply(*events)
            self._take_reports()
        log.error("the decisions did not settle: %s", decide(self.state, self.now())[:3])

    def _take_reports(self) -> None:
        for report in self._fleet.poll():
            self._take_report(report)

    def _take_report(self, report: Report) -> None:
        """Record the events of a report and react to them. Set aside a report that raises an unforeseen error."""
        try:
            events = self._reports.events(self.state, report)
            self.record(*events)
        except Exception as error:  # one report must not end each worker that reads it
            if is_of_the_machine(error):
                raise
            events = self._set_aside.report(self.state, report, error, self.now())
            self.record(*events)
            if isinstance(report, JobEnded):
                self._reports.forget(report.job)
        self._carry_out(events)

    def _take_intents(self) -> None:
        """Take the next intents of the inbox. A locked inbox is read at a later tick, a damaged one is set aside."""
        inbox = self._parts.inbox
        if inbox is None:
            return
        self._inbox_note = ""
        try:
            is_new = inbox.continue_after(self.state.intent)
            found = inbox.after(self.state.intent, READ_AT_MOST)
            lacks = bool(found) and found[0][0] > self.state.intent + 1
            trouble = f"{inbox.path} {REPLACED if is_new else LACKS}" if is_new or lacks else ""
        except LedgerDamaged as error:
            found, trouble = [], self._inbox_set_aside(inbox, error)
        except LedgerError as error:
            if lacks_room(error) or self.folder.is_gone():
                raise
            self._inbox_note = str(error)
            return
        if trouble:
            self.apply(Trouble(at=self.now(), text=trouble))
        for number, author, body in found:
            self._take_intent(number, author, body)
        self._has_more_intents = bool(found)

    def _inbox_set_aside(self, inbox: Inbox, damage: LedgerDamaged) -> str:
        """Move a damaged inbox away. Returns a sentence about it; empty if that failed, and is tried again."""
        try:
            aside = inbox.set_aside(self.state.intent)
        except LedgerError as error:
            if lacks_room(error):
                raise
            self._inbox_note = str(error)
            return ""
        return f"{damage}; it was moved to {aside.name}, its intents are not taken"

    def _take_intent(self, number: int, author: str, body: bytes) -> None:
        events = self._handle(number, author, body)
        try:
            self.record(*events)
        except Exception as error:  # one intent must not end each worker that takes it
            if is_of_the_machine(error):
                raise
            taken = events[-1]
            assert isinstance(taken, IntentTaken)
            events = [self._given_up(taken, error)]
            self.record(*events)
        self._carry_out(events)

    def _given_up(self, taken: IntentTaken, error: Exception) -> IntentTaken:
        """Return the event that an intent was set aside: it is not read again, because it would end each worker."""
        log.error("intent %d cannot be handled", taken.intent, exc_info=error)
        refused = f"cockpit failed on it ({type(error).__name__}): see {self.folder.worker_log}"
        return IntentTaken(at=taken.at, intent=taken.intent, author=taken.author, what=taken.what, refused=refused)

    def _handle(self, number: int, author: str, body: bytes) -> list[Event]:
        """Handle an intent of the inbox. Everything it causes enters the ledger at once, with its taking."""
        now = self.now()
        taken = IntentTaken(at=now, intent=number, author=author, what="unreadable")
        if not body:
            taken.refused = f"it is empty, or larger than {INTENT_BYTES_AT_MOST} bytes"
            return [taken]
        try:
            intent = decode_intent(body)
        except msgspec.MsgspecError as error:
            taken.refused = f"it cannot be read ({error}): upgrade whichever of worker and sender is older"
            return [taken]
        taken.what = type(intent).__name__
        try:
            if isinstance(intent, HostAgent):
                intent = with_command(intent, self._parts.commands)
            made = prepare(self.store, self.state, intent, author, now)
            events = handle_intent(self.state, intent, author, now, made)
        except (Refused, VariantError) as error:
            if shortage(error):
                raise  # it is taken once there are files and processes again
            taken.refused = str(error)
            return [taken]
        except Exception as error:  # one intent must not end each worker that takes it
            if is_of_the_machine(error):
                raise
            return [self._given_up(taken, error)]
        if isinstance(intent, Resume) and not intent.target:
            events += mended_baseline(self.store, self.state, author, now)
        taken.wave = next((event.wave.id for event in events if isinstance(event, Proposed)), "")
        taken.problems = [event.text for event in events if isinstance(event, Trouble)]
        return [*events, taken]
