"""Parse and match a query of the results: terms that must all hold, such as `kept DEPTH=9 class:H200 -wave:w007
score<0.98`.

- a status: `kept`, `discarded`, `crashed`, `running`, …; the baseline has none once it is measured
- a constant: `DEPTH=9`, `MATRIX_LR>0.04`, with `=`, `!=`, `<`, `<=`, `>` or `>=`
- a figure: `score`, `runs` or `cost`, compared in the same way
- a field: `class:H200`, `wave:w007`, `by:claude`, `base:e0042`
- any other word: text in the experiment's name, its change or its reason

A minus negates a term: `-crashed`.
"""

import operator
import re
from collections.abc import Callable, Mapping
from enum import StrEnum

import msgspec

from cockpit.core.errors import CockpitError
from cockpit.core.model import ExperimentStatus, Value
from cockpit.core.nearest import did_you_mean
from cockpit.core.state import State
from cockpit.read.result_rows import ResultRow, every_row
from cockpit.read.wording import value

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
FIGURES = ("score", "runs", "cost")
FIELDS = ("class", "wave", "by", "base")
_COMPARED = re.compile(r"([A-Za-z_]\w*)(<=|>=|!=|=|<|>)(.*)")
_FIELD = re.compile(r"([a-z]+):(.*)")


class BadQuery(CockpitError):
    """A query is invalid; the message is one sentence."""


class TermKind(StrEnum):
    STATUS = "status"
    CONSTANT = "constant"
    FIGURE = "figure"
    FIELD = "field"
    TEXT = "text"


class Term(msgspec.Struct, frozen=True):
    """One word of a query."""

    kind: TermKind
    name: str
    """The constant, figure or field; empty for a status or a text."""
    compared: str
    wanted: str
    holds: bool = True
    """False for a word after a minus."""


Query = tuple[Term, ...]


def parse_query(text: str, constants: Mapping[str, Value]) -> Query:
    """Return the terms of a query. `constants` are those that the session has. Raises BadQuery."""
    return tuple(_term(word, constants) for word in text.split())


def _term(word: str, constants: Mapping[str, Value]) -> Term:
    holds = not (word.startswith("-") and len(word) > 1)
    word = word if holds else word[1:]
    if found := _FIELD.fullmatch(word):
        name, wanted = found.groups()
        if name not in FIELDS:
            raise BadQuery(f"{word!r}: there is no field {name!r}: use {', '.join(FIELDS)}")
        return Term(TermKind.FIELD, name, "=", _given(word, wanted), holds)
    if found := _COMPARED.fullmatch(word):
        name, compared, wanted = found.groups()
        return _comparison(word, name, compared, _given(word, wanted), holds, constants)
    kind = TermKind.STATUS if word in list(ExperimentStatus) else TermKind.TEXT
    return Term(kind, "", "=", word, holds)


def _given(word: str, wanted: str) -> str:
    if not wanted:
        raise BadQuery(f"{word!r} is not complete: expected a value behind it")
    return wanted


def _comparison(
    word: str, name: str, compared: str, wanted: str, holds: bool, constants: Mapping[str, Value]
) -> Term:  # fmt: skip
    if name in FIGURES:
        kind = TermKind.FIGURE
    elif name in constants:
        kind = TermKind.CONSTANT
    else:
        near = did_you_mean(name, (*constants, *FIGURES))
        raise BadQuery(f"{word!r}: there is no constant or figure {name!r}" + (f": {near}" if near else ""))
    if (kind is TermKind.FIGURE or compared in COMPARISONS) and _number(wanted) is None:
        raise BadQuery(f"{word!r}: expected a number behind {compared}")
    return Term(kind, name, compared, wanted, holds)


def matches(query: Query, row: ResultRow, constants: Mapping[str, Value]) -> bool:
    """Return True if the row fulfils every term. `constants` are the session's; the row holds those that differ."""
    return all(_holds(term, row, constants) is term.holds for term in query)


def _holds(term: Term, row: ResultRow, constants: Mapping[str, Value]) -> bool:
    match term.kind:
        case TermKind.STATUS:
            return row.status == term.wanted and not row.is_baseline
        case TermKind.FIELD:
            return term.wanted in _fields(term.name, row)
        case TermKind.CONSTANT:
            return _compares(term, row.overrides.get(term.name, constants.get(term.name)))
        case TermKind.FIGURE:
            return _compares(term, {"score": row.value, "runs": row.runs, "cost": row.usd}[term.name])
    return term.wanted.casefold() in f"{row.experiment} {row.change} {row.reason}".casefold()


def _fields(name: str, row: ResultRow) -> tuple[str, ...]:
    if name == "class":
        return row.classes
    return ({"wave": row.wave, "by": row.proposer, "base": row.base}[name],)


def _compares(term: Term, held: Value | None) -> bool:
    if held is None:
        return False
    wanted = _number(term.wanted)
    number = float(held) if isinstance(held, int | float) else None
    if term.compared in COMPARISONS:
        return wanted is not None and number is not None and COMPARISONS[term.compared](number, wanted)
    equal = number == wanted if number is not None and wanted is not None else value(held) == term.wanted
    return equal is (term.compared == "=")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def found_by(state: State, text: str) -> list[str]:
    """Return the experiments that a query matches, in the order they were proposed. Raises BadQuery."""
    constants = state.session.constants
    query = parse_query(text, constants)
    return [row.experiment for row in every_row(state) if matches(query, row, constants)]
