"""State: everything that is so, as `cockpit.core.fold.fold` made it from the events.

Beside the records themselves it holds the indexes that keep a decision's cost independent of how much has finished:
what waits, what is in flight, what is open, the best few. An index is never set from outside the fold.
"""

import msgspec

from cockpit.core.model import (
    PROPOSERS,
    Attempt,
    Cluster,
    EarlyStops,
    EndMode,
    Envelope,
    Estimate,
    Experiment,
    ExperimentStatus,
    Finding,
    Message,
    Mode,
    Session,
    Spend,
    Value,
    Wave,
)

CONVERSATION_LINES = 2_000
"""How much of the conversation the state holds; the ledger holds all of it."""

BEST_LISTED = 64
TESTED_LISTED = 32


class AskState(msgspec.Struct, omit_defaults=True):
    """A proposer that was asked and has not answered."""

    ask: int
    proposer: str
    arms: int
    asked_at: float
    words: int = 0
    """Messages of persons that this ask is to answer."""


class Ranked(msgspec.Struct, frozen=True):
    """An experiment by the mean of its raw scores in one hardware class."""

    mean: float
    experiment: str
    runs: int


class Incumbency(msgspec.Struct, frozen=True):
    at: float
    experiment: str
    reason: str
    author: str
    estimate: Estimate | None = None


class State(msgspec.Struct, omit_defaults=True):
    session: Session
    seq: int = 0
    """The number of the last event folded."""
    now: float = 0.0
    """When the last event happened."""
    mode: Mode = Mode.COPILOT
    envelope: Envelope = Envelope()
    proposer: str = ""
    budget_usd: float = 0.0
    capped: str = ""
    """Why the budget pays for nothing more, from when that was so until another budget is set."""
    held: bool = False
    held_reason: str = ""
    """What it was held for want of, in a sentence; empty where somebody simply holds it."""
    ending: EndMode | None = None
    """How the session winds down; None while it does not."""
    clusters_down: bool = False
    """Whether a session that ends takes its clusters down."""
    end_reason: str = ""
    ended_at: float = 0.0
    """When the session had wound down; 0 until then, and again once it is reopened."""
    phase: str = ""
    corpus: str = ""
    """Which text the scores are of, with its fingerprint: as the session was made, else as the first valid run said."""
    preset: str = ""
    worker_host: str = ""
    worker_user: str = ""
    worker_running: bool = False

    experiments: dict[str, Experiment] = {}
    attempts: dict[str, Attempt] = {}
    waves: dict[str, Wave] = {}
    clusters: dict[str, Cluster] = {}
    messages: list[Message] = []
    findings: list[Finding] = []
    spend: Spend = msgspec.field(default_factory=Spend)
    early_stops: EarlyStops = msgspec.field(default_factory=EarlyStops)

    baseline: str = ""
    incumbent: str = ""
    incumbencies: list[Incumbency] = []

    # Indexes
    waiting: dict[str, None] = {}
    """Attempts queued, oldest first."""
    in_flight: dict[str, None] = {}
    """Attempts submitting, submitted or running."""
    proposals: dict[str, None] = {}
    """Waves that wait for a person."""
    open_waves: dict[str, None] = {}
    """Waves approved and not done."""
    undecided: dict[str, None] = {}
    """Experiments with a result and no verdict: valid."""
    contenders: dict[str, None] = {}
    """Undecided experiments with a result newer than the last decision on them."""
    stranded: dict[str, None] = {}
    """Approved experiments with neither a result nor an attempt to come: runs were lost, cancelled or unproven."""
    by_fingerprint: dict[str, str] = {}
    """Code identity to the first experiment that had it and was not dropped."""
    best: dict[str, list[Ranked]] = {}
    """Hardware class to its best experiments by raw mean, best first, at most BEST_LISTED."""
    controls: dict[str, list[str]] = {}
    """Hardware class to the valid attempts of baseline and incumbents there, in the order they ended."""
    tests: int = 0
    """How many experiments were tested against an incumbent."""
    tested: list[str] = []
    """The last TESTED_LISTED experiments whose tests began: their replicates tell the noise."""
    test_keeps: list[int] = []
    """For each keep that a test ended with: how many tests had begun by then."""
    recent: list[str] = []
    """The last 64 attempts that ended, oldest first."""
    status_counts: dict[str, int] = {}
    """Experiment status to how many stand there."""
    outcome_counts: dict[str, int] = {}
    """Attempt outcome to how many ended so."""
    submit_latency_s: list[float] = []
    """Submitting to submitted, of the last 64 attempts."""
    gap_s: list[float] = []
    """Between two runs on one cluster, of the last 256."""
    run_s: list[float] = []
    """Started to ended, of the last 64 valid attempts."""
    flagged: dict[str, str] = {}
    """Clusters whose results are held back, with why."""
    api_reserved: dict[str, float] = {}
    """Requests to a model that are under way, each with the dollars it can cost at most."""
    asks: dict[str, AskState] = {}
    """Proposer to its unanswered ask."""
    ask_retry_at: dict[str, float] = {}
    ask_failures: dict[str, int] = {}
    asks_total: int = 0
    words_unanswered: int = 0
    """Messages of persons since the proposer was last asked."""
    waves_finished: int = 0
    """Waves that have finished since then."""
    intent: int = 0
    """The last intent of the inbox that was dealt with."""
    refusals: dict[str, str] = {}
    """Of the last 200 intents: which were refused, and why."""

    def attempt_number(self, experiment: str) -> int:
        """The number the experiment's next attempt gets, from 1."""
        return len(self.experiments[experiment].attempts) + 1

    def next_experiment_id(self, offset: int = 0) -> str:
        return f"e{len(self.experiments) + offset:04d}"

    def next_wave_id(self) -> str:
        return f"w{len(self.waves):03d}"

    def active(self, cluster: Cluster) -> list[Attempt]:
        """What the cluster runs and holds, in order."""
        names = ([cluster.running] if cluster.running else []) + cluster.ahead
        return [self.attempts[name] for name in names]


def is_open(status: ExperimentStatus) -> bool:
    """Whether an experiment in this status may still get results or a verdict."""
    return status in (ExperimentStatus.QUEUED, ExperimentStatus.RUNNING, ExperimentStatus.VALID)


def is_answered(state: State, author: str) -> bool:
    """Whether what `author` says is for the proposer to answer, and not a proposer's own voice or cockpit's."""
    return author not in (*PROPOSERS, state.proposer, "cockpit")


def ending_text(state: State) -> str:
    """How the session winds down; empty while it does not."""
    if state.ending is None:
        return ""
    return f"{state.ending}, clusters down" if state.clusters_down else str(state.ending)


def constants_of(state: State, experiment: str) -> dict[str, Value]:
    """All constants of an experiment's train.py: the baseline's, with its overrides."""
    base = dict(state.session.constants)
    base.update(state.experiments[experiment].overrides)
    return base
