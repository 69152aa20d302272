"""The progress chart of a session: its dots, its best line and its axes, apart from how they are drawn.

A chart shows one hardware class, because scores of two classes are never compared.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec

from cockpit.core.metric import Metric
from cockpit.core.state import State
from cockpit.read.axis import ticks, time_ticks
from cockpit.read.changes import FROM, change_against
from cockpit.read.counterfactual import Best, best_so_far
from cockpit.read.kept_stack import measured_against
from cockpit.read.score_dots import ScoreDot, ScoreDots
from cockpit.read.scores import comparison_class, kept_experiments

SHOWN_SHARE = 0.75
"""The share of the scores, best first, that the axis spans, so that runs that diverged do not flatten the others."""
DOTS_AT_MOST = 3_000
"""Dots in all charts of a page together; kept ones do not count."""
LABEL_CHARACTERS = 30


class Dot(msgspec.Struct, frozen=True):
    """One experiment in one class: at the time it was kept, or else at the end of its first run there."""

    hours: float
    value: float | None
    """None if it crashed."""
    experiment: str
    kept: bool


class Step(msgspec.Struct, frozen=True):
    """A step of a best line."""

    hours: float
    value: float
    experiment: str


class Frame(msgspec.Struct, frozen=True):
    """A picture's size, its plot area and its text, in pixels."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    font: float
    ticks: int

    def x(self, share: float) -> float:
        return self.left + min(1.0, max(0.0, share)) * (self.width - self.left - self.right)

    def y(self, share: float) -> float:
        return self.top + min(1.0, max(0.0, share)) * (self.height - self.top - self.bottom)


WIDE = Frame(960, 420, 66, 60, 60, 50, 12, 6)
NARROW = Frame(400, 330, 52, 12, 24, 44, 11, 4)
"""The same chart for a phone, without labels on the kept changes."""


class Chart(msgspec.Struct, frozen=True):
    """The progress of one class, ready to draw, in values of the metric."""

    metric: Metric
    hardware: str
    hours: float
    low: float
    high: float
    dots: tuple[Dot, ...]
    best: tuple[Step, ...]
    one_gpu: tuple[Step, ...]
    """The best line of one GPU."""
    labels: dict[str, str]
    """The short change of each kept experiment."""

    def at(self, frame: Frame, hours: float, value: float) -> tuple[float, float]:
        """Return the place of a value in the frame. A value outside the axis lies on its edge."""
        return frame.x(hours / self.hours), frame.y((self.high - value) / (self.high - self.low))

    def value_ticks(self, frame: Frame) -> list[tuple[float, str]]:
        """Return the round values of the axis with their labels."""
        return list(zip(*ticks(self.low, self.high, frame.ticks, 3), strict=True))

    def hour_ticks(self, frame: Frame) -> list[tuple[float, str]]:
        """Return the round times of the axis, in hours, with their labels."""
        return list(zip(*time_ticks(0.0, self.hours, frame.ticks, True), strict=True))

    def steps(self, frame: Frame, line: Sequence[Step]) -> list[tuple[float, float]]:
        """Return the corners of a best line in the frame, up to the chart's right edge."""
        corners: list[tuple[float, float]] = []
        for step in line:
            if step.hours <= self.hours:
                x, y = self.at(frame, step.hours, step.value)
                corners += [(x, corners[-1][1]), (x, y)] if corners else [(x, y)]
        return [*corners, (frame.x(1.0), corners[-1][1])] if corners else []


def charts(state: State, one_gpu: Sequence[Best], hours: float) -> list[Chart]:
    """Return a chart for each class with a score. The class of comparisons comes first and has the one-GPU line."""
    scored = ScoreDots()
    scored.follow(state)
    kept = kept_experiments(state)
    labels = {name: _label(state, name) for name in kept}
    classes = scored.classes(state)
    found = []
    for hardware in classes:
        best = best_so_far(state, hardware)
        times = {step.experiment: step.hours for step in best if step.experiment in kept}
        dots = [dot for dot in scored.by_key.values() if dot.hardware == hardware]
        span = _span(dots, best)
        if span is None:
            continue
        metric = state.session.metric
        shown = _thinned([_dot(state, dot, times) for dot in dots], DOTS_AT_MOST // len(classes))
        one_gpu_line = _steps(metric, one_gpu) if hardware == comparison_class(state) else ()
        low, high = metric.interval(*span)
        found.append(
            Chart(
                metric, hardware, max(hours, 1e-3), low, high, tuple(shown), _steps(metric, best), one_gpu_line, labels
            )
        )
    return found


def _span(dots: Sequence[ScoreDot], best: Sequence[Best]) -> tuple[float, float] | None:
    """Return the lowest and highest score of the axis; None without a score."""
    scores = sorted(dot.score for dot in dots if not math.isnan(dot.score))
    if not scores:
        return None
    low, high = scores[0], max(scores[int(SHOWN_SHARE * (len(scores) - 1))], best[0].score if best else scores[0])
    margin = max((high - low) * 0.08, 1e-4)
    return low - margin, high + margin


def _steps(metric: Metric, line: Sequence[Best]) -> tuple[Step, ...]:
    return tuple(Step(best.hours, metric.value(best.score), best.experiment) for best in line)


def _dot(state: State, dot: ScoreDot, kept_at: Mapping[str, float]) -> Dot:
    """Return the dot at the end of the first run, or on the best line at the time it was kept."""
    hours = kept_at.get(dot.experiment, dot.hour)
    value = None if math.isnan(dot.score) else state.session.metric.value(dot.score)
    return Dot(hours, value, dot.experiment, dot.experiment in kept_at)


def _thinned(dots: list[Dot], most: int) -> list[Dot]:
    """Return at most `most` plain dots, spread evenly over the night, then all kept ones."""
    plain = [dot for dot in dots if not dot.kept]
    every = max(1, -(-len(plain) // most))
    return plain[::every] + [dot for dot in dots if dot.kept]


def _label(state: State, name: str) -> str:
    """Return the change of a kept experiment without the values before it, cut to LABEL_CHARACTERS."""
    parts = change_against(state, state.experiments[name], measured_against(state, name))
    change = ", ".join(f"{part} {after}" for part, _, after in parts if part != FROM)
    return change if len(change) <= LABEL_CHARACTERS else change[: LABEL_CHARACTERS - 1].rstrip(" ,") + "…"
