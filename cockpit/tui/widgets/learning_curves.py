"""Learning curves laid over each other, with one crosshair that reads all of them at one fraction of the budget."""

import math
from collections.abc import Callable, Sequence

import msgspec
from textual.strip import Strip

from cockpit.core.state import State
from cockpit.read.axis import log_ticks, ticks
from cockpit.read.changes import change_parts
from cockpit.read.learning_curves import LearningCurve
from cockpit.read.rival import COMPARED_FROM
from cockpit.tui.figures import bare, short_name, signed
from cockpit.tui.plain import plain
from cockpit.tui.rows import Ink, Row, side_by_side
from cockpit.tui.theme import Palette
from cockpit.tui.widgets.braille import Braille
from cockpit.tui.widgets.curve import columns_of

LETTERS = "abcdefghijkl"
"""The name of each curve in the plot and in its table, in order."""
LABELS = 7
SPANS = (1.0, 0.5, 0.25, 0.1)
"""The fractions of the budget that the zooms show."""
BESIDE_FROM = 76
"""Columns from which the table of values is beside the plot."""
TABLE_LEAST = 31
TABLE_MOST = 60
ENTRY = 23
"""Cells of `a e0019 2.8134 −0.0123` below the plot."""
LEAST_PLOT = 5
STEEP = 8
"""The part of the budget, one in this many, in which the loss falls steeply."""


class CurvesLook(msgspec.Struct):
    """The person's choice: the crosshair, the curve that stands out, and the axes."""

    at: float = 1.0
    """The crosshair's place, as a fraction of the budget."""
    chosen: int = 0
    zoom: int = 1
    """A place in SPANS: the second half first, where curves differ."""
    log: bool = False

    def span(self) -> tuple[float, float]:
        """Return the fractions of the budget that are shown, with the crosshair among them."""
        wide = SPANS[self.zoom]
        left = max(0.0, min(1.0 - wide, self.at - wide / 2))
        return left, left + wide

    def place(self, x: int, width: int) -> float:
        """Return the fraction of the budget at a column of a pane."""
        left, right = self.span()
        share = (x - LABELS) / max(1, plot_width(width) - LABELS - 2)
        return round(max(0.0, min(1.0, left + share * (right - left))), 2)


def curves_title(look: CurvesLook, short: bool = False) -> str:
    """Return the part of the run that is shown, if that is not all of it, and the place of the crosshair."""
    left, right = look.span()
    part = f"{100 * left:.0f}–{right:.0%}" if right - left < 1.0 else ""
    if short and part:
        return f"{part}, at {look.at:.0%}"
    return f"{f'{part} of the run: ' if part else ''}{'log loss' if look.log else 'loss'} at {look.at:.0%}"


