"""Simulate the keep rule's comparisons under bad noise: false positives, interval coverage and power by condition.

    python -m benchmarks.evidence [--sessions 4000] [--correlation 0] [--only NAME] [--runs]

Each session has 13 clusters of one class with one control each, four tested arms, and then one arm whose true
difference is known. All figures are of the repository's own `estimate_noise`, `compare` and `judge`. One run's SD is
the unit. The runs of an experiment have the seeds 0, 1, 2 …; `--correlation` is that of the noise of two experiments'
runs with one seed, and then each condition has a row without seeds too, where nothing can be paired. `--runs` prints
the runs that a gain of one SD takes, by arithmetic and without a simulation.
"""

import argparse
import math
from collections import Counter
from dataclasses import dataclass

import msgspec
import numpy as np
from scipy.special import ndtri

from cockpit.science.compare import compare
from cockpit.science.noise import estimate_noise
from cockpit.science.reading import Reading
from cockpit.science.sequential import LOOKS, SPENDING, LookOutcome, judge, test_level

CLUSTERS = 13
RUN_SD = 0.0004
SCORE = 0.99
LEVEL = test_level(1, [])
TESTED_BEFORE = 4
"""Arms of the session with LOOKS[1] replicates each, that the noise is estimated from too."""


@dataclass(frozen=True)
class Condition:
    """The noise of a fleet, in SDs of one run on one cluster."""

    name: str
    clusters_sd: float = 0.0
    arm_sd: float = 1.0
    """The SD of the arm's own runs."""
    outliers: float = 0.0
    """Share of all runs that are far off."""
    drift_per_hour: float = 0.0
    clusters: int = CLUSTERS
    noisy_clusters_sd: float = 1.0
    """The SD of a run on every second cluster."""
    step: float = 0.0
    """Distance of the values that the metric takes; 0 for any value."""

    def cluster_sd(self, number: int) -> float:
        return self.noisy_clusters_sd if number % 2 else 1.0

    def printed(self, units: float) -> float:
        """Return the score that a run prints, in SDs."""
        return round(units / self.step) * self.step if self.step else units


CONDITIONS = (
    Condition("clusters alike"),
    Condition("clusters apart by 1.5 SD", clusters_sd=1.5),
    Condition("2 clusters alike", clusters=2),
    Condition("arm twice as noisy", arm_sd=2.0),
    Condition("arm 3 times as noisy", arm_sd=3.0),
    Condition("arm half as noisy", arm_sd=0.5),
    Condition("2% far outliers", outliers=0.02),
    Condition("drift of -3 SD an hour", drift_per_hour=-3.0),
    Condition("half of the clusters 3 times as noisy", noisy_clusters_sd=3.0),
    Condition("ten values", step=0.6),
)
OUTLIER_REACH_SDS = 20.0
RUN_HOURS = 0.1
CONTROL_HOURS = (0.3, 0.6, 0.9, 1.0, 1.0)
"""When the incumbent runs again: controls, and two runs beside the test."""


@dataclass(frozen=True)
class Found:
    """The figures of one condition."""

    false_positives: float
    """p-values of null arms below a look's level, over the number that the level allows, at the worst look."""
    coverage: float
    """Share of the 90% intervals that hold the truth."""
    keeps: float
    """Share of the tests that end with a keep, before any confirmation."""


