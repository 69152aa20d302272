"""Short nights on a fleet with bad noise keep nothing but gains. benchmarks/evidence_nights.py has whole nights."""

import pytest

from benchmarks.evidence import CONDITIONS, Condition
from benchmarks.evidence_fates import Fate
from benchmarks.evidence_nights import night


@pytest.mark.timeout(120)
@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda one: one.name)
def test_a_short_night_of_placebos_keeps_none(condition: Condition) -> None:
    found = night(condition, seed=2, gain_sds=0.0, share=0.0, runs=24)
    assert found.tests > 0
    assert found.keeps == 0


@pytest.mark.timeout(120)
def test_a_short_night_finds_gains_of_three_run_sds_and_keeps_no_other_arm() -> None:
    found = night(CONDITIONS[0], seed=1, gain_sds=3.0, share=0.2, runs=16)
    assert found.found >= 1
    assert found.false == 0


@pytest.mark.timeout(120)
def test_a_night_accounts_for_each_real_gain_that_was_screened() -> None:
    found = night(CONDITIONS[0], seed=1, gain_sds=0.5, share=0.5, runs=24)
    by_fate = {fate: count for (_, fate), count in found.fates.items()}
    ended_by_looks = by_fate.get(Fate.EARLY_LOOK, 0) + by_fate.get(Fate.LATE_LOOK, 0)
    assert ended_by_looks > 0, "the reason of a look is recognised"
    assert found.found <= found.offered < found.screened == sum(by_fate.values())
