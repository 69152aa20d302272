"""val_bpb over time as an SVG: a dot an experiment and class, what was kept marked, the best-so-far line."""

import math
from collections.abc import Sequence
from html import escape

import msgspec

from cockpit.core.state import State
from cockpit.read.axis import ticks, time_ticks
from cockpit.read.counterfactual import Best
from cockpit.read.score_dots import ScoreDots
from cockpit.read.scores import kept_experiments

WIDTH, HEIGHT = 960, 380
LEFT, RIGHT, TOP, BOTTOM = 74, 16, 22, 48
LABEL_EVERY = 52.0
"""The least distance of two labels of kept changes, in pixels."""
DOTS_AT_MOST = 4_000
TICKS = 5

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Colours of hardware classes, the most used first, from Okabe and Ito's palette for the colour-blind."""
KEPT, CRASH, ALONE = "#000000", "#888888", "#777777"


class PlottedDot(msgspec.Struct, frozen=True):
    hours: float
    score: float | None
    """None where it crashed."""
    hardware: str
    experiment: str
    kept: bool


def dots(state: State, scored: ScoreDots) -> list[PlottedDot]:
    """Return one dot for each experiment in each class it ran in, at the end of its first run there."""
    began = state.session.created_at
    kept = set(kept_experiments(state))
    return [
        PlottedDot(
            (dot.at - began) / 3600,
            None if math.isnan(dot.score) else dot.score,
            dot.hardware,
            dot.experiment,
            dot.experiment in kept,
        )
        for dot in scored.by_key.values()
    ]


def svg(
    shown: Sequence[PlottedDot], best: Sequence[Best], alone: Sequence[Best], hours: float, classes: Sequence[str]
) -> str:
    """Return the chart. `hours` is its width; the score axis shows the better three quarters, so that crashes of
    learning rate do not flatten the rest; what lies above it sits on the edge.
    """
    scores = sorted(dot.score for dot in shown if dot.score is not None)
    if not scores:
        return ""
    high = max(scores[int(0.75 * (len(scores) - 1))], best[0].score if best else scores[0])
    low = scores[0]
    margin = max((high - low) * 0.08, 1e-4)
    axes = _Axes(max(hours, 1e-3), low - margin, high + margin)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="val_bpb over time"',
        ' xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12">',
    ]
    parts += axes.grid()
    parts += [_dot(dot, axes, COLOURS[classes.index(dot.hardware) % len(COLOURS)]) for dot in _thinned(shown)]
    parts.append(_steps(alone, axes, f'stroke="{ALONE}" stroke-dasharray="5 4"'))
    parts.append(_steps(best, axes, f'stroke="{KEPT}" stroke-width="1.6"'))
    parts += _labels(best, axes)
    parts.append("</svg>")
    return "".join(parts)


def legend(classes: Sequence[str]) -> list[tuple[str, str]]:
    """Return (hardware class, colour), in the order of the classes."""
    return [(name, COLOURS[i % len(COLOURS)]) for i, name in enumerate(classes)]


def _thinned(shown: Sequence[PlottedDot]) -> list[PlottedDot]:
    """Return at most DOTS_AT_MOST dots, spread evenly over the night; what was kept is always there, and on top."""
    plain = [dot for dot in shown if not dot.kept]
    every = max(1, -(-len(plain) // DOTS_AT_MOST))
    return plain[::every] + [dot for dot in shown if dot.kept]


class _Axes:
    def __init__(self, hours: float, low: float, high: float) -> None:
        self.hours, self.low, self.high = hours, low, high

    def x(self, hours: float) -> float:
        return LEFT + min(1.0, max(0.0, hours / self.hours)) * (WIDTH - LEFT - RIGHT)

    def y(self, score: float) -> float:
        share = (self.high - score) / (self.high - self.low)
        return TOP + min(1.0, max(0.0, share)) * (HEIGHT - TOP - BOTTOM)

    def grid(self) -> list[str]:
        parts = []
        for score, label in zip(*ticks(self.low, self.high, TICKS, 3), strict=True):
            y = self.y(score)
            parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd" fill="none"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
        for hours, label in zip(*time_ticks(0.0, self.hours, TICKS, True), strict=True):
            parts.append(f'<text x="{self.x(hours):.1f}" y="{HEIGHT - 24}" text-anchor="middle">{label}</text>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 6}" text-anchor="middle">time since the start</text>')
        parts.append(
            f'<text transform="translate(12 {HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle">val_bpb</text>'
        )
        return parts


def _dot(dot: PlottedDot, axes: _Axes, colour: str) -> str:
    title = f"<title>{escape(dot.experiment)} {escape(dot.hardware)} "
    x = axes.x(dot.hours)
    if dot.score is None:
        return f'<path d="M{x - 3:.1f} {TOP}l6 6m0 -6l-6 6" stroke="{CRASH}">{title}crashed</title></path>'
    size, look = (4.5, f'stroke="{KEPT}" stroke-width="1.5"') if dot.kept else (2.5, 'fill-opacity="0.55"')
    y = axes.y(dot.score)
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="{colour}" {look}>{title}{dot.score:.4f}</title></circle>'
    )


def _steps(line: Sequence[Best], axes: _Axes, look: str) -> str:
    inside = [best for best in line if best.hours <= axes.hours]
    if not inside:
        return ""
    path = f"M{axes.x(inside[0].hours):.1f} {axes.y(inside[0].score):.1f}"
    path += "".join(f"H{axes.x(best.hours):.1f}V{axes.y(best.score):.1f}" for best in inside[1:])
    return f'<path d="{path}H{axes.x(axes.hours):.1f}" fill="none" {look}/>'


def _labels(line: Sequence[Best], axes: _Axes) -> list[str]:
    """Return the names of the kept experiments at their steps of the line, as many as fit beside each other."""
    parts: list[str] = []
    last = -LABEL_EVERY
    for best in line:
        x = axes.x(best.hours)
        if best.hours <= axes.hours and x - last >= LABEL_EVERY:
            last = x
            y = axes.y(best.score) - 8
            parts.append(f'<text x="{min(x, WIDTH - RIGHT - 20):.1f}" y="{y:.1f}">{escape(best.experiment)}</text>')
    return parts
