"""The running time of a session: its hours without the pauses between an end and a reopening."""

from cockpit.core.state import State

HOUR_S = 3600.0


def running_s(state: State, at: float) -> float:
    """Return the seconds that the session had run at a moment. A session that has ended runs no further."""
    until = min(at, state.ended_at) if state.ended_at else at
    paused_s = sum(max(0.0, min(until, reopened) - ended) for ended, reopened in state.pauses)
    return until - state.session.created_at - paused_s


def running_h(state: State, at: float) -> float:
    """Return the hours that the session had run at a moment."""
    return running_s(state, at) / HOUR_S


def time_after_running_h(state: State, hours: float) -> float:
    """Return the time at which the session has run for these hours, if it does not pause again."""
    return state.session.created_at + hours * HOUR_S + sum(reopened - ended for ended, reopened in state.pauses)
