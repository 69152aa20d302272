"""Shrinking: the best of many, and the noisiest of many, are not the best."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from cockpit.science.compare import difference
from cockpit.science.difference import Difference
from cockpit.science.noise import estimate_noise
from cockpit.science.reading import Reading
from cockpit.science.run_variance import Spread
from cockpit.science.shrink import ALIKE, NOISE_RATIOS, Prior, Shrunk, fit_prior, shrink

SD = 0.0004


def single(mean: float, se: float = SD) -> Difference:
    """Return the difference of an arm with one run to a base that is known."""
    return Difference(mean=mean, se=se, rest_var=0.0, runs_var=se**2, squares=0.0, df=0.0)


def twice(scores: tuple[float, float]) -> Difference:
    """Return the difference of an arm with two runs to a base that is known and whose runs have SD."""
    squares = (scores[0] - scores[1]) ** 2 / 2 / SD**2
    return Difference(sum(scores) / 2, SD / 2**0.5, rest_var=0.0, runs_var=SD**2 / 2, squares=squares, df=1.0)


def mixed_prior(rng: np.random.Generator) -> Prior:
    """Return the prior of arms, half of which are three times as noisy as their base. A tenth gains one SD."""
    gains = np.where(rng.random(400) < 0.1, -SD, 0.0)
    sds = np.where(rng.random(400) < 0.5, 3 * SD, SD)
    return fit_prior([twice((rng.normal(gain, sd), rng.normal(gain, sd))) for gain, sd in zip(gains, sds, strict=True)])


def noise_ratio(found: Shrunk) -> float:
    """Return the expected variance of the experiment's runs, in variances of its base's."""
    return float(found.weights @ found.ratios)


def share_of_quiet(prior: Prior) -> float:
    """Return the share of experiments that are at most 1.5 times as noisy as their base."""
    return sum(weight for weight, ratio in zip(prior.ratio_weights, NOISE_RATIOS, strict=True) if ratio < 1.5**2)


def test_the_best_of_many_is_shrunk_to_about_its_true_value() -> None:
    rng = np.random.default_rng(6)
    raw, shrunken, covered = [], [], 0
    for _ in range(200):
        true = np.where(rng.random(64) < 0.7, 0.0002, rng.normal(0.001, 0.002, 64))
        seen = true + rng.normal(0, SD, 64)
        best = int(np.argmin(seen))
        found = shrink(fit_prior([single(one) for one in seen]), single(seen[best]))
        raw.append(seen[best] - true[best])
        shrunken.append(found.mean - true[best])
        low, high = found.interval()
        covered += low <= true[best] <= high
    assert abs(np.mean(shrunken)) < 0.4 * abs(np.mean(raw))
    assert 0.83 <= covered / 200 <= 0.97


def test_the_best_of_many_equal_experiments_is_not_an_improvement() -> None:
    rng = np.random.default_rng(7)
    sure = 0
    for _ in range(100):
        seen = rng.normal(0, SD, 64)
        best = float(seen.min())
        sure += shrink(fit_prior([single(one) for one in seen]), single(best)).p_better > 0.98
    assert sure <= 5


@settings(deadline=None)
@given(st.lists(st.floats(-0.1, 0.1), max_size=40), st.floats(-0.1, 0.1), st.floats(1e-5, 1e-2))
def test_a_shrunken_estimate_lies_between_the_prior_and_the_measurement(
    seen: list[float], mean: float, se: float
) -> None:
    prior = fit_prior([single(one, se) for one in seen])
    found = shrink(prior, single(mean, se))
    assert min(*prior.centres, mean) - 1e-9 <= found.mean <= max(*prior.centres, mean) + 1e-9
    low, high = found.interval()
    assert low <= high and 0 <= found.p_better <= 1 + 1e-9


def test_noisy_arms_are_recognised_by_their_repeats() -> None:
    prior = mixed_prior(np.random.default_rng(8))
    assert share_of_quiet(prior) == pytest.approx(0.5, abs=0.15)
    assert noise_ratio(shrink(prior, twice((-SD, -SD)))) < 4 < noise_ratio(shrink(prior, twice((-4 * SD, 2 * SD))))


def test_a_mean_that_only_noise_explains_is_shrunk_below_a_plausible_one() -> None:
    prior = mixed_prior(np.random.default_rng(9))
    plausible, too_good = twice((-1.6 * SD, -1.4 * SD)), twice((-7 * SD, -2 * SD))
    assert noise_ratio(shrink(prior, too_good)) > 2 * noise_ratio(shrink(prior, plausible))
    assert shrink(prior, too_good).mean > 0.3 * too_good.mean


def test_arms_as_noisy_as_their_base_are_not_taken_for_noisy() -> None:
    rng = np.random.default_rng(10)
    prior = fit_prior([twice((rng.normal(0, SD), rng.normal(0, SD))) for _ in range(200)])
    assert share_of_quiet(prior) > 0.9 and prior.ratio_weights[ALIKE] > 0.5


def test_without_repeats_arms_count_as_noisy_as_their_base() -> None:
    rng = np.random.default_rng(11)
    assert fit_prior([single(rng.normal(0, 3 * SD)) for _ in range(64)]).ratio_weights[ALIKE] > 0.99


@pytest.mark.parametrize("found", [single(float("nan")), single(0.0, 0.0)])
def test_a_difference_that_is_not_finite_or_has_no_error_is_refused(found: Difference) -> None:
    with pytest.raises(ValueError, match="finite"):
        fit_prior([found])
    with pytest.raises(ValueError, match="finite"):
        shrink(Prior((0.0,), (SD,), (1.0,)), found)


def test_a_difference_tells_the_noise_of_its_runs_from_the_rest() -> None:
    rng = np.random.default_rng(12)
    base = [Reading("e0000", f"gpu-{i % 8}", "H100", rng.normal(1.0, SD), i * 300.0) for i in range(64)]
    quiet = [Reading("e0001", f"gpu-{i}", "H100", rng.normal(1.0, SD), i * 300.0) for i in range(8)]
    noisy = [Reading("e0002", f"gpu-{i}", "H100", rng.normal(1.0, 3 * SD), i * 300.0) for i in range(8)]
    noise = estimate_noise(base)
    found = [difference(runs, base, noise) for runs in (quiet, noisy)]
    assert found[0] is not None and found[1] is not None
    assert found[0].df == found[1].df == 7
    assert found[0].squares / 7 < 2 < 4 < found[1].squares / 7
    assert found[0].runs_var == pytest.approx(found[1].runs_var) == pytest.approx(SD**2 / 8, rel=0.6)
    assert 0 <= found[0].rest_var < found[0].se ** 2


def test_the_noise_that_tests_have_shown_shrinks_a_lucky_single_run() -> None:
    rng = np.random.default_rng(3)
    arms = [single(one) for one in rng.normal(0, SD, 30)]
    noisy = [Spread(9.0 * 15, 15) for _ in range(12)]
    quiet = [Spread(15.0, 15) for _ in range(12)]
    lucky = single(-4 * SD)
    alone, of_alike, of_noisy = (
        shrink(fit_prior([*arms, lucky], told), lucky) for told in ([], 2 * quiet, quiet + noisy)
    )
    assert share_of_quiet(fit_prior([*arms, lucky], quiet + noisy)) < 0.7
    assert of_noisy.p_better < 0.95 < alone.p_better
    assert of_alike.p_better == pytest.approx(alone.p_better, abs=0.02)


def test_losses_say_nothing_about_gains() -> None:
    rng = np.random.default_rng(13)
    lucky = single(-2 * SD)
    none = [single(one) for one in rng.normal(0, SD, 60)]
    losses = [single(one) for one in rng.normal(3 * SD, 2 * SD, 60)]
    alone, beside_losses = (shrink(fit_prior([*arms, lucky]), lucky) for arms in (none, none + losses))
    assert beside_losses.mean == pytest.approx(alone.mean, abs=0.3 * SD)


def test_a_gain_that_is_larger_than_all_before_is_believed() -> None:
    rng = np.random.default_rng(14)
    large = single(-12 * SD)
    found = shrink(fit_prior([*(single(one) for one in rng.normal(SD, SD, 63)), large]), large)
    assert found.p_better > 0.99
    assert found.mean == pytest.approx(large.mean, rel=0.2)


def test_a_gain_of_one_sd_is_shown_by_a_test_as_often_as_the_normal_distribution_says() -> None:
    sure = Prior((-SD,), (1e-6 * SD,), (1.0,))
    known = shrink(sure, single(-SD))
    assert known.p_shown(64, SD**2, 0.0005) == pytest.approx(norm.cdf(1 / (2 / 64) ** 0.5 + norm.ppf(0.0005)), abs=1e-3)
    noisy = shrink(Prior((-SD,), (1e-6 * SD,), (1.0,), tuple(float(one == 8) for one in NOISE_RATIOS)), single(-SD))
    assert noisy.p_shown(64, SD**2, 0.0005) == pytest.approx(norm.cdf(1 / (9 / 64) ** 0.5 + norm.ppf(0.0005)), abs=1e-3)


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.floats(-5, 5), st.sampled_from((2, 8, 64)))
def test_the_probability_that_a_test_shows_a_gain_falls_with_its_level(
    seen: list[float], mean: float, runs: int
) -> None:
    found = shrink(fit_prior([single(one * SD) for one in seen]), single(mean * SD))
    shown = [found.p_shown(runs, SD**2, level) for level in (1e-6, 1e-4, 1e-2, 0.5)]
    assert shown == sorted(shown)
    assert shown[0] >= 0 and shown[-1] <= 1 + 1e-9
