"""The records of a session: experiments, attempts, waves, clusters.

Times are seconds since the epoch on the session's clock (virtual in a simulated session), money is US dollars.
Lower scores are better: `cockpit.core.metric` makes them. Every type is a plain record, changed by `cockpit.core.fold`.

A long session holds a hundred thousand of some records. They are trees without cycles, so `gc=False` keeps the garbage
collector from walking them.
"""

from enum import StrEnum

import msgspec

from cockpit.core.curves import Curve
from cockpit.core.rescore import Rescore

Scalar = bool | int | float | str
Value = Scalar | list[Scalar]
"""The value of a constant: a literal; a tuple is held as a list."""

DECISIONS = "cockpit"
"""The author of Cockpit's own decisions. Older ledgers have `plan`."""
PROPOSERS = ("claude", "hybrid", "search", "tpe", "grid")
"""Cockpit's own proposers, which the worker asks."""
CONVERSES = ("claude", "hybrid")
"""The proposers that answer a person, and are asked again when a wave has finished."""


class Mode(StrEnum):
    MANUAL = "manual"
    COPILOT = "copilot"
    AUTOPILOT = "autopilot"


class Tier(StrEnum):
    SCREEN = "screen"
    VALIDATE = "validate"


class WaveStatus(StrEnum):
    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    DONE = "done"


class WaveKind(StrEnum):
    BASELINE = "baseline"
    WAVE = "wave"
    FILLER = "filler"


class ExperimentStatus(StrEnum):
    """The status of an experiment. From QUEUED on its wave is approved."""

    PROPOSED = "proposed"
    QUEUED = "queued"
    RUNNING = "running"
    VALID = "valid"
    """Measured at least once, and undecided."""
    KEPT = "kept"
    DISCARDED = "discarded"
    CRASHED = "crashed"
    DROPPED = "dropped"
    """Rejected, cancelled or dropped before it gave a result."""


class AttemptKind(StrEnum):
    ARM = "arm"
    REPLICATE = "replicate"
    RETRY = "retry"
    VALIDATION = "validation"
    CONTROL = "control"
    CONFIRMATION = "confirmation"
    """A run from the ledger's code before an experiment becomes the incumbent."""
    ABLATION = "ablation"


class AttemptStatus(StrEnum):
    QUEUED = "queued"
    SUBMITTING = "submitting"
    """About to be submitted. After a kill of the worker, the job's name on the cluster shows if it was."""
    SUBMITTED = "submitted"
    RUNNING = "running"
    ENDED = "ended"


class Outcome(StrEnum):
    VALID = "valid"
    CRASH = "crash"
    TIMEOUT = "timeout"
    MISMATCH = "mismatch"
    """The code that ran is not proved to be the code in the ledger."""
    LOST = "lost"
    CANCELLED = "cancelled"
    HOPELESS = "hopeless"
    """Ended early, because its curve could not reach the incumbent any more."""


class EndMode(StrEnum):
    """How a session ends."""

    DRAIN = "drain"
    CANCEL = "cancel"
    """Runs are cancelled."""


class ClusterState(StrEnum):
    DOWN = "down"
    LAUNCHING = "launching"
    IDLE = "idle"
    BUSY = "busy"
    LOST = "lost"
    """Not usable: gone, unreachable, or its launch failed. It is launched again."""
    GIVEN_UP = "given up"
    STOPPING = "stopping"


