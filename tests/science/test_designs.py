"""Designs, effects and forecasts."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit.core.curves import loss_at
from cockpit.core.model import Value
from cockpit.science.design import FULL, IRREGULAR, choose_design, full_grid
from cockpit.science.effects import estimate_effects
from cockpit.science.forecast import (
    Finished,
    crash_forecast,
    crash_risks,
    forecast_curve,
    vram_forecast,
)
from cockpit.science.noise import Noise, estimate_noise
from cockpit.science.reading import Reading

SD = 0.0004


def two_level(count: int) -> dict[str, list[int]]:
    return {f"F{i}": [0, 1] for i in range(count)}


def test_a_grid_that_fits_is_run_in_full() -> None:
    made = choose_design({"DEPTH": [6, 8, 10], "LR": [0.02, 0.04]}, 16)
    assert made.resolution == FULL and len(made.cells) == 6
    assert made == full_grid({"DEPTH": [6, 8, 10], "LR": [0.02, 0.04]})


@pytest.mark.parametrize(
    ("factors", "arms", "resolution"),
    [(4, 8, 4), (5, 16, 5), (6, 16, 4), (7, 8, 3), (7, 16, 4), (8, 16, 4), (15, 16, 3)],
)
def test_a_fraction_has_the_highest_resolution_of_the_tables(factors: int, arms: int, resolution: int) -> None:
    made = choose_design(two_level(factors), arms)
    assert (len(made.cells), made.resolution) == (arms, resolution)


@pytest.mark.parametrize(("factors", "arms"), [(5, 8), (6, 16), (7, 16), (9, 16)])
def test_main_effects_of_a_fraction_are_orthogonal(factors: int, arms: int) -> None:
    made = choose_design(two_level(factors), arms)
    codes = np.asarray([[2 * int(str(cell[name])) - 1 for name in two_level(factors)] for cell in made.cells])
    assert np.array_equal(codes.T @ codes, arms * np.eye(factors))


def test_confounded_effects_are_named() -> None:
    assert "F0×F1 = F2×F3" in choose_design(two_level(4), 8).aliased
    assert choose_design(two_level(5), 16).aliased == ()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(2, 5), min_size=2, max_size=5), st.integers(8, 40))
def test_any_design_fits_its_arms_and_repeats_no_cell(sizes: list[int], arms: int) -> None:
    factors = {f"F{i}": list(range(size)) for i, size in enumerate(sizes)}
    if 1 + sum(size - 1 for size in sizes) > arms:
        with pytest.raises(ValueError, match="main effects"):
            choose_design(factors, arms)
        return
    made = choose_design(factors, arms)
    assert len(made.cells) <= arms
    assert len({tuple(cell.values()) for cell in made.cells}) == len(made.cells)


def test_a_mixed_fraction_shows_every_level() -> None:
    made = choose_design({"DEPTH": [6, 8, 10, 12], "LR": [1, 2, 3], "WD": [0, 1, 2], "P": ["a", "b"]}, 16)
    assert made.resolution == IRREGULAR
    for name, levels in {"DEPTH": 4, "LR": 3, "WD": 3, "P": 2}.items():
        counts = [sum(cell[name] == v for cell in made.cells) for v in {cell[name] for cell in made.cells}]
        assert len(counts) == levels and max(counts) - min(counts) <= 2


@pytest.mark.parametrize("factors", [{}, {"A": []}, {"A": [1, 1]}])
def test_a_design_without_distinct_levels_is_refused(factors: dict[str, list[int]]) -> None:
    with pytest.raises(ValueError, match=r"at least one factor|levels that differ"):
        choose_design(factors, 16)


def grid_runs(rng: np.random.Generator, drop: int = 0) -> list[tuple[dict[str, Value], Reading]]:
    """DEPTH adds 0.002 a step, LR 0.003, and both together 0.001 more; H200 is 0.005 lower throughout."""
    runs: list[tuple[dict[str, Value], Reading]] = []
    for number, (depth, lr) in enumerate(itertools.product([6, 8, 10], [0.02, 0.04])):
        for hardware in ("H100", "H200"):
            score = 0.98 + 0.001 * (depth - 6) + 0.003 * (lr == 0.04) + 0.001 * (lr == 0.04 and depth == 10)
            score += (0.005 if hardware == "H100" else 0.0) + rng.normal(0, SD)
            runs.append(({"DEPTH": depth, "LR": lr}, Reading(f"e{number}", f"{hardware}-{number}", hardware, score)))
    return runs[drop:]


GRID: dict[str, list[Value]] = {"DEPTH": [6, 8, 10], "LR": [0.02, 0.04]}


def noise_of_a_session(rng: np.random.Generator) -> Noise:
    return estimate_noise([Reading("c", f"g{i}", "H100", 0.99 + float(rng.normal(0, SD))) for i in range(20)])


def test_main_effects_and_interactions_are_found_across_classes_with_calibrated_intervals() -> None:
    truths: dict[tuple[tuple[str, ...], tuple[Value, ...]], float] = {
        (("DEPTH",), (8,)): 0.002,
        (("DEPTH",), (10,)): 0.0045,
        (("LR",), (0.04,)): 0.003 + 0.001 / 3,
        (("DEPTH", "LR"), (8, 0.04)): 0.0,
        (("DEPTH", "LR"), (10, 0.04)): 0.001,
    }
    rng = np.random.default_rng(1)
    covered = total = 0
    for _ in range(80):
        found = estimate_effects(GRID, grid_runs(rng), noise_of_a_session(rng))
        for effect in (*found.main, *found.interactions):
            truth = truths[effect.factors, effect.levels]
            total += 1
            covered += effect.estimate.low <= truth <= effect.estimate.high
    assert total == 80 * 5
    assert 0.85 <= covered / total <= 0.97


def test_crashed_cells_widen_intervals_and_do_not_bias_effects() -> None:
    rng = np.random.default_rng(2)
    noise = noise_of_a_session(rng)
    whole, part = estimate_effects(GRID, grid_runs(rng), noise), estimate_effects(GRID, grid_runs(rng, drop=3), noise)
    for one, two in zip(whole.main, part.main, strict=True):
        assert two.estimate.high - two.estimate.low > one.estimate.high - one.estimate.low
        assert two.estimate.mean == pytest.approx(one.estimate.mean, abs=0.0015)


def test_effects_that_the_cells_cannot_separate_are_named_not_estimated() -> None:
    rng = np.random.default_rng(3)
    diagonal = [run for run in grid_runs(rng) if (run[0]["DEPTH"] == 6) == (run[0]["LR"] == 0.02)]
    diagonal = [run for run in diagonal if run[0]["DEPTH"] != 10]
    found = estimate_effects(GRID, diagonal, noise_of_a_session(rng))
    assert found.not_estimable == ("LR", "DEPTH×LR")


def test_a_wave_whose_arms_all_crashed_has_no_effects() -> None:
    found = estimate_effects(GRID, [], estimate_noise([]))
    assert found.main == () and set(found.not_estimable) == {"DEPTH", "LR"}


def test_a_crash_is_likely_near_crashes_and_unlikely_near_successes() -> None:
    points = np.asarray([[0.9, 0.9], [0.95, 0.9], [0.9, 0.95], [0.1, 0.1], [0.1, 0.15], [0.15, 0.1]])
    crashed = np.asarray([True, True, True, False, False, False])
    risks = crash_risks(points, crashed, np.asarray([[0.92, 0.92], [0.12, 0.12]]))
    assert risks[0] > 0.8 and risks[1] < 0.1


def test_a_crash_forecast_far_from_all_runs_is_the_wide_prior() -> None:
    far = crash_forecast(np.asarray([[0.0, 0.0]]), np.asarray([False]), np.asarray([5.0, 5.0]))
    near = crash_forecast(np.zeros((9, 2)), np.zeros(9, dtype=bool), np.asarray([0.0, 0.0]))
    assert far.high - far.low > 0.7
    assert near.high < 0.3


def test_memory_is_forecast_from_the_sizes_of_earlier_runs() -> None:
    rng = np.random.default_rng(4)
    points = rng.random((30, 3))
    vram = 1000 * np.exp(2 * points[:, 0] + points[:, 1]) * np.exp(rng.normal(0, 0.01, 30))
    seen = vram_forecast(points, vram.tolist(), np.asarray([0.5, 0.5, 0.5]))
    assert seen is not None
    assert seen.low < 1000 * math.exp(1.5) < seen.high < 1.2 * 1000 * math.exp(1.5)
    assert vram_forecast(points[:3], vram[:3].tolist(), points[0]) is None


def curve_to(final: float) -> list[tuple[float, float]]:
    return [(f, final + 2.0 * math.exp(-6 * f)) for f in np.linspace(0.05, 1.0, 30).tolist()]


def finished_runs(rng: np.random.Generator, count: int = 30) -> list[Finished]:
    finals = rng.normal(1.0, 0.01, count)
    return [Finished(curve_to(float(final + rng.normal(0, 0.001))), float(final)) for final in finals]


def test_a_run_far_behind_at_the_same_fraction_is_hopeless_and_a_good_one_is_not() -> None:
    finished = finished_runs(np.random.default_rng(5))
    bad, good = (forecast_curve(curve_to(final)[:12], finished, bar=0.985) for final in (1.02, 0.983))
    assert bad is not None and bad.hopeless
    assert good is not None and not good.hopeless


def test_the_error_rate_of_early_stopping_is_measured_on_finished_runs() -> None:
    seen = forecast_curve(curve_to(1.05)[:12], finished_runs(np.random.default_rng(6)), bar=0.985)
    assert seen is not None
    assert seen.ended > 10 and seen.wrongly == 0


def test_uninformative_curves_end_no_run() -> None:
    rng = np.random.default_rng(7)
    finished = [Finished(curve_to(float(rng.normal(1, 0.01))), float(rng.normal(1, 0.01))) for _ in range(30)]
    seen = forecast_curve(curve_to(1.01)[:12], finished, bar=0.99)
    assert seen is not None and not seen.hopeless


def test_too_few_curves_or_a_nan_loss_give_no_forecast() -> None:
    finished = finished_runs(np.random.default_rng(8))
    assert forecast_curve(curve_to(1.0)[:12], finished[:5], 0.99) is None
    assert forecast_curve([(0.3, math.nan)], finished, 0.99) is None
    assert forecast_curve([], finished, 0.99) is None


def test_a_curve_is_interpolated_and_not_extrapolated() -> None:
    curve = [(0.2, 3.0), (0.4, 2.0)]
    assert loss_at(curve, 0.3) == pytest.approx(2.5)
    assert loss_at(curve, 0.4) == 2.0
    assert loss_at(curve, 0.1) is None and loss_at(curve, 0.5) is None
