"""Reads values from tables: a line of names, and below it lines of numbers in the same columns.

Columns are separated by `|`, a tab, a comma, a semicolon or blanks. A row may have one more cell than the header:
its own name. A name alone on its line is a table of one column. `macro avg f1-score` is the column `f1-score` of the
row `macro avg`. Values of rows with several names leave open which one is the metric.
"""

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from cockpit.core.units import unit_behind_name, unit_of
from cockpit.fleet.printed_names import plain, spelt

LINE_CHARACTERS = 1_000
CELL_CHARACTERS = 40
_RULE = re.compile(r"[-=+:|\s\u2500-\u257f]+")
"""A ruled line between rows."""
_BAR = re.compile(r"[|\u2502\u2503\u2551]")
_BLANKS = re.compile(r"\s{2,}")
_NUMBER = re.compile(
    r"[-+]?(?:\.?\d[\d.,_:eE+-]*%?|nan|inf)(?:\s?[a-z\xb5\u03bc]{1,4}(?:/s)?)?(?:\s\([\d.,>]+\))?", re.IGNORECASE
)
"""A number, with its unit, and how often it is the smallest one of its column: `12.10 (1.0)` of pytest-benchmark."""
_BRACKETS = re.compile(r"\s?[(\[][^()\[\]]{0,40}[)\]]$")
_TIME_UNIT = re.compile(r"\(time in (\w{1,2})\)")
"""The unit of all times of a table of pytest-benchmark, in its first cell."""
_WORD = re.compile(r"[^\W\d_]{2,}")
_TEXT_CELLS = 2
"""Cells of a row that may hold text, such as its name or a time."""


class Cell(NamedTuple):
    name: str
    """The plain spelling of its column's name."""
    text: str
    unit: str
    """The unit in brackets behind its column's name."""
    kind: str
    """The words of its row's name; `-` for a number or none."""


class _Column(NamedTuple):
    name: str
    unit: str
    place: int
    """Its place, counted from the last column."""


class PrintedTables:
    """The table that a run is printing, if any."""

    def __init__(self, names: Collection[str], of_rows: Collection[str]) -> None:
        self._names = names
        """The plain spellings of the names."""
        self._columns: list[_Column] = []
        self._width = 0
        self._separator = ""
        self._unit = ""
        parts = [name.split("_") for name in of_rows]
        self._ends = {"_".join(each[at:]) for each in parts for at in range(1, len(each))}
        """The ends of the names `of_rows`, which may be a column's name behind a row's."""
        self._name = re.compile(spelt(names), re.ASCII | re.IGNORECASE)
        self._head = re.compile(spelt({*names, *self._ends}), re.ASCII | re.IGNORECASE)

    def mentions(self, text: str) -> bool:
        """Return True if a line holds a name, or may be a row of the table that has begun."""
        return bool(self._columns) or self._head.search(text) is not None

    def name_in(self, text: str) -> re.Match[str] | None:
        """Return the place of the first name in a line."""
        return self._name.search(text)

    def read(self, text: str) -> list[Cell]:
        """Read a line. Returns the cells of a table's row."""
        if not self._columns:
            self._begin(text)
            return []
        if len(text) > LINE_CHARACTERS or _RULE.fullmatch(text) or (self._separator == "  " and not text.strip()):
            return []
        cells = _cells(text, self._separator)
        if self._separator == "  " and len(cells) < self._width:
            if len(cells) > 1 and not _NUMBER.fullmatch(cells[0]) and all(map(_NUMBER.fullmatch, cells[1:])):
                return []  # a row with values in some columns alone
            cells = text.split()
        texts = sum(not _NUMBER.fullmatch(cell) for cell in cells)
        added = len(cells) - self._width
        is_set_apart = self._separator.strip() and not added and self._width > _TEXT_CELLS + 1
        at_most = len(cells) - 1 if is_set_apart else min(_TEXT_CELLS, len(cells) - 1)
        if added not in (0, 1) or texts > at_most or (added and self._width == 1):
            self._begin(text)
            return []
        return list(self._row(cells))

    def _row(self, cells: list[str]) -> Iterator[Cell]:
        """Yield the cells of a row under the names of their columns, or of the row and the column."""
        own = "" if _NUMBER.fullmatch(cells[0]) else plain(cells[0])
        kind = " ".join(_WORD.findall(own)) or "-"
        for column in self._columns:
            text = cells[-column.place]
            if not _NUMBER.fullmatch(text):
                continue
            unit = column.unit or self._unit
            if (both := f"{own}_{column.name}") in self._names:
                yield Cell(both, text, unit, "-")
            elif column.name in self._names:
                yield Cell(column.name, text, unit, kind)

    def _begin(self, text: str) -> None:
        """Start a table if the line holds names. Ends the table before it."""
        self._columns = []
        self._unit = ""
        if len(text) > LINE_CHARACTERS or not self._head.search(text):
            return
        if alone := self._name.fullmatch(text.strip().rstrip(":= ")):
            self._columns, self._width, self._separator = [_Column(_plain(alone[0]), "", 1)], 1, " "
            return
        for separator in ("|", "\t", ",", ";", "  ", " "):
            cells = _cells(text, separator)
            if len(cells) < 2 or not all(0 < len(cell) <= CELL_CHARACTERS for cell in cells):
                continue
            if any(_NUMBER.fullmatch(cell) or cell.endswith((":", "=")) for cell in cells):
                continue
            found = [
                _Column(name, unit, len(cells) - at)
                for at, cell in enumerate(cells)
                for name, unit in [_heading(cell)]
                if name in self._names or name in self._ends
            ]
            if found:
                time_unit = _TIME_UNIT.search(cells[0])
                # The first cell of such a table heads the names of its rows.
                self._unit = unit_of(time_unit[1]) if time_unit else ""
                self._columns, self._width, self._separator = found, len(cells), separator
            return


def _cells(text: str, separator: str) -> list[str]:
    match separator:
        case "|":
            return [cell.strip().strip("*") for cell in _BAR.split(text.strip().strip("|\u2502\u2503\u2551"))]
        case "  ":
            return _BLANKS.split(text.strip())
        case " ":
            return text.split()
        case _:
            return [cell.strip().strip("\"'") for cell in text.split(separator)]


def _heading(cell: str) -> tuple[str, str]:
    """Return (plain spelling, unit) of a column's name: `latency (ms)` is `latency` in `ms`."""
    bracket = _BRACKETS.search(cell)
    return (_plain(cell[: bracket.start()]), unit_behind_name(bracket[0])) if bracket else (_plain(cell), "")


def _plain(cell: str) -> str:
    return plain(cell.strip("*`\"'"))
