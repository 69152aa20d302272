"""Reads values from tables: a line of names, and below it lines of numbers in the same columns.

Columns are separated by `|`, a comma, a tab or blanks. A row may have one more cell than the header: its own name. A
name alone on its line is a table of one column.
"""

import re
from collections.abc import Collection
from typing import NamedTuple

from cockpit.core.units import unit_behind_name

LINE_CHARACTERS = 1_000
CELL_CHARACTERS = 40
_RULE = re.compile(r"[-=+:|\s\u2500-\u257f]+")
"""A ruled line between rows."""
_BAR = re.compile(r"[|\u2502\u2503]")
_NUMBER = re.compile(r"[-+]?(?:\.?\d[\d.,_:eE+-]*%?|nan|inf)", re.IGNORECASE)
_BRACKETS = re.compile(r"\s?[(\[][^()\[\]]{0,40}[)\]]$")
_TEXT_CELLS = 2
"""Cells of a row that may hold text, such as its name or a time."""


class Cell(NamedTuple):
    name: str
    """The plain spelling of its column's name."""
    text: str
    unit: str
    """The unit in brackets behind its column's name."""


class _Column(NamedTuple):
    name: str
    unit: str
    place: int
    """Its place, counted from the last column."""


class PrintedTables:
    """The table that a run is printing, if any."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        """The plain spellings of the names."""
        self._columns: list[_Column] = []
        self._width = 0
        self._separator = ""
        spelt = "|".join(re.escape(name).replace("_", r"[\s_-]{1,3}") for name in sorted(names, key=len, reverse=True))
        self._name = re.compile(rf"(?<![\w.-])(?:{spelt})(?!\w)", re.ASCII | re.IGNORECASE)

    def mentions(self, text: str) -> bool:
        """Return True if a line holds a name, or may be a row of the table that has begun."""
        return bool(self._columns) or self._name.search(text) is not None

    def read(self, text: str) -> list[Cell]:
        """Read a line. Returns the cells of a table's row."""
        if not self._columns:
            self._begin(text)
            return []
        if len(text) > LINE_CHARACTERS or _RULE.fullmatch(text):
            return []
        cells = _cells(text, self._separator)
        texts = sum(not _NUMBER.fullmatch(cell) for cell in cells)
        added = len(cells) - self._width
        if added not in (0, 1) or texts > min(_TEXT_CELLS, len(cells) - 1) or (added and self._width == 1):
            self._begin(text)
            return []
        found = ((column, cells[-column.place]) for column in self._columns)
        return [Cell(column.name, cell, column.unit) for column, cell in found if _NUMBER.fullmatch(cell)]

    def _begin(self, text: str) -> None:
        """Start a table if the line holds names. Ends the table before it."""
        self._columns = []
        if len(text) > LINE_CHARACTERS or not self._name.search(text):
            return
        if alone := self._name.fullmatch(text.rstrip(":= ")):
            self._columns, self._width, self._separator = [_Column(_plain(alone[0]), "", 1)], 1, " "
            return
        for separator in ("|", "\t", ",", " "):
            cells = _cells(text, separator)
            if len(cells) < 2 or not all(0 < len(cell) <= CELL_CHARACTERS for cell in cells):
                continue
            if any(_NUMBER.fullmatch(cell) or cell.endswith((":", "=")) for cell in cells):
                continue
            found = [
                _Column(name, unit, len(cells) - at)
                for at, cell in enumerate(cells)
                for name, unit in [_heading(cell)]
                if name in self._names
            ]
            if found:
                self._columns, self._width, self._separator = found, len(cells), separator
            return


def _cells(text: str, separator: str) -> list[str]:
    match separator:
        case "|":
            return [cell.strip() for cell in _BAR.split(text.strip().strip("|\u2502\u2503"))]
        case " ":
            return text.split()
        case _:
            return [cell.strip().strip("\"'") for cell in text.split(separator)]


def _heading(cell: str) -> tuple[str, str]:
    """Return (plain spelling, unit) of a column's name: `latency (ms)` is `latency` in `ms`."""
    bracket = _BRACKETS.search(cell)
    return (_plain(cell[: bracket.start()]), unit_behind_name(bracket[0])) if bracket else (_plain(cell), "")


def _plain(cell: str) -> str:
    return re.sub(r"[\s_-]+", "_", cell.strip("*`\"'").lower())
