"""The plot of scores: a dot for each experiment and class, the incumbents' line, and the noise around it."""

import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import msgspec
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from cockpit.core.state import State
from cockpit.decide.evidence import noise_of
from cockpit.read.axis import log_ticks, ticks, time_ticks
from cockpit.read.score_dots import BestStep, ScoreDot, ScoreDots
from cockpit.read.scores import kept_experiments
from cockpit.tui.rows import Row
from cockpit.tui.theme import Palette
from cockpit.tui.views.chart import BAND_SDS, alone_steps, class_offsets, good_region
from cockpit.tui.widgets.braille import is_braille

MARKS = ("·", "▫", "⋄", "▵")
"""The mark of each hardware class, distinct without colour."""
WORSE_UP, WORSE_DOWN = "˄", "˅"
"""Dots beyond the shown values, on the worse edge: the upper one where lower is better."""
KEPT, BEST, ALONE, CRASHED, CURSOR, MARKED = "◆", "━", "╌", "×", "◎", "✓"


class ScoreAxes(msgspec.Struct, frozen=True):
    """The person's choice of axes."""

    zoom: int = 1
    """0 shows all scores; 1 the better three quarters; 2 the incumbent's surroundings."""
    by_time: bool = True
    log: bool = False


class ScorePlot(msgspec.Struct, frozen=True):
    rows: tuple[Strip, ...] = ()
    marks: frozenset[str] = frozenset()
    """The marks that are in the plot."""


LABELS = 7
"""Cells of the labels of the vertical axis."""


def place_of(dot: ScoreDot | BestStep, by_time: bool) -> float:
    return dot.hour if by_time else float(dot.number)


class _Shown(msgspec.Struct, frozen=True):
    """The dots of a plot and the ranges that its axes show, in scores."""

    dots: list[ScoreDot]
    """Every dot, less the offset of its class."""
    classes: list[str]
    """The hardware classes; comparisons are made in the first."""
    steps: list[BestStep]
    """The incumbents in turn."""
    alone: list[tuple[float, float]]
    """The steps of one device: (hours, score)."""
    low: float
    high: float
    sd: float
    """The standard deviation of one run."""


def draw_scores(
    dots: ScoreDots, state: State, width: int, height: int, palette: Palette, axes: ScoreAxes, chosen: str,
    marked: frozenset[str],
) -> ScorePlot:  # fmt: skip
    """Draw the plot of values in `height` rows. The class that comparisons are made in has the line.

    The dots of other classes are drawn less their class's offset.
    """
    if height < 4 or width < 24:
        return ScorePlot()
    shown = _shown(dots, state, axes)
    canvas = _Canvas(shown, state, width, height, palette, axes)
    canvas.draw_lines()
    canvas.draw_dots()
    kept = set(kept_experiments(state))
    canvas.draw_marks(kept, {dot.experiment for dot in shown.dots if dot.experiment in marked} - {chosen}, chosen)
    return canvas.plot()


def _shown(dots: ScoreDots, state: State, axes: ScoreAxes) -> _Shown:
    """Return what the plot shows."""
    classes = dots.classes(state)
    offsets = class_offsets(state, classes)
    everything = [
        msgspec.structs.replace(dot, score=dot.score - offsets[dot.hardware]) if offsets[dot.hardware] else dot
        for dot in dots.by_key.values()
        if dot.hardware in offsets
    ]
    steps = dots.steps(state, classes[0])
    sd = noise_of(state).run_sd if steps else 0.0
    right = max(place_of(dot, axes.by_time) for dot in everything)
    alone = alone_steps(state, right) if axes.by_time else []
    incumbent = steps[-1].score if steps else None
    scores = [dot.score for dot in everything]
    low, high = good_region(scores, axes.zoom, incumbent, sd, alone[-1][1] if alone else None)
    return _Shown(everything, classes, steps, alone, low, high, sd)


