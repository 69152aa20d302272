"""Rows of styled text, wrapped at spaces."""

from cockpit.tui.plain import width_of
from cockpit.tui.rows import Ink

Span = tuple[str, Ink]


def wrap_spans(head: list[Span], spans: list[Span], width: int, blank: bool = False) -> list[list[Span]]:
    """Wrap spans at spaces. Each row begins with `head`, or with blanks of its width in the rows after the first."""
    lead = sum(width_of(text) for text, _ in head)
    room = max(1, width - lead)
    cells = [(letter, ink) for text, ink in spans for letter in text]
    rows: list[list[Span]] = []
    start = 0
    while start < len(cells) or not rows:
        stop, used, space = start, 0, -1
        while stop < len(cells) and used + width_of(cells[stop][0]) <= room:
            used += width_of(cells[stop][0])
            space = stop if cells[stop][0] == " " else space
            stop += 1
        stop = max(stop, start + 1)
        if stop < len(cells) and cells[stop][0] != " " and space > start + room // 3:
            stop = space
        begin = head if not rows or not blank else [(" " * lead, "dim")]
        rows.append([*begin, *joined(cells[start:stop])])
        start = stop
        while start < len(cells) and cells[start][0] == " ":
            start += 1
    return rows


def joined(cells: list[tuple[str, Ink]]) -> list[Span]:
    spans: list[Span] = []
    for letter, ink in cells:
        if spans and spans[-1][1] == ink:
            spans[-1] = (spans[-1][0] + letter, ink)
        else:
            spans.append((letter, ink))
    return spans
