"""Check the calibration of intervals on real repeats, in sessions that were held out from the fit."""

from collections.abc import Sequence

import numpy as np

from benchmarks.search_surface import Trial, repeats
from cockpit.science.compare import compare
from cockpit.science.noise import Noise, estimate_noise
from cockpit.science.reading import Reading

SHOWN = 2
"""Runs that the interval is made from; the truth is the mean of the others of that configuration in its session."""
ENOUGH = 5


def _readings(group: Sequence[float], name: str) -> list[Reading]:
    return [Reading(name, "one", "H200", score) for score in group]


def held_out_coverage(trials: Sequence[Trial], seed: int = 0) -> tuple[int, int]:
    """Return (covered, all): 90% intervals for the difference of two configurations of one held-out session.

    The noise is estimated from the repeats of the other sessions of all methods. The interval from SHOWN runs of each
    is for the difference of their means; it is widened by what is unknown of the truth, the mean of the other runs.
    """
    rng = np.random.default_rng(seed)
    groups = {session: [g for g in found if len(g) >= ENOUGH] for session, found in repeats(trials).items()}
    covered = total = 0
    for session, found in groups.items():
        if len(found) < 2:
            continue
        others = [
            reading
            for other, its in groups.items()
            if other != session
            for number, group in enumerate(its)
            for reading in _readings(group, f"{other} {number}")
        ]
        noise = estimate_noise(others)
        for one, two in zip(found[::2], found[1::2], strict=False):
            total += 1
            covered += _covers(one, two, noise, rng)
    return covered, total


def _covers(one: Sequence[float], two: Sequence[float], noise: Noise, rng: np.random.Generator) -> bool:
    shown, rest = [], []
    for group in (one, two):
        order = rng.permutation(len(group))
        shown.append([group[i] for i in order[:SHOWN]])
        rest.append([group[i] for i in order[SHOWN:]])
    seen = compare(_readings(shown[0], "one"), _readings(shown[1], "two"), noise)
    assert seen is not None
    truth = float(np.mean(rest[0]) - np.mean(rest[1]))
    unknown = noise.within_sd**2 * (1 / len(rest[0]) + 1 / len(rest[1]))
    wider = (seen.pooled.high - seen.pooled.low) / 2 * np.sqrt(seen.se**2 + unknown) / seen.se
    return bool(abs(truth - seen.pooled.mean) <= wider)
