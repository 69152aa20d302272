"""Robust statistics of a few numbers."""

from collections.abc import Sequence


def robust_sd(values: Sequence[float], centre: float) -> float:
    """Return 1.4826 times the median distance to the centre: the SD, for a normal distribution."""
    return 1.4826 * median([abs(value - centre) for value in values])


def median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def weighted_median(values: Sequence[float], weights: Sequence[float]) -> float:
    """Return the value with half of the weight on either side; the mean of two where the halves meet between them."""
    ordered = sorted(zip(values, weights, strict=True))
    half, below = sum(weights) / 2, 0.0
    for number, (value, weight) in enumerate(ordered):
        below += weight
        if below == half and number + 1 < len(ordered):
            return (value + ordered[number + 1][0]) / 2
        if below >= half:
            return value
    return ordered[-1][0]
