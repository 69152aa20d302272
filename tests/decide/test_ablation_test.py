"""Ablations drop a kept change only if it is shown not to be needed. benchmarks/evidence_sessions.py has more."""

import pytest

from benchmarks.evidence_sessions import is_dropped

SESSIONS = 12


@pytest.mark.parametrize("gain_sds", [1.0, 1.5])
def test_a_kept_change_of_one_run_sd_or_more_survives_its_ablation(gain_sds: float) -> None:
    assert sum(is_dropped(gain_sds, seed) for seed in range(SESSIONS)) <= 1


def test_a_small_gain_survives_the_ablation_of_the_change_that_was_kept_for_it() -> None:
    assert sum(is_dropped(0.5, seed, kept_for_it=True) for seed in range(SESSIONS)) <= 1


def test_a_kept_change_without_an_effect_is_dropped_in_most_sessions_or_stays_undecided() -> None:
    assert sum(is_dropped(0.0, seed) for seed in range(SESSIONS)) >= SESSIONS / 3
