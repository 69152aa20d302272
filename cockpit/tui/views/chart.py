"""The dots of the chart, kept up as runs end: each is an experiment's mean score in one hardware class."""

import math
from dataclasses import dataclass, field
from statistics import fmean

from cockpit.core.model import Outcome
from cockpit.core.state import State
from cockpit.report.counterfactual import one_gpu
from cockpit.tui.views.ended import Ended, every

BAND_SDS = 2.0


@dataclass(slots=True)
class Dot:
    experiment: str
    hardware: str
    at: float
    """When its first run in the class ended."""
    number: int
    """Its place in the order of those ends, from 0."""
    val_bpb: float
    """NaN where it crashed."""


@dataclass(frozen=True)
class Step:
    """From when an experiment was the incumbent, and its mean score in the class."""

    at: float
    number: int
    experiment: str
    val_bpb: float


@dataclass
class Dots:
    """All dots so far. `follow` costs what ended since it was last called."""

    by_key: dict[tuple[str, str], Dot] = field(default_factory=dict)
    version: int = 0
    """Grows when anything here changes."""
    _ends: Ended = field(default_factory=Ended)
    _incumbencies: int = 0
    _counts: dict[str, int] = field(default_factory=dict)
    """Hardware class to its dots."""

    def follow(self, state: State) -> bool:
        """Take in what ended. Returns whether anything did."""
        fresh = self._ends.fresh(state)
        if fresh == [] and len(state.incumbencies) == self._incumbencies:
            return False
        if fresh is None:
            self.by_key.clear()
            self._counts.clear()
        for name in every(state) if fresh is None else fresh:
            self._add(state, name)
        self._incumbencies = len(state.incumbencies)
        self.version += 1
        return True

    def _add(self, state: State, name: str) -> None:
        attempt = state.attempts[name]
        experiment = state.experiments[attempt.experiment]
        key = (experiment.id, attempt.hardware)
        scores = experiment.scores.get(attempt.hardware)
        known = self.by_key.get(key)
        if scores and known is not None:
            known.val_bpb = fmean(scores)
        elif scores or (known is None and attempt.outcome in (Outcome.CRASH, Outcome.TIMEOUT)):
            score = fmean(scores) if scores else math.nan
            self.by_key[key] = Dot(experiment.id, attempt.hardware, attempt.ended_at, len(self.by_key), score)
            self._counts[attempt.hardware] = self._counts.get(attempt.hardware, 0) + 1

    def classes(self) -> list[str]:
        """Hardware classes, the one most is measured in first."""
        return sorted(self._counts, key=lambda name: -self._counts[name])

    def steps(self, state: State, hardware: str) -> list[Step]:
        """The best-so-far line: the baseline, then each incumbent from when it was made one, in this class alone."""
        line: list[Step] = []
        crowned = [(0.0, state.baseline)] + [(crown.at, crown.experiment) for crown in state.incumbencies]
        for at, name in crowned:
            dot = self.by_key.get((name, hardware))
            if dot is None or math.isnan(dot.val_bpb):
                continue
            if line and line[-1].experiment == name:
                continue
            line.append(Step(max(at, dot.at), dot.number, name, dot.val_bpb))
        return line


def alone_steps(state: State, until_h: float) -> list[tuple[float, float]]:
    """[(hours, val_bpb)]: what one GPU would have held as its best, had it run the same runs one after another."""
    alone = one_gpu(state)
    return [(best.hours, best.val_bpb) for best in alone.best if best.hours <= until_h] if alone else []


def good_region(
    values: list[float], zoom: int, incumbent: float | None, sd: float, alone: float | None = None
) -> tuple[float, float]:
    """(low, high) of the score axis. 0 shows all; 1 the better three quarters; 2 the incumbent's surroundings.

    What one GPU would hold by now (`alone`) is in sight in all but the last.
    """
    ordered = sorted(value for value in values if not math.isnan(value))
    if not ordered:
        return 0.0, 1.0
    low, high = ordered[0], ordered[-1]
    if zoom >= 1 and len(ordered) >= 8:
        high = ordered[int(0.75 * (len(ordered) - 1))]
    if incumbent is not None:
        high = max(high, incumbent + 3 * sd, alone if alone is not None else incumbent)
        if zoom >= 2:
            reach = max(6 * sd, incumbent - low, 0.001)
            low, high = incumbent - reach, incumbent + reach
    margin = max((high - low) * 0.06, 1e-4)
    return low - margin, high + margin
