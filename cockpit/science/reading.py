"""One run's score as evidence: what estimates and comparisons read."""

import math
from collections.abc import Sequence

import msgspec


class Reading(msgspec.Struct, frozen=True):
    """One valid run."""

    experiment: str
    cluster: str
    hardware: str
    score: float
    at: float = 0.0
    """When it ended, in seconds."""
    tokens_M: float = 0.0
    """Millions of tokens trained on; 0 if unknown."""
    seed: int | None = None
    """None if the code takes no seed."""
    may_end: bool = False
    """True for a run of a test that ends where its runs look bad. The ones that go on began well, so later runs look
    worse without a drift."""


def require_finite(readings: Sequence[Reading]) -> None:
    """Raise ValueError naming the first reading that is not a finite number."""
    for reading in readings:
        if not math.isfinite(reading.score):
            raise ValueError(
                f"{reading.experiment} on {reading.cluster} scored {reading.score}, which is not a number: "
                "count it as a crash, not as a result."
            )
