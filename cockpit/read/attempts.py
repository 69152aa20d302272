"""Find the attempt that a name means, and how far a run is."""

from cockpit.core.model import Attempt, AttemptStatus
from cockpit.core.state import State

TRAINED = 0.9995
"""The fraction of the budget from which training is over."""
LAST_STEPS = 0.9
"""The fraction from which the time that a step line leaves can end training: a script that prints none left, always, is
not believed before."""
LEAST_LEFT_S = 1.0


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
    """Return True if a run has trained for its whole budget, and its score is still being computed.

    No line follows the last step, and its fraction may be the one before it, as in upstream's lines: it is known by
    the time left, which is less than a step, or a second.
    """
    progress = attempt.progress
    if attempt.status is not AttemptStatus.RUNNING or progress is None:
        return False
    leaves_a_step = progress.remaining_s > max(LEAST_LEFT_S, progress.ms_per_step / 1000)
    is_last = bool(progress.ms_per_step) and progress.fraction >= LAST_STEPS and not leaves_a_step
    return is_last or progress.fraction >= TRAINED


def trained_words(attempt: Attempt) -> str:
    """Return the percentage of its budget that a run has trained for: 100% as soon as it evaluates, not before."""
    fraction = attempt.progress.fraction if attempt.progress is not None else 0.0
    return "100%" if is_evaluating(attempt) else f"{min(99, round(100 * fraction))}%"
