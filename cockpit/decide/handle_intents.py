"""handle_intent(state, intent) -> events: check an intent and return the events that carry it out. Pure.

An intent that brings code (Propose, EditProposal) is prepared by `cockpit.worker.intake`, which stores the variants.
"""

from cockpit.core.events import Event
from cockpit.core.intents import AnyIntent
from cockpit.core.state import State
from cockpit.decide.intents import clusters, experiments, proposals, session, waves, words
from cockpit.decide.intents.request import IntentRequest, Prepared, Refused

_HANDLERS = (
    proposals.HANDLERS | waves.HANDLERS | experiments.HANDLERS | clusters.HANDLERS | session.HANDLERS | words.HANDLERS
)


def handle_intent(
    state: State, intent: AnyIntent, author: str, at: float, prepared: Prepared | None = None
) -> list[Event]:
    """Return the events that carry the intent out. Raises Refused."""
    handle = _HANDLERS.get(type(intent))
    if handle is None:
        raise Refused(f"this worker does not know the intent {type(intent).__name__}: restart it with `cockpit stop`")
    return handle(IntentRequest(state, author, at, prepared), intent)
