"""The worker: reports, log lines, intents and proposals become events; events become state; the plan says what to do.

One tick takes in all that has happened, then plans and performs until the plan has nothing left to say. Only this
thread touches the state, the ledger, the fleet and the repository.
"""

import logging
import threading
import time

import msgspec

from cockpit import __version__
from cockpit.agent.proposer_api import Proposer, Receipt
from cockpit.core.events import (
    Cancelling,
    Ended,
    Event,
    IncumbentSet,
    IntentTaken,
    Proposed,
    Trouble,
    WorkerStarted,
    WorkerStopped,
)
from cockpit.core.fold import fold
from cockpit.core.intents import Draft, Interrupt, decode_intent
from cockpit.core.model import ClusterState
from cockpit.core.state import State
from cockpit.decide import actions as a
from cockpit.decide import plan, wake_at
from cockpit.fleet.base import Expected, Fleet
from cockpit.session.clock import Clock
from cockpit.session.ledger import Inbox, Ledger
from cockpit.session.paths import SessionFolder
from cockpit.variant.errors import VariantError
from cockpit.variant.store import VariantStore
from cockpit.worker import intake
from cockpit.worker.handle_intents import obey
from cockpit.worker.notify import Notifier
from cockpit.worker.proposer_host import ProposerHost
from cockpit.worker.react import Reactor, events_before
from cockpit.worker.reports import Reports

LOOK_EVERY_S = 0.5
"""How long a step line or an intent may wait to be noticed."""
PLANS_A_TICK = 500
SNAPSHOT_EVERY = 2_000

log = logging.getLogger("cockpit.worker")


