"""List the knobs of a session: those that search varies with their ranges, the others with the reason."""

from collections.abc import Iterable
from typing import NamedTuple

from cockpit.core.knobs import KnobRange, knob_words
from cockpit.core.model import Value
from cockpit.core.state import State, constants_of
from cockpit.science.knob_names import exclusion
from cockpit.science.search_space import Choice, Dimension, Ladder, Real, search_space

LADDER_SHOWN = 5
"""Rungs of a ladder that are written out; of a longer one, the ends."""

VALUE_WIDTH = 12
NO_RANGE = "its name does not tell a range"


class KnobRow(NamedTuple):
    name: str
    value: Value
    """The incumbent's."""
    varied: str
    """The values that search draws from, in words; empty if it leaves the knob alone."""
    reason: str
    """Why search leaves it alone; empty if it varies it."""
    set_by: str


def knob_rows(state: State) -> list[KnobRow]:
    """Return a row for each knob, those that search varies first, in the order of the code."""
    constants = constants_of(state, state.incumbent) if state.incumbent else dict(state.session.constants)
    ranges = state.session.ranges
    space = search_space(state.session.constants, ranges)
    rows = []
    for name, value in constants.items():
        given = ranges.get(name, KnobRange())
        varied = _words(space[name]) if name in space else ""
        rows.append(KnobRow(name, value, varied, "" if varied else reason_of(name, given), given.set_by))
    return sorted(rows, key=lambda row: not row.varied)


def reason_of(name: str, given: KnobRange) -> str:
    """Return why search leaves a knob alone."""
    if given.pinned:
        return knob_words(given)
    return given.excluded or exclusion(name) or NO_RANGE


def _words(dimension: Dimension) -> str:
    match dimension:
        case Real(low, high):
            return f"{low:g} to {high:g}"
        case Ladder(rungs) if len(rungs) > LADDER_SHOWN:
            return f"{_rung(rungs[0])} to {_rung(rungs[-1])} in {len(rungs)} steps"
        case Ladder(rungs):
            return ", ".join(map(_rung, rungs))
        case Choice(options):
            return ", ".join(str(option) for option in options)


def _rung(number: float) -> str:
    """Return an integer in full, as 1048576, and another number in six figures."""
    return str(number) if isinstance(number, int) else f"{number:g}"


def _name_width(names: Iterable[str]) -> int:
    return min(40, max(map(len, names), default=0))


def said_from(state: State) -> int:
    """Return the column of `knob_table` at which the range or the reason begins."""
    return 2 + _name_width(state.session.constants) + 2 + VALUE_WIDTH + 2


def knob_table(state: State, command: str) -> list[str]:
    """Return the knobs as lines of text: those that search varies, then the others with the reason.

    `command` is the name of the command that changes one, as `cockpit knob`.
    """
    rows = knob_rows(state)
    if not rows:
        return ["the code has no literals with a name, so there are no knobs"]
    name_width = _name_width([row.name for row in rows])
    varied = [row for row in rows if row.varied]
    lines = [f"search varies {len(varied)} of {len(rows)} knobs; `{command} NAME SETTING` changes that"]
    for row in rows:
        by = f" (set by {row.set_by})" if row.set_by else ""
        said = row.varied or f"not searched: {row.reason}"
        lines.append(f"  {row.name:{name_width}}  {row.value!s:>{VALUE_WIDTH}.30}  {said}{by}")
    return lines
