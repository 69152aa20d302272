"""The events of hosted agents, and of the findings from before the session."""

from cockpit.core.events import Event
from cockpit.core.prior import PriorFinding


class PriorTaken(Event):
    """The findings from before the session, as its proposers get them."""

    findings: list[PriorFinding]


class AgentStarted(Event):
    """An agent's process was started behind a wall, or as the person, without one."""

    agent: str
    wall: str
    """`bubblewrap`, `landlock` or `unconfined`."""
    reason: str = ""
    """Why it is unconfined, in a clause."""


class PermissionAsked(Event):
    """An agent asks a person to allow the use of a tool of its own."""

    agent: str
    request: str
    """`pASK.NUMBER`, unique in the session."""
    what: str
    within_s: float
    """Seconds from now, after which it is refused."""


class PermissionAnswered(Event):
    """An agent asked to use a tool of its own. The first answer to a request counts.

    `rule` is `policy`, `person:NAME`, `deadline` where a person was asked and did not answer in time, or `interrupted`
    where the turn was ended before.
    """

    agent: str
    what: str
    allowed: bool
    rule: str
    request: str = ""
    """The request that a person was asked; empty if the policy answered at once."""


class TurnUnmetered(Event):
    """An agent's turn has ended without a report of what it cost."""

    agent: str
