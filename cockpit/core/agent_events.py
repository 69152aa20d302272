"""The events of agents: hosted ones, requests to a model and their cost, and the findings from before the session."""

from cockpit.core.events import Event
from cockpit.core.model_usage import ModelEstimate
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


class AgentHosted(Event, tag="AgentSeated"):
    """A hosted agent, started by this command, proposes from now on."""

    agent: str
    command: list[str]
    author: str
    share: float = 0.0
    """As in ProposerSet."""


class Looked(Event):
    """An agent has read the events up to `seq`. Its next `wait` begins there."""

    agent: str
    seq: int


class ApiReserved(Event):
    """A request to a model is about to be sent. The most it can cost is reserved."""

    request: str
    """`ASK.NUMBER`, unique in the session."""
    proposer: str
    model: str
    usd: float
    tokens: int = 0
    """The longest answer allowed."""


class ApiReleased(Event):
    """A request was not billed: the API refused it, or never received it."""

    request: str


class ApiUsed(Event):
    """The cost of a request. With `request` it replaces the reservation."""

    proposer: str
    model: str
    usd: float
    request: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


class ModelEstimated(Event):
    """The estimate of the built-in researcher's cost, as a new session prints it."""

    estimate: ModelEstimate
