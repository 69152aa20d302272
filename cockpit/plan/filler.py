"""Controls: the incumbent run again on each cluster, when it joins and now and then after, to measure the measuring."""

from cockpit.model import AttemptKind, ClusterState
from cockpit.plan import actions as a
from cockpit.plan.schedule import another
from cockpit.state import State

CONTROL_EVERY = 40
"""Runs on a cluster from one control to the next: with the one when it joins never 5% of its runs from the 20th on."""
SUSPECT_CONTROL_EVERY = 6
"""A suspect's results are held back anyway: it is checked more often, so that it can be cleared."""

_UP = (ClusterState.IDLE, ClusterState.BUSY)


def controls(state: State, now: float) -> list[a.Action]:
    """Controls that are due, each pinned to its cluster."""
    experiment = state.incumbent or state.baseline
    if not experiment or state.ending or not state.experiments[experiment].attempts:
        return []
    coming = sum(
        attempt.experiment == experiment and not attempt.pin
        for attempt in (state.attempts[name] for name in state.waiting)
    )
    rule = state.attempts[state.experiments[experiment].attempts[0]].rule
    actions: list[a.Action] = []
    for cluster in state.clusters.values():
        every = SUSPECT_CONTROL_EVERY if cluster.name in state.suspects else CONTROL_EVERY
        if cluster.state not in _UP or cluster.held or (cluster.controlled and cluster.control_age < every):
            continue
        if not cluster.controlled and coming > 0:
            coming -= 1  # a run of its own accord measures the cluster as well
            continue
        run = another(
            state, experiment, AttemptKind.CONTROL, rule=rule, pin=cluster.name, hardware=cluster.hardware,
            extra=len(actions),
        )  # fmt: skip
        when = "now and then" if cluster.controlled else "as it joins"
        actions.append(a.Queue(run, f"a control of {cluster.name}, {when}"))
    return actions
