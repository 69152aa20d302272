"""Runs with one seed as pairs: a correlation that is wrong or not there makes no false keeps and costs no power."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit.science.compare import Comparison, compare
from cockpit.science.drift import Drift
from cockpit.science.noise import Noise, estimate_noise
from cockpit.science.reading import Reading
from cockpit.science.seed_pairs import difference_weights

SAMPLES = 150
KNOWN = Noise(1.0, 0.0, 60.0, 80, True, {}, {}, {}, "H100", 0.0, Drift(), {})
CORRELATIONS = st.sampled_from([0.0, 0.3, 0.7])


def knowing(correlation: float) -> Noise:
    return msgspec.structs.replace(KNOWN, seed_correlation=correlation)


class Session:
    """Runs whose noise has an SD of one, with this correlation where two experiments share a seed."""

    def __init__(self, correlation: float, seed: int) -> None:
        self.correlation, self.rng = correlation, np.random.default_rng(seed)
        self.effects: dict[int, float] = {}

    def runs(self, experiment: str, seeds: list[int], mean: float = 0.0) -> list[Reading]:
        return [self._run(experiment, seed, mean) for seed in seeds]

    def _run(self, experiment: str, seed: int, mean: float) -> Reading:
        effect = self.effects.setdefault(seed, float(self.rng.normal()))
        noise = math.sqrt(self.correlation) * effect + math.sqrt(1 - self.correlation) * float(self.rng.normal())
        return Reading(experiment, f"gpu-{self.rng.integers(8)}", "H100", 2.0 + mean + noise, seed=seed)


def compared(runs: list[Reading], base: list[Reading], noise: Noise) -> Comparison:
    seen = compare(runs, base, noise)
    assert seen is not None
    return seen


@settings(deadline=None, max_examples=12, derandomize=True)
@given(CORRELATIONS, CORRELATIONS, st.integers(1, 12), st.integers(0, 4), st.integers(0, 8))
def test_the_p_values_of_null_arms_are_no_smaller_than_uniform_ones_whatever_the_correlation(
    true: float, claimed: float, pairs: int, alone: int, base_alone: int
) -> None:
    shared, ours = list(range(pairs)), list(range(100, 100 + alone))
    theirs = list(range(200, 200 + base_alone))
    below = {0.05: 0, 0.2: 0}
    for number in range(SAMPLES):
        session = Session(true, number)
        seen = compared(session.runs("e0001", shared + ours), session.runs("e0000", shared + theirs), knowing(claimed))
        for level in below:
            below[level] += seen.p_value <= level
    for level, count in below.items():
        assert count / SAMPLES <= level + 3.5 * math.sqrt(level * (1 - level) / SAMPLES)


@pytest.mark.parametrize(("true", "claimed", "at_most"), [(0.7, 0.7, 0.62), (0.0, 0.7, 1.15), (0.0, 0.0, 1.0)])
def test_pairs_narrow_the_interval_where_seeds_share_noise_and_hardly_widen_it_where_they_do_not(
    true: float, claimed: float, at_most: float
) -> None:
    seeds = list(range(16))
    paired = plain = 0.0
    for number in range(40):
        session = Session(true, number)
        base, arm = session.runs("e0000", seeds), session.runs("e0001", seeds)
        paired += compared(arm, base, knowing(claimed)).se
        plain += compared(arm, base, KNOWN).se
    assert paired <= at_most * plain * (1 + 1e-9)


def repeats(correlation: float, seed: int, experiments: int = 6, runs: int = 8) -> list[Reading]:
    session = Session(correlation, seed)
    return [
        run
        for number in range(experiments)
        for run in session.runs(f"e{number:04d}", list(range(runs)), mean=float(number))
    ]


def test_the_correlation_is_estimated_from_the_sessions_own_pairs() -> None:
    found = [estimate_noise(repeats(0.7, seed)).seed_correlation for seed in range(20)]
    assert 0.5 <= np.mean(found) <= 0.75
    assert estimate_noise(repeats(0.7, 1)).seed_pairs == 8 * 15


def test_a_correlation_that_is_not_there_is_seldom_found() -> None:
    found = [estimate_noise(repeats(0.0, seed)).seed_correlation for seed in range(60)]
    assert sum(value > 0 for value in found) <= 6
    assert max(found) <= 0.4


@pytest.mark.parametrize("runs", [2, 3])
def test_a_few_pairs_show_no_correlation(runs: int) -> None:
    assert estimate_noise(repeats(0.7, 1, experiments=2, runs=runs)).seed_correlation == 0


def test_runs_of_code_without_a_seed_are_never_paired() -> None:
    without = [msgspec.structs.replace(run, seed=None) for run in repeats(0.7, 1)]
    noise = estimate_noise(without)
    assert (noise.seed_correlation, noise.seed_pairs) == (0, 0)
    assert compared(without[8:16], without[:8], knowing(0.7)).pooled.pairs == 0


def test_identical_repeats_are_never_paired() -> None:
    same = [
        Reading(f"e{number:04d}", f"gpu-{seed}", "H100", 2.0 + number, seed=seed)
        for number in range(4)
        for seed in range(8)
    ]
    assert estimate_noise(same).seed_correlation == 0


def test_runs_of_different_classes_are_not_pairs() -> None:
    session = Session(0.7, 1)
    arm = [msgspec.structs.replace(run, hardware="H200") for run in session.runs("e0001", [1, 2])]
    arm += session.runs("e0001", [3, 4])
    assert compared(arm, session.runs("e0000", [1, 2, 3, 4]), knowing(0.7)).pooled.pairs == 2


def test_a_seed_that_ran_twice_is_one_pair() -> None:
    session = Session(0.7, 1)
    arm, base = session.runs("e0001", [1, 1, 2]), session.runs("e0000", [1, 2, 2, 3])
    assert compared(arm, base, knowing(0.7)).pooled.pairs == 2


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20), st.floats(0.1, 10), st.floats(0, 0.95))
def test_the_weights_of_a_difference_sum_to_one_on_each_side(
    pairs: int, alone: int, base_alone: int, variance: float, correlation: float
) -> None:
    if pairs + alone == 0 or pairs + base_alone == 0:
        return
    weights = difference_weights(pairs, alone, base_alone, variance, 1.0, correlation)
    assert pairs * weights.ours + alone * weights.ours_alone == pytest.approx(1)
    assert pairs * weights.theirs + base_alone * weights.theirs_alone == pytest.approx(-1)


def test_the_weights_are_those_of_plain_means_without_a_correlation() -> None:
    weights = difference_weights(3, 1, 5, 2.0, 1.0, 0.0)
    assert weights == pytest.approx((1 / 4, -1 / 8, 1 / 4, -1 / 8))


@pytest.mark.parametrize(("pairs", "base_alone"), [(8, 0), (8, 24)])
def test_the_weights_give_the_known_variance_of_the_best_difference(pairs: int, base_alone: int) -> None:
    rho = 0.7
    weights = difference_weights(pairs, 0, base_alone, 1.0, 1.0, rho)
    ours, theirs, alone = weights.ours, weights.theirs, weights.theirs_alone
    variance = pairs * (ours**2 + theirs**2 + 2 * rho * ours * theirs) + base_alone * alone**2
    # Anderson (1957, JASA 52): two means where one side lacks some of the pairs.
    assert variance == pytest.approx((1 - rho**2) / pairs + (1 - rho) ** 2 / (pairs + base_alone))
