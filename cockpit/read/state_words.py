"""The word for the state of a cluster and of a run, the same wherever it is told."""

from cockpit.core.model import Attempt, AttemptStatus, Cluster, ClusterState
from cockpit.core.state import State
from cockpit.read.attempts import is_evaluating

UNUSABLE = "unusable"
"""The word for a lost cluster that is billed as up."""
NO_CAPACITY = "waiting"
"""The word for a cluster that its cloud has no capacity for: it is asked for again."""
STARTING = "starting"
"""The word for a run that has been submitted to a free cluster and has not begun, and for its cluster."""
EVALUATING = "evaluating"
"""The word for a run that has trained and computes its score, and for its cluster."""
ENDING = "ending"
"""The word for a run that is being cancelled, and for its cluster."""
SUSPECT = "suspect"
"""The word for a cluster that a control found to differ from the others of its class."""
NOT_RUN = "not run"
HELD, BUSY_HELD = "held", "busy, held"


def cluster_word(state: State, cluster: Cluster) -> str:
    """Return the word for a cluster. The state of its run comes before its own, unless it is lost."""
    if cluster.state is ClusterState.LOST:
        return UNUSABLE if cluster.billed else NO_CAPACITY if cluster.refusals else str(cluster.state)
    run = next((state.attempts[name] for name in (cluster.running, *cluster.ahead) if name in state.attempts), None)
    if run is not None and run.cancelling:
        return ENDING
    if run is not None and is_evaluating(run):
        return EVALUATING
    if cluster.name in state.flagged:
        return SUSPECT
    if cluster.state is ClusterState.IDLE:
        return HELD if cluster.held else STARTING if run is not None else str(cluster.state)
    return BUSY_HELD if cluster.held and cluster.state is ClusterState.BUSY else str(cluster.state)


def run_word(state: State, attempt: Attempt) -> str:
    """Return the word for a run: its outcome once it has ended, `not run` if the session ended first."""
    if attempt.status is AttemptStatus.ENDED:
        return str(attempt.outcome or attempt.status)
    if state.ended_at:
        return NOT_RUN
    if attempt.cancelling:
        return ENDING
    if is_evaluating(attempt):
        return EVALUATING
    cluster = state.clusters.get(attempt.cluster)
    is_next = cluster is not None and cluster.state is ClusterState.IDLE and cluster.ahead[:1] == [attempt.id]
    return STARTING if is_next else str(attempt.status)


def cluster_counts(state: State) -> str:
    """Return the number of clusters in each state, those that need a person first."""
    counts: dict[str, int] = {}
    for cluster in state.clusters.values():
        word = cluster_word(state, cluster)
        counts[word] = counts.get(word, 0) + 1
    order = (
        ClusterState.GIVEN_UP, UNUSABLE, ClusterState.LOST, SUSPECT, NO_CAPACITY, ClusterState.IDLE, HELD, STARTING,
        ClusterState.LAUNCHING, ClusterState.STOPPING, ENDING, BUSY_HELD, EVALUATING, ClusterState.BUSY,
        ClusterState.DOWN,
    )  # fmt: skip
    return "  ".join(f"{counts[word]} {word}" for word in order if counts.get(word))
