"""Loss curves in braille dots: the run's as a line, the incumbent's dotted."""

from textual.strip import Strip

from cockpit.core.curves import Point, loss_at
from cockpit.tui.rows import Row
from cockpit.tui.theme import Palette

LABELS = 6
MARKS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""The labelled places on the axis."""
FROM = ((0.5, 0.25), (0.2, 0.1))
"""(fraction done, fraction shown from) pairs: a late run leaves more of its steep beginning out."""
_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot of a cell, by row and column."""


def draw_curves(mine: list[Point], rival: list[Point], width: int, height: int, palette: Palette) -> list[Strip]:
    """Draw both curves in `height` rows, from where they differ."""
    across, down = width - LABELS, height - 1
    if height < 3 or across < 16:
        return []
    late = next((begin for done, begin in FROM if mine[-1][0] > done), 0.0)
    curves = [_columns(curve, late, 2 * across) for curve in (rival, mine)]
    losses = [loss for curve in curves for loss in curve if loss is not None]
    if not losses:
        return []
    low, high = min(losses), max(losses)
    span = max(high - low, 1e-3)
    bits = [[0] * across for _ in range(down)]
    own = [[False] * across for _ in range(down)]
    for curve, dotted in zip(curves, (True, False), strict=True):
        before = None
        for x, loss in enumerate(curve):
            if loss is None or (dotted and x % 4):
                continue
            y = round((high - loss) / span * (4 * down - 1))
            steep = before is not None and not dotted and abs(y - before) > 1
            for dot in range(min(y, before + 1), max(y, before - 1) + 1) if steep and before is not None else (y,):
                bits[dot // 4][x // 2] |= _DOTS[dot % 4][x % 2]
                own[dot // 4][x // 2] |= not dotted
            before = y
    rows = []
    for y in range(down):
        label = _label(high) if y == 0 else _label(high - span) if y == down - 1 else ""
        row = Row(width, palette).put(label, "faint", LABELS - 1, right=True).skip()
        for cell, mine_too in zip(bits[y], own[y], strict=True):
            row.put(chr(_BRAILLE + cell) if cell else " ", "accent" if mine_too else "dim")
        rows.append(row.strip())
    return [*rows, _axis(late, across, width, palette)]


def _columns(curve: list[Point], late: float, count: int) -> list[float | None]:
    """Return the loss at each column of dots; None before the curve begins and after it ends."""
    if not curve:
        return []
    places = [late + (1 - late) * x / (count - 1) for x in range(count)]
    return [loss_at(curve, place) if place <= curve[-1][0] + 1e-6 else None for place in places]


def _label(loss: float) -> str:
    return f"{loss:.2f}" if abs(loss) < 100 else f"{loss:.0f}" if abs(loss) < 1e5 else f"{loss:.0e}"


def _axis(late: float, across: int, width: int, palette: Palette) -> Strip:
    row = Row(width, palette).skip(LABELS)
    for mark in MARKS:
        if mark < late:
            continue
        word = f"{mark:.0%}"
        at = LABELS + round((mark - late) / (1 - late) * (across - 1))
        row.to(min(max(LABELS, at - len(word) // 2), width - len(word))).put(word, "faint")
    return row.strip()
