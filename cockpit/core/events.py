"""The events that the ledger stores and `cockpit.core.fold` reads.

An event says what happened, or what is about to be done. It never changes afterwards. Its tag in the ledger is its
class name, unless the class names another. A field added later needs a default, so that older ledgers still read.
"""

import msgspec

from cockpit.core.curves import Point
from cockpit.core.model import (
    DECISIONS,
    Attempt,
    EndMode,
    Envelope,
    Estimate,
    Experiment,
    ExperimentStatus,
    Metrics,
    Mode,
    Outcome,
    Progress,
    Value,
    Wave,
)
from cockpit.core.rescore import Rescore
from cockpit.core.session import RunAccess, Session


class Event(msgspec.Struct, tag=True, tag_field="kind", omit_defaults=True, kw_only=True):
    at: float
    """Seconds since the epoch, on the session's clock."""


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
    boot: str = ""  # identifies this start of the system; empty if unknown, and for a simulated clock
    clock_origin: float = 0.0  # the session's time when the steady clock of that start read 0


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
    share: float = 0.0
    """Above 0 it proposes beside the others, with this share of the arms; 0 if it proposes alone."""


class BudgetSet(Event):
    usd: float
    author: str


class EarlyStoppingSet(Event):
    """Runs that cannot reach the incumbent any more are ended early (`on`), or not."""

    on: bool
    author: str


class BaselineReplaced(Event):
    """The baseline gave no result, and a person mended the repository: its present code is the next baseline."""

    author: str
    experiment: str
    """The baseline that gave no result."""
    commit: str
    """The person's commit that the next one is taken from."""
    constants: dict[str, Value]
    access: RunAccess


class Held(Event):
    """Nothing new starts in `target`: a wave, a cluster, or empty for the session. Runs that have started continue."""

    author: str
    target: str = ""
    reason: str = ""
    """The missing resource, in a sentence; empty if a person holds it."""


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
    """An intent of the inbox was carried out, or refused for the reason in `refused`.

    Where it proposed a wave, `wave` is its id and `problems` has a sentence for each arm that was left out.
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
    """A proposer's turn has ended; `trouble` is a sentence where it failed."""

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
    """A person changed a waiting proposal. The event holds all of it."""

    wave: Wave
    experiments: list[Experiment]
    author: str
    what: str


class Approved(Event):
    """A wave may run. `rule` is `person:NAME`, `envelope`, `baseline` or `filler`; `attempts` are its first ones."""

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
    """One more attempt of an approved experiment: a replicate, retry, control, validation or confirmation."""

    attempt: Attempt
    reason: str = ""
    test_level: float = 0.0
    """The error level of the test that begins with this attempt; 0 if none begins."""


class Submitting(Event):
    attempt: str
    cluster: str
    hardware: str
    reserved_usd: float = 0.0


class Submitted(Event):
    attempt: str


class Unsubmitted(Event):
    """The attempt never reached its cluster, or was not begun there, and waits again."""

    attempt: str
    reason: str


class Started(Event):
    attempt: str
    train_hash: str = ""
    prepare_hash: str = ""
    wall: str = ""
    """How the run is confined: `bubblewrap`, `landlock` or `unconfined`; empty if its fleet does not report it."""


class Progressed(Event):
    """The newest step line and the curve so far. The ledger keeps it only while the attempt runs."""

    attempt: str
    progress: Progress
    curve: list[Point] = []


class Cancelling(Event):
    attempt: str
    author: str
    reason: str
    outcome: Outcome = Outcome.CANCELLED
    """The outcome of the attempt once the cancel has ended it."""
    expected_score: float = msgspec.field(default=0.0, name="expected_bpb")
    """The score that the curve of a hopeless run leads to."""
    expected_se: float = 0.0


class EarlyStopSkipped(Event, tag="Spared"):
    """A run that would be ended as hopeless runs on, as a check of early stopping."""

    attempt: str
    bar: float
    """The score it was not expected to reach."""
    reason: str


class Ended(Event):
    attempt: str
    outcome: Outcome
    metrics: Metrics | None = None
    curve: list[Point] = []
    message: str = ""
    """Why there is no result, in a sentence."""
    preempted: bool = False
    corpus: str = ""
    """The corpus that the run printed, where the session has none yet."""
    preset: str = ""
    data: dict[str, str] = {}  # the fingerprint of each path of its data, where the session has none yet
    data_restored: list[str] = []  # of a run of the baseline: data that it wrote, and that hold the same as before
    rescore: Rescore | None = None
    """The score computed outside the run; None if the run's score is its own word."""


# Decisions


class Decided(Event):
    """A decision on an experiment: kept, discarded, crashed, or valid where it waits for a test."""

    experiment: str
    status: ExperimentStatus
    reason: str
    estimate: Estimate | None = None
    author: str = DECISIONS


class IncumbentSet(Event):
    experiment: str
    reason: str
    author: str = DECISIONS
    estimate: Estimate | None = None


class Certified(Event):
    """A keep has its signed certificate in the session's folder."""

    experiment: str
    digest: str
    """sha256 of what was signed."""


class CapReached(Event):
    """The budget pays for no further run, and nothing in flight will give any of it back."""

    usd: float
    """The budget in dollars."""
    text: str


# Words


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


class Trouble(Event):
    """A problem that a person should know of, in a sentence; `about` names the cluster, experiment or proposer."""

    text: str
    about: str = ""
