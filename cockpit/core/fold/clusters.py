"""Fold the events of clusters, and count provisioning, training and idle time."""

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
from cockpit.core.fold.conversation import say
from cockpit.core.fold.handlers import Handlers
from cockpit.core.fold.idling import UP, count_idle, idles
from cockpit.core.model import Cluster, ClusterState
from cockpit.core.state import State, class_under_task


def _seen(state: State, event: ClusterSeen) -> None:
    state.clusters[event.cluster.name] = event.cluster


def _launching(state: State, event: Launching) -> None:
    cluster = state.clusters[event.cluster]
    _count_time(state, cluster, event.at)
    _enter(cluster, ClusterState.LAUNCHING, event.at)
    cluster.message, cluster.rests, cluster.launch_billed_s = "", False, 0.0


def _up(state: State, event: ClusterUp) -> None:
    cluster = state.clusters[event.cluster]
    if cluster.state not in UP:
        _count_time(state, cluster, event.at)
    if cluster.state is ClusterState.LAUNCHING:
        cluster.launch_s = cluster.launch_billed_s + (0.0 if cluster.waits else max(0.0, event.at - cluster.since))
    cluster.hardware = class_under_task(event.hardware or cluster.hardware, state.task_number)
    _reprice(state, cluster, event)
    cluster.spot = event.spot
    if cluster.state not in UP:
        cluster.up_at = cluster.up_at or event.at
        _enter(cluster, ClusterState.BUSY if cluster.running else ClusterState.IDLE, event.at)
    cluster.seen_at, cluster.message, cluster.refusals, cluster.waits = event.at, "", 0, False


def _reprice(state: State, cluster: Cluster, event: ClusterUp) -> None:
    """Take the price and the GPUs of a launch. Seconds before it keep theirs; an unknown price becomes this one."""
    seconds = cluster.training_s + cluster.idle_s + cluster.provisioning_s
    if cluster.state is ClusterState.LAUNCHING:
        seconds -= cluster.launch_s
    elif cluster.state in UP:
        seconds += max(0.0, event.at - cluster.since)
    usd_per_hour = event.usd_per_hour or cluster.usd_per_hour
    if cluster.usd_per_hour:
        cluster.repriced_usd += seconds / 3600 * (cluster.usd_per_hour - usd_per_hour)
        if cluster.running:
            run = state.attempts[cluster.running]
            run_s = max(0.0, event.at - run.started_at)
            run.repriced_usd += run_s / 3600 * (cluster.usd_per_hour - usd_per_hour)
    cluster.resized_gpu_hours += seconds / 3600 * (cluster.gpus - event.gpus)
    cluster.usd_per_hour, cluster.gpus = usd_per_hour, event.gpus


def _failed(state: State, event: ClusterFailed) -> None:
    cluster = state.clusters[event.cluster]
    cluster.failures += not event.refused
    cluster.refusals += event.refused
    _count_time(state, cluster, event.at)
    _enter(cluster, ClusterState.LOST, event.at, event.billed)
    cluster.message, cluster.retry_at = event.message, event.retry_at
    # A launch without capacity is retried many times: the conversation mentions it once.
    if not event.refused or cluster.refusals == 1:
        say(state, event.at, cluster.name, event.message, "trouble")


def _waiting(state: State, event: ClusterWaiting) -> None:
    cluster = state.clusters[event.cluster]
    _count_time(state, cluster, event.at)
    if cluster.state is ClusterState.LAUNCHING and not cluster.waits:
        cluster.launch_billed_s += max(0.0, event.at - cluster.since)
    cluster.since = max(cluster.since, event.at)
    cluster.waits, cluster.message = bool(event.message), event.message
    if event.message and not cluster.refusals:
        say(state, event.at, cluster.name, event.message, "trouble")


def _step(state: State, event: LaunchStep) -> None:
    cluster = state.clusters[event.cluster]
    if cluster.state is ClusterState.LAUNCHING and not cluster.waits:
        cluster.message, cluster.seen_at = event.message, event.at


def _given_up(state: State, event: ClusterGivenUp) -> None:
    cluster = state.clusters[event.cluster]
    _count_time(state, cluster, event.at)
    _enter(cluster, ClusterState.GIVEN_UP, event.at, cluster.billed)
    cluster.message, cluster.unverified = event.message, True
    say(state, event.at, cluster.name, event.message, "trouble")


def _stopping(state: State, event: ClusterStopping) -> None:
    cluster = state.clusters[event.cluster]
    _count_time(state, cluster, event.at)
    _enter(cluster, ClusterState.STOPPING, event.at)


def _down(state: State, event: ClusterDown) -> None:
    cluster = state.clusters[event.cluster]
    cluster.unverified = False
    if cluster.state is ClusterState.GIVEN_UP:
        if cluster.billed:
            _count_time(state, cluster, event.at)
            cluster.since, cluster.billed = max(cluster.since, event.at), False
        return
    _count_time(state, cluster, event.at)
    cluster.rests = cluster.state is ClusterState.IDLE  # else it was taken down
    _enter(cluster, ClusterState.DOWN, event.at)
    cluster.up_at, cluster.message = 0.0, event.message


def _flagged(state: State, event: ClusterFlagged) -> None:
    if event.flagged:
        state.flagged[event.cluster] = event.message
        say(state, event.at, event.cluster, event.message, "trouble")
    else:
        state.flagged.pop(event.cluster, None)


def _enter(cluster: Cluster, to: ClusterState, at: float, billed: bool = False) -> None:
    """Enter a state. Events may come late, with the time they happened: `since` never goes back."""
    cluster.state, cluster.since, cluster.waits, cluster.billed = to, max(cluster.since, at), False, billed


def _count_time(state: State, cluster: Cluster, at: float) -> None:
    """Count the time since the cluster last changed, before its state goes."""
    elapsed_s = max(0.0, at - cluster.since)
    if cluster.running:
        cluster.training_s += elapsed_s
    elif idles(cluster):
        count_idle(state, cluster, at)
    elif cluster.state is ClusterState.LAUNCHING and not cluster.waits:
        cluster.provisioning_s += elapsed_s


HANDLERS: Handlers = {
    ClusterSeen: _seen,
    Launching: _launching,
    ClusterUp: _up,
    ClusterFailed: _failed,
    ClusterWaiting: _waiting,
    LaunchStep: _step,
    ClusterGivenUp: _given_up,
    ClusterStopping: _stopping,
    ClusterDown: _down,
    ClusterFlagged: _flagged,
}