class Edit(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A search-and-replace in an editable file; `search` must occur exactly once."""

    search: str
    replace: str
    path: str = ""
    """The file's path in the session's files; empty for its script."""


class Change(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The difference of a variant to its base: edits are applied first, then constants."""

    constants: dict[str, Value] = {}
    edits: tuple[Edit, ...] = ()


class Metrics(msgspec.Struct, omit_defaults=True, gc=False):
    """The summary that train.py printed."""

    score: float = msgspec.field(name="val_bpb")
    """In the state the score; in a ledger, under the key `val_bpb` for any metric, the value as printed or rescored."""
    training_seconds: float = 0.0
    total_seconds: float = 0.0
    peak_vram_mb: float = 0.0
    mfu_percent: float = 0.0
    total_tokens_M: float = 0.0
    num_steps: int = 0
    num_params_M: float = 0.0
    depth: int = 0
    run_s: float = 0.0  # seconds of the run by the clock outside it; 0 if that is not measured
    others: dict[str, float] = {}  # the second metrics of the session, as printed
    unit: str = ""  # of the value, as `core.units` spells it
    other_units: dict[str, str] = {}  # of the second metrics; one without a unit is left out
    cpu_s: float = 0.0  # processor time of its processes, measured outside it; 0 if it is not measured


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """A difference in scores against the base it names (negative is better), with its interval."""

    mean: float
    low: float
    high: float
    level: float  # coverage of [low, high], e.g. 0.9
    runs: int
    against: str  # the experiment it is a difference to
    hardware: str
    """The class it was measured in; 'pooled' where classes' differences were combined."""
    pairs: int = 0
    """Runs that count as pairs with a run of the base with the same seed."""


FINGERPRINT_CHARACTERS = 32
"""Characters of a fingerprint: 128 bits tell any number of variants apart. Older cockpits wrote 64."""


class Experiment(msgspec.Struct, omit_defaults=True, gc=False):
    """One variant of train.py to be measured."""

    id: str
    wave: str
    base: str
    """The experiment whose code the change applies to; empty for the baseline."""
    change: Change
    commit: str
    """The git commit with exactly the code to run, under refs/cockpit/SESSION/ID."""
    train_hash: str
    prepare_hash: str
    fingerprint: str
    """Equal for two variants that differ only in comments, blank space or the spelling of a literal."""
    file_hashes: dict[str, str] = {}  # SHA-256 of the editable files beside the script, by path
    protected_hashes: dict[str, str] = {}  # of the protected files, in the baseline alone: no variant changes them
    overrides: dict[str, Value] = {}
    """Every constant whose value differs from the baseline's."""
    levels: dict[str, Value] = {}
    """Factor to level: the cell of the wave."""
    why: str = ""
    fixes: str = ""
    """The crashed experiment whose idea this one tries again."""
    tier: Tier = Tier.SCREEN
    replicates: int = 1
    lines_added: int = 0
    lines_removed: int = 0
    status: ExperimentStatus = ExperimentStatus.PROPOSED
    reason: str = ""
    """Why it was kept, discarded or dropped; its error where it crashed."""
    estimate: Estimate | None = None
    test_level: float = 0.0
    """The error level of its test against the incumbent, fixed at the start of the test; 0 if it is not tested."""
    attempts: list[str] = []
    scores: dict[str, list[float]] = {}
    """Hardware class to the scores of its valid runs there, in the order they ended."""


class Progress(msgspec.Struct, omit_defaults=True, gc=False):
    """The newest step line of a running attempt."""

    at: float
    step: int
    fraction: float
    loss: float
    ms_per_step: float = 0.0
    tokens_per_s: float = 0.0
    mfu_percent: float = 0.0
    remaining_s: float = 0.0
    memory_mb: float = 0.0
    """The accelerator's memory in use, temperature and power, where the run or its node reports them; else 0."""
    temperature_c: float = 0.0
    power_w: float = 0.0


class SkippedStop(msgspec.Struct, frozen=True, gc=False):
    """An early stop that was left out, so that the mistakes of early stopping are counted."""

    bar: float
    """The score it was not expected to reach."""
    reason: str


class Attempt(msgspec.Struct, omit_defaults=True, gc=False):
    """One run of an experiment on one cluster. Its id (`e0042.1`) is the job's name on the cluster."""

    id: str
    experiment: str
    kind: AttemptKind
    seed: int
    tier: Tier = Tier.SCREEN
    hardware: str = ""
    """The class it must run on; empty for any. Once submitted, the class it runs on."""
    avoid: str = ""
    """A cluster it must not run on while another is available."""
    pin: str = ""
    """The one cluster it must run on: a control measures its cluster."""
    rule: str = ""
    """The approval it runs under: `person:NAME`, `envelope`, `baseline` or `filler`."""
    status: AttemptStatus = AttemptStatus.QUEUED
    cluster: str = ""
    queued_at: float = 0.0
    submitting_at: float = 0.0
    submitted_at: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0
    cancelling: str = ""
    """Why it is being cancelled; empty while it is not."""
    cancel_outcome: Outcome = Outcome.CANCELLED
    cancelled_by: str = ""
    expected_score: float = msgspec.field(default=0.0, name="expected_bpb")
    """The forecast score of a run that was ended as hopeless. Never a result."""
    expected_se: float = 0.0
    skipped_stop: SkippedStop | None = None
    progress: Progress | None = None
    curve: Curve = b""
    outcome: Outcome | None = None
    metrics: Metrics | None = None
    message: str = ""
    preempted: bool = False  # its cloud took the machine back
    reserved_usd: float = 0.0
    usd_per_hour: float = 0.0
    """The price of its cluster when it ended; 0 until then, or if it was unknown."""
    repriced_usd: float = 0.0
    """Dollars by which its time at earlier prices of its cluster differs from the same time at the last."""
    wall: str = ""
    """How the run is confined: `bubblewrap`, `landlock` or `unconfined`; empty if its fleet does not report it."""
    rescore: Rescore | None = None
    """None if the run's score is its own word."""


class Wave(msgspec.Struct, omit_defaults=True, gc=False):
    """Experiments proposed together to answer one question."""

    id: str
    proposer: str
    question: str
    kind: WaveKind = WaveKind.WAVE
    hypothesis: str = ""
    base: str = ""
    factors: dict[str, list[Value]] = {}
    design: str = ""
    """The fraction of the factors' grid that its arms are, and the effects that it cannot separate; empty for the full
    grid."""
    arms: list[str] = []
    again: list[str] = []
    """Experiments of earlier waves to be measured again, in this wave's tier; each stays an arm of its own wave."""
    replicates: int = 1
    would_change_mind: str = ""
    tier: Tier = Tier.SCREEN
    status: WaveStatus = WaveStatus.PROPOSED
    held: bool = False
    rank: float = 0.0
    """Waves run in ascending rank."""
    proposed_at: float = 0.0
    decided_at: float = 0.0
    decided_by: str = ""
    decided_seq: int = 0
    """The number of the event that decided on it."""
    done_seq: int = 0
    """The number of the event that finished it."""
    rule: str = ""
    reason: str = ""
    edits: list[str] = []
    """Changes of persons before its approval, one sentence each."""
    open_arms: int = 0
    """Arms that are not finished: queued, running, or measured and undecided."""


class Cluster(msgspec.Struct, omit_defaults=True):
    """One cluster of the fleet, and the seconds it has used so far."""

    name: str
    hardware: str = ""
    state: ClusterState = ClusterState.DOWN
    usd_per_hour: float = 0.0
    since: float = 0.0
    """When it entered its state."""
    seen_at: float = 0.0
    """The time of the last report about it."""
    message: str = ""
    running: str = ""
    ahead: list[str] = []
    """Attempts submitted behind the running one, in the order they will run."""
    held: bool = False
    failures: int = 0
    """Consecutive failed launches or lost runs."""
    refusals: int = 0
    """Consecutive launches without capacity."""
    waits: bool = False
    """True while its launch waits in the cloud's queue, where nothing is billed, or the cluster is unreachable."""
    retry_at: float = 0.0
    up_at: float = 0.0
    provisioning_s: float = 0.0
    training_s: float = 0.0
    idle_s: float = 0.0
    away_s: float = 0.0  # of its idle seconds, those without a worker
    attempts_ended: int = 0
    control_age: int = 0
    """Attempts ended on it since a control was queued for it."""
    controlled: bool = False  # true once a control was queued for it
    adopted: bool = False
    """True if it was launched by hand and taken over."""
    unverified: bool = False
    """True if it was given up and is not known to be down: it may be billing."""
    billed: bool = False  # lost or given up, and not known to be down: it is billed as up
    launch_billed_s: float = 0.0
    """Billed seconds of its launch before the launch last waited."""
    launch_s: float = 0.0
    """Seconds of its last launch that succeeded, its set-up included and its waits left out."""
    rests: bool = False
    """True if it went down because it was idle; it is launched again when there is work."""
    gpus: int = 1  # of all its nodes
    spot: bool = False  # its cloud may take it back at any time
    repriced_usd: float = 0.0  # what its seconds at earlier prices cost above the present price
    resized_gpu_hours: float = 0.0  # what its seconds with other numbers of GPUs took above the present number


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """The limits within which autopilot approves waves, set by a person."""

    usd: float = 0.0
    """GPU and API dollars; 0 allows only free runs."""
    gpu_hours: float = 0.0
    """0 for no limit."""
    wave_size: int = 16
    patches: bool = False
    until: float = 0.0
    """0 for no end."""
    filler: bool = True
    """Idle clusters may run numeric arms, replicates and controls without an approval."""
    proposers: list[str] = []
    """Proposers trusted by name on a review screen; empty trusts any."""
    worth_usd: float = 0.0
    """Dollars that a gain of a thousandth of the metric is worth to the person; 0 if it is unknown."""


IMPORTED = "imported"
"""The kind of fleet of a session imported from a table of results. It runs nothing."""


class Message(msgspec.Struct, frozen=True):
    """A line of the conversation."""

    at: float
    author: str
    text: str
    kind: str = "say"
    """`say`, `finding`, `phase`, `trouble` or `news`."""
    seq: int = 0
    """The number of its event."""


class Finding(msgspec.Struct, frozen=True):
    at: float
    author: str
    claim: str
    experiments: tuple[str, ...] = ()
