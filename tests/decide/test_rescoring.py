"""Promises about scores computed outside runs: no keep without one, and none after a failed probe."""

import random

import msgspec
import pytest

from cockpit.core.model import Attempt, AttemptKind, ExperimentStatus
from cockpit.core.rescore import Rescore, Scoring, are_same_model
from cockpit.core.state import State
from cockpit.decide.rescoring import RUNS_READ, baseline_of, scoring_of
from cockpit.read.checks import unchecked
from tests.decide.test_promote import truth
from tests.decide.world import World

GOOD = Rescore(public_bpb=1.0, sealed_bpb=1.02, whole=True)


def kept(rescore: Rescore | None) -> tuple[World, str]:
    """Plant an improvement; all its scores from outside are `rescore`."""
    world = World(truth, rescore=lambda attempt: GOOD if attempt.experiment == "e0000" else rescore)
    world.run(0.1)
    (better,) = world.propose({"LR": 2})
    world.run(1.5)
    return world, better


def test_a_gain_that_is_scored_outside_is_kept() -> None:
    world, better = kept(GOOD)
    assert world.state.incumbent == better
    scored = [run for run in world.state.attempts.values() if run.rescore]
    assert {run.experiment for run in scored} == {"e0000", better}
    tests = [
        run for run in world.state.attempts.values() if run.experiment == better and run.kind is not AttemptKind.ARM
    ]
    assert [run.id for run in scored if run.experiment == better] == [run.id for run in tests], "all that it rests on"
    assert AttemptKind.CONFIRMATION in {run.kind for run in tests}
    assert sum(run.experiment == "e0000" for run in scored) == 1, "one run of the baseline is enough"


@pytest.mark.parametrize(
    ("rescore", "reason"),
    [
        (Rescore(failed="attends to the future: logits at 17 moved when token 40 changed"), "it attends to the future"),
        (Rescore(trouble="the sealed shard is missing"), "it has no score from outside its run: the sealed shard"),
        (None, "it has no score from outside its run: its fleet computed none"),
    ],
)
def test_a_gain_that_cannot_be_shown_from_outside_is_not_kept(rescore: Rescore | None, reason: str) -> None:
    world, better = kept(rescore)
    assert world.state.incumbent == "e0000"
    experiment = world.state.experiments[better]
    assert experiment.status is ExperimentStatus.DISCARDED
    assert reason in experiment.reason


def test_a_first_run_that_breaks_a_rule_is_not_tested() -> None:
    """Rescore all runs: the one that screens an arm shows that it cheats, before any other is spent on it."""
    leak = Rescore(failed="attends to the future: logits at 17 moved when token 40 changed")
    world = World(truth, rescore=lambda attempt: GOOD if attempt.experiment == "e0000" else leak, rescores="all")
    world.run(0.1)
    (better,) = world.propose({"LR": 2})
    world.run(1.5)
    experiment = world.state.experiments[better]
    assert (experiment.status, experiment.reason) == (ExperimentStatus.DISCARDED, f"it {leak.failed}")
    assert len(experiment.attempts) == 1


@pytest.mark.parametrize("why", [Rescore(trouble="no scorer here"), Rescore(failed="printed 2.0, and scores 1.0")])
def test_a_scorer_that_refuses_the_baseline_refuses_nothing_else(why: Rescore) -> None:
    """Blame the scorer, because the baseline is code that a person trusts."""
    world = World(truth, rescore=lambda attempt: why)
    world.run(0.1)
    (better,) = world.propose({"LR": 2})
    world.run(1.5)
    assert world.state.incumbent == better
    [walls, told] = unchecked(local(world))
    assert walls.startswith("unconfined: ")
    assert told.startswith("self-scored: the baseline could not be scored outside its run: ")


def local(world: World) -> State:
    """Return the state as of a session on this machine."""
    session = world.state.session
    fleet = msgspec.structs.replace(session.fleet, kind="local")
    return msgspec.structs.replace(world.state, session=msgspec.structs.replace(session, fleet=fleet))


