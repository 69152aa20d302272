"""The dots of a chart, updated as runs end: each experiment's mean score per class, and the best-so-far line."""

import math
from statistics import fmean

import msgspec

from cockpit.core.model import Outcome
from cockpit.core.running_time import running_h
from cockpit.core.state import State
from cockpit.read.ended_runs import Ended, every
from cockpit.read.scores import best_steps, comparison_class


class ScoreDot(msgspec.Struct):
    experiment: str
    hardware: str
    hour: float
    """The session's hour in which its first run in the class ended."""
    number: int
    """Its place in the order of those ends, from 0."""
    score: float
    """NaN where it crashed."""


class BestStep(msgspec.Struct, frozen=True):
    """The session's hour from which an experiment was the incumbent, and its mean score in the class."""

    hour: float
    number: int
    experiment: str
    score: float


class ScoreDots(msgspec.Struct):
    """All dots so far. `follow` reads only the runs that ended since its last call."""

    by_key: dict[tuple[str, str], ScoreDot] = msgspec.field(default_factory=dict)
    version: int = 0
    """Grows when anything here changes."""
    _ends: Ended = msgspec.field(default_factory=Ended)
    _incumbencies: int = 0
    _counts: dict[str, int] = msgspec.field(default_factory=dict)
    """Hardware class to its dots."""

    def follow(self, state: State) -> bool:
        """Take in what ended. Returns True if anything did."""
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
            known.score = fmean(scores)
        elif scores or (known is None and attempt.outcome in (Outcome.CRASH, Outcome.TIMEOUT)):
            score, hour = fmean(scores) if scores else math.nan, running_h(state, attempt.ended_at)
            self.by_key[key] = ScoreDot(experiment.id, attempt.hardware, hour, len(self.by_key), score)
            self._counts[attempt.hardware] = self._counts.get(attempt.hardware, 0) + 1

    def classes(self, state: State) -> list[str]:
        """Return the hardware classes: the one that comparisons are made in first, then by the number of dots."""
        first = comparison_class(state)
        return sorted(self._counts, key=lambda name: (name != first, -self._counts[name]))

    def steps(self, state: State, hardware: str) -> list[BestStep]:
        """Return the best-so-far line in a class, each step from when its experiment was the incumbent."""
        return [
            BestStep(max(running_h(state, at), dot.hour), dot.number, name, score.mean)
            for at, name, score in best_steps(state, hardware)
            if (dot := self.by_key.get((name, hardware))) is not None
        ]
