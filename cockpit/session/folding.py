"""Fold a stored session into its present state: the snapshot, the events after it, and the progress of running
attempts."""

import gc
from collections.abc import Callable, Iterable, Sequence

from cockpit.core.curves import packed
from cockpit.core.event_codec import AnyEvent
from cockpit.core.events import Progressed
from cockpit.core.fold import fold
from cockpit.core.state import State
from cockpit.session.ledger_errors import LedgerDamaged


class EventUnfoldable(Exception):
    """An event of a ledger cannot be folded."""

    def __init__(self, seq: int, event: AnyEvent, error: Exception) -> None:
        super().__init__(f"event {seq} ({type(event).__name__}) cannot be folded ({type(error).__name__}: {error})")
        self.seq = seq


def fold_stored(state: State | None, events: Iterable[AnyEvent]) -> State | None:
    """Return the state after stored events. Raises EventUnfoldable; the state must then not be used."""
    for event in events:
        seq = state.seq + 1 if state else 1
        try:
            state = fold(state, event)
        except MemoryError:
            raise
        except Exception as error:  # a damaged event fails anywhere in its fold
            raise EventUnfoldable(seq, event, error) from error
    return state


def fold_read(state: State | None, events: Iterable[AnyEvent], session: str) -> State | None:
    """Return the state after events that were read of a session. Raises LedgerDamaged for one that cannot be folded."""
    try:
        return fold_stored(state, events)
    except EventUnfoldable as error:
        raise LedgerDamaged(
            f"{error}: `cockpit verify {session}` names it, `cockpit repair {session}` keeps the events before it"
        ) from error


def fold_session(
    start: Callable[[], State | None], after: Callable[[int], Sequence[AnyEvent]], session: str
) -> State | None:
    """Return the state after every event: `start` gives the snapshot's, `after(seq)` the next events after a number.

    Garbage is not collected meanwhile: a hundred thousand records are many small objects, none of them garbage, and
    looking for some takes longer than reading them.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        state = start()
        while events := after(state.seq if state else 0):
            state = fold_read(state, events, session)
        return state
    finally:
        if collects:
            gc.enable()


def fold_progress(state: State, events: Iterable[Progressed]) -> State:
    """Return the state with the newest progress of what runs. Progress has no number: `seq` stays."""
    for event in events:
        attempt = state.attempts.get(event.attempt)
        if attempt is not None and attempt.id in state.in_flight:
            attempt.progress, attempt.curve = event.progress, packed(event.curve)
            state.clusters[attempt.cluster].seen_at = event.at
    return state
