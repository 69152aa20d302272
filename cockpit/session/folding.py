"""A stored session folded into its present state: the snapshot, the events after it, and the progress of what runs."""

import gc
from collections.abc import Callable, Iterable, Sequence

from cockpit.core.curves import packed
from cockpit.core.event_codec import AnyEvent
from cockpit.core.events import Progressed
from cockpit.core.fold import fold
from cockpit.core.state import State


def fold_stored(start: Callable[[], State | None], after: Callable[[int], Sequence[AnyEvent]]) -> State | None:
    """Return the state after every event: `start` gives the snapshot's, `after(seq)` the next events after a number.

    Garbage is not collected meanwhile: a hundred thousand records are many small objects, none of them garbage, and
    looking for some takes longer than reading them.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        state = start()
        while events := after(state.seq if state else 0):
            for event in events:
                state = fold(state, event)
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
