"""The story of a night: its phases, found from the kept changes and their times, in sentences with links.

The phases are the segments of the upper concave hull of the kept gain over time. Each phase gained less per hour than
the one before it, so the last one is where the night flattened.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from cockpit.core.model import Experiment, ExperimentStatus
from cockpit.core.running_time import running_s
from cockpit.core.state import WITHOUT, State
from cockpit.read.changes import CODE, FROM, change_against
from cockpit.read.kept_stack import measured_against
from cockpit.read.scores import kept_estimate, kept_experiments
from cockpit.read.wording import count, duration

PHASES_AT_MOST = 5
FACTORS_NAMED = 3
GAINED_NAMED = 2
KEEPS_NAMED = 6
FLAT_SHARE = 0.9
"""The share of the kept gain after which the night counts as flat."""
ABLATIONS = "ablations"

Point = tuple[float, float]
"""A time in seconds of the session's running time, and the gain kept by then."""


class Part(msgspec.Struct, frozen=True):
    """A piece of a sentence. `to` is the experiment or wave that it links to; empty for plain text."""

    text: str
    to: str = ""


Sentence = list[Part]


class Phase(msgspec.Struct, frozen=True):
    """A part of the night. Its ends are seconds of the session's running time."""

    began: float
    ended: float
    gain: float
    """The sum of the improvements of what was kept in it, as estimated; positive is better."""
    kept: tuple[str, ...]
    gained_by: tuple[str, ...]
    """The constants that the kept changes set, the largest gain first."""
    varied: tuple[tuple[str, int], ...]
    """The factors that its variants changed, the most frequent first, each with the number of variants."""
    variants: int
    crashed: int
    waves: tuple[str, ...]


def phases(state: State, now: float) -> list[Phase]:
    """Return the phases of the night up to `now`, in order; none before the first result."""
    if not state.incumbencies:
        return []
    keeps = _keeps(state)
    points = [(0.0, 0.0)]
    for at, _, gain in keeps:
        points.append((at, points[-1][1] + gain))
    edges = [*(at for at, _ in _simplified(_hull(points))), max(running_s(state, now), points[-1][0])]
    finished = _finished(state)
    found = [_phase(state, keeps, finished, start, end) for start, end in pairwise(edges) if end > start]
    return [phase for phase in found if phase.variants or phase.kept]


def story(state: State, now: float) -> list[Sentence]:
    """Return the story: a few sentences for each phase, and one on when it flattened."""
    found = phases(state, now)
    if not found:
        return []
    total = sum(phase.gain for phase in found)
    sentences = [_phase_sentence(phase, total, state.session.metric.name) for phase in found]
    flat = _flattening_sentence(state)
    return [*sentences, flat] if flat else sentences


def _keeps(state: State) -> list[tuple[float, str, float]]:
    """Return (time, experiment, improvement) of each keep, in order. A keep without an estimate counts as 0."""
    times = {one.experiment: running_s(state, one.at) for one in state.incumbencies}
    estimates = {name: kept_estimate(state, name) for name in kept_experiments(state)}
    return [(times[name], name, -one.mean if one else 0.0) for name, one in estimates.items()]


def _hull(points: Sequence[Point]) -> list[Point]:
    """Return the corners of the points' upper concave hull, from the first point to the highest."""
    top = max(range(len(points)), key=lambda i: (points[i][1], -i))
    corners: list[Point] = []
    for point in points[: top + 1]:
        while len(corners) > 1 and _turn(corners[-2], corners[-1], point) >= 0:
            corners.pop()
        corners.append(point)
    return corners


def _simplified(corners: list[Point]) -> list[Point]:
    """Remove the least important corner until at most PHASES_AT_MOST are left."""
    left = list(corners)
    while len(left) > PHASES_AT_MOST:
        least = min(range(1, len(left) - 1), key=lambda i: abs(_turn(left[i - 1], left[i], left[i + 1])))
        left.pop(least)
    return left


