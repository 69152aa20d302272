"""plan(state, now) -> actions: every decision, pure.

The same plan drives 16 clusters, a laptop and a simulated month.
"""

from cockpit.core.state import State
from cockpit.decide.actions import Action
from cockpit.decide.approve import approve
from cockpit.decide.ask import ask
from cockpit.decide.budget import cap, end
from cockpit.decide.controls import controls, next_unused_at
from cockpit.decide.early_stopping import stop_early
from cockpit.decide.promotion import decide
from cockpit.decide.result_batching import settled_at
from cockpit.decide.schedule import expected_run_s, next_room_at, schedule


def plan(state: State, now: float) -> list[Action]:
    """What to do now, in order. Doing it changes the state; plan again until nothing is left to do.

    The first room that has anything to say speaks alone: what it decides changes what the later ones see.
    """
    for decide_next in (end, approve, decide, stop_early, controls, schedule, cap, ask):
        if actions := decide_next(state, now):
            return actions
    return []


def wake_at(state: State, now: float) -> float:
    """The next moment at which the plan may decide otherwise though nothing has happened."""
    session = state.session
    times = [next_room_at(state, now), settled_at(state, now), next_unused_at(state, now)]
    times += [cluster.retry_at for cluster in state.clusters.values() if cluster.retry_at > now]
    times += [at for at in state.ask_retry_at.values() if at > now]
    times += [
        attempt.started_at + session.time_limit_s + 30
        for attempt in (state.attempts[name] for name in state.in_flight)
        if attempt.started_at
    ]
    if session.budget_hours:
        times.append(session.created_at + session.budget_hours * 3600)
    return min((at for at in times if at > now), default=now + expected_run_s(state))
