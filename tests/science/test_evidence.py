"""Comparisons, shrinkage and the keep rule."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit.science.compare import compare, reference_score
from cockpit.science.noise import Noise, estimate_noise
from cockpit.science.reading import Reading
from cockpit.science.sequential import LOOKS, SPENDING, LookOutcome, judge, last_look, test_level

SD = 0.0004
test_level.__test__ = False  # type: ignore[attr-defined]


def runs(rng: np.random.Generator, experiment: str, mean: float, count: int, hardware: str = "H100") -> list[Reading]:
    return [
        Reading(experiment, f"gpu-{rng.integers(16):02d}", hardware, float(mean + rng.normal(0, SD)))
        for _ in range(count)
    ]


def measured_noise(rng: np.random.Generator, count: int = 24) -> Noise:
    return estimate_noise(runs(rng, "e0000", 0.99, count))


def test_a_90_percent_interval_covers_the_true_difference_about_90_percent_of_the_time() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        noise = measured_noise(rng)
        seen = compare(runs(rng, "e0001", 0.989, 3), runs(rng, "e0000", 0.99, 8), noise)
        assert seen is not None
        covered += seen.pooled.low <= -0.001 <= seen.pooled.high
    assert 0.85 <= covered / 400 <= 0.97


def test_runs_on_different_classes_are_never_compared_with_each_other() -> None:
    rng = np.random.default_rng(2)
    assert compare(runs(rng, "e0001", 0.98, 3, "H200"), runs(rng, "e0000", 0.99, 3), measured_noise(rng)) is None


def test_classes_are_pooled_as_differences_so_a_faster_class_gives_no_advantage() -> None:
    rng = np.random.default_rng(3)
    noise = measured_noise(rng)
    base = runs(rng, "e0000", 0.995, 8) + runs(rng, "e0000", 0.990, 8, "H200")
    same = runs(rng, "e0001", 0.995, 1) + runs(rng, "e0001", 0.990, 7, "H200")
    seen = compare(same, base, noise)
    assert seen is not None
    assert abs(seen.pooled.mean) < 0.0006
    assert seen.pooled.hardware == "pooled" and set(seen.by_class) == {"H100", "H200"}


def test_a_ranking_that_flips_between_classes_is_reported() -> None:
    rng = np.random.default_rng(4)
    base = runs(rng, "e0000", 0.995, 8) + runs(rng, "e0000", 0.990, 8, "H200")
    flipped = runs(rng, "e0001", 0.992, 4) + runs(rng, "e0001", 0.993, 4, "H200")
    seen = compare(flipped, base, measured_noise(rng))
    assert seen is not None and seen.flips


def test_the_offset_of_a_shared_cluster_cancels() -> None:
    rng = np.random.default_rng(5)
    noise = measured_noise(rng)
    here = compare([Reading("e0001", "new", "H100", 0.98)], [Reading("e0000", "new", "H100", 0.99)], noise)
    elsewhere = compare([Reading("e0001", "new", "H100", 0.98)], [Reading("e0000", "other", "H100", 0.99)], noise)
    assert here is not None and elsewhere is not None
    assert here.se < elsewhere.se


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_nan_score_is_not_compared(bad: float) -> None:
    with pytest.raises(ValueError, match="not a number"):
        compare(
            [Reading("e0001", "gpu-00", "H100", bad)], [Reading("e0000", "gpu-00", "H100", 1.0)], estimate_noise([])
        )


@settings(deadline=None)
@given(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))
def test_swapping_the_experiments_flips_the_sign(ours: float, theirs: float) -> None:
    noise = estimate_noise([])
    one, two = [Reading("e0001", "a", "CPU", 1 + ours)], [Reading("e0000", "b", "CPU", 1 + theirs)]
    forth, back = compare(one, two, noise), compare(two, one, noise)
    assert forth is not None and back is not None
    assert forth.pooled.mean == pytest.approx(-back.pooled.mean)
    assert forth.p_value == pytest.approx(1 - back.p_value)


def test_an_experiment_without_runs_has_no_score() -> None:
    with pytest.raises(ValueError, match="has no score"):
        reference_score([], estimate_noise([]))


def test_levels_spend_no_more_than_the_stated_rate_before_the_first_keep() -> None:
    assert sum(test_level(n, []) for n in range(1, 10_000)) <= 0.025


def test_a_keep_earns_later_tests_a_higher_level() -> None:
    assert test_level(6, [5]) > 4 * test_level(6, [])


@settings(deadline=None)
@given(st.integers(1, 200), st.lists(st.integers(1, 200), max_size=20))
def test_no_test_has_a_level_above_the_rate_that_its_keeps_have_earned(test: int, keeps: list[int]) -> None:
    level = test_level(test, sorted(keep for keep in keeps if keep < test))
    assert 0 < level <= 0.05 * (1 + len(keeps))


def test_a_test_spends_exactly_its_level() -> None:
    assert sum(SPENDING) == pytest.approx(1) and len(SPENDING) == len(LOOKS)


def outcomes(rng: np.random.Generator, true: Iterator[float]) -> tuple[int, int]:
    """Return (keeps, false keeps) of a session that tests these differences in turn, with a new base each time."""
    keeps: list[int] = []
    false = 0
    noise = measured_noise(rng)
    for number, difference in enumerate(true, 1):
        base = runs(rng, "e0000", 0.99, 12)
        level = test_level(number, keeps)
        fresh = runs(rng, "e0001", 0.99 + difference, LOOKS[-1])
        for look in LOOKS:
            judged = judge(compare(fresh[:look], base, noise), noise, level, look)
            if judged.outcome is not LookOutcome.MORE:
                break
        if judged.outcome is LookOutcome.KEEP:
            keeps.append(number)
            false += difference >= 0
    return len(keeps), false


def test_false_keeps_stay_below_the_stated_rate() -> None:
    rng = np.random.default_rng(8)
    shares, kept = [], 0
    for _ in range(60):
        true = (float(rng.normal(-0.0015, 0.001)) if rng.random() < 0.3 else 0.0 for _ in range(40))
        keeps, false = outcomes(rng, true)
        shares.append(false / max(keeps, 1))
        kept += keeps
    assert np.mean(shares) <= 0.05
    assert kept >= 60 * 5


def test_a_session_of_placebos_rarely_keeps_any() -> None:
    rng = np.random.default_rng(9)
    kept = sum(outcomes(rng, iter([0.0] * 30))[0] > 0 for _ in range(60))
    assert kept <= 5


def test_unmeasured_noise_keeps_no_experiment() -> None:
    noise = estimate_noise([])
    seen = compare([Reading("e0001", "a", "CPU", 1.0)] * 2, [Reading("e0000", "a", "CPU", 2.0)] * 2, noise)
    assert judge(seen, noise, 0.05, 2).outcome is LookOutcome.MORE


def test_a_test_that_looks_worse_ends() -> None:
    rng = np.random.default_rng(10)
    noise = measured_noise(rng)
    seen = compare(runs(rng, "e0001", 0.995, 2), runs(rng, "e0000", 0.99, 8), noise)
    assert judge(seen, noise, 0.05, 2).outcome is LookOutcome.HOPELESS


@settings(deadline=None)
@given(st.integers(0, 100))
def test_looks_happen_only_at_the_planned_numbers_of_runs(fresh: int) -> None:
    look = last_look(fresh)
    assert look <= fresh and look in (0, *LOOKS)


def test_a_noisy_incumbent_does_not_hide_the_gain_of_a_quiet_arm() -> None:
    rng = np.random.default_rng(11)
    base = [Reading("e0000", f"gpu-{i % 16:02d}", "H100", float(0.99 + rng.normal(0, 3 * SD))) for i in range(48)]
    quiet = runs(rng, "e0001", 0.99, 48)
    seen = compare(quiet, base, estimate_noise([*base, *quiet]))
    assert seen is not None
    of_base = 3 * SD / math.sqrt(48)
    assert 0.8 * of_base < seen.se < 1.15 * of_base
