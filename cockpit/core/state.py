"""The state of a session, as `cockpit.core.fold` makes it from the events.

Beside the records it holds indexes (what waits, what is in flight, what is open, the best few), so that the cost of a
decision does not grow with what has finished. Only the fold changes them.
"""

import msgspec

from cockpit.core.model import (
    CONVERSES,
    PROPOSERS,
    Attempt,
    Cluster,
    EndMode,
    Envelope,
    Estimate,
    Experiment,
    ExperimentStatus,
    Finding,
    Message,
    Mode,
    Value,
    Wave,
)
from cockpit.core.model_usage import ModelEstimate
from cockpit.core.prior import PriorFinding
from cockpit.core.session import Session
from cockpit.core.totals import EarlyStops, Spend

CONVERSATION_LINES = 2_000
"""Lines of the conversation that the state holds at least; the ledger holds all."""

UNCONFINED = "unconfined"
"""The wall of an agent whose commands have the person's rights."""
BEST_LISTED = 64
WITHOUT = "without"
"""The factor of an ablation whose level is the kept experiment that was left out."""
TESTED_LISTED = 32


class AskState(msgspec.Struct, omit_defaults=True):
    """An ask that has not ended."""

    ask: int
    proposer: str
    arms: int
    asked_at: float
    words: int = 0
    """Messages of persons that this ask is to answer."""


class PermissionRequest(msgspec.Struct, omit_defaults=True):
    """A request of an agent that a person is to allow or refuse."""

    agent: str
    what: str
    asked_at: float
    within_s: float
    """Seconds after which it is refused."""
    allowed: bool | None = None
    """The answer; None while it waits for one."""


class ProposerBeside(msgspec.Struct, omit_defaults=True):
    """A proposer that proposes beside `State.proposer`."""

    share: float
    words: int = 0
    """Messages of persons to it since it was last asked."""
    waves: int = 0
    """Its waves that have finished since then."""


class Ranked(msgspec.Struct, frozen=True):
    """An experiment by the mean of its raw scores in one hardware class."""

    mean: float
    experiment: str
    runs: int


class Incumbency(msgspec.Struct, frozen=True):
    """An experiment that became the incumbent."""

    at: float
    experiment: str
    reason: str
    author: str
    estimate: Estimate | None = None
    seq: int = 0
    """The number of its event."""


