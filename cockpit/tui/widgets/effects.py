"""The effects of a wave as intervals around zero: a row for each effect, better to the left."""

from textual.strip import Strip

from cockpit.core.metric import Metric
from cockpit.tui.figures import difference_words, span_words
from cockpit.tui.plain import plain, width_of
from cockpit.tui.rows import Row
from cockpit.tui.theme import Palette
from cockpit.tui.views.effects import EffectsView, EffectView, reach

LABEL_MOST = 26
FIGURES = 27
"""Cells of `−0.0021 [−0.0040, −0.0002]` and the blank before it."""
AXIS_LEAST = 15


def draw_effects(view: EffectsView, top: int, width: int, height: int, palette: Palette) -> list[Strip]:
    """Draw the effects from number `top` on in `height` rows, under a head, over the terms not estimable."""
    if height < 2:
        return []
    label = min(LABEL_MOST, max((width_of(row.label) for row in view.rows), default=0) + 2)
    axis = width - label - FIGURES - 3
    rows = [_head(view.metric, label, axis, width, palette)] if view.rows else [_none(view, width, palette)]
    last = [_not_estimable(view, width, palette)] if view.not_estimable and height >= 4 else []
    far = reach(view.rows)
    shown = view.rows[top : top + height - 1 - len(last)]
    return rows + [_row(row, view.metric, label, axis, far, width, palette) for row in shown] + last


def _head(metric: Metric, label: int, axis: int, width: int, palette: Palette) -> Strip:
    row = Row(width, palette).skip(2).put("change", "dim", label).skip()
    row.put(f"Δ {plain(metric.name)}", "dim", FIGURES)
    if axis >= AXIS_LEAST:
        half = axis // 2
        row.put("better".rjust(half - 1), "dim").put(" 0 ", "dim").put("worse", "dim")
    return row.strip()


def _none(view: EffectsView, width: int, palette: Palette) -> Strip:
    return (
        Row(width, palette).put(f" {view.wave}: effects show once two levels of a factor are measured.", "dim").strip()
    )


def _not_estimable(view: EffectsView, width: int, palette: Palette) -> Strip:
    return Row(width, palette).put(f" not estimable from these cells: {', '.join(view.not_estimable)}", "dim").strip()


def _row(view: EffectView, metric: Metric, label: int, axis: int, far: float, width: int, palette: Palette) -> Strip:
    estimate = view.estimate
    ink = "dim" if not view.clear else "good" if estimate.mean < 0 else "bad"
    row = Row(width, palette).put("●" if view.clear else "○", ink).skip()
    row.put(view.label, "dim" if view.joint else "text", label).skip()
    row.put(difference_words(metric, estimate.mean), ink).skip()
    row.put(span_words(metric, estimate), "dim").to(2 + label + 1 + FIGURES)
    if axis >= AXIS_LEAST:
        _interval(row, view, axis, far, ink)
    return row.strip()


def _interval(row: Row, view: EffectView, axis: int, far: float, ink: str) -> None:
    """Draw `├──●──┤` on an axis of `axis` cells from −far to far. An end beyond it is an arrow."""
    half = axis // 2
    estimate = view.estimate

    def cell(x: float) -> int:
        return half + round(x / far * half)

    low, mean, high = cell(estimate.low), cell(estimate.mean), cell(estimate.high)
    for x in range(2 * half + 1):
        if x == mean:
            row.put("●" if view.clear else "○", ink)
        elif x == 0 and low < 0:
            row.put("◂", ink)
        elif x == 2 * half and high > 2 * half:
            row.put("▸", ink)
        elif x == low:
            row.put("├", ink)
        elif x == high:
            row.put("┤", ink)
        elif x == half:
            row.put("│", "faint")
        elif low < x < high:
            row.put("─", ink)
        else:
            row.skip()
