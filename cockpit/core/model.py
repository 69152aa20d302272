"""The words of the design as types.

Times are seconds since the epoch on the session's clock (a simulated session's clock is virtual), money is US
dollars, scores are validation bits per byte (lower is better). Every type is a plain record: what changes them is
`cockpit.core.fold.fold`, what decides on them is `cockpit.decide`.

A long session holds a hundred thousand of some of these. They are trees, no part of which ever points back, so the
garbage collector is told (`gc=False`) not to walk through them.
"""

from enum import StrEnum

import msgspec

from cockpit.core.curves import Curve

Scalar = bool | int | float | str
Value = Scalar | list[Scalar]
"""What a constant of train.py may hold: a literal; a tuple is held as a list."""

PROPOSERS = ("claude", "hybrid", "search", "tpe", "grid")
"""Cockpit's own, which the worker asks; anybody else proposes from outside, when it likes."""
CONVERSES = ("claude", "hybrid")
"""Those that answer a person, and look again when a wave has told its story."""


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
    """Where an experiment stands; after QUEUED it has a wave that was approved."""

    PROPOSED = "proposed"
    QUEUED = "queued"
    RUNNING = "running"
    VALID = "valid"
    """Measured at least once, not yet decided on."""
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
    """A kept result run again from the ledger's code before it becomes the incumbent."""
    ABLATION = "ablation"


class AttemptStatus(StrEnum):
    QUEUED = "queued"
    SUBMITTING = "submitting"
    """The ledger says it is about to be submitted; whether it was is known from the cluster, by name."""
    SUBMITTED = "submitted"
    RUNNING = "running"
    ENDED = "ended"


class Outcome(StrEnum):
    VALID = "valid"
    CRASH = "crash"
    TIMEOUT = "timeout"
    MISMATCH = "mismatch"
    """The code that ran is not the code in the ledger, or could not be proven to be."""
    LOST = "lost"
    CANCELLED = "cancelled"
    HOPELESS = "hopeless"
    """Ended early: its curve could not reach the incumbent any more."""


class EndMode(StrEnum):
    """How a session ends."""

    DRAIN = "drain"
    """Runs that have started finish."""
    CANCEL = "cancel"
    """Runs are cancelled."""


class ClusterState(StrEnum):
    DOWN = "down"
    LAUNCHING = "launching"
    IDLE = "idle"
    BUSY = "busy"
    LOST = "lost"
    """Not answering; it may come back."""
    GIVEN_UP = "given up"
    STOPPING = "stopping"


class Edit(msgspec.Struct, frozen=True, gc=False):
    """A search-and-replace in train.py; `search` must occur exactly once."""

    search: str
    replace: str


