"""The keep rule under bad noise. benchmarks/evidence.py has more sessions of each condition, and their figures."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.evidence import RUN_SD, SCORE, Condition, Fleet, simulate
from cockpit.science.compare import compare
from cockpit.science.noise import estimate_noise
from cockpit.science.reading import Reading
from cockpit.science.sequential import IDENTICAL, LookOutcome, judge

SESSIONS = 250
ALIKE = Condition("clusters alike")
APART = Condition("clusters apart by 1.5 SD", clusters_sd=1.5)
NOISY = Condition("arm 3 times as noisy", arm_sd=3.0)
OUTLIERS = Condition("2% far outliers", outliers=0.02)
DRIFT = Condition("drift of -3 SD an hour", drift_per_hour=-3.0)
NOISY_CLUSTERS = Condition("half of the clusters 3 times as noisy", noisy_clusters_sd=3.0)
COARSE = Condition("ten values", step=0.6)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "condition", [ALIKE, APART, NOISY, OUTLIERS, DRIFT, NOISY_CLUSTERS, COARSE], ids=lambda one: one.name
)
def test_a_null_arm_seldom_passes_its_looks_however_bad_the_noise(condition: Condition) -> None:
    found = simulate(condition, 0.0, SESSIONS)
    # The level is 0.6%. Noisy arms exceed it; a confirmation and runs of the incumbent beside the test hold more back.
    assert found.keeps <= 0.025
    assert found.coverage >= 0.8


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("condition", "gain", "at_least"), [(ALIKE, 1.0, 0.4), (APART, 1.0, 0.35), (NOISY, 3.0, 0.5)],
                         ids=["alike", "apart", "noisy"])  # fmt: skip
def test_a_real_gain_passes_its_looks(condition: Condition, gain: float, at_least: float) -> None:
    assert simulate(condition, -gain, 100, seed=1).keeps >= at_least


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("gain", "at_least"), [(1.0, 0.1), (2.0, 0.8)])
def test_a_late_test_of_the_night_still_finds_small_gains(gain: float, at_least: float) -> None:
    assert simulate(ALIKE, -gain, 100, seed=1, test=40).keeps >= at_least


def session(condition: Condition, seed: int) -> tuple[list[Reading], list[Reading]]:
    """Return the runs of an incumbent, and those of an arm that truly equals it."""
    fleet = Fleet(condition, np.random.default_rng(seed))
    return fleet.runs("e0000", 0.0, 13, 0.0), fleet.runs("e0001", 0.0, 4, 0.2)


@pytest.mark.parametrize("seed", range(10))
def test_the_larger_p_value_counts_where_clusters_and_runs_cannot_be_distinguished(seed: int) -> None:
    base, arm = session(ALIKE, seed)
    noise = estimate_noise(base)
    assert noise.unsplit_sd > noise.within_sd
    seen, unsplit = compare(arm, base, noise), compare(arm, base, noise.unsplit)
    assert seen is not None and unsplit is not None
    assert seen.p_value >= unsplit.p_value


def test_clusters_that_differ_beyond_doubt_are_corrected_for() -> None:
    rng = np.random.default_rng(1)
    fleet = Fleet(Condition("far apart", clusters_sd=5.0), rng)
    noise = estimate_noise([fleet.run("e0000", 0.0, number % 8, 0.0) for number in range(32)])
    assert noise.unsplit is noise


def test_an_arm_with_scattered_runs_has_a_wider_interval_than_one_with_close_runs() -> None:
    base, _ = session(ALIKE, 1)
    noise = estimate_noise(base)

    def width(spread: float) -> float:
        arm = [
            Reading("e0001", f"gpu-{i:02d}", "H100", SCORE + RUN_SD * spread * (-1) ** i + 1e-9 * i) for i in range(4)
        ]
        seen = compare(arm, base, noise)
        assert seen is not None
        return seen.pooled.high - seen.pooled.low

    assert width(4.0) > 2 * width(1.0) >= 2 * width(0.1)


@settings(deadline=None, max_examples=50)
@given(st.floats(10, 1e6), st.sampled_from([-1.0, 1.0]))
def test_a_far_outlier_moves_the_difference_by_little_more_than_one_run_sd(reach: float, sign: float) -> None:
    base, _ = session(ALIKE, 2)
    arm = [Reading("e0001", f"gpu-{i:02d}", "H100", SCORE + RUN_SD * (i % 3 - 1)) for i in range(8)]
    off = [*arm[:7], Reading("e0001", "gpu-07", "H100", SCORE + sign * reach * RUN_SD)]
    noise = estimate_noise(base)
    clean, seen = compare(arm, base, noise), compare(off, base, noise)
    assert clean is not None and seen is not None
    assert abs(seen.pooled.mean - clean.pooled.mean) < 1.5 * RUN_SD


def test_a_clear_drift_is_no_gain_for_runs_that_end_later() -> None:
    def at(experiment: str, hours: float, number: int) -> Reading:
        score = SCORE - 3 * RUN_SD * hours + RUN_SD * ((number * 7) % 5 - 2) / 2
        return Reading(experiment, f"gpu-{number % 4:02d}", "H100", score, 3600 * hours)

    base = [at("e0000", 0.1 * number, number) for number in range(20)]
    late = [at("e0001", 3 + 0.1 * number, number) for number in range(8)]
    seen = compare(late, base, estimate_noise([*base, *late]))
    assert seen is not None
    assert abs(seen.pooled.mean) < RUN_SD
    assert seen.p_value > 0.05


def test_equal_arms_that_end_at_different_times_of_a_drift_score_alike() -> None:
    fleet = Fleet(DRIFT, np.random.default_rng(5))
    base = [fleet.run("e0000", 0.0, number % 8, 0.1 * number) for number in range(32)]
    early, late = ([fleet.run(name, 0.0, number, at + 0.1 * number) for number in range(8)]
                   for name, at in (("e0001", 0.2), ("e0002", 2.2)))  # fmt: skip
    noise = estimate_noise([*base, *early, *late])
    for arm in (early, late):
        seen = compare(arm, base, noise)
        assert seen is not None
        assert seen.pooled.low <= 0.0 <= seen.pooled.high
        assert abs(seen.pooled.mean) < 1.5 * RUN_SD


def identical(experiment: str, score: float, count: int) -> list[Reading]:
    return [Reading(experiment, f"gpu-{i:02d}", "H100", score) for i in range(count)]


def test_repeats_that_score_exactly_the_same_measure_no_noise_and_keep_nothing() -> None:
    base, lucky = identical("e0000", 0.99, 8), identical("e0001", 0.97, 8)
    noise = estimate_noise([*base, *lucky])
    assert noise.are_identical and not noise.measured
    judged = judge(compare(lucky, base, noise), noise, 0.05, 8)
    assert judged.outcome is LookOutcome.HOPELESS
    assert judged.why == IDENTICAL


def test_one_group_of_different_repeats_is_enough_to_measure_the_noise() -> None:
    base, _ = session(ALIKE, 3)
    noise = estimate_noise([*base, *identical("e0001", 0.97, 4)])
    assert not noise.are_identical and noise.measured


def test_identical_runs_of_one_arm_count_as_one_run() -> None:
    base, _ = session(ALIKE, 4)
    noise = estimate_noise(base)
    eight, one = compare(identical("e0001", 0.99, 8), base, noise), compare(identical("e0001", 0.99, 1), base, noise)
    assert eight is not None and one is not None
    assert eight.se == one.se


def test_noisy_arms_of_a_session_do_not_hide_the_gain_of_a_quiet_one() -> None:
    fleet = Fleet(ALIKE, np.random.default_rng(3))
    base = fleet.runs("e0000", 0.0, 32, 0.0)
    noisy = [one for number in range(6) for one in fleet.runs(f"e001{number}", 1.0, 16, 0.2, sd=4.0)]
    quiet = fleet.runs("e0001", -1.0, 32, 0.3)
    alone, beside = estimate_noise([*base, *quiet]), estimate_noise([*base, *noisy, *quiet])
    assert beside.run_sd > 2 * alone.run_sd
    seen, hidden = compare(quiet, base, alone), compare(quiet, base, beside)
    assert seen is not None and hidden is not None
    assert hidden.se < 1.5 * seen.se


def test_few_close_runs_of_an_arm_are_no_surer_than_its_base_is() -> None:
    fleet = Fleet(ALIKE, np.random.default_rng(3))
    base = fleet.runs("e0000", 0.0, 32, 0.0)
    close = [fleet.run("e0001", 0.0, number, 0.3, sd=0.01) for number in range(4)]
    spread = fleet.runs("e0002", 0.0, 4, 0.3)
    noise = estimate_noise([*base, *close, *spread])
    seen = compare(close, base, noise)
    assert seen is not None
    assert seen.se > 0.4 * RUN_SD


def plain_runs(experiment: str, seed: int, runs: int = 32, cluster: int | None = None) -> list[Reading]:
    rng = np.random.default_rng(seed)
    return [
        Reading(
            experiment, f"gpu-{number % 8 if cluster is None else cluster:02d}", "H100", float(rng.normal(1.0, RUN_SD))
        )
        for number in range(runs)
    ]


def moved(run: Reading, sds: float) -> Reading:
    return msgspec.structs.replace(run, score=run.score + sds * RUN_SD)


@pytest.mark.parametrize("sds", [-20.0, 20.0, 1e6])
def test_one_run_that_did_not_do_its_work_changes_neither_the_noise_nor_the_difference(sds: float) -> None:
    base, arm = plain_runs("e0000", 1), plain_runs("e0001", 2)
    odd = [moved(arm[0], sds), *arm[1:]]
    noise, with_odd = estimate_noise([*base, *arm]), estimate_noise([*base, *odd])
    assert with_odd.run_sd == pytest.approx(noise.run_sd, rel=0.1)
    seen, seen_odd = compare(arm, base, noise), compare(odd, base, with_odd)
    assert seen is not None and seen_odd is not None
    assert seen_odd.pooled.mean == pytest.approx(seen.pooled.mean, abs=0.1 * RUN_SD)


def test_an_arm_that_fails_now_and_then_is_worse_for_it() -> None:
    base, arm = plain_runs("e0000", 1), plain_runs("e0001", 2)
    failing = [moved(run, 20.0) if number % 6 == 0 else run for number, run in enumerate(arm)]
    noise = estimate_noise([*base, *arm])
    seen, seen_failing = compare(arm, base, noise), compare(failing, base, noise)
    assert seen is not None and seen_failing is not None
    assert seen_failing.pooled.mean > seen.pooled.mean + 0.3 * RUN_SD


def test_an_arm_with_lucky_runs_is_not_better_for_them() -> None:
    base, arm = plain_runs("e0000", 1), plain_runs("e0001", 2)
    lucky = [moved(run, -20.0) if number % 6 == 0 else run for number, run in enumerate(arm)]
    seen = compare(lucky, base, estimate_noise([*base, *arm]))
    assert seen is not None and seen.pooled.mean > -0.3 * RUN_SD


def test_a_cluster_that_is_far_off_in_every_run_is_flagged_and_not_left_out() -> None:
    runs = [moved(run, 30.0) if run.cluster == "gpu-03" else run for run in plain_runs("e0000", 3)]
    assert list(estimate_noise(runs).flagged) == ["gpu-03"]


def test_a_long_drift_is_not_clipped_as_if_its_ends_were_outliers() -> None:
    rng = np.random.default_rng(4)
    hours = np.linspace(0, 8, 64)
    short = [
        Reading(f"e{number // 4 + 1:04d}", f"gpu-{number % 8:02d}", "H100", float(rng.normal(1.0, RUN_SD)), 3600.0)
        for number in range(200)
    ]
    long = [
        Reading("e0000", f"gpu-{i % 8:02d}", "H100", float(rng.normal(1.0 - 3 * RUN_SD * at, RUN_SD)), 3600 * at)
        for i, at in enumerate(hours)
    ]
    drift = estimate_noise([*long, *short]).drift
    assert drift.shift(8.0) - drift.shift(0.0) == pytest.approx(-24 * RUN_SD, abs=2.5 * RUN_SD)


def selected_tests(seed: int, may_end: bool) -> list[Reading]:
    """Return the runs of null arms, each run an hour after the last. Half of the arms end after four: the worse."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(1.0, RUN_SD, (60, 12))
    goes_on = scores[:, :4].mean(axis=1) < 1.0
    return [
        Reading(f"e{arm:04d}", f"gpu-{run % 8:02d}", "H100", float(scores[arm, run]), 3600.0 * run, may_end=may_end)
        for arm in range(60)
        for run in range(12 if goes_on[arm] else 4)
    ]


def test_tests_that_go_on_because_they_began_well_show_no_drift() -> None:
    assert all(estimate_noise(selected_tests(seed, may_end=False)).drift.slope > 0 for seed in range(5))
    assert not any(estimate_noise(selected_tests(seed, may_end=True)).drift.knots for seed in range(5))
