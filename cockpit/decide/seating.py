"""Seat a proposer: alone, or beside the others with a share of the arms. Answer what a seated agent asks to do."""

from cockpit.core.events import AgentSeated, Event, ProposerSet
from cockpit.core.intents import Permit
from cockpit.core.model import PROPOSERS
from cockpit.core.seat_events import PermissionAnswered
from cockpit.core.seats import SeatError, seat_of, with_share
from cockpit.core.state import State, open_permissions


def seating(words: str, author: str, at: float, beside: bool, command: tuple[str, ...] = ()) -> Event:
    """Return the event by which a proposer proposes: alone, or beside the others with its share.

    `command` is that of an agent which the settings name. Raises SeatError.
    """
    name, share = with_share(words)
    part = share if beside else 0.0
    if name in PROPOSERS and beside:
        return ProposerSet(at=at, proposer=name, author=author, share=part)
    seat = seat_of(name, command)
    return AgentSeated(at=at, agent=seat.name, command=list(seat.command), author=author, share=part)


def permission_answer(state: State, intent: Permit, author: str, at: float) -> Event:
    """Return the event that answers an agent's request. Raises SeatError for one that waits for no answer."""
    asked = open_permissions(state).get(intent.request)
    if asked is None:
        waiting = ", ".join(open_permissions(state)) or "none"
        raise SeatError(f"no request {intent.request!r} waits for an answer; waiting: {waiting}")
    rule = f"person:{author}"
    return PermissionAnswered(
        at=at, agent=asked.agent, what=asked.what, allowed=intent.allowed, rule=rule, request=intent.request
    )
