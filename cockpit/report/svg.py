"""The progress chart as SVG, in the manner of autoresearch's: grey dots, kept ones green on the best line."""

from html import escape

from cockpit.report.chart import NARROW, WIDE, Chart, Dot, Frame

PLAIN, CRASH, KEPT, BEST, ALONE, GRID = "#a8adb3", "#b0532e", "#1a9850", "#1a9850", "#7a7a7a", "#e4e4e4"
LEAST_LABEL = 12
"""The fewest characters of a label that is cut at the edge."""
LABEL_APART = 1.15
"""The least distance of two labels' lines, in heights of their text."""
NORMAL = (0.5, 0.866)
"""The normal of a label's line, which rises by 30 degrees where the best line falls."""


def svg(chart: Chart, frame: Frame = WIDE) -> str:
    """Return the drawing. In a wide one, each dot has a title with its experiment and score."""
    wide = frame is not NARROW
    parts = [
        f'<svg class="{"wide" if wide else "narrow"}" viewBox="0 0 {frame.width:.0f} {frame.height:.0f}" role="img"',
        f' aria-label="{escape(chart.metric.name)} over time on {escape(chart.hardware)}" xmlns="http://www.w3.org/2000/svg"',
        f' font-family="system-ui, sans-serif" font-size="{frame.font:.0f}">',
    ]
    parts += _grid(chart, frame)
    plain = [dot for dot in chart.dots if not dot.kept]
    parts += [_titled(dot, chart, frame) for dot in plain] if wide else [_untitled(plain, chart, frame)]
    parts.append(_line(chart.steps(frame, chart.one_gpu), f'stroke="{ALONE}" stroke-dasharray="5 4"'))
    parts.append(_line(chart.steps(frame, chart.best), f'stroke="{BEST}" stroke-width="2"'))
    parts += [_titled(dot, chart, frame) for dot in chart.dots if dot.kept]
    parts += _labels(chart, frame) if wide else []
    parts.append("</svg>")
    return "".join(parts)


def _grid(chart: Chart, frame: Frame) -> list[str]:
    parts = []
    left, right, base = frame.left, frame.width - frame.right, frame.height - frame.bottom
    for value, label in chart.value_ticks(frame):
        y = chart.at(frame, 0.0, value)[1]
        parts.append(f'<path d="M{left:.0f} {y:.1f}H{right:.0f}" stroke="{GRID}" fill="none"/>')
        parts.append(f'<text x="{left - 6:.0f}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for hours, label in chart.hour_ticks(frame):
        x = frame.x(hours / chart.hours)
        parts.append(f'<path d="M{x:.1f} {base:.0f}v4" stroke="#888" fill="none"/>')
        parts.append(f'<text x="{x:.1f}" y="{base + 18:.0f}" text-anchor="middle">{label}</text>')
    parts.append(f'<path d="M{left:.0f} {base:.0f}H{right:.0f}" stroke="#888" fill="none"/>')
    middle = (left + right) / 2
    parts.append(f'<text x="{middle:.0f}" y="{frame.height - 6:.0f}" text-anchor="middle">time since the start</text>')
    at = f"translate(11 {(frame.top + base) / 2:.0f}) rotate(-90)"
    parts.append(f'<text transform="{at}" text-anchor="middle">{escape(chart.metric.name)}</text>')
    return parts


def _titled(dot: Dot, chart: Chart, frame: Frame) -> str:
    title = f"<title>{escape(dot.experiment)} {escape(chart.hardware)} "
    if dot.value is None:
        x = frame.x(dot.hours / chart.hours)
        return f'<path d="{_cross(x, frame)}" stroke="{CRASH}">{title}crashed</title></path>'
    x, y = chart.at(frame, dot.hours, dot.value)
    look = f'r="5" fill="{KEPT}" stroke="#000"' if dot.kept else f'r="2.5" fill="{PLAIN}"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" {look}>{title}{dot.value:.4f}</title></circle>'


def _untitled(dots: list[Dot], chart: Chart, frame: Frame) -> str:
    """Return all dots as two paths, which take a tenth of the bytes."""
    places = [chart.at(frame, dot.hours, dot.value) for dot in dots if dot.value is not None]
    scored = "".join(f"M{x:.0f} {y:.0f}h0" for x, y in places)
    crashed = "".join(_cross(frame.x(dot.hours / chart.hours), frame) for dot in dots if dot.value is None)
    return (
        f'<path d="{scored}" stroke="{PLAIN}" stroke-width="3.4" stroke-linecap="round"/>'
        f'<path d="{crashed}" stroke="{CRASH}"/>'
    )


def _cross(x: float, frame: Frame) -> str:
    return f"M{x - 2.5:.1f} {frame.top - 10:.0f}l5 5m0 -5l-5 5"


def _line(corners: list[tuple[float, float]], look: str) -> str:
    if not corners:
        return ""
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in corners)
    return f'<path d="M{path}" fill="none" {look}/>'


def _labels(chart: Chart, frame: Frame) -> list[str]:
    """Label the kept changes at their steps, sloping away from the line. A label that would overlap is left out.

    A label that would leave the picture is cut. If too little of it would remain, it ends at its step instead.
    """
    parts: list[str] = []
    placed: list[float] = []
    up = -1 if chart.metric.is_higher_better else 1
    for step in chart.best:
        label = chart.labels.get(step.experiment)
        if label is None or step.hours > chart.hours:
            continue
        x, y = chart.at(frame, step.hours, step.value)
        along = NORMAL[0] * x + up * NORMAL[1] * y
        if placed and abs(along - placed[-1]) < LABEL_APART * frame.font:
            continue
        placed.append(along)
        room = int((frame.width - x) / (frame.font * 0.5))
        label = label if len(label) < room or room < LEAST_LABEL else label[: room - 2].rstrip(" ,") + "…"
        fits = len(label) < room
        turn, anchor = (-30 * up, "start") if fits else (30 * up, "end")
        at = f"translate({x + (4 if fits else -4):.1f} {y - 7 * up + (8 if up < 0 else 0):.1f}) rotate({turn})"
        parts.append(f'<text class="label" transform="{at}" text-anchor="{anchor}">{escape(label)}</text>')
    return parts
