"""Controls: the incumbent run again on each cluster, when it joins and now and then after, to measure the measuring."""

from collections import Counter

from cockpit.core.events import Event, Queued
from cockpit.core.model import AttemptKind, Cluster, ClusterState
from cockpit.core.state import State
from cockpit.decide.evidence import RUNS_READ, readings_of
from cockpit.decide.schedule import RunSpec, another
from cockpit.science.noise import odd_ones

CONTROL_EVERY = 40
"""Runs on a cluster from one control to the next: with the one when it joins never 5% of its runs from the 20th on."""
FLAGGED_CONTROL_EVERY = 6
"""A suspect's results are held back anyway: it is checked more often, so that it can be cleared."""

JOINING_AT_ONCE = 0.25
"""Of the clusters that are up, how many may run the incumbent to be measured when they join: a fleet that comes up
together would else try nothing for the length of a run. The others have it as one of their next runs."""
JOINING_AT_LEAST = 4
UNUSED_S = 30.0
"""A cluster that nothing was found for in this time is measured in any case: it keeps no arm waiting."""

_UP = (ClusterState.IDLE, ClusterState.BUSY)


def controls(state: State, now: float) -> list[Event]:
    """Controls that are due, each pinned to its cluster."""
    experiment = state.incumbent or state.baseline
    if not experiment or state.ending or not state.experiments[experiment].attempts:
        return []
    coming = sum(
        attempt.experiment == experiment and not attempt.pin
        for attempt in (state.attempts[name] for name in state.waiting)
    )
    rule = state.attempts[state.experiments[experiment].attempts[0]].rule
    up = [cluster for cluster in state.clusters.values() if cluster.state in _UP and not cluster.held]
    # One that waits for a cluster which is lost, or was given up, keeps no other cluster waiting.
    names = {cluster.name for cluster in up}
    joining = coming + sum(
        attempt.kind is AttemptKind.CONTROL and attempt.pin in names
        for attempt in (state.attempts[name] for name in (*state.waiting, *state.in_flight))
    )
    runs = [state.attempts[name] for name in state.experiments[experiment].attempts[-RUNS_READ:]]
    tried = Counter(run.cluster or run.pin for run in runs)
    # Once: a run that gives no result tells nothing, and another would tell no more.
    odd = {name for name in odd_ones(readings_of(state, experiment)) if tried[name] == 1}
    at_once = max(JOINING_AT_LEAST, int(JOINING_AT_ONCE * len(up)))
    events: list[Event] = []
    for cluster in _class_by_class(up):
        every = FLAGGED_CONTROL_EVERY if cluster.name in state.flagged else CONTROL_EVERY
        if cluster.controlled and cluster.control_age < every and cluster.name not in odd:
            continue
        if not cluster.controlled and coming > 0:
            coming -= 1  # a run of its own accord measures the cluster as well
            continue
        if not cluster.controlled and joining + len(events) >= at_once and not _is_unused(cluster, now):
            continue
        run = RunSpec(experiment, AttemptKind.CONTROL, rule, hardware=cluster.hardware, pin=cluster.name)
        when = "as it joins"
        if cluster.controlled:
            when = "as its only one is far from the others'" if cluster.name in odd else "now and then"
        attempt = another(state, run, extra=len(events))
        events.append(Queued(at=now, attempt=attempt, reason=f"a control of {cluster.name}, {when}"))
    return events


def next_unused_at(state: State, now: float) -> float:
    """When the next cluster that was not measured yet will count as unused; infinite when none will."""
    times = (
        cluster.since + UNUSED_S
        for cluster in state.clusters.values()
        if cluster.state is ClusterState.IDLE and not (cluster.controlled or cluster.held)
    )
    return min((at for at in times if at > now), default=float("inf"))


def _is_unused(cluster: Cluster, now: float) -> bool:
    return cluster.state is ClusterState.IDLE and not cluster.ahead and now >= cluster.since + UNUSED_S


def _class_by_class(up: list[Cluster]) -> list[Cluster]:
    """The clusters, the classes taking turns: what runs in a class is compared with what the incumbent scored there."""
    turn: Counter[str] = Counter()
    turns: list[tuple[int, Cluster]] = []
    for cluster in up:
        turns.append((turn[cluster.hardware], cluster))
        turn[cluster.hardware] += not cluster.controlled
    return [cluster for _, cluster in sorted(turns, key=lambda pair: pair[0])]
