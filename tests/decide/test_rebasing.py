"""A change under test when the incumbent is replaced is tried again on the new incumbent."""

from collections.abc import Mapping

import pytest

from cockpit.core.events import Decided, ModeSet
from cockpit.core.model import Attempt, AttemptKind, ExperimentStatus, Mode, Value
from cockpit.decide import experiment_test
from cockpit.decide.ask import ask
from cockpit.decide.decision_context import gather
from cockpit.decide.evidence import TEST_KINDS, readings_of
from cockpit.decide.rebasing import REBASED, first_runs, outdated, rebase, rebased_as
from cockpit.science.sequential import last_look
from tests.decide.world import RUN_S, World

SD = 0.003
SMALL_SDS = 3


def truth(constants: Mapping[str, Value], attempt: Attempt) -> float:
    """LR=2 gains 10 SD, SMALL gains 3 SD, and each other DEPTH loses 5 SD."""
    gains = 10 * (constants["LR"] == 2) + SMALL_SDS * ("SMALL" in constants) - 5 * (constants["DEPTH"] != 8)
    return 2.0 - SD * gains


def under_test(seed: int = 1) -> tuple[World, str]:
    """Return a session of eight clusters with a small gain under test on the baseline, and that arm's name."""
    world = World(truth, hardware=("CPU",) * 8, sd=SD, seed=seed)
    world.run(0.2)
    (small, *_) = world.propose({"SMALL": 1}, {"DEPTH": 9}, {"DEPTH": 10})
    for _ in range(20):
        world.run(RUN_S / 3600)
        if world.state.experiments[small].test_level:
            return world, small
    raise AssertionError("the small gain was not tested")


def test_a_small_gain_survives_the_keep_of_a_large_one() -> None:
    found = 0
    for seed in range(1, 7):
        world, _ = under_test(seed)
        world.propose({"LR": 2})
        state = world.run(6.0)
        final = state.experiments[state.incumbent].overrides
        found += final.get("LR") == 2 and "SMALL" in final
    assert found >= 4


def replaced(change: dict[str, Value], fresh: int = 0) -> tuple[World, str]:
    """Return a session whose incumbent was replaced by `change` while a small gain had `fresh` runs of its test."""
    world, small = under_test()
    world.state.experiments[small].test_level = 1e-9
    while len(readings_of(world.state, small, *TEST_KINDS)) < fresh:
        world.run(RUN_S / 3600)
    (kept,) = world.propose(change)
    world.record(Decided(at=world.now, experiment=kept, status=ExperimentStatus.KEPT, reason="told"))
    world.state.incumbencies.append(world.state.incumbencies[-1].__class__(world.now, kept, "told", "ann"))
    world.state.incumbent = kept
    return world, small


def test_a_keep_moves_the_tests_beside_it_to_the_new_incumbent() -> None:
    world, small = replaced({"LR": 2})
    kept = world.state.incumbent
    state = world.run(1.0)
    twin = next(one for one in state.experiments.values() if one.levels.get(REBASED) == small)
    assert twin.base == kept and twin.change == state.experiments[small].change
    assert twin.test_level, "the place of the ended test was not taken over"
    assert state.experiments[small].status is ExperimentStatus.DISCARDED and twin.id in state.experiments[small].reason


def test_a_carried_test_begins_with_as_many_runs_as_the_test_that_it_takes_over() -> None:
    world, small = replaced({"LR": 2}, fresh=8)
    world.run(1.0)
    (twin,) = (one for one in world.state.experiments.values() if one.levels.get(REBASED) == small)
    runs = [world.state.attempts[name] for name in twin.attempts]
    began = [run.queued_at for run in runs if run.kind is AttemptKind.REPLICATE]
    assert began.count(min(began)) == last_look(len(readings_of(world.state, small, *TEST_KINDS))) >= 8


def test_a_change_of_a_constant_that_was_kept_otherwise_is_not_rebased() -> None:
    world, small = replaced({"LR": 2})
    assert outdated(world.state) == [small]
    world, _ = replaced({"SMALL": 2})
    assert outdated(world.state) == [] and rebase(world.state) is None


def test_a_change_whose_code_on_the_incumbent_was_tried_is_not_rebased() -> None:
    world, small = replaced({"LR": 2})
    assert outdated(world.state) == [small]
    world.propose({"LR": 2, "SMALL": 1}, base=world.state.baseline)
    assert outdated(world.state) == [] and rebase(world.state) is None


def test_nothing_is_rebased_unasked_in_manual_mode() -> None:
    world, _ = replaced({"LR": 2})
    assert any(event.proposer == "rebase" for event in ask(world.state, world.now) if hasattr(event, "proposer"))
    world.record(ModeSet(at=world.now, mode=Mode.MANUAL, author="ann"))
    assert not any(getattr(event, "proposer", "") == "rebase" for event in ask(world.state, world.now))


def test_a_proposal_that_waits_for_a_person_ends_no_test() -> None:
    world, small = replaced({"LR": 2})
    draft = rebase(world.state)
    assert draft is not None
    assert draft.arms[0].levels == {REBASED: small}
    (twin,) = world.propose(
        draft.arms[0].change.constants, base=draft.base, levels=draft.arms[0].levels, proposer=draft.proposer
    )
    assert rebased_as(world.state, small) == ""
    assert outdated(world.state) == [], "it would be proposed twice"
    world.state.experiments[twin].status = ExperimentStatus.QUEUED
    assert rebased_as(world.state, small) == twin


@pytest.mark.parametrize("fresh", [2, 4])
def test_a_test_whose_runs_have_ended_waits_for_its_rebase(fresh: int) -> None:
    world, small = replaced({"LR": 2}, fresh)
    state = world.state
    assert experiment_test.tested(state, gather(state, world.now), state.experiments[small]) == []
    world.run(0.2)
    (twin,) = (one.id for one in state.experiments.values() if one.levels.get(REBASED) == small)
    assert twin in state.experiments[small].reason


def test_a_test_that_no_rebase_will_continue_does_not_wait_for_one() -> None:
    world, small = replaced({"LR": 2}, fresh=4)
    world.record(ModeSet(at=world.now, mode=Mode.MANUAL, author="ann"))
    assert experiment_test.tested(world.state, gather(world.state, world.now), world.state.experiments[small])


@pytest.mark.parametrize(("clusters", "runs"), [(1, 2), (2, 2), (3, 2), (4, 4), (16, 4)])
def test_a_test_begins_with_four_runs_where_they_run_at_once(clusters: int, runs: int) -> None:
    world = World(truth, hardware=("CPU",) * clusters, sd=SD)
    (arm,) = world.propose({"SMALL": 1})
    assert first_runs(world.state, world.state.experiments[arm]) == runs
