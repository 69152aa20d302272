"""The counterfactual of one GPU: the session's runs one after another, with the same decisions."""

from bisect import bisect_right
from itertools import accumulate
from statistics import median

import msgspec

from cockpit.core.running_time import running_h
from cockpit.core.state import State
from cockpit.read.costs import device_word
from cockpit.read.scores import best_steps, comparison_class


class Best(msgspec.Struct, frozen=True):
    """A step of the best-so-far line: an experiment, and the hours from the session's beginning until it was kept."""

    hours: float
    experiment: str
    score: float


class OneGpu(msgspec.Struct, frozen=True):
    runs: int
    hours: float
    """The hours of all runs one after another, with this session's median gap between two."""
    fleet_hours: float
    """The hours that the fleet took."""
    best: tuple[Best, ...]
    """The best-so-far line if each decision comes when one GPU has done the runs before it."""

    @property
    def within_fleet_hours(self) -> Best | None:
        """The best that one GPU would have kept within the fleet's hours."""
        return next((best for best in reversed(self.best) if best.hours <= self.fleet_hours), None)


def one_gpu_words(state: State) -> str:
    """Return the name of the one device of the counterfactual: `one slot of this machine`, `one GPU`."""
    return "one slot of this machine" if state.session.fleet.kind == "local" else f"one {device_word(state)}"


def best_so_far(state: State, hardware: str) -> list[Best]:
    """Return the incumbents in order, each with its mean score in the class, by the hours of the session."""
    return [Best(running_h(state, at), name, score.mean) for at, name, score in best_steps(state, hardware)]


def one_gpu(state: State) -> OneGpu | None:
    """Return the counterfactual; None before anything has run."""
    ran = sorted(
        (running_h(state, attempt.ended_at), attempt.ended_at - attempt.started_at)
        for attempt in state.attempts.values()
        if attempt.started_at and attempt.ended_at
    )
    if not ran:
        return None
    gap_s = median(state.gap_s) if state.gap_s else 0.0
    ends = [end for end, _ in ran]
    alone_s = list(accumulate(seconds + gap_s for _, seconds in ran))
    moved = []
    for best in best_so_far(state, comparison_class(state)):
        before = bisect_right(ends, best.hours)
        moved.append(Best(alone_s[before - 1] / 3600 if before else 0.0, best.experiment, best.score))
    return OneGpu(len(ran), alone_s[-1] / 3600, ends[-1], tuple(moved))
