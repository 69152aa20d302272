"""Wait briefly for results that are about to arrive. Clusters launched together run in step, and so do their results.

With all of them the next arms and tests are chosen better. The wait is short compared with a run.
"""

from cockpit.core.model import ClusterState
from cockpit.core.state import State
from cockpit.decide.schedule import expected_run_s

LONGEST_WAIT = 0.03
"""The longest wait of an idle cluster, as a share of a run."""
IN_STEP = 0.25
"""Share of the running attempts that must be about to end for a wait."""


def wait_for_results_until(state: State, now: float) -> float:
    """Return until when an idle cluster waits for results that are about to come; at most `now` for no wait."""
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
    until = min(free) + LONGEST_WAIT * run_s
    ending = sum(abs(run.started_at + run_s - now) < LONGEST_WAIT * run_s for run in running)
    return until if ending >= IN_STEP * len(running) else now
