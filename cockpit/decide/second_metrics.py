"""Second metrics as limits and tie-breaks: an experiment that breaks a limit is not kept."""

import math
from collections.abc import Iterator
from statistics import fmean, variance

from cockpit.core.metric import Constraint, Direction, TieBreak
from cockpit.core.model import Experiment, Metrics, Outcome
from cockpit.core.state import State
from cockpit.core.units import factor, in_words

RUNS_READ = 64
"""Newest runs of one experiment that are read."""
ALLOWED_SES = 2.0
"""Standard errors that a mean may be on the wrong side of the baseline's: repeats of equal code differ."""
LEAST_BASELINE_RUNS = 2
"""Runs of the baseline before a first run is judged against it."""


def values_of(state: State, experiment: str, name: str) -> list[float]:
    """Return the values of a second metric in the newest valid runs of an experiment."""
    return [run.others[name] for run in _valid(state, experiment) if name in run.others]


def broken_constraint(state: State, experiment: Experiment) -> str:
    """Return the first constraint that the experiment breaks, in a clause; empty for none."""
    found = (_broken(state, experiment, one) for one in state.session.metric.constraints)
    return next((clause for clause in found if clause), "")


def wins_ties(state: State, experiment: str) -> bool:
    """Return True if the first tie-break that separates the experiment from the incumbent speaks for the experiment.

    A tie-break separates them where all runs of one are better than all runs of the other.
    """
    for one in state.session.metric.tie_breaks:
        own, others = (_costs(state, name, one) for name in (experiment, state.incumbent))
        if own and others and max(own) < min(others):
            return True
        if own and others and min(own) > max(others):
            return False
    return False


def unstated_units(state: State) -> list[str]:
    """Return a sentence for each limit without a unit whose values the baseline prints with one."""
    printed = [run.other_units for run in _valid(state, state.baseline)]
    limits = (one for one in state.session.metric.constraints if one.limit is not None)
    found = {one: next((units[one.name] for units in printed if one.name in units), "") for one in limits}
    return [
        f"the limit {one} is read in {unit}, as the baseline prints {one.name}"
        for one, unit in found.items()
        if unit and not state.session.metric.unit(one.name)
    ]


def _valid(state: State, experiment: str) -> Iterator[Metrics]:
    """Yield the summaries of the newest valid runs of an experiment."""
    runs = (state.attempts[one] for one in state.experiments[experiment].attempts[-RUNS_READ:])
    yield from (run.metrics for run in runs if run.metrics is not None and run.outcome is Outcome.VALID)


def _costs(state: State, experiment: str, one: TieBreak) -> list[float]:
    sign = -1.0 if one.direction is Direction.MAX else 1.0
    return [sign * value for value in values_of(state, experiment, one.name)]


def _broken(state: State, experiment: Experiment, one: Constraint) -> str:
    values = values_of(state, experiment.id, one.name)
    if not values:
        return f"it breaks {one}: {_not_printed(state, experiment, one.name)}"
    if one.limit is not None:
        limit = one.limit * (factor(one.unit, state.session.metric.unit(one.name)) or 1.0)
        held, where = one.holds(fmean(values), limit), ""
    else:
        base = values_of(state, state.baseline, one.name)
        if len(base) < LEAST_BASELINE_RUNS and len(values) == 1:
            return ""
        if not base:
            return f"it cannot be held to {one}: the baseline printed no {one.name}"
        allowed = ALLOWED_SES * _standard_error(values, base)
        held = one.holds(fmean(values), fmean(base) + (allowed if one.wants_less else -allowed))
        where = f", the baseline has {fmean(base):.6g}"
    runs = "1 run" if len(values) == 1 else f"{len(values)} runs"
    return "" if held else f"it breaks {one}: {fmean(values):.6g} in {runs}{where}"


def _not_printed(state: State, experiment: Experiment, name: str) -> str:
    """Word why no run of an experiment has a value of a second metric."""
    units = (unit for run in _valid(state, experiment.id) if (unit := run.other_units.get(name)) is not None)
    if (unit := next(units, None)) is None:
        return f"its runs printed no {name}"
    return f"its runs printed {name} {in_words(unit)}, which cannot be compared with the limit"


def _standard_error(one: list[float], other: list[float]) -> float:
    """Return the standard error of the difference of two means, by the pooled variance; 0 if none is known."""
    degrees = len(one) + len(other) - 2
    if degrees < 1:
        return 0.0
    squares = sum((len(values) - 1) * variance(values) for values in (one, other) if len(values) > 1)
    return math.sqrt(squares / degrees * (1 / len(one) + 1 / len(other)))
