"""A table of the constants that were varied: the values tried, and the values of the best experiments."""

import itertools
from collections.abc import Iterable

from cockpit.agent.views.quoting import line
from cockpit.agent.views.state_views import ENDED_STATUSES, value_words
from cockpit.core.model import Value
from cockpit.core.state import State, constants_of
from cockpit.read.scores import comparison_class

MAX_EXPERIMENTS = 2_000
"""The newest experiments that are read."""
BEST = 8
MAX_CONSTANTS = 60
MAX_VALUES = 6

COLUMNS = ("constant", "baseline", "incumbent", "times varied", "values tried", f"values of the {BEST} best")


def tried_constants(state: State) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return rows of COLUMNS for the constants that were varied, and the names of those that never were."""
    baseline = state.session.constants
    varied = _varied(state)
    incumbent = constants_of(state, state.incumbent) if state.incumbent else {}
    best = [constants_of(state, one.experiment) for one in state.best.get(comparison_class(state), [])[:BEST]]
    rows: list[tuple[str, ...]] = []
    for name in sorted(varied, key=lambda name: -len(varied[name]))[:MAX_CONSTANTS]:
        at_start = value_words(baseline[name]) if name in baseline else "absent"
        now = value_words(incumbent[name]) if name in incumbent else ""
        at_best = _span(constants[name] for constants in best if name in constants)
        rows.append((line(name, 60), at_start, now, str(len(varied[name])), _span(varied[name]), at_best))
    return rows, [line(name, 60) for name in baseline if name not in varied][:MAX_CONSTANTS]


def _varied(state: State) -> dict[str, list[Value]]:
    """Return the values of each constant in the newest experiments that have ended and set it."""
    found: dict[str, list[Value]] = {}
    for experiment in itertools.islice(reversed(state.experiments.values()), MAX_EXPERIMENTS):
        if experiment.status in ENDED_STATUSES:
            for name, value in experiment.overrides.items():
                found.setdefault(name, []).append(value)
    return found


def _span(values: Iterable[Value]) -> str:
    """Return `0.02 to 0.06` for numbers, otherwise the first few values."""
    found = list({repr(value): value for value in values}.values())
    numbers = [value for value in found if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(found):
        more = f", and {len(found) - MAX_VALUES} more" if len(found) > MAX_VALUES else ""
        return ", ".join(value_words(value) for value in found[:MAX_VALUES]) + more
    if len(numbers) > 3:
        return f"{value_words(min(numbers))} to {value_words(max(numbers))}"
    return ", ".join(value_words(value) for value in sorted(numbers))