class _Canvas:
    """A plot of plotext that is drawn upon in scores and turned into rows."""

    def __init__(self, shown: _Shown, state: State, width: int, height: int, palette: Palette, axes: ScoreAxes) -> None:
        # Imported when first drawn: the first paint does without it.
        from textual_plotext.plot import Plot

        self.shown = shown
        self.metric = state.session.metric
        self._worse_mark = worse_mark(state)
        self.width, self.height = width, height
        self.palette = palette
        self.by_time = axes.by_time
        bottom, top = self.metric.interval(shown.low, shown.high)
        if axes.log:
            values = (self.metric.value(dot.score) for dot in shown.dots if not math.isnan(dot.score))
            bottom = max(bottom, 0.9 * min(values))
        self._bottom, self._is_log = bottom, axes.log
        self._scale: Callable[[float], float] = math.log10 if axes.log else float
        plot: Any = Plot()
        plot._limit_size(False, False)  # else it fits the terminal that the process began in: a browser has none
        plot.plotsize(width, height)
        plot.theme("clear")
        plot.xaxes(True, False)
        plot.yaxes(True, False)
        self._plot = plot
        self._set_ranges(bottom, top)

    def _set_ranges(self, bottom: float, top: float) -> None:
        """Set the axes' ranges and labels. `bottom` and `top` are values of the metric."""
        places = [place_of(dot, self.by_time) for dot in self.shown.dots]
        self.right = max(places)
        self.left = min(places) if self.by_time else min(0.0, self.right)
        measured = {self.metric.value(dot.score) for dot in self.shown.dots if not math.isnan(dot.score)}
        if len(measured) == 1 and not self._is_log:  # in the middle, since one value has no scale
            (value,), half = measured, (top - bottom) / 2
            bottom, top = value - half, value + half
        self.ends = self._scale(bottom), self._scale(top)
        self._plot.ylim(*self.ends)
        self._plot.xlim(self.left, self.right if self.right > self.left else self.left + 1)
        if len(measured) == 1:
            values, labels = [*measured], [f"{value:.{_decimals(value, value)}f}" for value in measured]
        else:
            ticks_of = log_ticks if self._is_log else ticks
            values, labels = ticks_of(bottom, top, max(2, self.height // 4), _decimals(bottom, top))
        self._plot.yticks([self._scale(at) for at in values], labels)
        if self.left < self.right:
            self._plot.xticks(*time_ticks(self.left, self.right, max(2, self.width // 16), self.by_time))
        else:
            self._plot.xticks([])

    def _height_of(self, score: float) -> float:
        """Return the place of a score on the vertical axis."""
        value = self.metric.value(score)
        return self._scale(max(self._bottom, value) if self._is_log else value)

    def draw_lines(self) -> None:
        """Draw the line of one device if it is in range, and the incumbents'; none over a single moment."""
        if self.left == self.right:
            return
        alone = [(at, self._height_of(held)) for at, held in self.shown.alone]
        stairs = [*alone, (self.right, alone[-1][1])] if alone else []
        for (at, held), (until, _) in pairwise(stairs):
            if self.ends[0] <= held <= self.ends[1]:
                self._plot.plot([at, until], [held, held], marker=ALONE, color=code_of(self.palette["warn"]))
        if self.shown.steps:
            xs, ys = _stairs(self.shown.steps, self.right, self.by_time)
            accent = code_of(self.palette["accent"])
            self._plot.plot(xs, [self._height_of(y) for y in ys], marker="braille", color=accent)

    def draw_dots(self) -> None:
        """Draw a dot for each experiment and class; crashes and worse ones at the worse edge."""
        shown = self.shown
        taken: set[tuple[int, int]] = set()
        for index, hardware in enumerate(shown.classes):
            ink = self.palette["dim"] if index == 0 else self.palette.hardware(index)
            inside = [dot for dot in shown.dots if dot.hardware == hardware and shown.low <= dot.score <= shown.high]
            self._scatter(self._thinned(inside, taken), MARKS[index % len(MARKS)], ink)
        crashed = [dot for dot in shown.dots if math.isnan(dot.score)]
        worse = [dot for dot in shown.dots if dot.score > shown.high]
        self._scatter(crashed[-2 * self.width :], CRASHED, self.palette["bad"])
        self._scatter(worse[-2 * self.width :], self._worse_mark, self.palette["faint"])

    def draw_marks(self, kept: set[str], marked: set[str], chosen: str) -> None:
        """Draw the marks of kept, of marked and of the chosen experiments over their dots."""
        shown = self.shown
        steps = [
            ScoreDot(step.experiment, shown.classes[0], step.hour, step.number, step.score)
            for step in shown.steps
            if step.experiment in kept and shown.low <= step.score <= shown.high
        ]
        self._scatter(steps[-4 * self.width :], KEPT, self.palette["good"])
        self._scatter([dot for dot in shown.dots if dot.experiment in marked], MARKED, self.palette["warn"])
        self._scatter([dot for dot in shown.dots if dot.experiment == chosen], CURSOR, self.palette["warn"])

    def plot(self) -> ScorePlot:
        """Return the rows, the noise around the incumbent in the palette's ground."""
        lines = Text.from_ansi(self._plot.build()).split("\n", allow_blank=True)
        band: set[int] = set()
        if self.shown.steps:
            incumbent = self.shown.steps[-1].score
            centre = self._height_of(incumbent)
            sd = abs(self._height_of(incumbent + self.shown.sd) - centre)
            band = _band_rows(centre, sd, *self.ends, self.height - 2)
        palette = self.palette
        rows = [
            strip_of(line, self.width, palette, palette.noise if y in band else None)
            for y, line in enumerate(lines[: self.height])
        ]
        return ScorePlot(tuple(rows), _marks_in(lines))

    def _scatter(self, dots: list[ScoreDot], mark: str, ink: Style) -> None:
        """Draw a mark for each dot; one beyond the shown scores, or without a score, is on the worse edge."""
        if not dots:
            return
        high = self.shown.high
        ys = [high if math.isnan(dot.score) or dot.score > high else dot.score for dot in dots]
        xs = [place_of(dot, self.by_time) for dot in dots]
        self._plot.scatter(xs, [self._height_of(y) for y in ys], marker=mark, color=code_of(ink))

    def _thinned(self, dots: list[ScoreDot], taken: set[tuple[int, int]]) -> list[ScoreDot]:
        """Keep one dot for each cell: others would be drawn over each other."""
        kept: list[ScoreDot] = []
        across = max(1e-9, self.right - self.left)
        down = max(1e-9, self.shown.high - self.shown.low)
        for dot in dots:
            cell = (
                int((place_of(dot, self.by_time) - self.left) / across * (self.width - 1)),
                int((dot.score - self.shown.low) / down * (self.height - 1)),
            )
            if cell not in taken:
                taken.add(cell)
                kept.append(dot)
        return kept


def _marks_in(lines: Iterable[Text]) -> frozenset[str]:
    """Return the marks that can be seen in a plot; a line of braille dots is the best line."""
    letters = {letter for line in lines for letter in line.plain}
    return frozenset(letters | {BEST} if any(is_braille(letter) for letter in letters) else letters)


def worse_mark(state: State) -> str:
    """Return the mark of a dot beyond the worse edge."""
    return WORSE_DOWN if state.session.metric.is_higher_better else WORSE_UP


def _stairs(steps: list[BestStep], right: float, by_time: bool) -> tuple[list[float], list[float]]:
    xs: list[float] = []
    ys: list[float] = []
    for step in steps:
        x = place_of(step, by_time)
        if ys:
            xs.append(x)
            ys.append(ys[-1])
        xs.append(x)
        ys.append(step.score)
    return [*xs, max(right, xs[-1])], [*ys, ys[-1]]


def _decimals(low: float, high: float) -> int:
    """Return the decimals of labels between two values; `ticks` adds more if labels would be equal."""
    size = max(abs(low), abs(high))
    return 3 if size < 100 else 1 if size < 10_000 else 0


def _band_rows(centre: float, sd: float, low: float, high: float, rows: int) -> set[int]:
    """Return the rows of the plot that lie within the noise around the incumbent."""
    if rows < 2:
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