class Worker:
    """Owns a session while it runs. The caller holds the session's lock."""

    def __init__(
        self,
        folder: SessionFolder,
        ledger: Ledger,
        fleet: Fleet,
        store: VariantStore,
        clock: Clock,
        wake: threading.Event,
        proposers: dict[str, Proposer],
        *,
        inbox: Inbox | None = None,
        passed: dict[str, str] | None = None,
        corpus: str = "",
        notifier: Notifier | None = None,
        inline: bool = False,
        host: str = "",
        user: str = "",
        pid: int = 0,
    ) -> None:
        self.folder = folder
        self.store = store
        self.state: State = ledger.state()
        self._ledger = ledger
        self._fleet = fleet
        self._clock = clock
        self._wake = wake
        self._inbox = inbox
        self._notifier = notifier
        self._office = ProposerHost(self, proposers, wake, inline)
        self._performer = Reactor(folder, fleet, store, self._office, passed or {}, corpus)
        self._reports = Reports(folder.log)
        self._snapshot_seq = self.state.seq
        self._inline = inline
        self._me = (pid, host, user)
        self.finished = ""
        self.ticked_at = time.monotonic()

    def now(self) -> float:
        return self._clock.now()

    def record(self, *events: Event) -> None:
        """Append and fold: the ledger first, so that a state never holds what the ledger does not."""
        if not events:
            return
        self._ledger.append(events)
        for event in events:
            self.state = fold(self.state, event)
            if isinstance(event, Ended):
                self._performer.clean(event.attempt)
            elif isinstance(event, IncumbentSet):
                try:
                    said = self.store.advance(self.state.experiments[event.experiment].commit)
                except VariantError as error:
                    said = str(error)
                if said:
                    self.record(Trouble(at=self.now(), text=said))

    def take(self, draft: Draft, ask: int) -> Receipt:
        """A proposer's draft becomes a proposal, or its receipt says why not."""
        try:
            proposed, receipt = intake.take(self.store, self.state, draft, self.now(), ask=ask)
        except (intake.Refused, VariantError) as error:
            return Receipt("", (), (str(error),), "refused")
        if proposed is not None:
            self.record(proposed)
        return receipt

    def start(self) -> None:
        """Say that the worker runs, and find again what it had in flight."""
        pid, host, user = self._me
        self.record(WorkerStarted(at=self.now(), pid=pid, host=host, user=user, version=__version__))
        state = self.state
        in_flight = sorted(
            (state.attempts[name] for name in state.in_flight), key=lambda attempt: attempt.submitting_at
        )
        clusters = [
            cluster.name
            for cluster in state.clusters.values()
            if cluster.state not in (ClusterState.DOWN, ClusterState.GIVEN_UP)
        ]
        jobs = tuple(self._performer.job(state, attempt) for attempt in in_flight)
        adopted = tuple(cluster.name for cluster in state.clusters.values() if cluster.adopted)
        self._fleet.recover(Expected(tuple(clusters), jobs, adopted))
        for attempt in in_flight:
            if attempt.cancelling:
                self._fleet.cancel(attempt.id)
        for cluster in state.clusters.values():
            if cluster.state is ClusterState.STOPPING:
                self._fleet.down(cluster.name)

    def tick(self) -> None:
        """Take in what has happened, then decide and act until there is nothing left to do."""
        self.ticked_at = time.monotonic()
        for report in self._fleet.poll():
            self.record(*self._reports.events(self.state, report))
        self.record(*self._reports.progress(self.state, self.now()))
        self._office.serve()
        self.record(*self._office.finished())
        self._take_intents()
        self._act()
        self._notify()
        if self.state.seq - self._snapshot_seq >= max(SNAPSHOT_EVERY, len(self.state.experiments)):
            self.snapshot()

    def _notify(self) -> None:
        if self._notifier is None:
            return
        self._notifier.look(self.state, self.now())
        self.record(*(Trouble(at=self.now(), text=text) for text in self._notifier.troubles()))

    def run(self, stop: threading.Event) -> str:
        """Tick until the session has ended or `stop` is set. Returns why it ended."""
        while not stop.is_set():
            self.tick()
            if self.finished:
                return self.finished
            now = self.now()
            until = wake_at(self.state, now)
            if not self._inline:
                until = min(until, now + LOOK_EVERY_S)
            self._clock.wait(self._wake, until)
            self._wake.clear()
        return "it was asked to stop"

    def close(self, reason: str) -> None:
        """Let go of everything, ending nothing that runs."""
        if self._notifier is not None:
            if self.finished:
                self._notifier.ended(self.state, reason, self.now())
            self._notifier.close()
        self._office.hush()
        self.record(*self._office.finished())
        self.record(WorkerStopped(at=self.now(), reason=reason))
        self.snapshot()
        self.abandon()

    def abandon(self) -> None:
        """Let go of everything without a word in the ledger, which cannot take one."""
        self._office.close()
        self._fleet.close()
        self._ledger.close()
        if self._inbox is not None:
            self._inbox.close()

    def snapshot(self) -> None:
        self._ledger.snapshot(self.state)
        self._snapshot_seq = self.state.seq

    def _act(self) -> None:
        for _ in range(PLANS_A_TICK):
            now = self.now()
            actions = plan(self.state, now)
            if not actions:
                return
            for action in actions:
                self._perform(action, now)
            if self.finished:
                return
            for report in self._fleet.poll():
                self.record(*self._reports.events(self.state, report))
        log.error("the plan did not settle: %s", plan(self.state, self.now())[:3])

    def _perform(self, action: a.Action, now: float) -> None:
        if isinstance(action, a.Finish):
            self.finished = action.reason
            return
        self.record(*events_before(self.state, action, now))
        touches = isinstance(action, a.Submit | a.Launch | a.Down | a.Cancel | a.GiveUp)
        if touches and not self._fleet.simulated:
            self._ledger.sync()  # a simulated world goes down with the power, and has nothing to find again
        self.record(*self._performer.perform(self.state, action, now))

    def _take_intents(self) -> None:
        if self._inbox is None:
            return
        for number, author, body in self._inbox.after(self.state.intent):
            made = self._intent(number, author, body)
            self.record(*made)
            for event in made:
                if isinstance(event, Cancelling):
                    self._fleet.cancel(event.attempt)

    def _intent(self, number: int, author: str, body: bytes) -> list[Event]:
        """What an intent of the inbox comes to. Everything it causes enters the ledger at once, with its taking."""
        now = self.now()
        taken = IntentTaken(at=now, intent=number, author=author, what="unreadable")
        try:
            intent = decode_intent(body)
        except msgspec.MsgspecError as error:
            taken.refused = f"it cannot be read ({error}): upgrade whichever of worker and sender is older"
            return [taken]
        taken.what = type(intent).__name__
        try:
            made = obey(self.store, self.state, intent, author, now)
        except (intake.Refused, VariantError) as error:
            taken.refused = str(error)
            return [taken]
        if isinstance(intent, Interrupt):
            self._office.interrupt()
        taken.wave = next((event.wave.id for event in made if isinstance(event, Proposed)), "")
        taken.problems = [event.text for event in made if isinstance(event, Trouble)]
        return [*made, taken]