class State(msgspec.Struct, omit_defaults=True):
    session: Session
    seq: int = 0
    """The number of the last folded event."""
    now: float = 0.0
    """The time of the newest event."""
    recorded_at: float = 0.0
    """The time of the newest event that the ledger numbers: progress is left out."""
    mode: Mode = Mode.COPILOT
    envelope: Envelope = Envelope()
    proposer: str = ""
    share: float = 1.0
    """The share of `proposer` in the arms; it counts where others propose beside it."""
    beside: dict[str, ProposerBeside] = {}
    """Proposers that propose beside `proposer`, by name."""
    arms_proposed: dict[str, int] = {}
    """Proposer to the arms of its waves, without filler."""
    api_usd_by: dict[str, float] = {}
    """Proposer to the dollars that its model cost, as reported."""
    budget_usd: float = 0.0
    capped: str = ""
    """Why the budget pays for no further run; empty while it does, and after another budget is set."""
    held: bool = False
    held_reason: str = ""
    """The missing resource, in a sentence; empty if a person holds the session."""
    ending: EndMode | None = None
    """How the session winds down; None while it does not."""
    clusters_down: bool = False
    """True if a session that ends takes its clusters down."""
    adopted_down: bool = False
    """True if that includes the adopted clusters: a person asked for it."""
    end_reason: str = ""
    ended_at: float = 0.0
    """When the session had wound down; 0 until then, and again once it is reopened."""
    pauses: list[tuple[float, float]] = []
    """When the session had ended, and when it was reopened, for each reopening."""
    phase: str = ""
    corpus: str = ""
    """The training text of the scores, with its fingerprint: the session's, or else the first valid run's."""
    preset: str = ""
    data: dict[str, str] = {}
    """The fingerprint of each path of the data that the scores rest on, by name: that of the first valid run."""
    data_restored: set[str] = set()
    """Names of data that runs of the baseline write anew with the same content."""
    worker_host: str = ""
    worker_user: str = ""
    worker_running: bool = False
    worker_began: float = 0.0
    """When the last worker started."""
    worker_left: float = 0.0
    """Time of the last sign of life of the worker before it, or of this one once it has stopped; 0 until then."""
    boot: str = ""
    """The start of the last worker's system; empty if it is unknown."""
    clock_origin: float = 0.0
    """The session's time when the steady clock of that start read 0."""

    experiments: dict[str, Experiment] = {}
    attempts: dict[str, Attempt] = {}
    waves: dict[str, Wave] = {}
    clusters: dict[str, Cluster] = {}
    messages: list[Message] = []
    findings: list[Finding] = []
    prior: list[PriorFinding] = []
    """Findings from before the session: what to try first, never evidence."""
    model_estimate: ModelEstimate | None = None
    """The estimated cost of the built-in researcher; None if another proposer began."""
    model_requests: int = 0
    """Its requests so far."""
    recent_costs: list[tuple[float, float]] = []
    """When the last RECENT_REQUESTS costs of models were reported, and their dollars, oldest first."""
    spend: Spend = msgspec.field(default_factory=Spend)
    early_stops: EarlyStops = msgspec.field(default_factory=EarlyStops)

    baseline: str = ""
    incumbent: str = ""
    incumbencies: list[Incumbency] = []
    certificates: dict[str, str] = {}
    """Kept experiment to the digest of its certificate, in the order they were signed."""

    task: str = ""
    """The text of experiment.yaml that runs on SkyPilot use."""
    task_number: int = 0
    """1 for the text the session began with; each change that a person takes adds one."""
    task_offered: str = ""
    """A changed text that a person may take."""

    # Indexes
    waiting: dict[str, None] = {}
    """Queued attempts, oldest first."""
    in_flight: dict[str, None] = {}
    """Attempts that are submitting, submitted or running."""
    proposals: dict[str, None] = {}
    """Waves that wait for approval."""
    open_waves: dict[str, None] = {}
    """Approved waves that are not done."""
    undecided: dict[str, None] = {}
    """Valid experiments: measured, without a decision yet."""
    contenders: dict[str, None] = {}
    """Undecided experiments with a result that is newer than the last decision on them."""
    stranded: dict[str, None] = {}
    """Approved experiments without a result or an attempt to come: their runs were lost, cancelled or not proved."""
    by_fingerprint: dict[str, str] = {}
    """Fingerprint of the code to the first experiment with it that was not dropped."""
    best: dict[str, list[Ranked]] = {}
    """Hardware class to its BEST_LISTED best experiments by raw mean, best first."""
    controls: dict[str, list[str]] = {}
    """Hardware class to the valid attempts of the baseline and the incumbents there, in the order they ended."""
    tests: int = 0
    """Number of experiments tested against an incumbent."""
    tested: list[str] = []
    """The last TESTED_LISTED experiments whose tests began. Their replicates show the noise."""
    test_keeps: list[int] = []
    """For each test that ended with a keep: the number of tests begun by then."""
    ablations: list[str] = []
    """Experiments that leave a kept change out, in the order they were proposed."""
    recent: list[str] = []
    """The last 64 attempts that ended, oldest first."""
    status_counts: dict[str, int] = {}
    """Experiment status to the number of experiments in it."""
    outcome_counts: dict[str, int] = {}
    """Attempt outcome to the number of attempts with it."""
    submit_latency_s: list[float] = []
    """Seconds from submitting to submitted, of the last 64 attempts."""
    gap_s: list[float] = []
    """Seconds between two runs on one cluster, of the last 256."""
    run_s: list[float] = []
    """Seconds from start to end, of the last 64 valid attempts."""
    flagged: dict[str, str] = {}
    """Cluster whose results are held back to the reason."""
    api_reserved: dict[str, float] = {}
    """Request to a model that is under way to the most dollars it can cost."""
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
    """The number of the last intent that was taken from the inbox."""
    hosted_agents: dict[str, tuple[str, ...]] = {}
    """Hosted agent to its command."""
    agent_walls: dict[str, str] = {}
    """Hosted agent to the wall around its process: `bubblewrap`, `landlock` or `unconfined`."""
    permissions: dict[str, PermissionRequest] = {}
    """The requests of agents that a person was asked for in the turns under way, by name, the oldest first."""
    unmetered: dict[str, int] = {}
    """Agent to its turns without a report of their cost."""
    looked: dict[str, int] = {}
    """Outside agent to the last event that it has read; the last 64 agents."""
    refusals: dict[str, str] = {}
    """Refused intent to the reason, of the last 200."""

    def attempt_number(self, experiment: str) -> int:
        """Return the number of the experiment's next attempt, from 1."""
        return len(self.experiments[experiment].attempts) + 1

    def next_experiment_id(self, offset: int = 0) -> str:
        return f"e{len(self.experiments) + offset:04d}"

    def without_worker_s(self, start: float, end: float) -> float:
        """Return the seconds between two times in which no worker was there, of its last absence."""
        if not self.worker_left:
            return 0.0
        back = self.worker_began if self.worker_running else end
        return max(0.0, min(end, back) - max(start, self.worker_left))

    def next_wave_id(self) -> str:
        return f"w{len(self.waves):03d}"

    def active(self, cluster: Cluster) -> list[Attempt]:
        """Return the attempts that the cluster runs and holds, in order."""
        names = ([cluster.running] if cluster.running else []) + cluster.ahead
        return [self.attempts[name] for name in names]


