"""Keeps and discards: decisions and fold on a small virtual fleet, over many sessions."""

import math
import re
from collections.abc import Mapping
from itertools import groupby

import pytest

from cockpit.core.cluster_events import ClusterGivenUp
from cockpit.core.events import Event, Queued
from cockpit.core.model import Attempt, AttemptKind, ExperimentStatus, Value
from cockpit.core.state import WITHOUT, State, constants_of
from cockpit.decide import experiment_test
from cockpit.decide.controls import CONTROL_EVERY, UNUSED_S
from cockpit.decide.decisions import wake_at
from cockpit.decide.evidence import TEST_KINDS, readings_of
from cockpit.decide.schedule import RunSpec, next_attempt, suits
from tests.decide.world import RUN_S, World

H100_OFFSET = 0.05


def truth(constants: Mapping[str, Value], attempt: Attempt) -> float | None:
    """Return the true score. LR 2 improves it, NAME is a placebo, DEPTH 9 crashes, an H200 is better at everything."""
    if constants["DEPTH"] == 9:
        return None
    score = 2.0 - 0.03 * (constants["LR"] == 2) - 0.06 * (constants["LR"] == 3)
    return score + (H100_OFFSET if attempt.hardware == "H100" else 0.0)


def two_classes() -> tuple[str, ...]:
    return ("H100",) * 5 + ("H200",) * 3


def evidence(state: State, experiment: str) -> int:
    return sum(len(scores) for scores in state.experiments[experiment].scores.values())


@pytest.mark.parametrize("seed", range(10))
def test_a_planted_improvement_is_kept_and_a_placebo_is_not(seed: int) -> None:
    world = World(truth, seed=seed)
    world.run(0.1)
    placebo, better, worse = world.propose({"NAME": "renamed"}, {"LR": 2}, {"LR": 2, "DEPTH": 9})
    state = world.run(1.0)
    assert state.incumbent == better
    assert state.experiments[better].status is ExperimentStatus.KEPT
    assert state.experiments[placebo].status is ExperimentStatus.DISCARDED
    assert state.experiments[worse].status is ExperimentStatus.CRASHED


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("hardware", [("CPU",), ("H100", "H100"), two_classes()])
def test_decisions_work_on_one_cluster_one_class_and_two_classes(hardware: tuple[str, ...], seed: int) -> None:
    world = World(truth, hardware=hardware, seed=seed)
    world.run(0.2)
    placebo, better = world.propose({"NAME": "renamed"}, {"LR": 2})
    state = world.run(2.0)
    assert state.incumbent == better
    assert state.experiments[placebo].status is ExperimentStatus.DISCARDED


def test_nothing_becomes_the_incumbent_on_its_first_run() -> None:
    world = World(truth)
    world.run(0.1)
    (better,) = world.propose({"LR": 2})
    state = world.run(1.0)
    assert state.incumbent == better
    assert world.kinds(better).count(AttemptKind.REPLICATE) >= 2
    assert AttemptKind.CONFIRMATION in world.kinds(better)
    seeds = [state.attempts[name].seed for name in state.experiments[better].attempts]
    assert len(set(seeds)) == len(seeds)
    assert len({state.attempts[name].cluster for name in state.experiments[better].attempts}) >= 3


def test_a_test_begins_with_the_shrunken_gain_and_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    world, reasons = World(truth), []
    record = world.record

    def listen(event: Event) -> None:
        if isinstance(event, Queued) and event.test_level:
            reasons.append(event.reason)
        record(event)

    monkeypatch.setattr(world, "record", listen)
    world.run(0.1)
    world.propose({"LR": 2})
    world.run(1.0)
    (reason,) = reasons
    found = re.search(r"(-[\d.]+) \[(-[\d.]+), (-[\d.]+)\] after shrinking", reason)
    assert found is not None, reason
    gain, low, high = map(float, found.groups())
    assert low < gain < high < 0.0


