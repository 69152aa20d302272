"""Loss curves in braille dots: the run's as a line, the incumbent's dotted."""

from textual.strip import Strip

from cockpit.core.curves import Point, loss_at
from cockpit.tui.rows import Row
from cockpit.tui.theme import Palette
from cockpit.tui.widgets.braille import Braille

LABELS = 6
MARKS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""The labelled places on the axis."""
FROM = ((0.5, 0.25), (0.2, 0.1))
"""(fraction done, first fraction shown) pairs: the later the run, the less of its steep beginning is shown."""


def draw_curves(mine: list[Point], rival: list[Point], width: int, height: int, palette: Palette) -> list[Strip]:
    """Draw both curves in `height` rows, from where they differ."""
    across, down = width - LABELS, height - 1
    if height < 3 or across < 16:
        return []
    late = shown_from(mine)
    curves = [columns_of(curve, late, 1.0, 2 * across) for curve in (rival, mine)]
    losses = [loss for curve in curves for loss in curve if loss is not None]
    if not losses:
        return []
    low, high = min(losses), max(losses)
    span = max(high - low, 1e-3)
    dots = Braille(across, down)
    for curve, ink in zip(curves, ("dim", "accent"), strict=True):
        ys = [None if loss is None else round((high - loss) / span * (4 * down - 1)) for loss in curve]
        dots.draw(ys, ink, 4 if ink == "dim" else 1)
    rows = []
    for y in range(down):
        label = _label(high) if y == 0 else _label(high - span) if y == down - 1 else ""
        row = Row(width, palette).put(label, "faint", LABELS - 1, right=True).skip()
        for x in range(across):
            letter, cell_ink = dots.cell(x, y)
            row.put(letter, cell_ink or "dim")
        rows.append(row.strip())
    return [*rows, _axis(late, across, width, palette)]


def shown_from(mine: list[Point]) -> float:
    """Return the fraction of the budget at which the drawing of a curve begins."""
    return next((begin for done, begin in FROM if mine[-1][0] > done), 0.0)


def columns_of(curve: list[Point], left: float, right: float, count: int) -> list[float | None]:
    """Return the loss at each column of dots; None before the curve begins and after it ends."""
    if not curve:
        return []
    places = [left + (right - left) * x / (count - 1) for x in range(count)]
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
