"""Intents about clusters and the task that they run."""

import hashlib

import msgspec

from cockpit.core.cluster_events import ClusterSeen, Launching
from cockpit.core.events import Event
from cockpit.core.intents import Adopt, Relaunch, TakeTask
from cockpit.core.model import Cluster, ClusterState
from cockpit.core.shares import shares_of
from cockpit.core.task_events import TaskTaken
from cockpit.decide.intents.request import Handlers, IntentRequest, Refused

_STARTABLE = (ClusterState.GIVEN_UP, ClusterState.LOST, ClusterState.DOWN)


def _relaunch(asked: IntentRequest, intent: Relaunch) -> list[Event]:
    cluster = asked.state.clusters.get(intent.cluster) or next(iter(shares_of(asked.state, intent.cluster)), None)
    if cluster is None:
        raise Refused(f"there is no cluster {intent.cluster!r}")
    if cluster.state is ClusterState.LAUNCHING and cluster.waits:
        return [Launching(at=asked.at, cluster=cluster.name)]  # the fleet withdraws the one that waits
    if cluster.state not in _STARTABLE:
        raise Refused(
            f"{cluster.name} is {cluster.state}: only one that waits, is down, lost or given up can be relaunched"
        )
    return [ClusterSeen(at=asked.at, cluster=_startable(cluster))]


def _adopt(asked: IntentRequest, intent: Adopt) -> list[Event]:
    """Mark the cluster as one to be adopted; the fleet decides if it can be."""
    state, name = asked.state, intent.cluster
    kind = state.session.fleet.kind
    if kind != "sky":
        raise Refused(f"only a session on SkyPilot takes clusters over, and this one is on the {kind} fleet")
    if state.ending:
        raise Refused("the session is ending: it adopts no cluster")
    cluster = state.clusters.get(name, Cluster(name, since=asked.at))
    if cluster.state not in _STARTABLE:
        raise Refused(f"{name} is {cluster.state} in this session already")
    adopted = msgspec.structs.replace(_startable(cluster), held=False, adopted=True)
    return [ClusterSeen(at=asked.at, cluster=adopted)]


def _startable(cluster: Cluster) -> Cluster:
    """Return the cluster with its failures forgotten. One that may be billed stays lost: without money for its launch
    it is taken down."""
    state = ClusterState.LOST if cluster.billed else ClusterState.DOWN
    return msgspec.structs.replace(cluster, state=state, failures=0, refusals=0, retry_at=0.0, message="")


def _take_task(asked: IntentRequest, intent: TakeTask) -> list[Event]:
    state = asked.state
    if state.session.fleet.kind != "sky":
        raise Refused(
            f"only a session on SkyPilot has a task file, and this one is on the {state.session.fleet.kind} fleet"
        )
    if not state.task_offered:
        raise Refused("there is no change to take: runs use experiment.yaml as it is, or it cannot be used")
    digest = hashlib.sha256(state.task_offered.encode()).hexdigest()
    return [TaskTaken(at=asked.at, text=state.task_offered, sha256=digest, author=asked.author)]


HANDLERS: Handlers = {
    Relaunch: _relaunch,
    TakeTask: _take_task,
    Adopt: _adopt,
}
