"""Controls: the incumbent runs again on each cluster, as it joins and regularly after, to measure the cluster."""

from collections import Counter
from itertools import islice

from cockpit.core.events import Event, Queued
from cockpit.core.model import AttemptKind, Cluster, ClusterState
from cockpit.core.state import State
from cockpit.decide.evidence import RUNS_READ, readings_of
from cockpit.decide.run_seeds import with_paired_seeds
from cockpit.decide.schedule import RunSpec, next_attempt
from cockpit.science.outliers import lone_outliers

CONTROL_EVERY = 40
"""Runs on a cluster between two controls. With the first one, controls stay under 5% of its runs from the 20th on."""
FLAGGED_CONTROL_EVERY = 6
"""The same for a flagged cluster: its results are held back, so it is checked more often."""

JOINING_AT_ONCE = 0.25
"""Share of the clusters that are up which may run their first control at once. Otherwise a fleet that comes up together
would try nothing new for the length of a run. The others run theirs soon after."""
JOINING_AT_LEAST = 4
UNUSED_S = 30.0
"""Seconds idle after which a cluster gets its control in any case: no arm waits for it."""

_UP = (ClusterState.IDLE, ClusterState.BUSY)


def controls(state: State, now: float) -> list[Event]:
    """Queue the controls that are due, each pinned to its cluster."""
    experiment = state.incumbent or state.baseline
    if not experiment or state.ending or not state.experiments[experiment].attempts:
        return []
    rule = state.attempts[state.experiments[experiment].attempts[0]].rule
    up = [cluster for cluster in state.clusters.values() if cluster.state in _UP and not cluster.held]
    events: list[Event] = []
    for cluster, why in _due(state, experiment, up, now) or _stale(state, experiment, up):
        run = RunSpec(experiment, AttemptKind.CONTROL, rule, hardware=cluster.hardware, pin=cluster.name)
        attempt = next_attempt(state, run, extra=len(events))
        events.append(Queued(at=now, attempt=attempt, reason=f"a control of {cluster.name}, {why}"))
    return with_paired_seeds(state, events)


def _due(state: State, experiment: str, up: list[Cluster], now: float) -> list[tuple[Cluster, str]]:
    """Return the clusters that need a control of their own, each with the reason."""
    at_once = max(JOINING_AT_LEAST, int(JOINING_AT_ONCE * len(up)))
    coming = _unpinned(state, experiment)
    joining = coming + _controls_under_way(state, up)
    outliers = _lone_outliers(state, experiment)
    due: list[tuple[Cluster, str]] = []
    for cluster in _class_by_class(up):
        if cluster.controlled:
            if cluster.name in outliers:
                due.append((cluster, "as its only one is far from the others'"))
            elif _is_old(state, cluster):
                due.append((cluster, "as its last one is old"))
        elif coming > 0:
            coming -= 1  # an unpinned run of the incumbent measures the cluster as well
        elif joining + len(due) < at_once or _is_unused(cluster, now):
            due.append((cluster, "as it joins"))
    return due


def _stale(state: State, experiment: str, up: list[Cluster]) -> list[tuple[Cluster, str]]:
    """Return the cluster with the oldest control where no new run of the experiment shows how scores drift."""
    measured = [cluster for cluster in up if cluster.controlled]
    if not measured or _is_recent(state, experiment):
        return []
    return [(max(measured, key=lambda one: one.control_age), "as scores may have drifted since the last one")]


def _unpinned(state: State, experiment: str) -> int:
    """Count the waiting runs of the experiment that may run on any cluster."""
    waiting = (state.attempts[name] for name in state.waiting)
    return sum(attempt.experiment == experiment and not attempt.pin for attempt in waiting)


def _controls_under_way(state: State, up: list[Cluster]) -> int:
    """Count the controls that wait or run on these clusters. Those of lost or given-up clusters do not count."""
    names = {cluster.name for cluster in up}
    attempts = (state.attempts[name] for name in (*state.waiting, *state.in_flight))
    return sum(attempt.kind is AttemptKind.CONTROL and attempt.pin in names for attempt in attempts)


def _lone_outliers(state: State, experiment: str) -> set[str]:
    """Return the clusters with a single control that lies far from the others' and is to be repeated.

    It is repeated once. If the repeat gives no result, another would not either.
    """
    runs = [state.attempts[name] for name in state.experiments[experiment].attempts[-RUNS_READ:]]
    tried = Counter(run.cluster or run.pin for run in runs)
    return {name for name in lone_outliers(readings_of(state, experiment)) if tried[name] == 1}


def _is_old(state: State, cluster: Cluster) -> bool:
    every = FLAGGED_CONTROL_EVERY if cluster.name in state.flagged else CONTROL_EVERY
    return cluster.control_age >= every


def _is_recent(state: State, experiment: str) -> bool:
    """Return True if a run of the experiment is among the newest CONTROL_EVERY runs of the session."""
    newest = islice(reversed(state.attempts.values()), CONTROL_EVERY)
    return any(attempt.experiment == experiment for attempt in newest)


def next_unused_at(state: State, now: float) -> float:
    """Return when the next unmeasured cluster will count as unused; infinite where none will."""
    times = (
        cluster.since + UNUSED_S
        for cluster in state.clusters.values()
        if cluster.state is ClusterState.IDLE and not (cluster.controlled or cluster.held)
    )
    return min((at for at in times if at > now), default=float("inf"))


def _is_unused(cluster: Cluster, now: float) -> bool:
    return cluster.state is ClusterState.IDLE and not cluster.ahead and now >= cluster.since + UNUSED_S


def _class_by_class(up: list[Cluster]) -> list[Cluster]:
    """Order the clusters so that classes take turns: arms of a class need the incumbent's scores in that class."""
    turn: Counter[str] = Counter()
    turns: list[tuple[int, Cluster]] = []
    for cluster in up:
        turns.append((turn[cluster.hardware], cluster))
        turn[cluster.hardware] += not cluster.controlled
    return [cluster for _, cluster in sorted(turns, key=lambda pair: pair[0])]