def plot_width(width: int) -> int:
    """Return the columns of the plot. In a wide pane the table of values takes the others."""
    return width - max(TABLE_LEAST, min(TABLE_MOST, width // 3)) if width >= BESIDE_FROM else width


def draw_learning_curves(
    state: State, curves: Sequence[LearningCurve], look: CurvesLook, width: int, height: int, palette: Palette
) -> list[Strip]:
    """Draw the plot in `height` rows, with the value of each curve at the crosshair beside or below it."""
    table = width - plot_width(width)
    if table:
        plot = _plot(curves, look, width - table, height, palette)
        entries = _table(state, curves, look, table, height, palette)
        blank = Strip.blank(table, palette.base)
        entries += [blank] * (len(plot) - len(entries))
        return [side_by_side([left, right], width, palette.base) for left, right in zip(plot, entries, strict=False)]
    each = max(1, (width - 1) // ENTRY)
    lines = min(-(-len(curves) // each), max(0, height - LEAST_PLOT - 1))
    return _plot(curves, look, width, height - lines, palette) + _lines(curves, look, each, lines, width, palette)


def inks_of(curves: Sequence[LearningCurve], look: CurvesLook, palette: Palette) -> list[Ink]:
    """Return the ink of each curve. The chosen one stands out in bold, the incumbent's is dim."""
    inks: list[Ink] = []
    for number, curve in enumerate(curves):
        ink: Ink = "dim" if curve.is_incumbent else palette.hardware(number)
        inks.append("key" if number == look.chosen else ink)
    return inks


class _Scale(msgspec.Struct, frozen=True):
    """The vertical axis: the losses at its ends, and its rows of braille dots."""

    low: float
    high: float
    log: bool
    dots: int

    def dot(self, loss: float) -> int | None:
        """Return the dot of a loss, counted from the top; None if a log axis cannot show it."""
        if self.log and loss <= 0:
            return None
        place: Callable[[float], float] = math.log10 if self.log else float
        bottom, top = place(self.low), place(self.high)
        return round((1 - (place(loss) - bottom) / max(top - bottom, 1e-9)) * (self.dots - 1))

    def labels(self, most: int) -> dict[int, str]:
        """Return the labels of at most `most` ticks, by their row of cells."""
        values, labels = (log_ticks if self.log else ticks)(self.low, self.high, most, 2)
        rows = (self.dot(value) for value in values)
        return {row // 4: label for row, label in zip(rows, labels, strict=True) if row is not None}


def _plot(curves: Sequence[LearningCurve], look: CurvesLook, width: int, height: int, palette: Palette) -> list[Strip]:
    across, down = width - LABELS - 1, height - 1
    if down < 3 or across < 12:
        return []
    left, right = look.span()
    drawn = [columns_of(list(curve.points), left, right, 2 * across) for curve in curves]
    scale = _scale(drawn, look, 4 * down)
    if scale is None:
        hint = Row(width, palette).skip(LABELS).put("No curve lies in this part of the budget.", "dim").strip()
        return [hint, *[Strip.blank(width, palette.base)] * (height - 1)]
    dots = Braille(across, down)
    inks = inks_of(curves, look, palette)
    order = sorted(range(len(curves)), key=lambda number: (number == look.chosen, not curves[number].is_incumbent))
    for number in order:
        ys = [None if loss is None else scale.dot(loss) for loss in drawn[number]]
        dots.draw(ys, inks[number], 3 if curves[number].is_incumbent else 1)
    cross = round((look.at - left) / (right - left) * (across - 1))
    letters = {
        row: (LETTERS[number], inks[number])
        for number in order  # a later one takes the row of an earlier one
        if (row := _crossing(curves[number], look, scale)) is not None
    }
    labels = scale.labels(max(2, height // 4))
    rows = [_plot_row(dots, y, labels.get(y), (cross, letters.get(y)), width, palette) for y in range(down)]
    return [*rows, _axis(left, right, across, width, palette)]


def _scale(drawn: Sequence[Sequence[float | None]], look: CurvesLook, dots: int) -> _Scale | None:
    """Return the axis that shows all losses; None without a loss."""
    losses = [loss for columns in drawn for loss in columns if loss is not None and (not look.log or loss > 0)]
    if not losses:
        return None
    left, _ = look.span()
    low, high = min(losses), _top(drawn, look, left)
    margin = 0.02 * (high - low) or 1e-3 * max(abs(low), 1e-3)
    return _Scale(low - (0 if look.log else margin), high + margin, look.log, dots)


def _crossing(curve: LearningCurve, look: CurvesLook, scale: _Scale) -> int | None:
    """Return the row of cells in which a curve meets the crosshair."""
    loss = curve.loss(look.at)
    dot = None if loss is None else scale.dot(loss)
    return None if dot is None else max(0, min(scale.dots // 4 - 1, dot // 4))


def _plot_row(
    dots: Braille, y: int, label: str | None, crosshair: tuple[int, tuple[str, Ink] | None], width: int,
    palette: Palette,
) -> Strip:  # fmt: skip
    """Draw one row of the plot. `crosshair` is its column, and the letter and ink of the curve that meets it here."""
    row = Row(width, palette).put(label or "", "faint", LABELS - 1, right=True)
    row.put("│" if label is None else "┤", "faint")
    cross, letter_here = crosshair
    for x in range(dots.dots_across // 2):
        letter, ink = dots.cell(x, y)
        if x == cross and letter_here is not None:
            row.put(*letter_here)
        elif x == cross and letter == " ":
            row.put("┊", "dim")
        else:
            row.put(letter, ink or "dim")
    return row.strip()


def _top(drawn: Sequence[Sequence[float | None]], look: CurvesLook, left: float) -> float:
    """Return the highest loss of a linear axis. The steep beginning of training is left out where it would dwarf the
    rest."""
    late = [loss for columns in drawn for loss in columns[len(columns) // STEEP :] if loss is not None]
    steep = left == 0 and not look.log and late
    return max(late if steep else [loss for columns in drawn for loss in columns if loss is not None])


def _axis(left: float, right: float, across: int, width: int, palette: Palette) -> Strip:
    row = Row(width, palette).skip(LABELS)
    values, labels = ticks(100 * left, 100 * right, max(2, across // 12), 0, "%")
    for value, label in zip(values, labels, strict=True):
        at = LABELS + round((value / 100 - left) / (right - left) * (across - 1))
        column = min(max(LABELS, at - len(label) // 2), width - len(label))
        if column > row.at or row.at == LABELS:
            row.to(column).put(label, "faint")
    return row.strip()


def _table(
    state: State, curves: Sequence[LearningCurve], look: CurvesLook, width: int, height: int, palette: Palette
) -> list[Strip]:
    """Return a row for each curve: its letter, its run, the loss at the crosshair, and its change if there is room.

    The incumbent's own row says so in the place of a difference.
    """
    inks = inks_of(curves, look, palette)
    twice, about = _repeated(curves), _changes(state, curves)
    rows = []
    for number, curve in list(enumerate(curves))[:height]:
        chosen = number == look.chosen
        row = Row(width, palette, palette.selection if chosen else None).skip(1)
        row.put(LETTERS[number], inks[number]).skip()
        row.put(curve.attempt if curve.experiment in twice else curve.experiment, "key" if chosen else "text", 9)
        row.put(_loss_words(curve, look.at), "text", 8)
        row.put(*_difference(curves, curve, look.at), 9).skip()
        words = curve.hardware if curve.experiment in twice else about[curve.experiment]
        row.put(plain(words) if row.left >= 8 else "", "dim")
        rows.append(row.strip())
    return rows


def _lines(
    curves: Sequence[LearningCurve], look: CurvesLook, each: int, lines: int, width: int, palette: Palette
) -> list[Strip]:
    inks, twice = inks_of(curves, look, palette), _repeated(curves)
    first = max(0, look.chosen // each - lines + 1) * each
    rows = []
    for line in range(lines):
        row = Row(width, palette).skip()
        for number in range(first + line * each, min(len(curves), first + (line + 1) * each)):
            curve = curves[number]
            row.put(LETTERS[number], inks[number]).skip()
            name = curve.attempt[len(curve.experiment) :] if curve.experiment in twice else curve.experiment
            row.put(name, "key" if number == look.chosen else "text", 6)
            row.put(_loss_words(curve, look.at), "text", 7).put(*_difference(curves, curve, look.at), 8)
        rows.append(row.strip())
    return rows


def _changes(state: State, curves: Sequence[LearningCurve]) -> dict[str, str]:
    """Return the change of each experiment in short words, without the parts that all but the incumbent have."""
    parts = {curve.experiment: change_parts(state.experiments[curve.experiment]) for curve in curves}
    others = [set(parts[curve.experiment]) for curve in curves if not curve.is_incumbent]
    common = set.intersection(*others) if len(others) > 1 else set()
    return {
        name: ", ".join(f"{short_name(what)} {bare(said)}" for what, said in mine if (what, said) not in common)
        for name, mine in parts.items()
    }


def _repeated(curves: Sequence[LearningCurve]) -> set[str]:
    """Return the experiments with several curves here."""
    names = [curve.experiment for curve in curves]
    return {name for name in names if names.count(name) > 1}


def _loss_words(curve: LearningCurve, at: float) -> str:
    loss = curve.loss(at)
    if loss is not None:
        return f"{loss:.4f}" if abs(loss) < 100 else f"{loss:.4g}" if abs(loss) < 1e5 else f"{loss:.0e}"
    last = curve.points[-1][0] if curve.points else 0.0
    return f"to {last:.0%}" if last < at else "–"


def _difference(curves: Sequence[LearningCurve], curve: LearningCurve, at: float) -> tuple[str, str]:
    """Return the difference in loss to the incumbent's at the crosshair, and its ink; dim where it is too early to
    tell."""
    if curve.is_incumbent:
        return "best", "dim"
    loss = curve.loss(at)
    against = next((other.loss(at) for other in curves if other.is_incumbent), None)
    if loss is None or against is None:
        return "", "dim"
    ink = "dim" if at < COMPARED_FROM else "good" if loss < against else "bad"
    return signed(loss - against, 4), ink
