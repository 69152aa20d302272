"""Clusters that were launched together go in step: a moment after the first result the others are there as well.

What is chosen before them is chosen without them: the next arms, and the arms that deserve a test. So both wait, for
what is a breath beside a run.
"""

from cockpit.core.model import ClusterState
from cockpit.core.state import State
from cockpit.decide.schedule import expected_run_s

SETTLE = 0.03
"""The longest that an idle cluster waits for results that are about to come, as a share of a run."""
IN_STEP = 0.25
"""It waits where at least so much of what runs is about to end."""


def wait_for_results_until(state: State, now: float) -> float:
    """Until when an idle cluster waits for results that are about to come; `now` or before when it does not."""
    if not state.run_s:
        return now
    run_s = expected_run_s(state)
    free = [
        cluster.since
        for cluster in state.clusters.values()
        if cluster.state is ClusterState.IDLE and not (cluster.ahead or cluster.held)
    ]
    running = [state.attempts[cluster.running] for cluster in state.clusters.values() if cluster.running]
    if not free or not running:
        return now
    until = min(free) + SETTLE * run_s
    ending = sum(abs(run.started_at + run_s - now) < SETTLE * run_s for run in running)
    return until if ending >= IN_STEP * len(running) else now
