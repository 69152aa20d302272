"""The text and the colours of a screen drawn as SVG, to say how two drawings differ."""

import difflib
import html
import re

from rich.cells import cell_len

CELL = 12.2
"""The width of a cell in Rich's drawings."""
ROW = 24.4

_TEXT = re.compile(r'<text class="terminal-(r\d+)" x="([\d.]+)" y="([\d.]+)" [^>]*>([^<]*)</text>')
_RULE = re.compile(r"\.terminal-(r\d+) \{ (.*?) \}")
_GROUND = re.compile(r'<rect fill="([^"]+)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"')

Piece = tuple[int, str, str]
"""(column, text, style); of a ground, its width as the text."""


def rows_of(svg: str) -> list[list[Piece]]:
    """Return the pieces of each row, from left to right."""
    rules = dict(_RULE.findall(svg))
    rows: dict[int, list[Piece]] = {}
    for rule, x, y, escaped in _TEXT.findall(svg):
        text = html.unescape(escaped).replace("\u00a0", " ")
        rows.setdefault(round((float(y) - 20) / ROW), []).append((round(float(x) / CELL), text, rules.get(rule, "")))
    return [sorted(rows.get(y, [])) for y in range(max(rows, default=0) + 1)]


def text_of(svg: str) -> list[str]:
    """Return the text of each row."""
    rows = []
    for pieces in rows_of(svg):
        row = ""
        for column, text, _ in pieces:
            row += " " * (column - cell_len(row)) + text
        rows.append(row.rstrip())
    return rows


def difference(wanted: str, drawn: str) -> str:
    """Return the rows whose text differs; where none does, those whose colours do."""
    before, after = text_of(wanted), text_of(drawn)
    if before != after:
        return "\n".join(difflib.unified_diff(before, after, "snapshot", "screen", lineterm="", n=1))
    recoloured = [
        f"row {y}: {was} became {now}"
        for y, (one, other) in enumerate(zip(rows_of(wanted), rows_of(drawn), strict=True))
        for was, now in zip(one, other, strict=False)
        if was != now
    ]
    if not recoloured:
        changed = set(_GROUND.findall(wanted)) ^ set(_GROUND.findall(drawn))
        recoloured = sorted(f"row {round(float(y) / ROW)}: ground {colour}" for colour, _, y, _ in changed)
    return "the colours differ:\n" + "\n".join(recoloured[:40])
