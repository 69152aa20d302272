"""A worker in the test's own process, on a simulated cluster: the test makes its ticks."""

import threading
from pathlib import Path

from cockpit.core.intents import Intent, encode_intent
from cockpit.core.model import AttemptStatus, Mode
from cockpit.core.state import State
from cockpit.fleet.sim.fleet import open_sim
from cockpit.session.inbox import Inbox
from cockpit.session.ledger import Ledger
from cockpit.variant.store import VariantStore
from cockpit.worker.loop import Worker
from cockpit.worker.parts import WorkerParts
from tests.worker.sessions import sim_session

BASELINE = "e0000.1"


class Night:
    """A simulated session of one cluster."""

    def __init__(self, place: Path) -> None:
        self.folder = sim_session(place, speed=0, clusters=1, mode=Mode.MANUAL, proposer="human")
        self.worker = self._worker()
        self.worker.start()

    def _worker(self) -> Worker:
        ledger = Ledger.open(self.folder.ledger)
        session = ledger.state().session
        self.fleet, self.clock = open_sim(session.fleet, self.folder.sim_world, session.created_at)
        return Worker(
            WorkerParts(
                folder=self.folder,
                ledger=ledger,
                fleet=self.fleet,
                store=VariantStore(Path(session.repo), session.name),
                clock=self.clock,
                wake=threading.Event(),
                proposers={},
                inbox=Inbox(self.folder.inbox),
                inline=True,
            )
        )

    @property
    def state(self) -> State:
        return self.worker.state

    @property
    def source(self) -> Path:
        return self.folder.source(BASELINE)

    def send(self, intent: Intent) -> None:
        inbox = Inbox(self.folder.inbox)
        inbox.put("ann", encode_intent(intent))
        inbox.close()

    def tick_until_in_flight(self) -> None:
        """Tick until the baseline is to be submitted."""
        while BASELINE not in self.state.in_flight:
            self.worker.tick()
            if BASELINE not in self.state.in_flight:
                self.clock.wait(threading.Event(), self.fleet.next_due())

    def tick_until_writing(self) -> None:
        """Tick until the baseline's folder is begun, where it is written over several ticks."""
        self.tick_until_in_flight()
        assert self.worker._reactor.has_work and not self.source.exists()

    def tick_until_ended(self) -> None:
        while self.state.attempts[BASELINE].status is not AttemptStatus.ENDED:
            self.worker.tick()
            if not self.worker._reactor.has_work:
                self.clock.wait(threading.Event(), self.fleet.next_due())

    def restart(self, stopped: bool = False) -> None:
        """Start another worker, as after a kill, or after the last one has stopped."""
        if not stopped:
            self.worker._ledger.close()
        self.worker = self._worker()
        self.worker.start()
