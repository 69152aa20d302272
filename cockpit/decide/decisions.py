"""decide(state, now) -> events: every decision, pure.

The same decisions drive 16 clusters, a laptop and a simulated month.
"""

from cockpit.core.events import Event
from cockpit.core.running_time import time_after_running_h
from cockpit.core.state import State
from cockpit.decide.approve import approve
from cockpit.decide.ask import ask
from cockpit.decide.budget import cap, end, next_unpaid_at
from cockpit.decide.controls import controls, next_unused_at
from cockpit.decide.early_stopping import stop_early
from cockpit.decide.knob_settings import drop_inert
from cockpit.decide.promotion import promote
from cockpit.decide.result_batching import wait_for_results_until
from cockpit.decide.schedule import expected_run_s, next_room_at, overdue_at, schedule


def decide(state: State, now: float) -> list[Event]:
    """Decide what to do now, in order. The events change the state; decide again until there are none.

    The first module that returns events decides alone: they change the state that the later modules read. Returns
    nothing for a session that has ended.
    """
    if state.ended_at:
        return []
    for room in (end, approve, promote, stop_early, controls, schedule, cap, _ask):
        if events := room(state, now):
            return events
    return []


def _ask(state: State, now: float) -> list[Event]:
    """Ask for arms. Knobs without an effect are dropped before, so that no new arm varies them."""
    asked = ask(state, now)
    return [*drop_inert(state, now), *asked] if asked else []


def wake_at(state: State, now: float) -> float:
    """Return the next time at which a decision may change without a new event."""
    session = state.session
    times = [next_room_at(state, now), wait_for_results_until(state, now), next_unused_at(state, now)]
    times.append(next_unpaid_at(state, now))
    times += [cluster.retry_at for cluster in state.clusters.values() if cluster.retry_at > now]
    times += [at for at in state.ask_retry_at.values() if at > now]
    times += [
        overdue_at(state, attempt)
        for attempt in (state.attempts[name] for name in state.in_flight)
        if attempt.started_at
    ]
    if session.budget_hours:
        times.append(time_after_running_h(state, session.budget_hours))
    return min((at for at in times if at > now), default=now + expected_run_s(state))
