"""The expected gain of an hour: its interval covers the truth, narrows with keeps and falls with time."""

import numpy as np
import pytest

from cockpit.science.pace import gain_per_hour


def test_the_interval_covers_the_true_pace_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    keeps_an_hour, mean_gain, hours = 1.5, 2e-3, 4.0
    covered = total = 0
    for _ in range(4000):
        keeps = int(rng.poisson(keeps_an_hour * hours))
        if keeps:
            found = gain_per_hour(list(rng.exponential(mean_gain, keeps)), hours)
            covered += found.low <= keeps_an_hour * mean_gain <= found.high
            total += 1
    assert 0.88 <= covered / total <= 0.93


def test_the_interval_holds_the_mean_and_narrows_with_keeps() -> None:
    few, many = gain_per_hour([1e-3], 1.0), gain_per_hour([1e-3] * 8, 8.0)
    assert few.mean == pytest.approx(many.mean) == pytest.approx(1e-3)
    assert few.low < many.low < many.mean < many.high < few.high


def test_the_expected_gain_falls_while_nothing_is_kept() -> None:
    now, later = gain_per_hour([1e-3, 2e-3], 2.0), gain_per_hour([1e-3, 2e-3], 4.0)
    assert (later.mean, later.low, later.high) == pytest.approx((now.mean / 2, now.low / 2, now.high / 2))


@pytest.mark.parametrize(("gains", "hours"), [([], 1.0), ([1e-3], 0.0)])
def test_a_pace_without_keeps_or_time_is_refused(gains: list[float], hours: float) -> None:
    with pytest.raises(ValueError, match="keep and time"):
        gain_per_hour(gains, hours)