def test_the_interval_of_a_keep_covers_the_truth() -> None:
    world = World(truth)
    world.run(0.1)
    world.propose({"LR": 2})
    kept = world.run(1.0).incumbencies[-1]
    assert kept.estimate is not None
    assert kept.estimate.low <= -0.03 <= kept.estimate.high < 0
    assert kept.estimate.against == "e0000"


def test_a_better_cluster_class_is_not_a_better_idea() -> None:
    world = World(truth, hardware=two_classes())
    world.run(0.2)
    arms = world.propose(*({"NAME": str(i)} for i in range(16)))
    state = world.run(2.0)
    assert state.incumbent == "e0000"
    assert all(state.experiments[arm].status is ExperimentStatus.DISCARDED for arm in arms)


def test_a_keep_is_validated_on_the_better_class() -> None:
    world = World(truth, hardware=two_classes())
    world.run(0.2)
    (better,) = world.propose({"LR": 2})
    state = world.run(1.0)
    assert state.incumbent == better
    assert "H200" in state.experiments[better].scores


def test_one_wrong_score_never_makes_an_incumbent() -> None:
    def misprints(constants: Mapping[str, Value], attempt: Attempt) -> float:
        return 0.2 if constants["LR"] == 2 and attempt.kind is AttemptKind.ARM else 2.0

    world = World(misprints)
    world.run(0.1)
    (arm,) = world.propose({"LR": 2})
    state = world.run(1.0)
    assert state.incumbent == "e0000"
    assert state.experiments[arm].status is ExperimentStatus.DISCARDED


def test_a_contradicting_confirmation_stops_a_keep() -> None:
    def unconfirmed(constants: Mapping[str, Value], attempt: Attempt) -> float:
        good = constants["LR"] == 2 and attempt.kind is not AttemptKind.CONFIRMATION
        return 1.9 if good else 2.0

    world = World(unconfirmed)
    world.run(0.1)
    (arm,) = world.propose({"LR": 2})
    state = world.run(1.0)
    assert state.incumbent == "e0000"
    assert "from the ledger's code" in state.experiments[arm].reason


def test_all_arms_crash_and_the_baseline_stays() -> None:
    world = World(truth)
    world.run(0.1)
    drafts: list[dict[str, Value]] = [{"DEPTH": 9, "NAME": str(i)} for i in range(8)]
    arms = world.propose(*drafts)
    state = world.run(1.0)
    assert state.incumbent == "e0000"
    assert all(state.experiments[arm].status is ExperimentStatus.CRASHED for arm in arms)


def test_identical_values_keep_nothing() -> None:
    world = World(truth, sd=0.0)
    world.run(0.1)
    arms = world.propose(*({"NAME": str(i)} for i in range(8)))
    state = world.run(1.0)
    assert state.incumbent == "e0000"
    assert all(state.experiments[arm].status is ExperimentStatus.DISCARDED for arm in arms)


