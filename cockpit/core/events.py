"""Every event: the only things the ledger holds, and all that `cockpit.core.fold.fold` reads.

An event says what happened (or what is about to be done, before it is done); it is never changed afterwards. The tag
of a type is its class name; a field added later needs a default, so that older ledgers still read.
"""

from typing import Any

import msgspec

from cockpit.core.curves import Point
from cockpit.core.model import (
    Attempt,
    Cluster,
    EndMode,
    Envelope,
    Estimate,
    Experiment,
    ExperimentStatus,
    Metrics,
    Mode,
    Outcome,
    Progress,
    Session,
    Wave,
)


class Event(msgspec.Struct, tag=True, tag_field="kind", omit_defaults=True, kw_only=True):
    at: float
    """When it happened, on the session's clock."""


# The session and who decides


class SessionCreated(Event):
    session: Session
    mode: Mode
    envelope: Envelope


class WorkerStarted(Event):
    pid: int
    host: str
    user: str = ""
    version: str = ""


class WorkerStopped(Event):
    reason: str


class ModeSet(Event):
    mode: Mode
    author: str


class EnvelopeSet(Event):
    envelope: Envelope
    author: str


class ProposerSet(Event):
    proposer: str
    author: str


class BudgetSet(Event):
    usd: float
    author: str


class EarlyStoppingSet(Event):
    """Whether runs that cannot reach the incumbent any more are ended."""

    on: bool
    author: str


class Held(Event):
    """`target` is a wave, a cluster, or empty for the whole session: what runs goes on, nothing new starts."""

    author: str
    target: str = ""
    reason: str = ""
    """One sentence where it was held for want of something."""


class Resumed(Event):
    author: str
    target: str = ""


class SessionEnding(Event):
    """The session winds down. Nothing new starts."""

    author: str
    how: EndMode
    clusters_down: bool = False
    """The clusters are taken down too."""
    reason: str = ""


class SessionEnded(Event):
    """The session has wound down; its worker stops."""

    reason: str


class Interrupted(Event):
    """A person ended the proposers' turns."""

    author: str


class IntentTaken(Event):
    """An intent of the inbox was dealt with; `refused` says in a sentence why it was not carried out.

    Of a proposal, `wave` is what it became and `problems` says of each arm that was left out why.
    """

    intent: int
    author: str
    what: str
    refused: str = ""
    wave: str = ""
    problems: list[str] = []


# Proposals


class Asked(Event):
    """A proposer is about to be asked for arms."""

    ask: int
    proposer: str
    arms: int
    reason: str = ""


class AskEnded(Event):
    """What came of it; `trouble` is a sentence when nothing did."""

    ask: int
    proposer: str
    waves: list[str] = []
    trouble: str = ""
    retry_at: float = 0.0
    words_answered: int = msgspec.field(default=0, name="heard")
    """Messages of persons that came during the turn and were answered in it."""


class Proposed(Event):
    wave: Wave
    experiments: list[Experiment]
    ask: int = 0


class ProposalEdited(Event):
    """A person changed a waiting proposal: the whole of it as it now stands."""

    wave: Wave
    experiments: list[Experiment]
    author: str
    what: str


class Approved(Event):
    """`rule` is `person:NAME`, `envelope`, `baseline` or `filler`; the attempts are its arms' first ones."""

    wave: str
    author: str
    rule: str
    attempts: list[Attempt]


class Rejected(Event):
    wave: str
    author: str
    reason: str


class WaveMoved(Event):
    wave: str
    rank: float
    author: str


class WaveCancelled(Event):
    wave: str
    author: str
    reason: str = ""


class ArmDropped(Event):
    experiment: str
    author: str
    reason: str = ""


# Runs


class Queued(Event):
    """One more attempt of an experiment that was approved before: a replicate, retry, control or validation."""

    attempt: Attempt
    reason: str = ""
    test_level: float = 0.0
    """Of the test that begins with it; 0 where none does."""


class Submitting(Event):
    attempt: str
    cluster: str
    hardware: str
    reserved_usd: float = 0.0


class Submitted(Event):
    attempt: str


class Unsubmitted(Event):
    """It never reached the cluster: it waits again."""

    attempt: str
    reason: str


class Started(Event):
    attempt: str
    train_hash: str = ""
    prepare_hash: str = ""
    wall: str = ""


class Progressed(Event):
    """The newest step line and the curve so far. Kept only while the attempt runs."""

    attempt: str
    progress: Progress
    curve: list[Point] = []


class Cancelling(Event):
    attempt: str
    author: str
    reason: str
    outcome: Outcome = Outcome.CANCELLED
    """What it will have been, once it has ended by this."""
    expected_bpb: float = 0.0
    """Of a hopeless run: the val_bpb its curve led to."""


class EarlyStopSkipped(Event, tag="Spared"):
    """A run that would be ended as hopeless runs on, as a check of early stopping."""

    attempt: str
    bar: float
    """The val_bpb it was not expected to reach."""
    reason: str


