"""Collect the training curves of several experiments, to compare them at one fraction of the budget."""

import math
from collections.abc import Iterable

import msgspec

from cockpit.core.curves import Point, loss_at, points_of
from cockpit.core.model import Attempt
from cockpit.core.state import State

CURVES_AT_MOST = 12
"""Most curves that can be told apart on one chart."""

ENDS_WITHIN = 0.01
"""The step of a crosshair that moves by percents."""


class LearningCurve(msgspec.Struct, frozen=True):
    attempt: str
    experiment: str
    hardware: str
    points: tuple[Point, ...]
    is_incumbent: bool

    @property
    def last_percent(self) -> float:
        """The last whole percent of the budget at which the curve has a loss, as a fraction."""
        last = self.points[-1][0]
        return 1.0 if 1 - last <= ENDS_WITHIN else math.floor(100 * last + 1e-6) / 100

    def loss(self, fraction: float) -> float | None:
        """Return the training loss at a fraction of the budget; None outside the curve.

        A curve that ends within ENDS_WITHIN before it is read at its end.
        """
        last = self.points[-1][0]
        return loss_at(self.points, last if 0 <= fraction - last <= ENDS_WITHIN else fraction)


def runs_with_curve(state: State, experiment: str) -> list[Attempt]:
    """Return the experiment's runs that have a curve, the newest first."""
    known = state.experiments.get(experiment)
    runs = [state.attempts[name] for name in reversed(known.attempts)] if known else []
    return [run for run in runs if len(run.curve) > 0]


def learning_curves(state: State, experiments: Iterable[str]) -> list[LearningCurve]:
    """Return the curve of the newest run of each experiment, after the incumbent's; of one experiment, of all its runs.

    There are at most CURVES_AT_MOST. Experiments that left no curve are left out.
    """
    reference = state.incumbent or state.baseline
    names = [name for name in dict.fromkeys(experiments) if name != reference]
    runs = runs_with_curve(state, reference)[:1]
    for name in names:
        runs += runs_with_curve(state, name)[: 1 if len(names) > 1 else CURVES_AT_MOST]
    return [
        LearningCurve(run.id, run.experiment, run.hardware, tuple(points_of(run.curve)), run.experiment == reference)
        for run in runs[:CURVES_AT_MOST]
    ]
