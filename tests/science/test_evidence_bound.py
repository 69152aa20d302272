"""The bound of a night's gains, against arithmetic."""

import pytest
from scipy.special import ndtr, ndtri

from benchmarks.evidence_bound import levels_of, oracle_keeps, share_kept
from cockpit.science.sequential import LOOKS, SPENDING
from cockpit.science.sequential import test_level as level_of_test


def test_an_oracle_keeps_every_gain_with_enough_runs_and_fewer_of_noisy_arms() -> None:
    assert oracle_keeps({1.0: 8}, 8 * 64) == pytest.approx(8, abs=0.01)
    assert oracle_keeps({3.0: 8}, 8 * 64) < oracle_keeps({2.0: 8}, 8 * 64) < 8
    assert oracle_keeps({1.0: 4, 3.0: 4}, 0.0) == 0.0


def test_an_oracle_splits_its_runs_at_least_as_well_as_by_halves() -> None:
    halves = oracle_keeps({1.0: 20}, 300) + oracle_keeps({3.0: 20}, 300)
    assert oracle_keeps({1.0: 20, 3.0: 20}, 600) >= halves - 1e-9


def test_early_ends_and_noise_cost_gains_and_the_looks_keep_their_level() -> None:
    level = level_of_test(20, [5, 12])
    for arm_sd in (1.0, 2.0, 3.0):
        alone = ndtr(ndtri(level * SPENDING[-1]) + 1 / ((arm_sd**2 + 1) / LOOKS[-1]) ** 0.5)
        full = share_kept(arm_sd, level, ends_early=False)
        assert alone - 0.02 <= full
        assert share_kept(arm_sd, level) < full
    assert share_kept(3.0, 0.05, gain=0.0, ends_early=False) <= 0.05


def test_keeps_raise_the_levels_of_a_night() -> None:
    assert sum(levels_of(30, 6)) > sum(levels_of(30, 2))