class Change(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What turns a base into a variant: edits first, then constants."""

    constants: dict[str, Value] = {}
    edits: tuple[Edit, ...] = ()


class Metrics(msgspec.Struct, omit_defaults=True, gc=False):
    """The summary that train.py printed."""

    val_bpb: float
    training_seconds: float = 0.0
    total_seconds: float = 0.0
    peak_vram_mb: float = 0.0
    mfu_percent: float = 0.0
    total_tokens_M: float = 0.0
    num_steps: int = 0
    num_params_M: float = 0.0
    depth: int = 0


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """A difference in val_bpb against the base it names (negative is better), with its interval."""

    mean: float
    low: float
    high: float
    level: float
    """Coverage of [low, high], e.g. 0.9."""
    runs: int
    against: str
    """The experiment it is a difference to."""
    hardware: str
    """The class it was measured in; 'pooled' where classes' differences were combined."""


class Experiment(msgspec.Struct, omit_defaults=True, gc=False):
    """One variant of train.py to be measured."""

    id: str
    wave: str
    base: str
    """The experiment whose code the change applies to; empty for the baseline."""
    change: Change
    commit: str
    """The git commit that holds exactly the code to run, under refs/cockpit/SESSION/ID."""
    train_hash: str
    prepare_hash: str
    fingerprint: str
    """Equal for two variants that differ only in comments, blank space or the spelling of a literal."""
    overrides: dict[str, Value] = {}
    """Every constant whose value differs from the baseline's."""
    levels: dict[str, Value] = {}
    """Factor to level: which cell of the wave this is."""
    why: str = ""
    fixes: str = ""
    """The crashed experiment whose idea this one tries again."""
    tier: Tier = Tier.SCREEN
    replicates: int = 1
    lines_added: int = 0
    lines_removed: int = 0
    status: ExperimentStatus = ExperimentStatus.PROPOSED
    reason: str = ""
    """Why it was kept, discarded or dropped; what it said when it crashed."""
    estimate: Estimate | None = None
    test_level: float = 0.0
    """The error level of its test against the incumbent, fixed when that began; 0 where it was not tested."""
    attempts: list[str] = []
    scores: dict[str, list[float]] = {}
    """Hardware class to the val_bpb of its valid runs there, in the order they ended."""


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


class SkippedStop(msgspec.Struct, frozen=True, gc=False):
    """An early stop that was left out, so that the mistakes of early stopping are counted."""

    bar: float
    """The val_bpb it was not expected to reach."""
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
    """A cluster it must not run on, while another is there."""
    pin: str = ""
    """The one cluster it must run on: a control measures its cluster."""
    rule: str = ""
    """Under which approval it runs: `person:NAME`, `envelope`, `baseline`, `filler`."""
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
    expected_bpb: float = 0.0
    """Of a run that was ended as hopeless: where its curve led to. A guess, never a score."""
    skipped_stop: SkippedStop | None = None
    progress: Progress | None = None
    curve: Curve = b""
    outcome: Outcome | None = None
    metrics: Metrics | None = None
    message: str = ""
    reserved_usd: float = 0.0
    wall: str = ""
    """How it was confined: `bubblewrap`, `landlock` or `unconfined`; empty where its fleet does not tell."""


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
    """Which fraction of the factors' grid its arms are, and what that cannot tell apart; empty for all of it."""
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
    rule: str = ""
    reason: str = ""
    edits: list[str] = []
    """What a person changed in it before it was approved, one sentence each."""
    open_arms: int = 0
    """Arms that are not finished: queued, running, or measured and undecided."""


class Cluster(msgspec.Struct, omit_defaults=True):
    """One slot of the fleet, and what it has cost so far."""

    name: str
    hardware: str = ""
    state: ClusterState = ClusterState.DOWN
    usd_per_hour: float = 0.0
    since: float = 0.0
    """When it entered its state."""
    seen_at: float = 0.0
    """When anything was last heard of it."""
    message: str = ""
    running: str = ""
    ahead: list[str] = []
    """Attempts submitted behind the running one, in the order they will run."""
    held: bool = False
    failures: int = 0
    """Failed launches or lost runs in a row."""
    refusals: int = 0
    """Launches in a row for which there was no room."""
    waits: bool = False
    """Whether its launch waits in the cloud's queue, where nothing is billed, or nobody can reach it."""
    retry_at: float = 0.0
    up_at: float = 0.0
    provisioning_s: float = 0.0
    training_s: float = 0.0
    idle_s: float = 0.0
    attempts_ended: int = 0
    control_age: int = 0
    """Attempts ended on it since a control was queued for it."""
    controlled: bool = False
    """Whether a control was ever queued for it."""
    adopted: bool = False
    """Whether it was launched by hand, and taken over."""
    unverified: bool = False
    """Given up, and not yet known to be down: something of it may be billing."""
    rests: bool = False
    """Whether it went down by itself for want of work; it is launched again when there is some."""


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """What autopilot may approve unasked, set by a person."""

    usd: float = 0.0
    """GPU and API dollars; 0 allows only what is free."""
    gpu_hours: float = 0.0
    """0 for no limit of its own."""
    wave_size: int = 16
    patches: bool = False
    until: float = 0.0
    """0 for no end."""
    filler: bool = True
    """Whether clusters that would stand idle may run numeric arms, replicates and controls unasked."""
    proposers: list[str] = []
    """Proposers trusted by name on a review screen; empty trusts any."""


class Spend(msgspec.Struct, omit_defaults=True):
    """What events said was spent; GPU dollars follow from the clusters' seconds, in `cockpit.decide.budget`."""

    gpu_hours: float = 0.0
    """Of runs; what clusters stood idle is theirs."""
    reserved_usd: float = 0.0
    """For attempts in flight."""
    api_usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


class EarlyStops(msgspec.Struct, omit_defaults=True):
    """What ending hopeless runs has saved, and how often it was wrong."""

    on: bool = True
    ended: int = 0
    saved_s: float = 0.0
    """What the ended runs would have gone on for: the session's median run less what each had run."""
    checked: int = 0
    """Runs that were let run on instead, and gave a result."""
    mistaken: int = 0
    """How many of those were better than what they were not expected to reach."""


class ClusterSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    hardware: str = ""
    """Empty where the fleet finds out when it launches."""
    usd_per_hour: float = 0.0
    device: str = ""
    """Of a slot on this machine: what CUDA calls its GPU; empty for none."""


class FleetSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a session runs on, fixed when it is made."""

    kind: str
    """`local`, `sim` or `sky`."""
    clusters: tuple[ClusterSpec, ...]
    depth: int = 1
    """Attempts a cluster may hold: 1 runs only, 2 has the next queued on it."""
    simulated: bool = False
    screen_hardware: str = ""
    """The plentiful class, for the screen tier; empty where there is one class only."""
    validate_hardware: str = ""
    """The better class, for the validate tier."""
    infra: str = ""
    speed: float = 1.0
    """Simulated seconds per second; 0 is as fast as it goes."""
    seed: int = 0


class RunAccess(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run on this machine may reach beyond its own folder and environment."""

    confine: bool = False
    """Whether runs are confined where the machine can; a session made before there were walls has none."""
    network: bool = False
    readable: tuple[str, ...] = ()
    """Folders and files that it may read: data, checkpoints to start from."""


class Session(msgspec.Struct, frozen=True, omit_defaults=True):
    """One research run, as it was set up."""

    name: str
    repo: str
    commit: str
    """The person's commit the baseline was taken from."""
    fleet: FleetSpec
    created_at: float
    created_by: str
    corpus: str = ""
    """Which text is trained on, with its fingerprint; scores of different ones are never compared."""
    preset: str = ""
    time_budget_s: float = 300.0
    time_limit_s: float = 600.0
    """A run past it is cancelled and has failed."""
    budget_usd: float = 0.0
    """GPU and API dollars together; 0 for no cap."""
    budget_hours: float = 0.0
    """The session ends by itself after this; 0 for no end."""
    proposer: str = "search"
    seed: int = 1337
    run_command: tuple[str, ...] = ()
    """How train.py is started; empty for this Python."""
    constants: dict[str, Value] = {}
    """The baseline's constants."""
    early_stopping: bool = True
    """Whether hopeless runs are ended, to begin with."""
    access: RunAccess = RunAccess()


class Message(msgspec.Struct, frozen=True):
    """A line of the conversation."""

    at: float
    author: str
    text: str
    kind: str = "say"
    """`say`, `finding`, `phase`, `trouble` or `news`."""


class Finding(msgspec.Struct, frozen=True):
    at: float
    author: str
    claim: str
    experiments: tuple[str, ...] = ()
