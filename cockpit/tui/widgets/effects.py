"""The effects of a wave: a bar with its interval for each level, better to the left; a heat map for two factors."""

from textual.strip import Strip

from cockpit.core.metric import Metric
from cockpit.core.state import State
from cockpit.tui.figures import difference_words, signed, span_words
from cockpit.tui.plain import plain, width_of
from cockpit.tui.rows import Row, hint_rows, title_row
from cockpit.tui.theme import Palette
from cockpit.tui.views.effects import EffectsView, EffectView, InteractionMap, effects_view, reach
from cockpit.tui.widgets.pane import Pane

LABEL_MOST = 40
FIGURES = 27
"""Cells of `−0.0021 [−0.0040, −0.0002]` and the blank before it."""
AXIS_LEAST = 15
HEATS = ("  ", "░░", "▒▒", "▓▓", "██")
"""The heat of a cell, from no interaction to the strongest of the wave."""
CELL = 20
"""Cells of `▓▓ −0.0021 ±0.0019` and the blanks behind it."""
NOT_ENOUGH = "not enough runs to tell"


class WaveEffects(Pane, can_focus=True):
    """The effects of one wave. It scrolls."""

    NAME = "effects"

    def __init__(self, wave: str) -> None:
        super().__init__()
        self.wave = wave
        self.state: State | None = None
        self._top = 0
        self._view: EffectsView | None = None
        self._read_at: tuple[object, ...] = ()

    def tell(self, state: State) -> None:
        """Read the effects again when a run has ended."""
        self.state = state
        at = (sum(state.outcome_counts.values()), state.incumbent)
        if at != self._read_at:
            self._view, self._read_at = effects_view(state, self.wave), at
        self.paint()

    def rows(self, width: int, height: int) -> list[Strip]:
        view = self._view
        if view is None:
            return [title_row(width, self.palette, self.NAME, "", self.has_focus)]
        body = effect_rows(view, width, self.palette)
        self._top = max(0, min(self._top, len(body) - height + 2))
        title = title_row(width, self.palette, self.NAME, effects_note(view), self.has_focus)
        return [title, *draw_effects(view, body, self._top, width, height - 1, self.palette)]

    def move(self, key: str) -> bool:
        steps = {"up": -1, "down": 1, "page_up": -8, "page_down": 8, "top": -10_000, "bottom": 10_000}
        self._top += steps.get(key, 0)
        self.paint()
        return key in steps


def effects_note(view: EffectsView) -> str:
    level = f"  {view.rows[0].estimate.level:.0%} intervals" if view.rows else ""
    return f"{view.runs} runs{level}"


def draw_effects(
    view: EffectsView, body: list[Strip], top: int, width: int, height: int, palette: Palette
) -> list[Strip]:
    """Draw in `height` rows a head, `body` from row `top` on, and the terms that cannot be estimated."""
    if height < 2:
        return []
    label, axis = _widths(view, width)
    head = [_head(view.metric, label, axis, width, palette)] if view.rows else _none(view, width, palette)
    last = _not_estimable(view, width, palette) if view.not_estimable and view.rows and height >= 4 else []
    return head + body[top : top + height - len(head) - len(last)] + last


def effect_rows(view: EffectsView, width: int, palette: Palette) -> list[Strip]:
    """Return a row for each main effect, then the interactions: as maps if they fit, else a row for each."""
    label, axis = _widths(view, width)
    far = reach(view.rows)
    listed = list(view.main)
    strongest = max((abs(effect.estimate.mean) for effect in view.joint), default=0.0)
    drawn: list[Strip] = []
    for map_ in view.maps:
        wide = max(width_of(row.within(label)) for row in map_.rows) + 3
        if wide + CELL * len(map_.columns) <= width:
            drawn += _map_rows(map_, view.metric, strongest, wide, width, palette)
        else:
            listed += [effect for cells in map_.cells for effect in cells]
    return [_row(row, view.metric, label, axis, far, width, palette) for row in listed] + drawn


def _widths(view: EffectsView, width: int) -> tuple[int, int]:
    """Return the cells of the labels and of the axis. The labels are short where the axis would have no room."""
    room = min(LABEL_MOST, width - FIGURES - 3 - AXIS_LEAST)
    label = max((width_of(row.label.within(room)) for row in view.rows), default=0) + 2
    label = min(label, LABEL_MOST)
    return label, width - label - FIGURES - 3