@pytest.mark.parametrize("printed", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_decides_nothing(printed: float) -> None:
    world = World(lambda constants, attempt: printed if "NAME" in constants else truth(constants, attempt))
    world.run(0.1)
    broken, better = world.propose({"NAME": "x"}, {"LR": 2})
    state = world.run(1.0)
    assert state.incumbent == better
    assert state.experiments[broken].status is ExperimentStatus.DISCARDED


def test_a_hopeless_arm_gets_no_second_run() -> None:
    world = World(lambda constants, attempt: 2.0 + 0.3 * (constants["LR"] == 2))
    world.run(0.1)
    (arm,) = world.propose({"LR": 2})
    assert evidence(world.run(1.0), arm) == 1


def test_the_better_of_two_improvements_becomes_the_incumbent() -> None:
    world = World(truth)
    world.run(0.1)
    good, best = world.propose({"LR": 2}, {"LR": 3})
    state = world.run(2.0)
    assert state.incumbent == best
    assert state.experiments[good].status in (ExperimentStatus.KEPT, ExperimentStatus.DISCARDED)


@pytest.mark.parametrize("seed", range(8))
def test_tests_that_end_together_never_replace_an_incumbent_by_a_worse_one(seed: int) -> None:
    def steps(constants: Mapping[str, Value], attempt: Attempt) -> float:
        return 2.0 - 0.02 * float(str(constants["LR"]))

    world = World(steps, hardware=("H100",) * 24, seed=seed)
    world.run(0.1)
    world.propose(*({"LR": level} for level in (4, 2, 6, 3, 5, 7)))
    state = world.run(2.0)
    path = [constants_of(state, one.experiment)["LR"] for one in state.incumbencies]
    assert path == sorted(path) and path[-1] == 7


def test_a_keep_waits_for_two_runs_of_the_incumbent_and_for_no_other_tests_runs() -> None:
    for seed in range(4):
        world = World(truth, hardware=("CPU",) * 24, seed=seed)
        world.run(0.1)
        began = world.now
        (better,) = world.propose({"LR": 2})
        for number in range(12):
            world.run(0.5 * RUN_S / 3600)
            world.propose({"LR": 2, "NAME": str(number)})
        state = world.run(1.0)
        kept = next(one for one in state.incumbencies if one.experiment == better)
        assert kept.at - began < 4 * RUN_S


def test_an_arm_far_behind_the_tested_one_gets_no_runs() -> None:
    for seed in range(4):
        world = World(truth, hardware=("CPU",) * 24, seed=seed)
        world.together = True
        world.run(0.1)
        good, best = world.propose({"LR": 2}, {"LR": 3})
        state = world.run(1.0)
        assert state.incumbent == best
        assert evidence(state, good) == 1


def test_tests_run_on_the_plentiful_class_and_leave_the_better_one_to_validations() -> None:
    world = World(truth, hardware=two_classes())
    world.run(0.2)
    (better,) = world.propose({"LR": 2})
    state = world.run(1.0)
    assert state.incumbent == better
    runs = [state.attempts[name] for name in state.experiments[better].attempts]
    assert {run.hardware for run in runs if run.kind is AttemptKind.REPLICATE} == {"H100"}
    assert [run.hardware for run in runs if run.kind is AttemptKind.VALIDATION] == ["H200"]


@pytest.mark.parametrize("kind", [AttemptKind.REPLICATE, AttemptKind.VALIDATION, AttemptKind.CONFIRMATION])
def test_a_run_of_a_test_moves_once_every_cluster_of_its_class_is_given_up(kind: AttemptKind) -> None:
    world = World(truth, hardware=("H100",) * 2 + ("H200",))
    world.run(0.2)
    state = world.state
    run, arm = (next_attempt(state, RunSpec("e0000", one, "", hardware="H100")) for one in (kind, AttemptKind.ARM))
    assert not suits(state, run, state.clusters["gpu-03"])
    world.record(ClusterGivenUp(at=world.now, cluster="gpu-01", message="it does not answer"))
    assert not suits(state, run, state.clusters["gpu-03"])
    world.record(ClusterGivenUp(at=world.now, cluster="gpu-02", message="it does not answer"))
    assert suits(state, run, state.clusters["gpu-03"])
    assert not suits(state, arm, state.clusters["gpu-03"])


def test_a_fleet_that_comes_up_together_tries_arms_at_once_and_measures_each_class() -> None:
    world = World(truth, hardware=("H100",) * 13 + ("H200",) * 3)
    arms = world.propose(*({"NAME": str(i)} for i in range(16)), base="e0000")
    state = world.run(0.5 * RUN_S / 3600)
    running = [state.attempts[cluster.running] for cluster in state.clusters.values() if cluster.running]
    controls = [run for run in running if run.experiment not in arms]
    assert len(running) == 16 and len(controls) <= 5
    assert {run.hardware for run in controls} == {"H100", "H200"}


def test_an_unused_cluster_is_measured_at_once() -> None:
    world = World(truth, hardware=("CPU",) * 16)
    world.run(0.0)
    measured = len(world.state.in_flight)
    assert measured < 16, "the other clusters run arms"
    world.now = wake_at(world.state, world.now)
    world.run(0.0)
    assert world.now == UNUSED_S
    assert len(world.state.in_flight) == 16


def test_an_arm_waits_for_the_incumbent_to_be_measured_in_its_class_and_is_not_run_again() -> None:
    world = World(truth, hardware=("H100",) * 13 + ("H200",) * 3)
    arms = world.propose(*({"NAME": str(i)} for i in range(16)), base="e0000")
    state = world.run(1.0)
    assert AttemptKind.RETRY not in {kind for arm in arms for kind in world.kinds(arm)}
    assert state.incumbent == "e0000"


def test_controls_for_given_up_clusters_do_not_delay_others() -> None:
    world = World(truth, hardware=("H100",) * 16)
    gone = [f"gpu-{number:02d}" for number in range(9, 17)]
    for name in gone:
        run = RunSpec("e0000", AttemptKind.CONTROL, "", pin=name)
        control = next_attempt(world.state, run, extra=len(world.state.waiting))
        world.record(Queued(at=0.0, attempt=control, reason="as it joins"))
        world.record(ClusterGivenUp(at=0.0, cluster=name, message="it does not answer"))
    state = world.run(0.5)
    ran = {state.attempts[name].cluster for name in state.experiments["e0000"].attempts} - {""}
    assert ran == set(state.clusters) - set(gone)


def test_every_cluster_gets_a_control_as_it_joins_and_controls_stay_under_5_percent() -> None:
    world = World(truth, hardware=two_classes())
    world.run(0.1)
    for wave in range(40):
        world.propose(*({"NAME": f"{wave}.{i}"} for i in range(16)))
        world.run(0.05)
    state = world.run(2.0)
    controls = [attempt for attempt in state.attempts.values() if attempt.kind is AttemptKind.CONTROL]
    own = [state.attempts[name] for name in state.experiments["e0000"].attempts]
    assert {attempt.cluster for attempt in own} == set(state.clusters)
    assert len(state.attempts) > 20 * len(state.clusters)
    assert len(controls) / len(state.attempts) < 0.05


def test_the_incumbent_runs_again_before_forty_other_runs_have_begun() -> None:
    world = World(lambda constants, attempt: 1.0, hardware=("H100",) * 8, sd=0.001)
    world.run(0.2)
    for number in range(12):
        world.propose(*({"LR": 100 * number + arm} for arm in range(16)))
        world.run(0.05)
    of_incumbent = [one.experiment == world.state.incumbent for one in world.state.attempts.values()]
    longest = max(len(list(run)) for is_incumbent, run in groupby(of_incumbent) if not is_incumbent)
    assert len(of_incumbent) > 3 * CONTROL_EVERY
    assert longest <= CONTROL_EVERY + 16


def test_a_cluster_that_measures_wrongly_is_flagged_and_decides_nothing() -> None:
    def broken(constants: Mapping[str, Value], attempt: Attempt) -> float:
        return 2.0 - 0.2 * (attempt.cluster == "gpu-02")

    world = World(broken, hardware=("CPU",) * 8)
    world.run(0.1)
    for wave in range(30):
        world.propose(*({"NAME": f"{wave}.{i}"} for i in range(8)))
        world.run(0.05)
    state = world.run(1.0)
    assert list(state.flagged) == ["gpu-02"]
    assert state.incumbent == "e0000"


def test_a_cluster_whose_one_control_is_far_from_the_others_is_measured_again_at_once() -> None:
    def off(constants: Mapping[str, Value], attempt: Attempt) -> float:
        return 2.0 - 0.2 * (attempt.cluster == "gpu-02")

    world = World(off, hardware=("CPU",) * 8)
    state = world.run(0.1)
    controls = [one.cluster for one in state.attempts.values() if one.kind is AttemptKind.CONTROL]
    assert controls.count("gpu-02") == 2, "once as it joins, and once more"
    assert all(controls.count(name) < 2 for name in state.clusters if name != "gpu-02")


def test_a_second_control_without_a_result_is_not_repeated() -> None:
    def off(constants: Mapping[str, Value], attempt: Attempt) -> float | None:
        if attempt.cluster != "gpu-02":
            return 2.0
        return 1.8 if int(attempt.id.split(".")[1]) <= 8 else None

    state = World(off, hardware=("CPU",) * 8).run(1.0)
    controls = [one for one in state.attempts.values() if one.kind is AttemptKind.CONTROL and one.cluster == "gpu-02"]
    assert len(controls) == 2


def test_a_kept_change_that_no_longer_helps_is_dropped_and_one_that_does_stays() -> None:
    def overtaken(constants: Mapping[str, Value], attempt: Attempt) -> float:
        return 2.0 - 0.05 * (constants["LR"] == 2)

    dropped = 0
    for seed in range(8):
        world = World(overtaken, seed=seed)
        world.run(0.1)
        world.propose({"LR": 2, "NAME": "useless"})
        stack = world.run(1.0).incumbent
        assert stack != "e0000"
        useless, useful = (
            world.propose({"NAME": "as before"}, levels={WITHOUT: stack})[0],
            world.propose({"LR": 1}, levels={WITHOUT: stack})[0],
        )
        state = world.run(2.0)
        assert state.experiments[useful].status is ExperimentStatus.DISCARDED
        assert state.incumbent in (stack, useless)
        dropped += state.incumbent == useless
        said = ("no longer helps",) if state.incumbent == useless else ("stays", "still helps")
        assert state.experiments[useless].reason.endswith(said)
    assert dropped >= 4, "the others are undecided or look helpful by luck, and stay"


@pytest.mark.parametrize("jump_sds", [1.5, 3, 6])
def test_drift_of_a_machine_makes_no_placebo_an_improvement(jump_sds: float) -> None:
    def jumps(constants: Mapping[str, Value], attempt: Attempt) -> float:
        later = attempt.queued_at > 0.2 * 3600
        return 2.0 - 0.003 * jump_sds * later

    for seed in range(8):
        world = World(jumps, hardware=("CPU",) * 2, seed=seed)
        world.run(0.22)
        world.propose(*({"NAME": str(i)} for i in range(4)))
        assert world.run(2.0).incumbent == "e0000"


def test_a_real_improvement_is_kept_despite_drift() -> None:
    def jumps(constants: Mapping[str, Value], attempt: Attempt) -> float:
        later = attempt.queued_at > 0.1 * 3600
        return 2.0 - 0.009 * later - 0.03 * (constants["LR"] == 2)

    for seed in range(8):
        world = World(jumps, hardware=("CPU",) * 2, seed=seed)
        world.run(0.1)
        (better,) = world.propose({"LR": 2})
        assert world.run(2.0).incumbent == better


def test_two_tests_that_end_together_number_the_incumbents_runs_apart() -> None:
    for seed in range(12):
        world = World(lambda constants, attempt: 2.0 - 0.006 * ("NAME" in constants), hardware=("CPU",) * 24, seed=seed)
        world.together = True
        world.run(0.1)
        for wave in range(2):
            world.propose(*({"NAME": f"{wave}.{i}"} for i in range(12)))
            world.run(0.1)
        state = world.run(1.0)
        assert all(len(set(one.attempts)) == len(one.attempts) for one in state.experiments.values())


def test_a_gain_that_the_runs_beside_its_test_do_not_show_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment_test, "BESIDE_AT", 0.0)
    world = World(truth, hardware=("CPU",) * 8, seed=1)
    world.run(0.2)
    began = world.now
    (better,) = world.propose({"LR": 2})
    state = world.run(1.0)
    assert state.experiments[better].status is ExperimentStatus.DISCARDED
    assert "the incumbent's runs beside the test do not show the gain" in state.experiments[better].reason
    beside = [
        run
        for name in state.experiments["e0000"].attempts
        if (run := state.attempts[name]).kind is AttemptKind.REPLICATE and run.queued_at >= began
    ]
    assert len(beside) >= len(readings_of(state, better, *TEST_KINDS)), "as many runs as the test has must not show it"
