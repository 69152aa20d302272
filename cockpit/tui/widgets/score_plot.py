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


def place_of(dot: ScoreDot, by_time: bool, began: float) -> float:
    return (dot.at - began) / 3600 if by_time else float(dot.number)


def span_of(dots: list[ScoreDot], by_time: bool) -> tuple[float, float]:
    if by_time:
        return min(dot.at for dot in dots), max(dot.at for dot in dots)
    return 0.0, float(max(dot.number for dot in dots))


def draw_scores(
    dots: ScoreDots, state: State, width: int, height: int, palette: Palette, axes: ScoreAxes, chosen: str,
    marked: frozenset[str],
) -> ScorePlot:  # fmt: skip
    """Draw the plot of values in `height` rows. The class that comparisons are made in has the line.

    The dots of other classes are drawn less their class's offset.
    """
    # Imported when first drawn: the first paint does without it.
    from textual_plotext.plot import Plot

    if height < 4 or width < 24:
        return ScorePlot()
    zoom, by_time = axes.zoom, axes.by_time
    began = state.session.created_at
    classes = dots.classes(state)
    main = classes[0]
    offsets = class_offsets(state, classes)
    everything = [
        msgspec.structs.replace(dot, score=dot.score - offsets[dot.hardware]) if offsets[dot.hardware] else dot
        for dot in dots.by_key.values()
        if dot.hardware in offsets
    ]
    steps = dots.steps(state, main)
    incumbent = steps[-1].score if steps else None
    sd = noise_of(state).run_sd if steps else 0.0
    right = max(place_of(dot, by_time, began) for dot in everything)
    alone = alone_steps(state, right) if by_time else []
    low, high = good_region([dot.score for dot in everything], zoom, incumbent, sd, alone[-1][1] if alone else None)
    metric = state.session.metric
    bottom, top = metric.interval(low, high)
    if axes.log:
        bottom = max(bottom, 0.9 * min(metric.value(dot.score) for dot in everything if not math.isnan(dot.score)))
    scale: Callable[[float], float] = math.log10 if axes.log else float

    def value(score: float) -> float:
        return scale(max(bottom, metric.value(score)) if axes.log else metric.value(score))

    plot: Any = Plot()
    plot._limit_size(False, False)  # else it fits the terminal that the process began in: a browser has none
    plot.plotsize(width, height)
    plot.theme("clear")
    plot.xaxes(True, False)
    plot.yaxes(True, False)
    plot.ylim(scale(bottom), scale(top))
    left = min(0.0, right) if not by_time else min(place_of(dot, by_time, began) for dot in everything)
    plot.xlim(left, right if right > left else left + 1)
    values, labels = (log_ticks if axes.log else ticks)(bottom, top, max(2, height // 4), _decimals(bottom, top))
    plot.yticks([scale(at) for at in values], labels)
    plot.xticks(*time_ticks(left, right, max(2, width // 16), by_time))
    _alone(plot, [(at, value(held)) for at, held in alone], right, (scale(bottom), scale(top)), palette)
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
    bad, faint, worse = code_of(palette["bad"]), code_of(palette["faint"]), worse_mark(state)
    _scatter(plot, value, edge[-2 * width :], CRASHED, bad, by_time, began, high)
    _scatter(plot, value, above[-2 * width :], worse, faint, by_time, began, high)
    names = set(kept_experiments(state))
    kept = [
        ScoreDot(step.experiment, main, step.at, step.number, step.score)
        for step in steps
        if step.experiment in names and low <= step.score <= high
    ]
    _scatter(plot, value, kept[-4 * width :], KEPT, code_of(palette["good"]), by_time, began)
    warn = code_of(palette["warn"])
    ringed = [dot for dot in everything if dot.experiment in marked and dot.experiment != chosen]
    _scatter(plot, value, ringed, MARKED, warn, by_time, began, high)
    _scatter(plot, value, [dot for dot in everything if dot.experiment == chosen], CURSOR, warn, by_time, began, high)
    lines = Text.from_ansi(plot.build()).split("\n", allow_blank=True)
    centre = None if incumbent is None else value(incumbent)
    sd_shown = abs(value(incumbent + sd) - value(incumbent)) if incumbent is not None else 0.0
    band = _band_rows(centre, sd_shown, scale(bottom), scale(top), height - 2)
    rows = [
        strip_of(line, width, palette, palette.noise if y in band else None) for y, line in enumerate(lines[:height])
    ]
    return ScorePlot(tuple(rows), _marks_in(lines))


def _marks_in(lines: Iterable[Text]) -> frozenset[str]:
    """Return the marks that can be seen in a plot; a line of braille dots is the best line."""
    letters = {letter for line in lines for letter in line.plain}
    return frozenset(letters | {BEST} if any(is_braille(letter) for letter in letters) else letters)


def worse_mark(state: State) -> str:
    """Return the mark of a dot beyond the worse edge."""
    return WORSE_DOWN if state.session.metric.is_higher_better else WORSE_UP


def _alone(
    plot: Any, steps: list[tuple[float, float]], right: float, shown: tuple[float, float], palette: Palette
) -> None:
    """Draw the line of one device where it is in range."""
    stairs = [*steps, (right, steps[-1][1])] if steps else []
    for (at, held), (until, _) in pairwise(stairs):
        if shown[0] <= held <= shown[1]:
            plot.plot([at, until], [held, held], marker=ALONE, color=code_of(palette["warn"]))


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
    plot.scatter([place_of(dot, by_time, began) for dot in dots], [value(y) for y in ys], marker=mark, color=ink)


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
            int((place_of(dot, by_time, began) - xs[0]) / across * (width - 1)),
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
