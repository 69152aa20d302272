"""Scores that drift are corrected by time: along a line, and where the line turns."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.science.drift import CLEAR_P, Drift, estimate_drift, walk_variance

SD = 0.01
HOURS = 6.0


def drift_of(shift: Callable[[float], float], seed: int, groups: int = 30, runs: int = 8) -> Drift:
    """Estimate the drift from groups of runs, each of them within an hour."""
    rng = np.random.default_rng(seed)
    group_of = np.repeat(np.arange(groups), runs)
    hours = np.repeat(rng.uniform(0, HOURS - 1, groups), runs) + rng.uniform(0, 1, groups * runs)
    scores = np.array([shift(at) for at in hours]) + rng.normal(0, SD, len(hours))
    centred = scores - (np.bincount(group_of, weights=scores) / runs)[group_of]
    return estimate_drift(hours, centred, group_of, df=groups * (runs - 1))


def line(hours: float) -> float:
    return -3 * SD * hours


def wave(hours: float) -> float:
    return 3 * SD * math.sin(2 * math.pi * hours / 4)


def late(hours: float) -> float:
    return 3 * SD if hours > 3 else 0.0


@pytest.mark.parametrize("shift", [line, wave], ids=lambda one: one.__name__)
@pytest.mark.parametrize(("early", "later"), [(1.0, 2.0), (0.5, 5.5), (2.5, 3.5)])
def test_the_shift_between_two_times_is_within_its_error(
    shift: Callable[[float], float], early: float, later: float
) -> None:
    true, squares = shift(later) - shift(early), []
    for seed in range(30):
        drift = drift_of(shift, seed)
        variance = drift.variance([(early, -1.0), (later, 1.0)])
        squares.append((drift.shift(later) - drift.shift(early) - true) ** 2 / variance)
    assert np.mean(squares) <= 1.7


def test_a_line_is_known_better_than_a_drift_that_turns() -> None:
    apart = [(1.0, -1.0), (5.0, 1.0)]
    straight, turning = (np.mean([drift_of(one, seed).variance(apart) for seed in range(10)]) for one in (line, wave))
    assert straight < turning / 1.5


def test_scores_that_do_not_drift_are_seldom_corrected_and_then_within_the_error() -> None:
    found = [drift_of(lambda hours: 0.0, seed) for seed in range(60)]
    corrected = [one for one in found if one.knots]
    assert len(corrected) <= 60 * (CLEAR_P + 0.05) * 2
    apart = [(1.0, -1.0), (5.0, 1.0)]
    assert all(abs(one.shift(5.0) - one.shift(1.0)) < 4 * math.sqrt(one.variance(apart)) for one in corrected)


def test_the_correction_is_less_sure_after_the_last_run() -> None:
    drift = drift_of(wave, 1)
    known, later, latest = (drift.variance([(4.0, -1.0), (at, 1.0)]) for at in (5.0, HOURS + 1, HOURS + 3))
    assert known < later < latest


def test_runs_side_by_side_have_no_correction_between_them() -> None:
    drift = drift_of(late, 1)
    assert drift.variance([(2.0, 0.5), (5.0, 0.5), (2.0, -0.5), (5.0, -0.5)]) == pytest.approx(0.0, abs=1e-12)


def walked(times: list[float], seed: int, length: float) -> list[float]:
    """Return the shifts of a walk at these times; of a bridge where its end is known too."""
    rng = np.random.default_rng(seed)
    grid = np.unique([0.0, *times, *([length] if math.isfinite(length) else [])])
    path = np.append(0.0, np.cumsum(rng.normal(0, np.sqrt(np.diff(grid)))))
    shifts = np.interp(times, grid, path)
    return list(shifts - np.array(times) / length * path[-1] if math.isfinite(length) else shifts)


@pytest.mark.parametrize("length", [1.0, math.inf])
@pytest.mark.parametrize("weights", [(1.0, 0.0, 0.0), (0.5, 0.5, -1.0), (0.3, -0.6, 0.3)])
def test_the_variance_of_a_walk_between_knots_is_that_of_simulated_walks(
    length: float, weights: tuple[float, ...]
) -> None:
    times = [0.1, 0.5, 0.8]
    sums = [float(np.dot(weights, walked(times, seed, length))) for seed in range(4000)]
    assert walk_variance(zip(times, weights, strict=True), length) == pytest.approx(np.var(sums), rel=0.1)


def test_runs_at_one_moment_between_two_knots_are_less_sure_than_the_knots() -> None:
    drift = drift_of(wave, 1)
    before, after = drift.knots[10:12]
    at_knot, between = (drift.variance([(at, 1.0), (4.0, -1.0)]) for at in (before, (before + after) / 2))
    assert between > at_knot
    assert drift.walk_variance > 0


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(-1e6, 1e6), st.integers(0, 4)), min_size=3, max_size=40))
def test_any_runs_give_a_finite_correction(rows: list[tuple[float, float, int]]) -> None:
    groups = sorted({group for _, _, group in rows})
    hours, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    group_of = np.array([groups.index(row[2]) for row in rows])
    centred = scores - (np.bincount(group_of, weights=scores) / np.bincount(group_of))[group_of]
    drift = estimate_drift(hours, centred, group_of, df=len(rows) - len(groups))
    assert math.isfinite(drift.shift(0.0)) and math.isfinite(drift.shift(2e4))
    variance = drift.variance([(0.0, 1.0), (5e3, -0.5), (2e4, -0.5)])
    assert math.isfinite(variance) and variance >= 0
