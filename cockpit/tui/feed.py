"""The source of the screen's state: a ledger that is being written, or a stored one that is played again."""

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cockpit.core.curves import Point, loss_at
from cockpit.core.event_codec import AnyEvent
from cockpit.core.events import Ended, Progressed, Started
from cockpit.core.fold import fold
from cockpit.core.model import Progress
from cockpit.core.state import State
from cockpit.session.clock import session_time
from cockpit.session.folding import fold_read
from cockpit.session.heartbeat import WorkerStatus
from cockpit.session.lock import worker_status
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader, Version

EVENTS_AT_ONCE = 5_000
"""Events folded between two looks at the keyboard."""
QUIET_S = 2.0
"""Seconds without news after which a simulated session's clock continues by the wall clock."""


class Feed(Protocol):
    folder: SessionFolder
    state: State | None
    worker: WorkerStatus

    def load(self) -> None:
        """Read the whole state; may take long. Raises LedgerError."""

    def poll(self) -> bool:
        """Fold new events. Returns True if there are any. Raises LedgerError."""

    def now(self) -> float:
        """Return the seconds on the session's clock."""

    def log_share(self, attempt: str) -> float:
        """Return the share of the attempt's log that was written by the shown moment."""

    def close(self) -> None: ...


class LedgerFeed:
    """Follows a session's ledger. `clock` gives wall-clock seconds, `look` the worker's status."""

    def __init__(
        self,
        root: Path,
        clock: Callable[[], float] = time.time,
        look: Callable[[SessionFolder], WorkerStatus] = worker_status,
    ) -> None:
        self.folder = SessionFolder(root)
        self.state: State | None = None
        self._clock = clock
        self._look = look
        self._ledger = LedgerReader(self.folder)
        self.worker = look(self.folder)
        self._heard = (0.0, 0.0)
        """The newest moment in the state, and the wall-clock time at which it was read."""
        self._version: Version | None = None
        self._behind = False

    def load(self) -> None:
        self._version = self._ledger.version()
        self.state = self._ledger.state()

    def poll(self) -> bool:
        if self.state is None:
            return False
        worker = self._look(self.folder)
        changed = (worker.state, worker.note) != (self.worker.state, self.worker.note)
        self.worker = worker
        version = self._ledger.version()
        if version != self._version or self._behind:
            found = self._ledger.since(self.state.seq, EVENTS_AT_ONCE)
            self.state = fold_read(self.state, found, self.folder.name) or self.state
            self._behind = len(found) == EVENTS_AT_ONCE
            self.state = self._ledger.fold_live(self.state)
            self._version = version  # set after the reading, so that a failed read is repeated and reported again
            changed = True
        return changed

    def now(self) -> float:
        """Return the session's time: that of the last event while the worker is away.

        After some seconds without news a simulated clock continues from there at its own speed.
        """
        state, wall = self.state, self._clock()
        if state is None:
            return wall
        newest = latest(state)
        if self.worker.state == "stopped":
            return newest
        fleet = state.session.fleet
        if fleet is None or not fleet.simulated:
            return session_time(state.boot, state.clock_origin, wall)
        if newest != self._heard[0]:
            self._heard = (newest, wall)
        return newest + max(0.0, wall - self._heard[1] - QUIET_S) * fleet.speed

    def log_share(self, attempt: str) -> float:
        return 1.0

    def close(self) -> None:
        self._ledger.close()


class ReplayFeed:
    """Plays a stored ledger again at `speed` session seconds a second. `clock` gives wall-clock seconds.

    The ledger keeps no progress, and a log keeps no times. Halfway through its time, a run shows half of its final
    curve and half of its log lines. A run that was in flight when the ledger ends shows what was known of it.
    """

    def __init__(self, root: Path, speed: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = SessionFolder(root)
        self.state: State | None = None
        self.worker = WorkerStatus("replay", None)
        self.speed = speed
        self.paused = False
        self._clock = clock
        self._ledger = LedgerReader(self.folder)
        self._to_come: deque[AnyEvent] = deque()
        self._at = 0.0
        self._wall = clock()
        self.began = self.ended = 0.0
        self._runs: dict[str, tuple[float, float]] = {}
        """The start and end of each attempt."""
        self._curves: dict[str, list[Point]] = {}

    def load(self) -> None:
        events = self._ledger.since(0)
        self._to_come = deque(events)
        self.began = self._at = events[0].at if events else 0.0
        self.ended = max((event.at for event in events), default=0.0)
        self.state = None
        self._wall = self._clock()
        self._curves = {event.attempt: event.curve for event in self._ledger.live()}
        for event in events:
            if isinstance(event, Started):
                self._runs[event.attempt] = (event.at, self.ended)
            elif isinstance(event, Ended) and event.attempt in self._runs:
                self._runs[event.attempt] = (self._runs[event.attempt][0], event.at)
                self._curves[event.attempt] = event.curve
        self._fold_until(self._at)

    def poll(self) -> bool:
        wall = self._clock()
        if not self.paused:
            self._at = min(self.ended, self._at + (wall - self._wall) * self.speed)
        self._wall = wall
        return self._fold_until(self._at)

    def pause(self) -> None:
        """Pause, or resume."""
        self.poll()
        self.paused = not self.paused

    def seek(self, at: float) -> None:
        """Go to a moment. To go back, the state is folded again from the start."""
        self._at = max(self.began, min(self.ended, at))
        if self.state is None or self._at < self.state.now:
            self._to_come = deque(self._ledger.since(0))
            self.state = None
        self._wall = self._clock()
        self._fold_until(self._at)

    def _fold_until(self, at: float) -> bool:
        changed = False
        while self._to_come and self._to_come[0].at <= at:
            self.state = fold_read(self.state, [self._to_come.popleft()], self.folder.name)
            changed = True
        for event in self.progress():
            self.state = fold(self.state, event) if self.state is not None else None
            changed = True
        return changed

    def progress(self) -> list[Progressed]:
        """Return the progress of the runs at the moment shown, by the curves they ended with."""
        state, found = self.state, []
        for name in state.in_flight if state is not None else ():
            whole = self._curves.get(name, [])
            # A run that was ended early did not reach the end of its budget.
            fraction = self.log_share(name) * whole[-1][0] if whole else 0.0
            loss = loss_at(whole, fraction)
            if loss is not None and fraction > 0:
                curve = [point for point in whole if point[0] <= fraction]
                left_s = (self._at - self._runs[name][0]) * (1 / fraction - 1)
                progress = Progress(self._at, 0, fraction, loss, remaining_s=left_s)
                found.append(Progressed(at=self._at, attempt=name, progress=progress, curve=curve))
        return found

    def now(self) -> float:
        return self._at

    def log_share(self, attempt: str) -> float:
        began, ended = self._runs.get(attempt, (self.ended, self.ended))
        if self._at >= ended:
            return 1.0
        return max(0.0, self._at - began) / max(1.0, ended - began)

    def close(self) -> None:
        self._ledger.close()


def latest(state: State) -> float:
    """Return the newest moment in the state, progress included, which has no event of its own."""
    heard = (
        attempt.progress.at
        for attempt in (state.attempts[name] for name in state.in_flight)
        if attempt.progress is not None
    )
    return max(state.now, max(heard, default=0.0))
