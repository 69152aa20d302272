"""Estimate the expected gain of the next hour, with its interval, from the keeps so far."""

from collections.abc import Sequence

import msgspec

LEVEL = 0.9


class GainPerHour(msgspec.Struct, frozen=True):
    """The expected gain of an hour, with its interval; larger is better."""

    mean: float
    low: float
    high: float


def gain_per_hour(gains: Sequence[float], hours: float, level: float = LEVEL) -> GainPerHour:
    """Return the expected gain of the next hour, from the gains of the keeps in the last `hours`.

    Keeps come at random at a constant rate and their gains vary as an exponential distribution does. The rate times the
    mean gain, over the sum of the gains per hour, is then a ratio of two gamma variables: an F distribution (Jeffreys'
    prior of the rate). One keep says little: its interval spans more than two orders of magnitude. Raises ValueError
    without a keep or without time.
    """
    from scipy.special import fdtri

    if not gains or not hours > 0:
        raise ValueError("A pace needs a keep and time.")
    count = len(gains)
    mean = sum(gains) / hours
    scale = mean * (count + 0.5) / count
    low, high = (float(fdtri(2 * count + 1, 2 * count, p)) for p in ((1 - level) / 2, (1 + level) / 2))
    return GainPerHour(mean, scale * low, scale * high)
