"""A real session on this machine with a known truth. benchmarks/planted.py runs ten of them."""

from pathlib import Path

import pytest

from tests.worker.planted import night


@pytest.mark.timeout(900)
def test_a_planted_improvement_is_kept_and_placebos_are_not(tmp_path: Path) -> None:
    told = night(tmp_path, seed=1, within_s=840)
    assert told.right, told
    assert "has the code of e0000" in told.comment
    assert told.repair is not None and told.repair.high < 0
    assert told.repair_runs >= 4, "kept without fresh runs and a confirmation"
    assert set(told.placebos) == {"renamed", "turned"}