class Ended(Event):
    attempt: str
    outcome: Outcome
    metrics: Metrics | None = None
    curve: list[Point] = []
    message: str = ""
    """One sentence where it gave no result."""
    corpus: str = ""
    """What it said it trained on, where the session did not know yet."""
    preset: str = ""


# Decisions


class Decided(Event):
    """`status` is kept, discarded, crashed, or valid where more evidence was asked for."""

    experiment: str
    status: ExperimentStatus
    reason: str
    estimate: Estimate | None = None
    author: str = "plan"


class IncumbentSet(Event):
    experiment: str
    reason: str
    author: str = "plan"
    estimate: Estimate | None = None


class CapReached(Event):
    """What is left of the budget pays for no further run, and nothing in flight will give any of it back."""

    usd: float
    """The budget."""
    text: str


# Clusters


class Launching(Event):
    cluster: str


class ClusterUp(Event):
    cluster: str
    hardware: str
    usd_per_hour: float = 0.0


class ClusterSeen(Event):
    """Adopted, or found again after the worker was away."""

    cluster: Cluster


class ClusterFailed(Event):
    """A launch that failed, or a cluster that stopped answering."""

    cluster: str
    message: str
    retry_at: float = 0.0
    refused: bool = False
    """There was no room for it: nothing is wrong with the cluster."""


class ClusterWaiting(Event):
    """A launch that waits until its cloud has room, and bills nothing; without a message it waits no more."""

    cluster: str
    message: str


class ClusterGivenUp(Event):
    cluster: str
    message: str


class ClusterStopping(Event):
    cluster: str
    reason: str = ""


class ClusterDown(Event):
    cluster: str
    message: str = ""


class ClusterFlagged(Event, tag="ClusterSuspect"):
    """The controls of a cluster say that it does not measure like its class: its results are held back."""

    cluster: str
    message: str
    flagged: bool = msgspec.field(default=True, name="suspect")
    """False where the cluster measures like its class again."""


# Words and money


class Said(Event):
    author: str
    text: str


class FindingRecorded(Event):
    author: str
    claim: str
    experiments: list[str] = []


class PhaseSet(Event):
    author: str
    phase: str


class ApiReserved(Event):
    """A request to a model is about to be sent: the most it can cost is not to be spent on anything else."""

    request: str
    """`ASK.NUMBER`: no two requests of a session share it."""
    proposer: str
    model: str
    usd: float
    tokens: int = 0
    """The longest answer it may have."""


class ApiReleased(Event):
    """A request that was reserved for was not billed: the API refused it, or never got it."""

    request: str


class ApiUsed(Event):
    """What a request cost; with `request`, in place of what was reserved for it."""

    proposer: str
    model: str
    usd: float
    request: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


class Trouble(Event):
    """Something a person should know, in a sentence; `about` names the cluster, experiment or proposer."""

    text: str
    about: str = ""


AnyEvent = (
    SessionCreated | WorkerStarted | WorkerStopped | ModeSet | EnvelopeSet | ProposerSet | BudgetSet
    | EarlyStoppingSet | Held | Resumed | SessionEnding | SessionEnded | Interrupted | IntentTaken | Asked | AskEnded
    | Proposed | ProposalEdited | Approved | Rejected | WaveMoved | WaveCancelled | ArmDropped | Queued | Submitting
    | Submitted | Unsubmitted | Started | Progressed | Cancelling | EarlyStopSkipped | Ended | Decided | IncumbentSet
    | CapReached | Launching | ClusterUp | ClusterSeen | ClusterFailed | ClusterWaiting | ClusterGivenUp
    | ClusterStopping | ClusterDown | ClusterFlagged | Said | FindingRecorded | PhaseSet | ApiReserved | ApiReleased
    | ApiUsed | Trouble
)  # fmt: skip

_encoder = msgspec.json.Encoder()


class OldEnding(Event, tag="Ending"):
    """SessionEnding as ledgers before 29 November 2026 have it: `how` ends in `+down` where clusters go down too."""

    author: str
    how: str
    reason: str = ""

    def upgraded(self) -> SessionEnding:
        how, _, down = self.how.partition("+")
        return SessionEnding(
            at=self.at, author=self.author, how=EndMode(how), clusters_down=bool(down), reason=self.reason
        )


_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(AnyEvent | OldEnding)


def encode_event(event: Event) -> bytes:
    """One JSON object, its `kind` first.

    Raises ValueError for one that would not read back: JSON has no infinity, and a ledger with one would be torn.
    """
    body = _encoder.encode(event)
    if b"null" in body:
        try:
            _decoder.decode(body)
        except msgspec.ValidationError as error:
            raise ValueError(f"an event holds a number that is not finite: {error} in {body!r:.300}") from error
    return body


def decode_event(body: bytes | str) -> AnyEvent:
    """The event of a stored body. Raises msgspec.DecodeError on anything else."""
    event = _decoder.decode(body)
    return event.upgraded() if isinstance(event, OldEnding) else event
