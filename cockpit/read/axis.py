"""Round labels of a chart's axes."""

import math

LEAST_TICKS = 3
"""The fewest labels of an axis."""


def ticks(low: float, high: float, most: int, digits: int, unit: str = "") -> tuple[list[float], list[str]]:
    """Return round values inside the range with their labels.

    There are about `most` of them and at least LEAST_TICKS. Labels have `digits` decimals, or as many as tell them
    apart.
    """
    span = high - low
    if span <= 0:
        return [low], [f"{low:.{digits}f}{unit}"]
    raw = span / max(1, most)
    size = 10.0 ** math.floor(math.log10(raw))
    steps = [size * factor for factor in (10, 5, 2, 1, 0.5, 0.2)]
    first = max(index for index, step in enumerate(steps) if step >= raw)
    for step in steps[first:]:
        values = [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]
        if len(values) >= LEAST_TICKS:
            break
    digits = max(digits, -math.floor(math.log10(step) + 1e-9))
    return values, [f"{value:.{digits}f}{unit}" for value in values]


def log_ticks(low: float, high: float, most: int, digits: int) -> tuple[list[float], list[str]]:
    """Return round values of a logarithmic axis with their labels: 1, 2 and 5 times a power of ten, or powers only.

    A range that holds fewer than LEAST_TICKS of them has the ticks of a linear axis. `low` is above 0.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1,)):
        values = [factor * 10.0**power for power in powers for factor in factors if low <= factor * 10.0**power <= high]
        if len(values) <= 2 * most:
            break
    if len(values) < LEAST_TICKS:
        return ticks(low, high, most, digits)
    return values, [f"{value:g}" for value in values]


def time_ticks(left: float, right: float, most: int, by_time: bool) -> tuple[list[float], list[str]]:
    """Return the ticks of the horizontal axis: experiment numbers, or hours, minutes or seconds by the range."""
    if not by_time:
        return ticks(left, right, most, 0)
    span_s = 3600 * (right - left)
    per_hour, unit = (1, "h") if span_s >= 5400 else (60, "m") if span_s >= 180 else (3600, "s")
    values, labels = ticks(per_hour * left, per_hour * right, most, 0, unit)
    return [value / per_hour for value in values], labels
