"""A unified diff as rows with the syntax's colours, in one column or with the two sides beside each other."""

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import zip_longest

import msgspec
from rich.style import Style

from cockpit.tui.plain import plain
from cockpit.tui.rows import Ink
from cockpit.tui.views.diffs import Line
from cockpit.tui.views.spans import Span, joined

COLOURED_AT_MOST = 4_000
"""Lines of a longer diff have no syntax colours: they would delay the page."""
CHANGED = Style(bold=True, underline=True)
"""The part of a line that differs from the other side's line. It needs no colour."""
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)")


class Side(Enum):
    SAME = " "
    REMOVED = "-"
    ADDED = "+"
    HEAD = ""
    """A line about the diff, such as `@@ -3,7 +3,7 @@`."""


_SIDES = {"good": Side.ADDED, "bad": Side.REMOVED, "text": Side.SAME}
"""The side of each role of a diff's line."""


class DiffLine(msgspec.Struct, frozen=True):
    side: Side
    text: str
    """Without its sign; plain."""
    old: int = 0
    """Its number on the old side; 0 if it is not there, or unknown."""
    new: int = 0
    spans: tuple[Span, ...] = ()


def diff_of(lines: Sequence[Line], script: str) -> list[DiffLine]:
    """Read the lines of a unified diff. Those of a Python file have its syntax's colours."""
    read: list[DiffLine] = []
    old = new = 0
    for raw, role in lines:
        line, side = plain(raw), _SIDES.get(role, Side.HEAD)
        if hunk := _HUNK.match(line):
            old, new = int(hunk[1]), int(hunk[2])
        if side is Side.HEAD:
            read.append(DiffLine(side, line, spans=((line, role),)))
            continue
        is_old, is_new = side is not Side.ADDED, side is not Side.REMOVED
        read.append(DiffLine(side, line[1:], old if is_old else 0, new if is_new else 0))
        old, new = old + (is_old and old > 0), new + (is_new and new > 0)
    inks = _inks(read) if script.endswith(".py") and len(read) <= COLOURED_AT_MOST else {}
    changed = _changed_parts(read)
    return [
        line
        if line.spans
        else msgspec.structs.replace(line, spans=tuple(_spans(line.text, inks.get(number), changed.get(number))))
        for number, line in enumerate(read)
    ]


def pairs(lines: Sequence[DiffLine]) -> Iterator[tuple[DiffLine | None, DiffLine | None]]:
    """Yield the old and the new line of each row of two sides. A head and a line that is the same are on both."""
    at = 0
    while at < len(lines):
        if lines[at].side in (Side.SAME, Side.HEAD):
            yield lines[at], lines[at]
            at += 1
            continue
        removed, added, at = _change(lines, at)
        yield from zip_longest((lines[number] for number in removed), (lines[number] for number in added))


def _change(lines: Sequence[DiffLine], at: int) -> tuple[range, range, int]:
    """Return the removed lines that begin there, the added ones behind them, and the end of both."""
    middle = at
    while middle < len(lines) and lines[middle].side is Side.REMOVED:
        middle += 1
    end = middle
    while end < len(lines) and lines[end].side is Side.ADDED:
        end += 1
    return range(at, middle), range(middle, end), end


def _changed_parts(lines: Sequence[DiffLine]) -> dict[int, tuple[int, int]]:
    """Return the part of each line that differs from its other side, if half of the shorter line is the same."""
    parts: dict[int, tuple[int, int]] = {}
    at = 0
    while at < len(lines):
        if lines[at].side in (Side.SAME, Side.HEAD):
            at += 1
            continue
        removed, added, at = _change(lines, at)
        for old, new in zip(removed, added, strict=False):
            one, other = lines[old].text, lines[new].text
            shorter = min(len(one), len(other))
            head = next((n for n in range(shorter) if one[n] != other[n]), shorter)
            tail = next((n for n in range(shorter - head) if one[-1 - n] != other[-1 - n]), shorter - head)
            if 2 * (head + tail) >= shorter:
                parts[old], parts[new] = (head, len(one) - tail), (head, len(other) - tail)
    return parts


def _spans(text: str, inks: list[Ink] | None, changed: tuple[int, int] | None) -> list[Span]:
    cells = list(zip(text, inks or ["text"] * len(text), strict=True))
    first, last = changed or (0, 0)
    return joined([(letter, CHANGED if first <= n < last else ink) for n, (letter, ink) in enumerate(cells)])


def _inks(lines: Sequence[DiffLine]) -> dict[int, list[Ink]]:
    """Return the ink of each letter of each line, read as Python: the old side and the new one each as a whole."""
    # Imported when a diff is first shown: the first paint does without it.
    from pygments.lexers.python import PythonLexer

    lexer = PythonLexer(stripnl=False, ensurenl=False)
    found: dict[int, list[Ink]] = {}
    for sides in ((Side.SAME, Side.REMOVED), (Side.SAME, Side.ADDED)):
        numbers = [number for number, line in enumerate(lines) if line.side in sides]
        inks: list[Ink] = []
        for token, text in lexer.get_tokens("\n".join(lines[number].text for number in numbers)):
            inks.extend([_ink(str(token))] * len(text))
        at = 0
        for number in numbers:
            length = len(lines[number].text)
            mine = inks[at : at + length]
            found[number] = [*mine, *["text"] * (length - len(mine))]
            at += length + 1
    return found


_INKS: tuple[tuple[str, Ink], ...] = (
    ("Token.Comment", "dim"),
    ("Token.Literal.String", "agent"),
    ("Token.Literal.Number", "warn"),
    ("Token.Keyword", "accent"),
    ("Token.Operator.Word", "accent"),
    ("Token.Name.Function", "info"),
    ("Token.Name.Class", "info"),
    ("Token.Name.Builtin", "info"),
    ("Token.Name.Decorator", "info"),
)
"""The ink of a token's kind. None is the green or the orange of added and removed lines."""


def _ink(token: str) -> Ink:
    return next((ink for kind, ink in _INKS if token.startswith(kind)), "text")
