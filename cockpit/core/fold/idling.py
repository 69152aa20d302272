"""Count the idle time of clusters, and the part of it without a worker."""

from cockpit.core.model import Cluster, ClusterState
from cockpit.core.state import State

UP = (ClusterState.IDLE, ClusterState.BUSY, ClusterState.STOPPING)


def idles(cluster: Cluster) -> bool:
    """Return True if a cluster runs nothing, and is up or billed as up."""
    return not cluster.running and (cluster.state in UP or cluster.billed)


def count_idle(state: State, cluster: Cluster, at: float) -> float:
    """Count the time since the cluster last changed as idle. Returns it, in seconds."""
    idle_s = max(0.0, at - cluster.since)
    cluster.idle_s += idle_s
    cluster.away_s += state.without_worker_s(cluster.since, at)
    return idle_s
