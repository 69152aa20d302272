"""Simulate the keep rule's comparisons under bad noise: false positives, interval coverage and power by condition.

    python -m benchmarks.evidence [--sessions 4000]

Each session has 13 clusters of one class with one control each, four tested arms, and then one arm whose true
difference is known. All figures are of the repository's own `estimate_noise`, `compare` and `judge`. One run's SD is
the unit.
"""

import argparse
from dataclasses import dataclass

import numpy as np

from cockpit.science.compare import compare
from cockpit.science.noise import Reading, estimate_noise
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


CONDITIONS = (
    Condition("clusters alike"),
    Condition("clusters apart by 1.5 SD", clusters_sd=1.5),
    Condition("2 clusters alike", clusters=2),
    Condition("arm twice as noisy", arm_sd=2.0),
    Condition("arm 3 times as noisy", arm_sd=3.0),
    Condition("arm half as noisy", arm_sd=0.5),
    Condition("2% far outliers", outliers=0.02),
    Condition("drift of -3 SD an hour", drift_per_hour=-3.0),
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

    def __init__(self, condition: Condition, rng: np.random.Generator) -> None:
        self.condition, self.rng = condition, rng
        self.offsets = rng.normal(0, condition.clusters_sd, condition.clusters)

    def run(self, experiment: str, difference: float, cluster: int, hours: float, sd: float = 1.0) -> Reading:
        noise = float(self.rng.normal(0, sd))
        if self.rng.random() < self.condition.outliers:
            noise += OUTLIER_REACH_SDS * float(self.rng.choice((-1.0, 1.0)))
        units = difference + float(self.offsets[cluster]) + noise + self.condition.drift_per_hour * hours
        return Reading(experiment, f"gpu-{cluster:02d}", "H100", SCORE + RUN_SD * units, 3600 * hours)

    def runs(self, experiment: str, difference: float, count: int, hours: float, sd: float = 1.0) -> list[Reading]:
        """Run on different clusters, one after another where there are too few."""
        order = self.rng.permutation(self.condition.clusters)
        each = len(order)
        return [
            self.run(experiment, difference, int(order[number % each]), hours + RUN_HOURS * (number // each), sd)
            for number in range(count)
        ]


def simulate(condition: Condition, difference: float, sessions: int, seed: int = 0, test: int = 1) -> Found:
    """Simulate the session's `test`-th test, before any keep, of an arm with this true difference in run SDs.

    The incumbent is run as often as the arm, as in a session.
    """
    level = test_level(test, [])
    rng = np.random.default_rng([seed, CONDITIONS.index(condition) if condition in CONDITIONS else 99])
    below = np.zeros(len(LOOKS))
    covered = keeps = 0
    for _ in range(sessions):
        fleet = Fleet(condition, rng)
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
            noise = estimate_noise([*base, *others, *arm])
            seen = compare(arm, base, noise)
            assert seen is not None
            below[index] += seen.p_value <= level * SPENDING[index]
            covered += seen.pooled.low <= difference * RUN_SD <= seen.pooled.high
            if outcome is LookOutcome.MORE:
                outcome = judge(seen, noise, level, look).outcome
        keeps += outcome is LookOutcome.KEEP
    allowed = level * np.asarray(SPENDING) * sessions
    return Found(float(np.max(below / allowed)), covered / (sessions * len(LOOKS)), keeps / sessions)


LATE_TEST = 40
"""A test of the second half of a night."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=4000)
    sessions = parser.parse_args().sessions
    gains = f"kept at 1, 2, 3, 6 SD; at 1, 2 SD in test {LATE_TEST}"
    print(f"{sessions} sessions a condition; the first test's level is {LEVEL:.2%}")
    print(f"{'condition':<26} {'false positives':>16} {'coverage':>9} {'null kept':>10}  {gains}")
    for condition in CONDITIONS:
        null = simulate(condition, 0.0, sessions)
        power = [simulate(condition, -gain, max(sessions // 10, 50), seed=1).keeps for gain in (1.0, 2.0, 3.0, 6.0)]
        late = [
            simulate(condition, -gain, max(sessions // 10, 50), seed=1, test=LATE_TEST).keeps for gain in (1.0, 2.0)
        ]
        print(
            f"{condition.name:<26} {null.false_positives:>15.1f}x {null.coverage:>9.0%} {null.keeps:>10.2%}  "
            + ", ".join(f"{share:.0%}" for share in power)
            + "; "
            + ", ".join(f"{share:.0%}" for share in late),
            flush=True,
        )


if __name__ == "__main__":
    main()
