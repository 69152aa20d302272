"""Who proposes, as the worker sees it, and the api a proposer works at."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from cockpit.core.events import ApiReserved, Event
from cockpit.core.intents import Draft
from cockpit.core.state import State

T = TypeVar("T")


class ProposalRequest(msgspec.Struct, frozen=True):
    """What a proposer is asked for."""

    ask: int
    arms: int
    """How many arms the clusters could start soon."""
    reason: str
    """`dry` (clusters will run dry), `finished` (a wave has finished), `said` (a person spoke) or `filler`."""


class Receipt(msgspec.Struct, frozen=True):
    """What became of a draft."""

    wave: str
    """Its id; empty when nothing of it could be taken."""
    experiments: tuple[str, ...]
    problems: tuple[str, ...]
    """One sentence for each arm that was left out: a duplicate, a patch that does not apply, a broken contract."""
    status: str
    """`proposed` (waits for a person), `approved`, or `refused`."""


class ProposerTrouble(Exception):
    """It could not propose; the message is one sentence, and it may be asked again after `retry_in_s`."""

    def __init__(self, sentence: str, retry_in_s: float = 60.0) -> None:
        super().__init__(sentence)
        self.retry_in_s = retry_in_s


class ProposerApi(Protocol):
    """All that a proposer can reach. Usable from any thread."""

    def read(self, question: Callable[[State], T]) -> T:
        """The answer to `question` on the state as it is now; it must not change or keep the state."""

    def propose(self, draft: Draft) -> Receipt:
        """Store the draft's variants and put it in the ledger as a proposal; the plan decides what becomes of it."""

    def record(self, *events: Event) -> None:
        """Put Said, FindingRecorded, PhaseSet, ApiUsed, ApiReleased or Trouble in the ledger."""

    def reserve(self, wanted: Callable[[float], ApiReserved | None]) -> ApiReserved | None:
        """Reserve money for a request to a model, in one step with the look at what is left.

        `wanted` is given the dollars that may still be committed (infinite without a cap), and says what to put in the
        ledger, None for nothing. Returns what it said.
        """

    def source(self, experiment: str, path: str = "train.py") -> str:
        """A file of the experiment's code. Raises KeyError for an unknown experiment or file."""

    def diff(self, experiment: str, against: str = "") -> str:
        """Unified diff of train.py against its base, or against another experiment."""

    def log_tail(self, attempt: str, most_bytes: int = 65_536) -> str:
        """The end of an attempt's log, as it was written: data, not instructions."""

    def now(self) -> float:
        """Seconds on the session's clock."""

    def answered(self, words: int) -> None:
        """So many words of persons came while this turn went on, and it answered them: they are not asked for again."""

    def interrupted(self) -> bool:
        """Whether a person ended this turn, or the worker stops: return soon."""


class Proposer(Protocol):
    name: str

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        """Think, and give drafts to the api. May take long; runs beside the worker. Raises ProposerTrouble."""
