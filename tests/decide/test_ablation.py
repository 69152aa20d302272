"""Kept changes are left out again while the session runs, within a share of its runs and behind its tests."""

import pytest

from cockpit.core.events import ArmDropped, Decided, IncumbentSet, Rejected
from cockpit.core.model import AttemptKind, ExperimentStatus
from cockpit.core.state import WITHOUT
from cockpit.decide.ablation import PROPOSER, RUNS_SHARE, ablations, due_ablations, next_ablations
from cockpit.decide.ablation_test import ABLATION_LOOKS
from cockpit.decide.schedule import RunSpec, next_attempt, order
from tests.decide.world import World

RUNS_FOR_ONE = round(ABLATION_LOOKS[-1] / RUNS_SHARE)


def kept(*changes: str) -> World:
    """Return a session in which these constants were set to 9 by one keep each, with runs for one ablation."""
    world = World(lambda constants, attempt: 2.0)
    world.run(0.1)
    for change in changes:
        keep(world, change)
    world.state.outcome_counts = {"valid": RUNS_FOR_ONE}
    return world


def keep(world: World, change: str) -> None:
    (name,) = world.propose({change: 9})
    world.record(Decided(at=world.now, experiment=name, status=ExperimentStatus.KEPT, reason="a gain"))
    world.record(IncumbentSet(at=world.now, experiment=name, reason="a gain"))


def leave_out(world: World) -> str:
    """Propose the ablation that is due."""
    draft = next_ablations(world.state, due_ablations(world.state, world.now))
    assert draft is not None
    (arm,) = draft.arms
    (name,) = world.propose(dict(arm.change.constants), levels=arm.levels, proposer=PROPOSER)
    return name


def test_a_change_is_left_out_once_two_others_were_kept_on_top_of_it() -> None:
    world = kept("LR", "DEPTH")
    assert due_ablations(world.state, world.now) == 0
    keep(world, "NAME")
    assert due_ablations(world.state, world.now) == 1
    draft = next_ablations(world.state, 1)
    assert draft is not None and draft.base == world.state.incumbent
    assert [(arm.change.constants, arm.levels) for arm in draft.arms] == [({"LR": 1}, {WITHOUT: "e0001"})]


def test_code_that_was_proposed_before_is_not_proposed_again_as_an_ablation() -> None:
    world = kept("LR", "DEPTH", "NAME")
    world.propose({"LR": 2})
    assert due_ablations(world.state, world.now) == 1, "another value than the baseline's is other code"
    world.propose({"LR": 1})
    assert due_ablations(world.state, world.now) == 0
    draft = next_ablations(world.state, 3)
    assert draft is None or "e0001" not in [arm.levels[WITHOUT] for arm in draft.arms]


@pytest.mark.parametrize(("runs", "due"), [(RUNS_FOR_ONE - 1, 0), (RUNS_FOR_ONE, 1)])
def test_ablations_before_the_end_stay_within_their_share_of_the_runs(runs: int, due: int) -> None:
    world = kept("LR", "DEPTH", "NAME")
    world.state.outcome_counts = {"valid": runs}
    assert due_ablations(world.state, world.now) == due


def test_the_runs_of_earlier_ablations_count_in_that_share() -> None:
    world = kept("LR", "DEPTH", "NAME")
    name = leave_out(world)
    world.run(0.05)
    world.record(Decided(at=world.now, experiment=name, status=ExperimentStatus.DISCARDED, reason="a keep came"))
    keep(world, "OTHER")
    taken = len(world.state.experiments[name].attempts)
    assert taken > 0
    world.state.outcome_counts = {"valid": RUNS_FOR_ONE}
    assert due_ablations(world.state, world.now) == 0
    world.state.outcome_counts = {"valid": RUNS_FOR_ONE + round(taken / RUNS_SHARE)}
    assert due_ablations(world.state, world.now) == 1


def test_one_change_at_a_time_is_left_out_before_the_end() -> None:
    world = kept("LR", "DEPTH", "NAME", "OTHER")
    world.state.outcome_counts = {"valid": 100 * RUNS_FOR_ONE}
    leave_out(world)
    assert due_ablations(world.state, world.now) == 0


@pytest.mark.parametrize("how", ["rejected", "dropped"])
def test_an_ablation_that_a_person_refuses_is_proposed_again_on_another_incumbent_only(how: str) -> None:
    world = kept("LR", "DEPTH", "NAME")
    name = leave_out(world)
    wave = world.state.experiments[name].wave
    world.record(
        Rejected(at=world.now, wave=wave, author="ana", reason="no")
        if how == "rejected"
        else ArmDropped(at=world.now, experiment=name, author="ana")
    )
    assert due_ablations(world.state, world.now) == 0
    assert ablations(world.state) is not None, "a person may still ask for it"
    keep(world, "OTHER")
    assert due_ablations(world.state, world.now) == 1


def test_runs_of_tests_come_before_those_of_an_ablation() -> None:
    world = kept("LR", "DEPTH", "NAME")
    ablation, (arm,) = leave_out(world), world.propose({"WIDTH": 2})
    state = world.state
    first = [
        order(state, next_attempt(state, RunSpec(name, kind, "envelope")))
        for name, kind in (
            (arm, AttemptKind.REPLICATE), (ablation, AttemptKind.ABLATION), (arm, AttemptKind.ARM),
        )
    ]  # fmt: skip
    assert first == sorted(first) and len(set(first)) == 3


def test_the_further_runs_of_an_ablation_are_distinguished_from_those_of_tests() -> None:
    world = World(lambda constants, attempt: 2.0 - 0.1 * (constants["LR"] == 2), hardware=("CPU",) * 8)
    world.run(0.1)
    world.propose({"LR": 2, "NAME": "kept"})
    stack = world.run(1.0).incumbent
    assert stack != world.state.baseline
    (without,) = world.propose({"NAME": "as before"}, levels={WITHOUT: stack})
    world.run(2.0)
    kinds = world.kinds(without)
    assert set(kinds) == {AttemptKind.ARM, AttemptKind.ABLATION}
    assert len(kinds) <= 2 * ABLATION_LOOKS[-1]
