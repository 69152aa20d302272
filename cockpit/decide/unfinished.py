"""List the intentions of a state that may not have been carried out, for a worker that starts."""

from cockpit.core.cluster_events import ClusterGivenUp, ClusterStopping
from cockpit.core.events import Cancelling, Ended, Event, IncumbentSet, SessionEnded
from cockpit.core.model import ClusterState, Outcome
from cockpit.core.state import State


def unfinished(state: State) -> list[Event]:
    """Return the events whose effects the last worker may not have carried out. `state` is that after WorkerStarted.

    Submitted jobs and launches are not listed: `Fleet.recover` finds each by name, or reports that it never arrived.
    Asks are not listed: WorkerStarted clears them, and the proposer is asked again.
    """
    return [*_runs(state), *_clusters(state), *_session(state)]


def _runs(state: State) -> list[Event]:
    cleanings = [
        Ended(at=run.ended_at, attempt=run.id, outcome=run.outcome or Outcome.CANCELLED)
        for run in (state.attempts[name] for name in state.recent)
    ]
    cancels = [
        Cancelling(at=state.now, attempt=run.id, author=run.cancelled_by, reason=run.cancelling)
        for run in (state.attempts[name] for name in state.in_flight)
        if run.cancelling
    ]
    return [*cleanings, *cancels]


def _clusters(state: State) -> list[Event]:
    stopping = [cluster for cluster in state.clusters.values() if cluster.state is ClusterState.STOPPING]
    given_up = [
        cluster for cluster in state.clusters.values() if cluster.state is ClusterState.GIVEN_UP and cluster.unverified
    ]
    return [
        *(ClusterStopping(at=state.now, cluster=cluster.name) for cluster in stopping),
        *(ClusterGivenUp(at=state.now, cluster=cluster.name, message=cluster.message) for cluster in given_up),
    ]


def _session(state: State) -> list[Event]:
    events: list[Event] = []
    if state.incumbencies:
        newest = state.incumbencies[-1]
        events.append(IncumbentSet(at=newest.at, experiment=newest.experiment, reason=newest.reason))
    if state.ended_at:
        events.append(SessionEnded(at=state.ended_at, reason=state.end_reason or "the session ends"))
    return events
