"""Seat a proposer: alone, or beside the others with a share of the arms."""

from cockpit.core.events import AgentSeated, Event, ProposerSet
from cockpit.core.model import PROPOSERS
from cockpit.core.seats import seat_of, with_share


def seating(words: str, author: str, at: float, beside: bool) -> Event:
    """Return the event by which a proposer proposes: alone, or beside the others with its share. Raises SeatError."""
    name, share = with_share(words)
    part = share if beside else 0.0
    if name in PROPOSERS and beside:
        return ProposerSet(at=at, proposer=name, author=author, share=part)
    seat = seat_of(name)
    return AgentSeated(at=at, agent=seat.name, command=list(seat.command), author=author, share=part)
