"""Which constants were varied so far, how far, and where the best of them lie."""

import itertools
from collections.abc import Iterable

from cockpit.agent.tools.quoting import line
from cockpit.agent.tools.state_views import DONE, main_hardware, value_words
from cockpit.core.model import Value
from cockpit.core.state import State, constants_of

READ = 2_000
"""The newest experiments that are looked at."""
BEST = 8
NAMES = 60
VALUES = 6

COLUMNS = ("constant", "at the start", "incumbent", "other values tried", "of them", f"the {BEST} best have")


def tried(state: State) -> tuple[list[tuple[str, ...]], list[str]]:
    """(rows of COLUMNS for constants that were varied, names of those that never were), both bounded."""
    start = state.session.constants
    others: dict[str, list[Value]] = {}
    for experiment in itertools.islice(reversed(state.experiments.values()), READ):
        if experiment.status in DONE:
            for name, value in experiment.overrides.items():
                others.setdefault(name, []).append(value)
    now = constants_of(state, state.incumbent) if state.incumbent else {}
    best = [constants_of(state, one.experiment) for one in state.best.get(main_hardware(state), [])[:BEST]]
    rows: list[tuple[str, ...]] = []
    for name in sorted(others, key=lambda name: -len(others[name]))[:NAMES]:
        had = value_words(start[name]) if name in start else "not there"
        held = value_words(now[name]) if name in now else ""
        at_best = _span(constants[name] for constants in best if name in constants)
        rows.append((line(name, 60), had, held, str(len(others[name])), _span(others[name]), at_best))
    return rows, [line(name, 60) for name in start if name not in others][:NAMES]


def _span(values: Iterable[Value]) -> str:
    """`0.02 to 0.06` of numbers, the values themselves where there are few."""
    found = list({repr(value): value for value in values}.values())
    numbers = [value for value in found if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(found):
        more = f", and {len(found) - VALUES} more" if len(found) > VALUES else ""
        return ", ".join(value_words(value) for value in found[:VALUES]) + more
    if len(numbers) > 3:
        return f"{value_words(min(numbers))} to {value_words(max(numbers))}"
    return ", ".join(value_words(value) for value in sorted(numbers))
