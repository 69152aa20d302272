"""Test the keep rule on real repeats: 1,566 final losses of 143 training programs, successive claimed improvements.

    python -m benchmarks.repeats PATH/TO/repeats.json

The noise is estimated from every second record, and the others are held out; then the other way round. Two random
halves of one record differ by nothing, so each keep between them is false. A record against the one before it is a
claimed improvement, real or not: the share that a rule keeps is told, not scored.
"""

import argparse
import json
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean, median, stdev

import numpy as np

from cockpit.science.compare import compare
from cockpit.science.noise import Noise, estimate_noise
from cockpit.science.reading import Reading
from cockpit.science.sequential import LOOKS, LookOutcome, judge, last_look, test_level

HALVINGS = 20
"""Random halvings of each record."""
RUNS_FROM = 4
TRACK_3_BAR = 0.004
"""The rule of the repository's track 3: (bar - mean) * sqrt(runs) is at least this."""

Rule = Callable[[Sequence[float], Sequence[float], Noise], bool]


def readings(name: str, values: Sequence[float]) -> list[Reading]:
    return [Reading(name, "one", "H100", value) for value in values]


def cockpit(ours: Sequence[float], base: Sequence[float], noise: Noise) -> bool:
    """Return True if the first test of a session keeps it, with the looks that its runs allow."""
    level = test_level(1, [])
    for look in (one for one in LOOKS if one <= last_look(len(ours))):
        seen = compare(readings("ours", ours[:look]), readings("base", base), noise)
        outcome = judge(seen, noise, level, look).outcome
        if outcome is not LookOutcome.MORE:
            return outcome is LookOutcome.KEEP
    return False


def standard_errors(count: float) -> Rule:
    def keeps(ours: Sequence[float], base: Sequence[float], noise: Noise) -> bool:
        error = math.hypot(stdev(ours) / math.sqrt(len(ours)), stdev(base) / math.sqrt(len(base)))
        return mean(base) - mean(ours) > count * error

    return keeps


def mad(ours: Sequence[float], base: Sequence[float], noise: Noise) -> bool:
    """Return True if the median is better by more than the base's median absolute deviation."""
    return median(base) - median(ours) > median([abs(value - median(base)) for value in base])


RULES: dict[str, Rule] = {
    "Cockpit, a first test": cockpit,
    "best of one run each": lambda ours, base, noise: ours[0] < base[0],
    "2 standard errors": standard_errors(2),
    "3 standard errors": standard_errors(3),
    "median beyond the base's MAD": mad,
    "track 3: (base - mean) * sqrt(n) >= 0.004": lambda ours, base, noise: (
        (mean(base) - mean(ours)) * math.sqrt(len(ours)) >= TRACK_3_BAR
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("repeats", type=Path, help="repeats.json")
    records = [one for one in json.loads(parser.parse_args().repeats.read_text()) if len(one["values"]) >= RUNS_FROM]
    records.sort(key=lambda one: (one["record"], one["step"]))
    folds = [
        estimate_noise(
            [run for one in records[1 - fold :: 2] for run in readings(f"{one['record']} {one['step']}", one["values"])]
        )
        for fold in (0, 1)
    ]
    rng = np.random.default_rng(0)
    halves = []
    for number, one in enumerate(records):
        for _ in range(HALVINGS):
            values = [one["values"][index] for index in rng.permutation(len(one["values"]))]
            halves.append((values[: len(values) // 2], values[len(values) // 2 :], folds[number % 2]))
    claims = [
        (new["values"], old["values"], folds[number % 2])
        for number, (old, new) in enumerate(pairwise(records), 1)
        if old["record"].split("/")[0] == new["record"].split("/")[0]
    ]
    print(
        f"{len(records)} records with {RUNS_FROM} runs or more; "
        f"SD of a run {folds[0].run_sd:.4f} and {folds[1].run_sd:.4f}"
    )
    for name, rule in RULES.items():
        false = mean(rule(*one) for one in halves)
        kept = sum(rule(*one) for one in claims)
        print(f"{name:<42} false keeps {false:>6.1%}   of {len(claims)} claims kept {kept}")
    seen = [compare(readings("ours", ours), readings("base", base), noise) for ours, base, noise in halves]
    covered = [one.pooled.low <= 0 <= one.pooled.high for one in seen if one is not None]
    print(f"90% intervals that cover the truth: {mean(covered):.1%} of {len(covered)} halvings")


if __name__ == "__main__":
    main()