def _head(metric: Metric, label: int, axis: int, width: int, palette: Palette) -> Strip:
    row = Row(width, palette).skip(2).put("change", "dim", label).skip()
    row.put(f"Δ {plain(metric.name)}", "dim", FIGURES)
    if axis >= AXIS_LEAST:
        half = axis // 2
        row.put("better".rjust(half - 1), "dim").put(" 0 ", "dim").put("worse", "dim")
    return row.strip()


def _none(view: EffectsView, width: int, palette: Palette) -> list[Strip]:
    return hint_rows(
        width, palette, f"{view.wave}: {NOT_ENOUGH}. Effects show once two levels of a factor are measured."
    )


def _not_estimable(view: EffectsView, width: int, palette: Palette) -> list[Strip]:
    terms = [term.within(width // 3) for term in view.not_estimable]
    return [Row(width, palette).put(f" {NOT_ENOUGH}: {', '.join(terms)}", "dim").strip()]


def _row(view: EffectView, metric: Metric, label: int, axis: int, far: float, width: int, palette: Palette) -> Strip:
    estimate = view.estimate
    ink = _ink(view)
    row = Row(width, palette).put("●" if view.clear else "○", ink).skip()
    row.put(view.label.within(label - 1), "dim" if view.joint else "text", label).skip()
    row.put(difference_words(metric, estimate.mean), ink).skip()
    row.put(span_words(metric, estimate), "dim").to(2 + label + 1 + FIGURES)
    if axis >= AXIS_LEAST:
        _interval(row, view, axis, far, ink)
    return row.strip()


def _ink(view: EffectView) -> str:
    return "dim" if not view.clear else "good" if view.estimate.mean < 0 else "bad"


def _interval(row: Row, view: EffectView, axis: int, far: float, ink: str) -> None:
    """Draw a bar `━━` from 0 to the mean and its interval `├──┤` on an axis from −far to far. An end beyond it is an
    arrow."""
    half = axis // 2
    estimate = view.estimate

    def cell(x: float) -> int:
        return half + round(x / far * half)

    low, mean, high = cell(estimate.low), cell(estimate.mean), cell(estimate.high)
    drawn = dict.fromkeys(range(low + 1, high), ("─", ink))
    drawn |= {x: ("━", ink) for x in range(min(half, mean), max(half, mean) + 1) if x != half}
    drawn |= {half: ("│", "faint"), low: ("├", ink), high: ("┤", ink)}
    drawn |= {0: ("◂", ink)} if low < 0 else {}
    drawn |= {2 * half: ("▸", ink)} if high > 2 * half else {}
    drawn[mean] = ("●" if view.clear else "○", ink)
    for x in range(2 * half + 1):
        if x in drawn:
            row.put(*drawn[x])
        else:
            row.skip()


def _map_rows(
    map_: InteractionMap, metric: Metric, strongest: float, wide: int, width: int, palette: Palette
) -> list[Strip]:
    """Draw an interaction: the joint effect of both levels less the sum of their own, a heat and an interval each."""
    title = Row(width, palette).put("─ ", "track").put(map_.title.within(width - 40), "title").skip(2)
    title.put(f"together, beyond the sum; against {map_.against.within(title.left - 33)}", "dim").skip()
    head = Row(width, palette).skip(wide)
    for column in map_.columns:
        head.put(column.within(CELL - 1), "dim", CELL)
    rows = [title.strip(), head.strip()]
    for label, cells in zip(map_.rows, map_.cells, strict=True):
        row = Row(width, palette).skip(2).put(label.within(wide - 3), "text", wide - 2)
        for effect in cells:
            _cell(row, effect, metric, strongest)
        rows.append(row.strip())
    return rows


def _cell(row: Row, effect: EffectView, metric: Metric, strongest: float) -> None:
    estimate = effect.estimate
    ink = _ink(effect)
    share = abs(estimate.mean) / strongest if strongest else 0.0
    half = signed((estimate.high - estimate.low) / 2).removeprefix("+")
    row.put(HEATS[round(share * (len(HEATS) - 1))], ink).skip()
    row.put(difference_words(metric, estimate.mean), ink).put(f" ±{half}", "dim", CELL - 10)
