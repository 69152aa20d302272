"""The runs of a night by cluster, as an SVG with the time axis of the progress chart."""

from html import escape

import msgspec

from cockpit.core.model import Attempt, Outcome
from cockpit.core.running_time import running_h
from cockpit.core.state import State
from cockpit.report.chart import Chart, Frame

CLUSTERS_AT_MOST = 64
LANE, GAP = 9, 3
RUN, FAILED, ENDED = "#7ba3c9", "#b0532e", "#cfd3d7"
_FAILURES = (Outcome.CRASH, Outcome.TIMEOUT, Outcome.MISMATCH, Outcome.LOST)


class Lanes(msgspec.Struct, frozen=True):
    svg: str
    height: float
    left_out: int
    """Clusters without a lane."""


def lanes(state: State, chart: Chart, frame: Frame, now: float) -> Lanes:
    """Return a lane for each cluster, with a bar for each run: valid, failed, or ended without a result."""
    names = list(state.clusters)[:CLUSTERS_AT_MOST]
    height = len(names) * (LANE + GAP) + 6
    paths: dict[str, list[str]] = {RUN: [], FAILED: [], ENDED: []}
    place = {name: (LANE + GAP) * number + 6 for number, name in enumerate(names)}
    for attempt in state.attempts.values():
        if attempt.started_at and attempt.cluster in place:
            began, ended = (running_h(state, at) for at in (attempt.started_at, attempt.ended_at or now))
            x, right = frame.x(began / chart.hours), frame.x(ended / chart.hours)
            paths[_colour(attempt)].append(f"M{x:.1f} {place[attempt.cluster]}h{max(0.6, right - x - 0.8):.1f}")
    parts = [
        f'<svg class="lanes" viewBox="0 0 {frame.width:.0f} {height}" role="img" aria-label="runs by cluster"',
        ' xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif" font-size="8">',
    ]
    parts += [f'<path d="{"".join(path)}" stroke="{colour}" stroke-width="{LANE}"/>' for colour, path in paths.items()]
    parts.append(f'<rect class="curtain" y="0" height="{height}" width="0" x="{frame.x(1.0):.1f}" fill="#fff"/>')
    parts += [
        f'<text x="{frame.left - 6:.0f}" y="{place[name] + 3}" text-anchor="end">{escape(_shown(name))}</text>'
        for name in names
    ]
    parts.append("</svg>")
    return Lanes("".join(parts), height, len(state.clusters) - len(names))


def _colour(attempt: Attempt) -> str:
    if attempt.outcome in _FAILURES:
        return FAILED
    return RUN if attempt.outcome in (Outcome.VALID, None) else ENDED


def _shown(name: str) -> str:
    return "".join(character if character.isprintable() else " " for character in name)[:10]