def is_open(status: ExperimentStatus) -> bool:
    """Return True if an experiment in this status may still get a result or a decision."""
    return status in (ExperimentStatus.QUEUED, ExperimentStatus.RUNNING, ExperimentStatus.VALID)


def is_answered(state: State, author: str) -> bool:
    """Return True if the proposer answers messages of this author: a person's, not a proposer's own or cockpit's."""
    return author not in (*PROPOSERS, *state.hosted_agents, state.proposer, "cockpit")


def is_asked(state: State, proposer: str) -> bool:
    """Return True if the worker asks the proposer: one of cockpit's own, or an agent that the worker starts."""
    return proposer in PROPOSERS or proposer in state.hosted_agents


def converses(state: State, proposer: str) -> bool:
    """Return True if the worker asks the proposer about messages and finished waves too: a model answers them."""
    return proposer in CONVERSES or proposer in state.hosted_agents


def open_permissions(state: State) -> dict[str, PermissionRequest]:
    """Return the requests of agents that wait for a person, the oldest first."""
    return {name: one for name, one in state.permissions.items() if one.allowed is None}


def shares(state: State) -> dict[str, float]:
    """Return the proposers that are asked and their shares of the arms, the first one first."""
    return {state.proposer: state.share} | {name: one.share for name, one in state.beside.items()}


def ending_text(state: State) -> str:
    """Return how the session winds down, in words; empty while it does not."""
    if state.ending is None:
        return ""
    return f"{state.ending}, clusters down" if state.clusters_down else str(state.ending)


def constants_of(state: State, experiment: str) -> dict[str, Value]:
    """Return all constants of an experiment's train.py: the baseline's, with its overrides."""
    base = dict(state.session.constants)
    base.update(state.experiments[experiment].overrides)
    return base


def class_under_task(hardware: str, task_number: int) -> str:
    """Return the name of a hardware class under a task file: results under different ones are never compared."""
    plain = hardware.partition(" (task ")[0]
    return f"{plain} (task {task_number})" if plain and task_number > 1 else plain
