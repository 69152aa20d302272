"""Find the attempt that a name means: the named one, or an experiment's current one."""

from cockpit.core.model import Attempt, AttemptStatus
from cockpit.core.state import State

TRAINED = 0.9995
"""The fraction of the budget from which training is over."""


def current_attempt(state: State, name: str) -> Attempt | None:
    """Return the attempt of that name, or the current one of an experiment; None if there is none.

    The current one is the newest that runs, else the newest that has started, else the newest.
    """
    if name in state.attempts:
        return state.attempts[name]
    experiment = state.experiments.get(name)
    runs = [state.attempts[attempt] for attempt in reversed(experiment.attempts)] if experiment else []
    running = (run for run in runs if run.status is AttemptStatus.RUNNING)
    started = (run for run in runs if run.started_at)
    return next(running, None) or next(started, None) or next(iter(runs), None)


def is_evaluating(attempt: Attempt) -> bool:
    """Return True if a run has trained for its whole budget, and its score is still being computed."""
    progress = attempt.progress
    return attempt.status is AttemptStatus.RUNNING and progress is not None and progress.fraction >= TRAINED
