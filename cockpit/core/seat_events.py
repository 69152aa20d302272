"""The events of the agents in the seats, and of the findings from before the session."""

from cockpit.core.events import Event
from cockpit.core.prior import PriorFinding


class PriorTaken(Event):
    """The findings from before the session that its proposers are told of, as they were when it was made."""

    findings: list[PriorFinding]