class Fleet:
    """One session's clusters."""

    def __init__(self, condition: Condition, rng: np.random.Generator, correlation: float = 0.0) -> None:
        self.condition, self.rng, self.correlation = condition, rng, correlation
        self.seed_effects: dict[int, float] = {}
        self.ran: Counter[str] = Counter()
        self.offsets = rng.normal(0, condition.clusters_sd, condition.clusters)

    def run(self, experiment: str, difference: float, cluster: int, hours: float, sd: float = 1.0) -> Reading:
        seed = self.ran[experiment]
        self.ran[experiment] += 1
        noise = sd * self.condition.cluster_sd(cluster) * self._noise(seed)
        if self.rng.random() < self.condition.outliers:
            noise += OUTLIER_REACH_SDS * float(self.rng.choice((-1.0, 1.0)))
        units = difference + float(self.offsets[cluster]) + noise + self.condition.drift_per_hour * hours
        return Reading(
            experiment,
            f"gpu-{cluster:02d}",
            "H100",
            SCORE + RUN_SD * self.condition.printed(units),
            3600 * hours,
            seed=seed,
        )

    def _noise(self, seed: int) -> float:
        """Return the noise of a run in its SDs, which is partly that of its seed."""
        own = float(self.rng.normal(0, 1))
        if not self.correlation:
            return own
        shared = self.seed_effects.setdefault(seed, float(self.rng.normal(0, 1)))
        return math.sqrt(self.correlation) * shared + math.sqrt(1 - self.correlation) * own

    def runs(self, experiment: str, difference: float, count: int, hours: float, sd: float = 1.0) -> list[Reading]:
        """Run on different clusters, one after another where there are too few."""
        order = self.rng.permutation(self.condition.clusters)
        each = len(order)
        return [
            self.run(experiment, difference, int(order[number % each]), hours + RUN_HOURS * (number // each), sd)
            for number in range(count)
        ]


def simulate(
    condition: Condition,
    difference: float,
    sessions: int,
    seed: int = 0,
    test: int = 1,
    correlation: float = 0.0,
    has_seeds: bool = True,
) -> Found:
    """Simulate the session's `test`-th test, before any keep, of an arm with this true difference in run SDs.

    The incumbent is run as often as the arm, as in a session. `has_seeds` is false for code that takes none.
    """
    level = test_level(test, [])
    rng = np.random.default_rng([seed, CONDITIONS.index(condition) if condition in CONDITIONS else 99])
    below = np.zeros(len(LOOKS))
    covered = keeps = 0
    for _ in range(sessions):
        fleet = Fleet(condition, rng, correlation)
        base = fleet.runs("e0000", 0.0, max(condition.clusters, 8), 0.0)
        base += [one for hours in CONTROL_HOURS for one in fleet.runs("e0000", 0.0, 1, hours)]
        others = [
            one
            for number in range(TESTED_BEFORE)
            for one in fleet.runs(f"e{number + 1:04d}", float(rng.normal(0, 2)), LOOKS[1], 0.2 * (number + 1))
        ]
        arm: list[Reading] = []
        outcome = LookOutcome.MORE
        for index, look in enumerate(LOOKS):
            hours = 1.0 + RUN_HOURS * index
            base += fleet.runs("e0000", 0.0, max(0, look - len(base)), hours)
            arm += fleet.runs("e0009", difference, look - len(arm), hours, condition.arm_sd)
            ours, theirs, rest = (runs if has_seeds else _without_seeds(runs) for runs in (arm, base, others))
            noise = estimate_noise([*theirs, *rest, *ours])
            seen = compare(ours, theirs, noise)
            assert seen is not None
            below[index] += seen.p_value <= level * SPENDING[index]
            covered += seen.pooled.low <= difference * RUN_SD <= seen.pooled.high
            if outcome is LookOutcome.MORE:
                outcome = judge(seen, noise, level, look).outcome
        keeps += outcome is LookOutcome.KEEP
    allowed = level * np.asarray(SPENDING) * sessions
    return Found(float(np.max(below / allowed)), covered / (sessions * len(LOOKS)), keeps / sessions)


def _without_seeds(runs: list[Reading]) -> list[Reading]:
    return [msgspec.structs.replace(run, seed=None) for run in runs]


def runs_for_even_odds(arm_sd: float, level: float, gain: float = 1.0) -> int:
    """Return the runs of the arm, and of the incumbent, with which its gain passes the last look every second time.

    The arm's runs have this SD, in SDs of the incumbent's. The noise counts as known, so a test needs a few more.
    """
    reach = float(ndtri(level * SPENDING[-1]))
    return math.ceil((reach / gain) ** 2 * (arm_sd**2 + 1))


LATE_TEST = 40
"""A test of the second half of a night."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=4000)
    parser.add_argument("--correlation", type=float, default=0.0)
    parser.add_argument("--only", default="", help="conditions whose name has this in it")
    parser.add_argument("--runs", action="store_true", help="print the runs that a gain of one SD takes")
    options = parser.parse_args()
    if options.runs:
        for name, level in (("test 1", LEVEL), ("test 20, two keeps", test_level(20, [5, 12])),
                            ("test 20, no keep", test_level(20, []))):  # fmt: skip
            needed = ", ".join(f"{sd:g} SD: {runs_for_even_odds(sd, level)}" for sd in (1.0, 2.0, 3.0))
            print(f"{name}: runs a side for even odds of a gain of 1 SD, by the SD of the arm's runs: {needed}")
        return
    sessions = options.sessions
    gains = f"kept at 1, 2, 3, 6 SD; at 1, 2 SD in test {LATE_TEST}"
    print(f"{sessions} sessions a condition; the first test's level is {LEVEL:.2%}")
    print(f"{'condition':<36} {'false +':>7} {'coverage':>9} {'null kept':>10}  {gains}")
    for condition in CONDITIONS:
        for has_seeds in (True, False) if options.correlation else (True,):
            if options.only in condition.name:
                print(row(condition, sessions, options.correlation, has_seeds), flush=True)


def row(condition: Condition, sessions: int, correlation: float, has_seeds: bool) -> str:
    def kept(gain: float, test: int) -> str:
        share = simulate(condition, -gain, max(sessions // 10, 50), 1, test, correlation, has_seeds).keeps
        return f"{share:.0%}"

    null = simulate(condition, 0.0, sessions, 0, 1, correlation, has_seeds)
    name = condition.name if has_seeds else f"{condition.name}, no seeds"
    return (
        f"{name:<36} {null.false_positives:>6.1f}x {null.coverage:>9.0%} {null.keeps:>10.2%}  "
        + ", ".join(kept(gain, 1) for gain in (1.0, 2.0, 3.0, 6.0))
        + "; "
        + ", ".join(kept(gain, LATE_TEST) for gain in (1.0, 2.0))
    )


if __name__ == "__main__":
    main()
