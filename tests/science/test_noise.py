"""The noise model."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit.science.noise import estimate_noise
from cockpit.science.outliers import lone_outliers
from cockpit.science.reading import Reading

CLUSTERS = tuple(f"gpu-{i:02d}" for i in range(8))


def fleet_readings(
    seed: int,
    runs_each: int = 6,
    within: float = 0.0003,
    between: float = 0.0005,
    h100: float = 0.005,
    experiments: int = 2,
) -> tuple[list[Reading], dict[str, float]]:
    """Controls of two classes of four clusters each, and what each cluster truly adds to its class."""
    rng = np.random.default_rng(seed)
    own = {name: float(rng.normal(0, between)) for name in CLUSTERS}
    readings = []
    for number in range(experiments):
        for i, name in enumerate(CLUSTERS):
            for k in range(runs_each):
                score = 0.99 - 0.002 * number + own[name] + (h100 if i < 4 else 0.0) + rng.normal(0, within)
                hardware = "H100" if i < 4 else "H200"
                readings.append(Reading(f"e{number:04d}", name, hardware, float(score), 300.0 * k, 500.0))
    return readings, own


def test_without_readings_the_prior_is_returned_as_unmeasured() -> None:
    noise = estimate_noise([], magnitude=2.5)
    assert not noise.measured
    assert noise.run_sd == pytest.approx(5e-4 * 2.5)
    assert noise.flagged == {}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_one_two_or_three_readings_do_not_count_as_measured(count: int) -> None:
    noise = estimate_noise([Reading("e0000", f"gpu-{i}", "CPU", 2.0 + 0.001 * i) for i in range(count)])
    assert not noise.measured
    assert math.isfinite(noise.run_sd) and noise.run_sd > 0


def test_identical_values_leave_a_noise_above_zero() -> None:
    noise = estimate_noise([Reading("e0000", f"gpu-{i}", "CPU", 2.0) for i in range(10)])
    assert 0 < noise.within_sd < 5e-4 * 2.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_nan_score_is_refused_by_name(bad: float) -> None:
    with pytest.raises(ValueError, match="e0007 on gpu-03"):
        estimate_noise([Reading("e0007", "gpu-03", "H100", bad)])


def test_variance_within_and_between_clusters_is_separated() -> None:
    found = [estimate_noise(fleet_readings(seed)[0]) for seed in range(30)]
    assert np.median([noise.within_sd for noise in found]) == pytest.approx(0.0003, rel=0.15)
    assert np.median([noise.between_sd for noise in found]) == pytest.approx(0.0005, rel=0.3)
    assert all(noise.measured for noise in found)


def test_the_interval_of_the_class_difference_covers_the_truth() -> None:
    covered = 0
    for seed in range(60):
        noise = estimate_noise(fleet_readings(seed, between=0.0)[0])
        offset = noise.classes["H200" if noise.reference == "H100" else "H100"]
        truth = -0.005 if noise.reference == "H100" else 0.005
        assert offset.mean == pytest.approx(truth, abs=0.0006)
        covered += abs(offset.mean - truth) <= 1.645 * offset.se
    assert covered >= 48


def test_cluster_offsets_are_close_to_the_truth() -> None:
    readings, own = fleet_readings(3, runs_each=20)
    noise = estimate_noise(readings)
    for names in (CLUSTERS[:4], CLUSTERS[4:]):
        centre = sum(own[name] for name in names) / 4
        for name in names:
            assert noise.clusters[name].mean == pytest.approx(own[name] - centre, abs=0.0003)


def test_a_fleet_without_interaction_rarely_shows_one() -> None:
    shown = [estimate_noise(fleet_readings(seed, experiments=4)[0]).interaction_sd > 0 for seed in range(40)]
    assert sum(shown) <= 12


def test_one_misprint_does_not_inflate_the_noise() -> None:
    readings, _ = fleet_readings(1)
    clean = estimate_noise(readings)
    readings.append(Reading("e0000", "gpu-01", "H100", 0.2, 0.0, 500.0))
    assert estimate_noise(readings).run_sd < 4 * clean.run_sd


def test_a_cluster_with_a_large_offset_is_flagged() -> None:
    readings, _ = fleet_readings(2, between=0.0001)
    shifted = [
        Reading(r.experiment, r.cluster, r.hardware, r.score + 0.02 * (r.cluster == "gpu-02"), r.at, r.tokens_M)
        for r in readings
    ]
    assert list(estimate_noise(shifted).flagged) == ["gpu-02"]
    assert "worse" in estimate_noise(shifted).flagged["gpu-02"]
    assert estimate_noise(readings).flagged == {}


def test_a_single_far_run_is_a_lone_outlier_and_two_are_not() -> None:
    runs = [Reading("e0000", f"gpu-{i}", "H100", 1.0 + 0.0003 * (i % 3)) for i in range(6)]
    assert lone_outliers(runs) == set()
    off = Reading("e0000", "gpu-6", "H100", 1.02)
    assert lone_outliers([*runs, off]) == {"gpu-6"}
    assert lone_outliers([*runs, off, off]) == set()
    assert lone_outliers([*runs, Reading("e0000", "gpu-6", "H200", 1.02)]) == set(), "another class scores otherwise"
    assert lone_outliers([*runs[:3], off]) == set(), "too few to say what is usual"
    assert lone_outliers([]) == set()


def test_a_throttled_cluster_is_flagged_before_its_score_shows_it() -> None:
    readings, _ = fleet_readings(2)
    slowed = [
        Reading(r.experiment, r.cluster, r.hardware, r.score, r.at, 450.0 if r.cluster == "gpu-06" else 500.0)
        for r in readings
    ]
    assert estimate_noise(slowed).flagged == {
        "gpu-06": "gpu-06 throttles: 90% of the tokens that its class gets through."
    }


def test_a_drift_is_measured_with_its_error() -> None:
    readings, _ = fleet_readings(4)
    drifting = [
        Reading(r.experiment, r.cluster, r.hardware, r.score + 0.01 * r.at / 3600, r.at, r.tokens_M) for r in readings
    ]
    drift = estimate_noise(drifting).drift
    assert drift.slope == pytest.approx(0.01, abs=4 * drift.slope_se)
    assert drift.slope > 3 * drift.slope_se


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            Reading,
            st.sampled_from(["e0000", "e0001", "e0002"]),
            st.sampled_from(CLUSTERS[:3]),
            st.sampled_from(["H100", "H200"]),
            st.floats(0.5, 5.0),
            st.floats(0, 1e5),
            st.floats(0, 1e3),
        ),
        max_size=12,
    )
)
def test_any_finite_readings_give_a_positive_finite_noise(readings: list[Reading]) -> None:
    noise = estimate_noise(readings)
    assert noise.within_sd > 0 and math.isfinite(noise.within_sd)
    assert noise.between_sd > 0 and math.isfinite(noise.between_sd)
    assert all(offset.se >= 0 for offset in noise.clusters.values())
