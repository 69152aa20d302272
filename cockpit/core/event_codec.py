"""Encode and decode events as the ledger stores them: one JSON object each; read the forms of older ledgers."""

from typing import Any

import msgspec

from cockpit.core.agent_events import (
    AgentHosted,
    AgentStarted,
    ApiReleased,
    ApiReserved,
    ApiUsed,
    Looked,
    ModelEstimated,
    PermissionAnswered,
    PermissionAsked,
    PriorTaken,
    TurnUnmetered,
)
from cockpit.core.cluster_events import (
    ClusterDown,
    ClusterFailed,
    ClusterFlagged,
    ClusterGivenUp,
    ClusterSeen,
    ClusterStopping,
    ClusterUp,
    ClusterWaiting,
    Launching,
    LaunchStep,
)
from cockpit.core.events import (
    Approved,
    ArmDropped,
    Asked,
    AskEnded,
    BaselineReplaced,
    BudgetSet,
    Cancelling,
    CapReached,
    Certified,
    Decided,
    EarlyStoppingSet,
    EarlyStopSkipped,
    Ended,
    EnvelopeSet,
    Event,
    FindingRecorded,
    Held,
    IncumbentSet,
    IntentTaken,
    Interrupted,
    ModeSet,
    PhaseSet,
    Progressed,
    ProposalEdited,
    Proposed,
    ProposerSet,
    Queued,
    Rejected,
    Resumed,
    Said,
    SessionCreated,
    SessionEnded,
    SessionEnding,
    Started,
    Submitted,
    Submitting,
    Trouble,
    Unsubmitted,
    WaveCancelled,
    WaveMoved,
    WorkerStarted,
    WorkerStopped,
)
from cockpit.core.knob_events import KnobSet
from cockpit.core.model import EndMode
from cockpit.core.task_events import TaskOffered, TaskTaken

AnyEvent = (
    SessionCreated | WorkerStarted | WorkerStopped | ModeSet | EnvelopeSet | ProposerSet | BudgetSet
    | EarlyStoppingSet | KnobSet | BaselineReplaced | Held | Resumed | SessionEnding | SessionEnded | Interrupted
    | IntentTaken | Asked | AskEnded
    | Proposed | ProposalEdited | Approved | Rejected | WaveMoved | WaveCancelled | ArmDropped | Queued | Submitting
    | Submitted | Unsubmitted | Started | Progressed | Cancelling | EarlyStopSkipped | Ended | Decided | IncumbentSet
    | Certified | CapReached | Looked | AgentHosted | AgentStarted | PermissionAsked | PermissionAnswered
    | TurnUnmetered | Launching | ClusterUp | ClusterSeen | ClusterFailed | ClusterWaiting
    | LaunchStep | TaskTaken | TaskOffered | ClusterGivenUp | ClusterStopping | ClusterDown | ClusterFlagged | Said
    | FindingRecorded | PhaseSet | PriorTaken
    | ModelEstimated | ApiReserved | ApiReleased | ApiUsed | Trouble
)  # fmt: skip

_encoder = msgspec.json.Encoder()


class OldEnding(Event, tag="Ending"):
    """SessionEnding in ledgers of November 2026 and before; `how` ends in `+down` where clusters are taken down."""

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
    """Encode the event as one JSON object, its `kind` first.

    Raises ValueError for a number that JSON cannot hold, such as infinity: the ledger could not be read again.
    """
    body = _encoder.encode(event)
    if b"null" in body:
        try:
            _decoder.decode(body)
        except msgspec.ValidationError as error:
            raise ValueError(f"an event holds a number that is not finite: {error} in {body!r:.300}") from error
    return body


def decode_event(body: bytes | str) -> AnyEvent:
    """Decode a stored event. Raises msgspec.DecodeError on anything else."""
    try:
        event = _decoder.decode(body)
    except RecursionError:
        raise msgspec.DecodeError("it is nested too deeply") from None
    return event.upgraded() if isinstance(event, OldEnding) else event
