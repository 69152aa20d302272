"""Clusters of unequal noise: their variances, and estimates and tests that weigh runs by them."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.evidence import Condition, Fleet
from cockpit.science.compare import Comparison, compare, reference_score
from cockpit.science.noise import estimate_noise
from cockpit.science.reading import Reading
from cockpit.science.robust import median, weighted_median
from cockpit.science.run_variance import RATIO_AT_MOST, UNEQUAL_P, estimate_ratios

UNEQUAL = Condition("half of the clusters 3 times as noisy", noisy_clusters_sd=3.0, clusters=16)
ALIKE = Condition("clusters alike", clusters=16)
APART = Condition("clusters apart by 1.5 SD", clusters_sd=1.5, clusters=16)
OUTLIERS = Condition("2% far outliers", outliers=0.02, clusters=16)
SESSIONS = 60


def readings(condition: Condition, seed: int, arm_sd: float = 1.0) -> list[Reading]:
    """Return 64 runs of an incumbent and 8 of each of eight arms, every second of which has an SD of `arm_sd`."""
    fleet = Fleet(condition, np.random.default_rng(seed))
    base = fleet.runs("e0000", 0.0, 64, 0.0)
    arms = [fleet.runs(f"e{n:04d}", 0.5 * n, 8, 0.1, arm_sd if n % 2 else 1.0) for n in range(1, 9)]
    return [*base, *(run for arm in arms for run in arm)]


def test_the_variance_of_each_cluster_is_found() -> None:
    quiet, loud = [], []
    for seed in range(20):
        ratios = estimate_noise(readings(UNEQUAL, seed)).ratios
        assert math.prod(ratios.values()) == pytest.approx(1.0)
        quiet += [ratios[f"gpu-{n:02d}"] for n in range(0, 16, 2)]
        loud += [ratios[f"gpu-{n:02d}"] for n in range(1, 16, 2)]
    # Their true ratio to the geometric mean of both kinds is 1/3 and 3; they are shrunk to 1.
    assert 0.25 <= np.median(quiet) <= 0.5
    assert 2.0 <= np.median(loud) <= 4.0


@pytest.mark.parametrize(
    ("condition", "arm_sd"),
    [(ALIKE, 1.0), (ALIKE, 3.0), (OUTLIERS, 1.0), (APART, 1.0)],
    ids=["alike", "noisy arms", "outliers", "apart"],
)
def test_the_luck_of_a_cluster_seldom_counts_where_clusters_are_alike(condition: Condition, arm_sd: float) -> None:
    shown = sum(bool(estimate_noise(readings(condition, seed, arm_sd)).ratios) for seed in range(SESSIONS))
    # Three standard errors above the level.
    assert shown <= SESSIONS * UNEQUAL_P + 3 * math.sqrt(SESSIONS * UNEQUAL_P) + 1


def first_tests(seed: int) -> list[Reading]:
    """Return one run of an incumbent on each cluster, and runs of six arms that come to a few clusters more often."""
    rng = np.random.default_rng(seed)
    fleet = Fleet(APART, rng)
    runs = [fleet.run("e0000", 0.0, number, 0.0) for number in range(16)]
    for arm, count in enumerate((16, 8, 4, 4, 2, 2, 2, 2)):
        clusters = np.minimum(rng.geometric(0.12, count) - 1, 15)
        runs += [fleet.run(f"e{arm % 7:04d}", 0.0, int(cluster), 0.1) for cluster in clusters]
    return runs


def test_clusters_with_few_runs_around_offsets_of_their_own_are_not_quiet_ones() -> None:
    assert sum(bool(estimate_noise(first_tests(seed)).ratios) for seed in range(300)) <= 1


def test_one_run_a_cluster_shows_no_noisy_cluster() -> None:
    fleet = Fleet(UNEQUAL, np.random.default_rng(1))
    assert estimate_noise(fleet.runs("e0000", 0.0, 16, 0.0)).ratios == {}


def test_far_runs_make_no_noisy_cluster() -> None:
    runs = readings(ALIKE, 3)
    far = [msgspec.structs.replace(run, score=run.score + 0.1) if number % 40 == 0 else run
           for number, run in enumerate(runs)]  # fmt: skip
    assert estimate_noise(far).ratios == {}


def compared(condition: Condition, seed: int, gain_sds: float = 0.0) -> tuple[Comparison, Comparison]:
    """Compare an arm with this gain and 16 runs with its base: weighted, and as if clusters were alike."""
    runs = readings(condition, seed)
    arm = Fleet(condition, np.random.default_rng([seed, 1])).runs("e0099", -gain_sds, 16, 0.2)
    noise = estimate_noise([*runs, *arm])
    base = [run for run in runs if run.experiment == "e0000"]
    seen, plain = (compare(arm, base, one) for one in (noise, msgspec.structs.replace(noise, ratios={})))
    assert seen is not None and plain is not None
    return seen, plain


def test_weighted_intervals_cover_the_truth_and_are_narrower() -> None:
    covered, widths = 0, []
    for seed in range(200):
        seen, plain = compared(UNEQUAL, seed)
        covered += seen.pooled.low <= 0.0 <= seen.pooled.high
        widths.append((seen.pooled.high - seen.pooled.low) / (plain.pooled.high - plain.pooled.low))
    assert 0.84 <= covered / 200 <= 0.97
    assert np.median(widths) < 0.8


def test_a_gain_shows_through_noisy_clusters() -> None:
    both = [compared(UNEQUAL, seed, gain_sds=1.5) for seed in range(60)]
    weighted, plain = (sum(one.p_value < 0.01 for one in side) for side in zip(*both, strict=True))
    assert weighted >= plain + 12


def test_runs_of_noisy_clusters_count_less_in_a_score() -> None:
    noise = estimate_noise(readings(UNEQUAL, 1))
    runs = [Reading("e0050", f"gpu-{n:02d}", "H100", 1.0 + 0.001 * (n % 2)) for n in range(16)]
    plain = msgspec.structs.replace(noise, ratios={})
    assert reference_score(runs, noise).mean < reference_score(runs, plain).mean - 0.0002
    assert reference_score(runs, noise).se < reference_score(runs, plain).se


def test_runs_in_pairs_are_weighted_too() -> None:
    """Quiet pairs show no gain; noisy ones show a large one."""
    noise = msgspec.structs.replace(
        estimate_noise(readings(UNEQUAL, 1)), seed_correlation=0.7, drift=estimate_noise([]).drift
    )
    rng = np.random.default_rng(2)
    base = [Reading("e0000", f"gpu-{n:02d}", "H100", 0.99 + rng.normal(0, 0.0004), seed=n) for n in range(16)]
    arm = [msgspec.structs.replace(run, experiment="e0050", score=run.score - 0.001 * (n % 2) + rng.normal(0, 0.0002))
           for n, run in enumerate(base)]  # fmt: skip
    seen, plain = compare(arm, base, noise), compare(arm, base, msgspec.structs.replace(noise, ratios={}))
    assert seen is not None and plain is not None
    assert seen.pooled.pairs == plain.pooled.pairs == 16
    assert plain.pooled.mean == pytest.approx(-0.0005, abs=0.0002)
    assert seen.pooled.mean > 0.6 * plain.pooled.mean


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1e3, 1e3), st.integers(0, 4), st.integers(0, 5)), min_size=2, max_size=80),
    st.floats(1e-6, 1e6),
)
def test_any_residuals_give_ratios_within_their_bounds(rows: list[tuple[float, int, int]], run_var: float) -> None:
    groups, clusters = (sorted({row[part] for row in rows}) for part in (1, 2))
    group_of = np.array([groups.index(row[1]) for row in rows])
    cluster_of = np.array([clusters.index(row[2]) for row in rows])
    found = estimate_ratios(np.array([row[0] for row in rows]), group_of, cluster_of, run_var, np.zeros(len(clusters)))
    assert len(found) == len(clusters)
    assert np.all(found >= 1 / RATIO_AT_MOST) and np.all(found <= RATIO_AT_MOST)


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(0.1, 10)), min_size=1, max_size=30))
def test_half_of_the_weight_lies_on_either_side_of_the_weighted_median(pairs: list[tuple[float, float]]) -> None:
    values, weights = [value for value, _ in pairs], [weight for _, weight in pairs]
    middle, half = weighted_median(values, weights), sum(weights) / 2 * (1 + 1e-9)
    assert sum(weight for value, weight in pairs if value < middle) <= half
    assert sum(weight for value, weight in pairs if value > middle) <= half
    assert weighted_median(values, [1.0] * len(values)) == pytest.approx(median(values))


def test_the_spread_of_an_experiment_is_that_of_its_own_runs_and_a_far_run_does_not_count() -> None:
    rng = np.random.default_rng(5)
    sds = {"e0000": 1.0, "e0001": 3.0, "e0002": 1.0}
    readings = [
        Reading(name, f"gpu-{run % 8:02d}", "H100", float(1.0 + 0.01 * rng.normal(0, sd)))
        for name, sd in sds.items()
        for run in range(48)
    ]
    readings.append(Reading("e0002", "gpu-00", "H100", 2.0))
    noise = estimate_noise(readings)
    found = {name: one.squares / one.df / 0.01**2 for name, one in noise.spreads.items()}
    assert found["e0001"] > 4 * found["e0000"]
    assert found["e0002"] == pytest.approx(1.0, rel=0.5)
    assert noise.spreads["e0002"].df == 47
    assert noise.variance_of("e0001") > 3 * noise.variance_of("e0000")
    assert noise.variance_of("e0009") == pytest.approx(noise.within_sd**2)