def test_a_replicate_that_printed_more_than_its_model_scores_is_not_kept() -> None:
    """Believe a test by all its runs: one exaggeration ends it, though the confirmation was honest."""

    def rescore(attempt: Attempt) -> Rescore:
        is_honest = attempt.experiment == "e0000" or attempt.kind is AttemptKind.CONFIRMATION
        return GOOD if is_honest else Rescore(failed="printed 0.9900, and its model scores 1.0000 on the same text")

    world = World(truth, rescore=rescore)
    world.run(0.1)
    (better,) = world.propose({"LR": 2})
    world.run(1.5)
    assert world.state.incumbent == "e0000"
    assert "it printed 0.9900" in world.state.experiments[better].reason


@pytest.mark.parametrize(("spread", "is_kept"), [(0.01, False), (1.0, True)])
def test_repeats_that_leave_the_same_model_are_one_run(spread: float, is_kept: bool) -> None:
    def rescore(attempt: Attempt) -> Rescore:
        chance = random.Random(attempt.seed)
        marks = tuple(2.0 + spread * chance.gauss() for _ in range(64))
        own = (0.0,) * 64 if attempt.experiment == "e0000" else marks
        return msgspec.structs.replace(GOOD, marks=own)

    world = World(truth, rescore=rescore)
    world.run(0.1)
    (better,) = world.propose({"LR": 2})
    world.run(1.5)
    assert (world.state.incumbent == better) == is_kept
    if not is_kept:
        assert "it leaves the same model with every seed" in world.state.experiments[better].reason


def test_a_confirmation_that_could_not_be_scored_runs_once_more() -> None:
    tries: list[str] = []

    def rescore(attempt: Attempt) -> Rescore:
        if attempt.experiment == "e0000":
            return GOOD
        if attempt.kind is AttemptKind.CONFIRMATION:
            tries.append(attempt.id)
        return GOOD if len(tries) > 1 else Rescore(trouble="the process that holds its model ran out of memory")

    world = World(truth, rescore=rescore)
    world.run(0.1)
    (better,) = world.propose({"LR": 2})
    world.run(1.5)
    assert world.state.incumbent == better
    assert len(tries) == 2


@pytest.mark.parametrize(
    ("seeds", "base", "same"), [(0.02, 0.6, True), (0.3, 0.6, False), (0.02, 3.0, True), (0.3, 3.0, False)]
)
def test_seeds_of_a_model_far_from_its_base_are_no_copies(seeds: float, base: float, same: bool) -> None:
    """Compare two runs that differ by `seeds` nats: a large gain, which is far from the base, makes them no one run."""
    one, other = (Rescore(marks=(4.0, 4.0 + shift, 4.0 - shift)) for shift in (0.0, seeds * 1.5**0.5))
    assert are_same_model(one, other, Rescore(marks=(4.0 + base,) * 3)) is same


def test_one_run_of_the_baseline_is_scored_whole_in_each_class() -> None:
    whole: list[str] = []

    def rescore(attempt: Attempt) -> Rescore:
        if scoring_of(world.state, attempt) is Scoring.WHOLE:
            whole.append(f"{attempt.experiment} {attempt.hardware}")
        return GOOD

    world = World(truth, hardware=("H100", "H100", "H200", "H200"), rescore=rescore)
    world.run(0.1)
    world.propose({"LR": 2})
    world.run(1.5)
    assert sorted(one for one in whole if one.startswith("e0000")) == ["e0000 H100", "e0000 H200"]


def test_the_only_whole_score_of_a_baseline_is_found_behind_its_many_controls() -> None:
    world, better = kept(GOOD)
    first, *others = world.state.experiments["e0000"].attempts
    assert world.state.attempts[first].rescore and not any(world.state.attempts[name].rescore for name in others)
    baseline = msgspec.structs.replace(
        world.state.experiments["e0000"], attempts=[first, *(others * RUNS_READ)[: 3 * RUNS_READ]]
    )
    world.state.experiments["e0000"] = baseline
    confirmation = world.state.attempts[world.state.experiments[better].attempts[-1]]
    found = baseline_of(world.state, confirmation)
    assert found is not None and found[0] == GOOD
