"""How clusters change; provisioning, training and idle time counted apart. Part of `cockpit.core.fold.fold`."""

from cockpit.core.events import (
    ClusterDown,
    ClusterFailed,
    ClusterFlagged,
    ClusterGivenUp,
    ClusterSeen,
    ClusterStopping,
    ClusterUp,
    ClusterWaiting,
    Event,
    Launching,
)
from cockpit.core.model import Cluster, ClusterState
from cockpit.core.state import State

UP = (ClusterState.IDLE, ClusterState.BUSY, ClusterState.STOPPING)


def fold_cluster(state: State, event: Event) -> tuple[str, str] | None:
    """Apply a cluster's event. Returns (about, sentence) where a person should be told."""
    match event:
        case ClusterSeen():
            state.clusters[event.cluster.name] = event.cluster
            return None
        case Launching():
            cluster = state.clusters[event.cluster]
            _enter(cluster, ClusterState.LAUNCHING, event.at)
            cluster.message, cluster.rests = "", False
        case ClusterUp():
            cluster = state.clusters[event.cluster]
            if cluster.state is ClusterState.LAUNCHING:
                _settle(state, cluster, event.at)
            cluster.hardware = event.hardware or cluster.hardware
            cluster.usd_per_hour = event.usd_per_hour or cluster.usd_per_hour
            if cluster.state not in UP:
                cluster.up_at = cluster.up_at or event.at
                _enter(cluster, ClusterState.BUSY if cluster.running else ClusterState.IDLE, event.at)
            cluster.seen_at, cluster.message, cluster.refusals, cluster.waits = event.at, "", 0, False
        case ClusterFailed():
            cluster = state.clusters[event.cluster]
            cluster.failures += not event.refused
            cluster.refusals += event.refused
            _settle(state, cluster, event.at)
            _enter(cluster, ClusterState.LOST, event.at)
            cluster.message, cluster.retry_at = event.message, event.retry_at
            # It is asked for all night where there is no room: that is said once, and stands on the cluster.
            return None if event.refused and cluster.refusals > 1 else (cluster.name, event.message)
        case ClusterWaiting():
            cluster = state.clusters[event.cluster]
            _settle(state, cluster, event.at)
            cluster.since = max(cluster.since, event.at)
            cluster.waits, cluster.message = bool(event.message), event.message
            return None if cluster.refusals or not event.message else (cluster.name, event.message)
        case ClusterGivenUp():
            cluster = state.clusters[event.cluster]
            _settle(state, cluster, event.at)
            _enter(cluster, ClusterState.GIVEN_UP, event.at)
            cluster.message, cluster.unverified = event.message, True
            return cluster.name, event.message
        case ClusterStopping():
            cluster = state.clusters[event.cluster]
            _settle(state, cluster, event.at)
            _enter(cluster, ClusterState.STOPPING, event.at)
        case ClusterDown():
            cluster = state.clusters[event.cluster]
            cluster.unverified = False
            if cluster.state is ClusterState.GIVEN_UP:
                return None
            _settle(state, cluster, event.at)
            cluster.rests = cluster.state is ClusterState.IDLE  # else it was asked to
            _enter(cluster, ClusterState.DOWN, event.at)
            cluster.up_at, cluster.message = 0.0, event.message
        case ClusterFlagged():
            if event.flagged:
                state.flagged[event.cluster] = event.message
                return event.cluster, event.message
            state.flagged.pop(event.cluster, None)
        case _:
            raise TypeError(f"not a cluster's event: {event!r}")
    return None


def _enter(cluster: Cluster, to: ClusterState, at: float) -> None:
    """Events may come late, with the time it happened: what was counted up to `since` is not counted again."""
    cluster.state, cluster.since, cluster.waits = to, max(cluster.since, at), False


def _settle(state: State, cluster: Cluster, at: float) -> None:
    """Count the time since the cluster last changed before it goes."""
    elapsed_s = max(0.0, at - cluster.since)
    if cluster.running:
        cluster.training_s += elapsed_s
    elif cluster.state in UP:
        cluster.idle_s += elapsed_s
    elif cluster.state is ClusterState.LAUNCHING and not cluster.waits:
        cluster.provisioning_s += elapsed_s
