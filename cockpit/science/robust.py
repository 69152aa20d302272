"""Robust statistics of a few numbers."""

from collections.abc import Sequence


def robust_sd(values: Sequence[float], centre: float) -> float:
    """Return 1.4826 times the median distance to the centre: the SD, for a normal distribution."""
    return 1.4826 * median([abs(value - centre) for value in values])


def median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