def _turn(a: Point, b: Point, c: Point) -> float:
    """Return twice the area of a triangle of points; negative where its second corner lies above the others' line."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])


def _finished(state: State) -> list[tuple[float, Experiment]]:
    """Return each variant with the time at which it was first measured, or crashed."""
    found = []
    for experiment in state.experiments.values():
        ends = [state.attempts[name].ended_at for name in experiment.attempts if state.attempts[name].ended_at]
        measured = experiment.scores or experiment.status is ExperimentStatus.CRASHED
        if experiment.id != state.baseline and ends and measured:
            found.append((running_s(state, min(ends)), experiment))
    return found


def _phase(
    state: State, keeps: list[tuple[float, str, float]], finished: list[tuple[float, Experiment]], start: float,
    end: float,
) -> Phase:  # fmt: skip
    inside = [experiment for at, experiment in finished if start < at <= end]
    mine = [(name, gain) for at, name, gain in keeps if start < at <= end]
    gains: dict[str, float] = {}
    for name, gain in mine:
        for changed, _, _ in change_against(state, state.experiments[name], measured_against(state, name)):
            if changed != FROM:
                gains[changed] = gains.get(changed, 0.0) + gain
    factors = Counter(factor for experiment in inside for factor in _factors(state, experiment))
    return Phase(
        began=start,
        ended=end,
        gain=sum(gain for _, gain in mine),
        kept=tuple(name for name, _ in mine),
        gained_by=tuple(sorted(gains, key=lambda name: -gains[name])),
        varied=tuple(factors.most_common()),
        variants=len(inside),
        crashed=sum(experiment.status is ExperimentStatus.CRASHED for experiment in inside),
        waves=tuple(dict.fromkeys(experiment.wave for experiment in inside)),
    )


def _factors(state: State, experiment: Experiment) -> list[str]:
    """Return the names of what an experiment varies: its wave's factors, its constants, `code` or `ablations`."""
    if WITHOUT in experiment.levels:
        return [ABLATIONS]
    wave = state.waves.get(experiment.wave)
    names = list(dict.fromkeys([*(wave.factors if wave else {}), *experiment.change.constants]))
    return [*names, CODE] if experiment.change.edits else names


def _phase_sentence(phase: Phase, total: float, metric: str) -> Sentence:
    span = f"{duration(phase.began)} to {duration(phase.ended)}: "
    tried = f"{count(phase.variants, 'variant')}" + (f" of {_factor_words(phase)}" if phase.varied else "")
    crashed = f", {phase.crashed} of which crashed" if phase.crashed else ""
    said = [Part(f"{span}{tried}{crashed}.")]
    if not phase.kept:
        return [*said, Part(" Nothing was kept.")]
    said.append(Part(f" {count(len(phase.kept), 'change')} kept ("))
    for number, name in enumerate(phase.kept[:KEEPS_NAMED]):
        said += [Part(", ")] if number else []
        said.append(Part(name, name))
    if len(phase.kept) > KEEPS_NAMED:
        said.append(Part(f" and {len(phase.kept) - KEEPS_NAMED} more"))
    share = f", {phase.gain / total:.0%} of the night's gain" if total > 0 and phase.gain > 0 else ""
    hours = (phase.ended - phase.began) / 3600
    if not phase.gain:
        return [*said, Part("), without an estimated gain.")]
    most = " mostly" if len(phase.gained_by) > GAINED_NAMED else ""
    by = f",{most} by {' and '.join(phase.gained_by[:GAINED_NAMED])}" if phase.gained_by else ""
    gain = f"{phase.gain:.4f} of {metric}{share}, {phase.gain / hours:.4f} an hour"
    said.append(Part(f"){by}: {'together ' if len(phase.kept) > 1 else ''}{gain}."))
    return said


def _factor_words(phase: Phase) -> str:
    """Return the factors that were varied most."""
    names = [name for name, _ in phase.varied]
    more = len(names) - FACTORS_NAMED
    return ", ".join(names[:FACTORS_NAMED]) + (f" and {count(more, 'other factor')}" if more > 0 else "")


def _flattening_sentence(state: State) -> Sentence:
    """Return the sentence on when most of the gain had been kept; empty without a gain."""
    keeps = [keep for keep in _keeps(state) if keep[2] > 0]
    total, so_far = sum(gain for _, _, gain in keeps), 0.0
    for at, name, gain in keeps:
        so_far += gain
        if so_far >= FLAT_SHARE * total:
            said = f"{FLAT_SHARE:.0%} of the kept gain was there after {duration(at)}, with "
            return [Part(said), Part(name, name), Part(".")]
    return []
