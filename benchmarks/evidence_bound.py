"""Bound the gains of one SD that a night can keep: by an oracle, and by a test that nothing else disturbs.

    python -m benchmarks.evidence_bound

The oracle knows which arms gain and how noisy each is. It screens nothing, runs no controls, knows the incumbent's
mean, and spends all runs of a night on the arms that gain. Each of its tests has the largest level that the keep rule
can give, for a night in which every test ends with a keep. The other tests are those of the keep rule, at the levels of
a simulated night, with a noise that is known and without validation, drift, rivals or the end of the night.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from benchmarks.evidence_nights import CLUSTERS, NIGHT_RUNS
from cockpit.decide.evidence import FRESH_AT_LEAST
from cockpit.science.sequential import HOPELESS_P, LOOKS, SPENDING, test_level

SIMULATED = 20_000
SPLITS = 101
"""Ways to split the runs between two kinds of arms that are tried."""
FIRST_LOOK = 1
"""Index of the look that a test on sixteen clusters begins with."""


class Kind(NamedTuple):
    """Arms of one noise in a night."""

    screened: int
    """Arms that gain and were screened."""
    tested: int
    """Those among them whose test began."""


class Condition(NamedTuple):
    """A condition of benchmarks.evidence_nights, with what its 16 power nights came to, summed."""

    name: str
    arms: Mapping[float, Kind]
    """The SD of an arm's runs, in SDs of the incumbent's, to its arms that gain one SD."""
    tests: int
    """Tests in a night."""
    keeps: int
    """Keeps in a night."""


NIGHTS = 16
CONDITIONS = (
    Condition("clusters alike", {1.0: Kind(651, 185)}, 28, 8),
    Condition("half of the arms twice as noisy", {1.0: Kind(500, 71), 2.0: Kind(503, 91)}, 32, 3),
    Condition("half of the arms 3 times as noisy", {1.0: Kind(375, 87), 3.0: Kind(361, 75)}, 36, 4),
)


def oracle_keeps(arms: Mapping[float, float], runs: float) -> float:
    """Return the gains of one SD that the oracle expects to keep. `arms` maps the SD of an arm's runs to such arms."""
    reach = float(ndtri(test_level(1_000, range(1, 1_000))))

    def kept(sd: float, budget: float) -> float:
        chosen = np.linspace(0, arms[sd], SPLITS)[1:]
        return float(np.max(chosen * ndtr(np.sqrt(budget / chosen) / sd + reach))) if budget > 0 else 0.0

    if len(arms) == 1:
        (sd,) = arms
        return kept(sd, runs)
    one, other = arms
    return max(kept(one, share * runs) + kept(other, (1 - share) * runs) for share in np.linspace(0, 1, SPLITS))


def share_kept(arm_sd: float, level: float, gain: float = 1.0, ends_early: bool = True, seed: int = 0) -> float:
    """Return the share of the tests of this gain that a look keeps. `ends_early` is false where no look ends a test."""
    rng = np.random.default_rng(seed)
    arm, base = np.zeros(SIMULATED), np.zeros(SIMULATED)
    under_test, kept = np.ones(SIMULATED, bool), np.zeros(SIMULATED, bool)
    runs = base_runs = 0
    for index in range(FIRST_LOOK, len(LOOKS)):
        look, base_look = LOOKS[index], max(LOOKS[index], FRESH_AT_LEAST)
        arm += rng.normal(-gain * (look - runs), arm_sd * np.sqrt(look - runs), SIMULATED)
        base += rng.normal(0, np.sqrt(base_look - base_runs), SIMULATED)
        runs, base_runs = look, base_look
        p_values = ndtr((arm / runs - base / base_runs) / np.sqrt(arm_sd**2 / runs + 1 / base_runs))
        kept |= under_test & (p_values <= level * SPENDING[index])
        under_test &= ~kept & ((p_values <= HOPELESS_P[index]) | (not ends_early))
    return float(kept.mean())


def levels_of(tests: int, keeps: int) -> list[float]:
    """Return the levels of the tests of a night whose keeps are evenly spread."""
    at = [round(tests * (number + 1) / (keeps + 1)) for number in range(keeps)]
    return [test_level(test, [keep for keep in at if keep < test]) for test in range(1, tests + 1)]


def mean_share(arm_sd: float, condition: Condition, ends_early: bool) -> float:
    """Return the share of tests kept, over the levels of a night."""
    levels = levels_of(condition.tests, condition.keeps)
    return float(np.mean([share_kept(arm_sd, level, 1.0, ends_early, seed) for seed, level in enumerate(levels)]))


def main() -> None:
    runs = CLUSTERS * NIGHT_RUNS
    for condition in CONDITIONS:
        for what in Kind._fields:
            arms = {sd: getattr(kind, what) / NIGHTS for sd, kind in condition.arms.items()}
            keeps, total = oracle_keeps(arms, runs), sum(arms.values())
            said = f"the oracle keeps {keeps:.1f} of {total:.1f} gains {what} in a night, {keeps / total:.0%}"
            print(f"{condition.name}: {said}")
        for sd in condition.arms:
            full, ended = (mean_share(sd, condition, ends_early) for ends_early in (False, True))
            print(
                f"    arms of {sd:g} SD: {LOOKS[-1]} runs keep {full:.0%} at the levels of a night; "
                f"with the early ends {ended:.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
