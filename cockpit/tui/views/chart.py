"""The dots of the chart, kept up as runs end: each is an experiment's mean score in one hardware class."""

import math

from cockpit.core.state import State
from cockpit.decide.evidence import noise_of
from cockpit.read.counterfactual import one_gpu

BAND_SDS = 2.0


def alone_steps(state: State, until_h: float) -> list[tuple[float, float]]:
    """Return [(hours, score)]: the best of one GPU that runs the same runs one after another."""
    alone = one_gpu(state)
    return [(best.hours, best.score) for best in alone.best if best.hours <= until_h] if alone else []


def class_offsets(state: State, classes: list[str]) -> dict[str, float]:
    """Return each class's measured offset in score to the first class.

    A class without a measured offset is left out: its scores cannot be compared on the same axis.
    """
    noise = noise_of(state)
    to_reference = {noise.reference: 0.0, **{name: offset.mean for name, offset in noise.classes.items()}}
    first = to_reference.get(classes[0]) if classes else None
    known = {name: to_reference[name] - first for name in classes if name in to_reference} if first is not None else {}
    return {classes[0]: 0.0, **known} if classes else {}


def good_region(
    values: list[float], zoom: int, incumbent: float | None, sd: float, alone: float | None = None
) -> tuple[float, float]:
    """Return (low, high) of the score axis. 0 shows all; 1 the better three quarters; 2 the incumbent's surroundings.

    All but the last include the best of one GPU by now (`alone`).
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
            reach = max(6 * sd, incumbent - low, 0.001 * abs(incumbent))
            low, high = incumbent - reach, incumbent + reach
    margin = max((high - low) * 0.06, 1e-4 * max(abs(low), abs(high))) or 1e-4
    return low - margin, high + margin
