"""The chart: the score of every experiment, the incumbents' line and the noise around it. Drawn when a dot changes."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

from rich.style import Style
from rich.text import Text
from textual import events
from textual.strip import Strip

from cockpit.core.state import State
from cockpit.decide.evidence import noise_of
from cockpit.decide.schedule import expected_run_s
from cockpit.read.axis import ticks, time_ticks
from cockpit.read.score_dots import BestStep, ScoreDot, ScoreDots
from cockpit.read.scores import kept_experiments
from cockpit.read.waves import status_word
from cockpit.tui.figures import difference_words, duration, score_words
from cockpit.tui.plain import plain
from cockpit.tui.rows import Row, hint_rows
from cockpit.tui.theme import Palette
from cockpit.tui.views.chart import BAND_SDS, alone_steps, class_offsets, good_region
from cockpit.tui.views.effects import EffectsView, effects_view
from cockpit.tui.widgets.effects import draw_effects
from cockpit.tui.widgets.listing import Listing

MARKS = ("·", "▫", "⋄", "▵")
"""The mark of each hardware class, distinct without colour."""
WORSE_UP, WORSE_DOWN = "˄", "˅"
"""Dots beyond the shown values, on the worse edge: the upper one where lower is better."""
ZOOMS = ("all", "good region", "close")
MANY_DOTS = 5_000
"""With more dots than this, new ends are drawn every MANY_EVERY_S at most: a drawing would delay a key."""
MANY_EVERY_S = 5.0


EMPTY = "Each measured experiment is a dot here. None has been measured yet."


class Chart(Listing):
    NAME = "chart"
    KEY = "4"

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.dots = ScoreDots()
        self.zoomed = 1
        self.by_time = True
        self.effects = False
        self.wave = ""
        """The wave whose effects are shown, if it has any."""
        self.ready = True
        """The plotting library is loaded."""
        self._top = 0
        self._effects: EffectsView | None = None
        self._effects_for: tuple[object, ...] = ()
        self._cached: list[Strip] = []
        self._cached_for: tuple[object, ...] = ()
        self._drawn_at = 0.0

    def keys_of(self, state: State) -> list[str]:
        if self.dots.follow(state) or not self.keys:
            return list(dict.fromkeys(dot.experiment for dot in self.dots.by_key.values()))
        return self.keys

    def toggle(self, what: str) -> None:
        """Show the other view, or place experiments by the other axis."""
        if what == "view":
            self.effects = not self.effects
        else:
            self.by_time = not self.by_time
        self.paint()

    def zoom(self, steps: int) -> None:
        self.zoomed = max(0, min(len(ZOOMS) - 1, self.zoomed + steps))
        self.paint()

    def move(self, key: str) -> bool:
        if self.effects:
            steps = {"up": -1, "down": 1, "page_up": -8, "page_down": 8, "top": -10_000, "bottom": 10_000}
            self._top += steps.get(key, 0)
            self.paint()
            return key in steps
        return super().move({"left": "up", "right": "down"}.get(key, key))

    def rows(self, width: int, height: int) -> list[Strip]:
        state = self.state
        if state is None:
            return [self.titled(width)]
        if not self.dots.by_key or not self.ready:
            hints = (EMPTY, f"The baseline is the first: a run takes about {duration(expected_run_s(state))}.")
            return [self.titled(width), *hint_rows(width, self.palette, *(hints if self.ready else ("…",)))]
        if self.effects:
            return self._effect_rows(state, width, height)
        title = self.titled(width, self._note(state))
        room = height - 2
        chosen = self.selected if self.has_focus else ""
        wanted = (width, room, self.palette.name, self.zoomed, self.by_time, chosen, self.dots.version)
        if self._cached_for != wanted and not self._spared(wanted):
            self._cached = draw(self.dots, state, width, room, self.palette, self.zoomed, self.by_time, chosen)
            self._cached_for, self._drawn_at = wanted, time.monotonic()
        return [title, *self._cached, self._legend(state, width)]

    def _spared(self, wanted: tuple[object, ...]) -> bool:
        """Tell whether very many dots became more, and the last drawing is recent."""
        same = self._cached_for[:-1] == wanted[:-1]
        return same and len(self.dots.by_key) > MANY_DOTS and time.monotonic() - self._drawn_at < MANY_EVERY_S

    def _effect_rows(self, state: State, width: int, height: int) -> list[Strip]:
        wanted = (self.wave, self.dots.version)
        if self._effects_for != wanted:
            self._effects, self._effects_for = effects_view(state, self.wave), wanted
        view = self._effects
        if view is None:
            hint = "The effects of a wave's factors show here. No wave has factors yet."
            return [self.titled(width, "effects"), *hint_rows(width, self.palette, hint)]
        self._top = max(0, min(self._top, len(view.rows) - height + 3))
        level = f"  {view.rows[0].estimate.level:.0%} intervals" if view.rows else ""
        title = self.titled(width, f"effects of {view.wave}  {view.runs} runs{level}")
        return [title, *draw_effects(view, self._top, width, height - 1, self.palette)]

    def _note(self, state: State) -> str:
        known = state.experiments.get(self.selected) if self.has_focus else None
        if known is None:
            several = len(class_offsets(state, self.dots.classes(state))) > 1
            return ZOOMS[self.zoomed] + ("  class offsets taken out" if several else "")
        values = "  ".join(
            f"{score_words(state.session.metric, sum(v) / len(v))} {plain(name)}" for name, v in known.scores.items()
        )
        return f"{known.id}  {values or 'no score'}  {status_word(state, known)}"

    def _legend(self, state: State, width: int) -> Strip:
        """Return the row below the axis: the mark of each class with the offset taken out of it, and of the lines."""
        classes = self.dots.classes(state)
        offsets = class_offsets(state, classes)
        row = Row(width, self.palette).skip(LABELS)
        for index, name in enumerate(classes):
            ink = self.palette["dim"] if index == 0 else self.palette.hardware(index)
            offset = f" {difference_words(state.session.metric, -offsets[name])}" if offsets.get(name) else ""
            left_out = "" if name in offsets else " not shown: no offset measured yet"
            row.put(f"{MARKS[index % len(MARKS)]} ", ink).put(f"{plain(name) or 'runs'}{offset}{left_out}", "dim").skip(
                2
            )
        row.put("◆ ", "good").put("kept", "dim").skip(2).put("━ ", "accent").put("best", "dim").skip(2)
        if self.by_time:
            row.put("╌ ", "warn").put("one GPU", "dim").skip(2)
        return row.put("× ", "bad").put("crashed", "dim").strip()

    def on_click(self, event: events.Click) -> None:
        """Select the nearest dot along the axis."""
        dots = [dot for dot in self.dots.by_key.values() if not math.isnan(dot.score)]
        if not dots or self.effects or event.y < self.title_rows:
            return
        low, high = _span(dots, self.by_time)
        at = low + (event.x - LABELS) / max(1, self.size.width - LABELS - 1) * (high - low)
        nearest = min(dots, key=lambda dot: abs(_x(dot, self.by_time, low) - at + low * self.by_time))
        self.select_index(self.keys.index(nearest.experiment))


LABELS = 7
"""Cells of the labels of the vertical axis."""


def _x(dot: ScoreDot, by_time: bool, began: float) -> float:
    return (dot.at - began) / 3600 if by_time else float(dot.number)


def _span(dots: list[ScoreDot], by_time: bool) -> tuple[float, float]:
    if by_time:
        return min(dot.at for dot in dots), max(dot.at for dot in dots)
    return 0.0, float(max(dot.number for dot in dots))


def draw(
    dots: ScoreDots, state: State, width: int, height: int, palette: Palette, zoom: int, by_time: bool, chosen: str
) -> list[Strip]:
    """Draw the plot of values in `height` rows. The class that comparisons are made in has the line.

    The dots of other classes are drawn less their class's offset.
    """
    # Imported when first drawn: the first paint does without it.
    from textual_plotext.plot import Plot

    if height < 4 or width < 24:
        return []
    began = state.session.created_at
    classes = dots.classes(state)
    main = classes[0]
    offsets = class_offsets(state, classes)
    everything = [
        replace(dot, score=dot.score - offsets[dot.hardware]) if offsets[dot.hardware] else dot
        for dot in dots.by_key.values()
        if dot.hardware in offsets
    ]
    steps = dots.steps(state, main)
    incumbent = steps[-1].score if steps else None
    sd = noise_of(state).run_sd if steps else 0.0
    right = max(_x(dot, by_time, began) for dot in everything)
    alone = alone_steps(state, right) if by_time else []
    low, high = good_region([dot.score for dot in everything], zoom, incumbent, sd, alone[-1][1] if alone else None)
    value = state.session.metric.value
    bottom, top = state.session.metric.interval(low, high)
    plot: Any = Plot()
    plot._limit_size(False, False)  # else it fits the terminal that the process began in: a browser has none
    plot.plotsize(width, height)
    plot.theme("clear")
    plot.xaxes(True, False)
    plot.yaxes(True, False)
    plot.ylim(bottom, top)
    left = min(0.0, right) if not by_time else min(_x(dot, by_time, began) for dot in everything)
    plot.xlim(left, right if right > left else left + 1)
    plot.yticks(*ticks(bottom, top, max(2, height // 4), _decimals(bottom, top)))
    plot.xticks(*time_ticks(left, right, max(2, width // 16), by_time))
    _alone(plot, [(at, value(held)) for at, held in alone], right, (bottom, top), palette)
    if steps:
        xs, ys = _stairs(steps, right, began, by_time)
        plot.plot(xs, [value(y) for y in ys], marker="braille", color=code_of(palette["accent"]))
    cells: set[tuple[int, int]] = set()
    for index, hardware in enumerate(classes):
        ink = code_of(palette["dim"] if index == 0 else palette.hardware(index))
        inside = [dot for dot in everything if dot.hardware == hardware and low <= dot.score <= high]
        thinned = _decimate(inside, cells, width, height, (left, right), (low, high), by_time, began)
        _scatter(plot, value, thinned, MARKS[index % len(MARKS)], ink, by_time, began)
    edge = [dot for dot in everything if math.isnan(dot.score)]
    above = [dot for dot in everything if dot.score > high]
    _scatter(plot, value, edge[-2 * width :], "×", code_of(palette["bad"]), by_time, began, high)
    _scatter(
        plot,
        value,
        above[-2 * width :],
        WORSE_DOWN if state.session.metric.is_higher_better else WORSE_UP,
        code_of(palette["faint"]),
        by_time,
        began,
        high,
    )
    names = set(kept_experiments(state))
    kept = [
        ScoreDot(step.experiment, main, step.at, step.number, step.score)
        for step in steps
        if step.experiment in names and low <= step.score <= high
    ]
    _scatter(plot, value, kept[-4 * width :], "◆", code_of(palette["good"]), by_time, began)
    _scatter(
        plot,
        value,
        [dot for dot in everything if dot.experiment == chosen],
        "◎",
        code_of(palette["warn"]),
        by_time,
        began,
        high,
    )
    lines = Text.from_ansi(plot.build()).split("\n", allow_blank=True)
    band = _band_rows(None if incumbent is None else value(incumbent), sd, bottom, top, height - 2)
    return [
        strip_of(line, width, palette, palette.noise if y in band else None) for y, line in enumerate(lines[:height])
    ]


def _alone(
    plot: Any, steps: list[tuple[float, float]], right: float, shown: tuple[float, float], palette: Palette
) -> None:
    """Draw the one-GPU line where it is in range."""
    stairs = [*steps, (right, steps[-1][1])] if steps else []
    for (at, held), (until, _) in pairwise(stairs):
        if shown[0] <= held <= shown[1]:
            plot.plot([at, until], [held, held], marker="╌", color=code_of(palette["warn"]))


def _stairs(steps: list[BestStep], right: float, began: float, by_time: bool) -> tuple[list[float], list[float]]:
    xs: list[float] = []
    ys: list[float] = []
    for step in steps:
        x = (step.at - began) / 3600 if by_time else float(step.number)
        if ys:
            xs.append(x)
            ys.append(ys[-1])
        xs.append(x)
        ys.append(step.score)
    return [*xs, max(right, xs[-1])], [*ys, ys[-1]]


def _scatter(
    plot: Any, value: Callable[[float], float], dots: list[ScoreDot], mark: str, ink: Any, by_time: bool, began: float,
    edge: float | None = None,
) -> None:  # fmt: skip
    if not dots:
        return
    ys = [edge if edge is not None and (math.isnan(d.score) or d.score > edge) else d.score for d in dots]
    plot.scatter([_x(dot, by_time, began) for dot in dots], [value(y) for y in ys], marker=mark, color=ink)


def _decimals(low: float, high: float) -> int:
    """Return the decimals of the labels of values between two; `ticks` gives more where these do not tell."""
    size = max(abs(low), abs(high))
    return 3 if size < 100 else 1 if size < 10_000 else 0


def _decimate(
    dots: list[ScoreDot], taken: set[tuple[int, int]], width: int, height: int, xs: tuple[float, float],
    ys: tuple[float, float], by_time: bool, began: float,
) -> list[ScoreDot]:  # fmt: skip
    """Keep one dot for each cell: others would be drawn over each other."""
    kept: list[ScoreDot] = []
    across, down = max(1e-9, xs[1] - xs[0]), max(1e-9, ys[1] - ys[0])
    for dot in dots:
        cell = (
            int((_x(dot, by_time, began) - xs[0]) / across * (width - 1)),
            int((dot.score - ys[0]) / down * (height - 1)),
        )
        if cell not in taken:
            taken.add(cell)
            kept.append(dot)
    return kept


def _band_rows(centre: float | None, sd: float, low: float, high: float, rows: int) -> set[int]:
    """Return the rows of the plot that lie within the noise around the incumbent."""
    if centre is None or rows < 2:
        return set()
    step = (high - low) / (rows - 1)
    return {y for y in range(rows) if abs(high - y * step - centre) <= max(BAND_SDS * sd, step / 2)}


def code_of(style: Style) -> Any:
    """Return a colour as plotext takes it."""
    colour = style.color
    if colour is None or colour.is_default:
        return "default"
    if colour.triplet is not None:
        return tuple(colour.triplet)
    return colour.number if colour.number is not None else "default"


def strip_of(line: Text, width: int, palette: Palette, ground: Style | None) -> Strip:
    row = Row(width, palette, ground)
    at = 0
    spans = sorted(line.spans, key=lambda span: span.start)
    for span in spans:
        if span.start > at:
            row.put(line.plain[at : span.start], "faint")
        style = span.style if isinstance(span.style, Style) else Style.parse(span.style)
        if span.end > max(at, span.start):
            ink = (
                Style(color=style.color) if style.color is not None and not style.color.is_default else palette["faint"]
            )
            row.put(line.plain[max(at, span.start) : span.end], ink)
        at = max(at, span.end)
    row.put(line.plain[at:], "faint")
    return row.strip()
