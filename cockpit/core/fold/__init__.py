"""fold(state, event) -> state: the only way state comes to be, in the worker, the screen, the report and a replay.

The state passed in must not be used afterwards: it is changed in place, since a hundred thousand experiments are not
copied for each event. The same events always give the same state.
"""

from collections.abc import Iterable

from cockpit.core.events import Event, Progressed, SessionCreated
from cockpit.core.fold import clusters, conversation, runs, session, task, waves
from cockpit.core.fold.handlers import Handlers
from cockpit.core.state import State

__all__ = ["fold", "fold_all"]

_HANDLERS: Handlers = (
    session.HANDLERS | waves.HANDLERS | runs.HANDLERS | clusters.HANDLERS | conversation.HANDLERS | task.HANDLERS
)


def fold(state: State | None, event: Event) -> State:
    """Return the state after `event`; the first event of a session makes the state.

    Progress has no number in the ledger, so `seq` does not count it.

    Raises KeyError on an event about something that no earlier event made, ValueError where a first event makes no
    session.
    """
    if state is None:
        if not isinstance(event, SessionCreated):
            raise ValueError(f"a session begins with SessionCreated, not with {type(event).__name__}")
        state = State(event.session)
    if not isinstance(event, Progressed):
        state.seq += 1
    state.now = max(state.now, event.at)
    _HANDLERS[type(event)](state, event)
    if not isinstance(event, Progressed):
        state.recorded_at = max(state.recorded_at, event.at)
    return state


def fold_all(events: Iterable[Event], state: State | None = None) -> State:
    """Return the state after all events, from the first of a session or on from `state`. Raises ValueError for none."""
    for event in events:
        state = fold(state, event)
    if state is None:
        raise ValueError("no events, so no session")
    return state
