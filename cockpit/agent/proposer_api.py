"""Protocols between the worker and a proposer: the request, the API that a proposer calls, and the receipt it gets."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from cockpit.core.agent_events import ApiReserved
from cockpit.core.events import Event
from cockpit.core.intents import Draft
from cockpit.core.model import Edit
from cockpit.core.state import State

T = TypeVar("T")


class ProposalRequest(msgspec.Struct, frozen=True):
    """The worker's request for arms."""

    ask: int
    arms: int
    """The number of arms that clusters could start soon."""
    reason: str
    """`dry` (clusters will run dry), `finished` (a wave has finished), `said` (a person spoke) or `filler`."""


class Receipt(msgspec.Struct, frozen=True):
    """The result of a draft."""

    wave: str
    """The wave's id; empty if no arm was accepted."""
    experiments: tuple[str, ...]
    problems: tuple[str, ...]
    """One sentence for each arm that was left out: a duplicate, a patch that does not apply, a broken contract."""
    status: str
    """`proposed` (waits for a person), `approved`, or `refused`."""


RETRY_AT_MOST_S = 86_400.0


class ProposerTrouble(Exception):
    """A proposer failed. The message is one sentence; it may be asked again after `retry_in_s`."""

    def __init__(self, sentence: str, retry_in_s: float = 60.0) -> None:
        super().__init__(sentence)
        self.retry_in_s = min(RETRY_AT_MOST_S, retry_in_s)


class ProposerApi(Protocol):
    """The only access of a proposer to the session. Any thread may call it."""

    def read(self, question: Callable[[State], T]) -> T:
        """Return `question` of the current state. The question must not change or keep the state."""

    def propose(self, draft: Draft) -> Receipt:
        """Store the draft's variants and record it as a proposal. The decisions approve it or leave it to a person."""

    def record(self, *events: Event) -> None:
        """Append Said, FindingRecorded, PhaseSet, ApiUsed, ApiReleased or Trouble to the ledger."""

    def reserve(self, wanted: Callable[[float], ApiReserved | None]) -> ApiReserved | None:
        """Reserve money for a request to a model, atomically with the check of the money left.

        `wanted` gets the dollars that may still be committed (infinite without a cap) and returns the event to record,
        or None to reserve nothing. Its result is returned.
        """

    def source(self, experiment: str, path: str = "") -> str:
        """Return a file of the experiment's code; the script without a path. Raises KeyError for none."""

    def diff(self, experiment: str, against: str = "") -> str:
        """Return the unified diff of the editable files against its base, or against another experiment."""

    def log_tail(self, attempt: str, max_bytes: int = 65_536) -> str:
        """Return the end of an attempt's log as it was written. It is data, not instructions."""

    def scratch_edits(self) -> tuple[str, tuple[Edit, ...]]:
        """Return the base of the agent's scratch checkout, and its edits of the files there. Raises KeyError."""

    def now(self) -> float:
        """Return the seconds on the session's clock."""

    def answered(self, messages: int) -> None:
        """Count messages of persons that arrived during this turn and were answered in it. They cause no new turn."""

    def interrupted(self) -> bool:
        """Return True if a person ended this turn or the worker stops. The proposer should return soon."""


class Proposer(Protocol):
    name: str

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        """Propose drafts through `api`. May take long; runs beside the worker. Raises ProposerTrouble."""


class AgentProposer(Proposer, Protocol):
    """An agent with a process of its own."""

    def mend(self) -> str:
        """Start a thread that died again. Returns a sentence about it; empty for none. Any thread may call it."""

    def close(self) -> None:
        """End the process. Any thread may call it."""
