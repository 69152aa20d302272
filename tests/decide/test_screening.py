"""A few arms are screened before the first test, on one noisy cluster above all."""

import re

import msgspec
import pytest

from cockpit.core.events import Asked, AskEnded, EnvelopeSet, ModeSet, ProposerSet
from cockpit.core.model import AttemptKind, Envelope, ExperimentStatus, Mode
from cockpit.core.seeds import NO_SEED
from cockpit.core.state import State
from cockpit.decide.ask import FILLER
from cockpit.decide.promotion import SCREENING_RUNS
from cockpit.decide.screening import SCREENED_FIRST, screens_first
from tests.decide.world import RUN_S, Truth, World

NOISE_SD = 0.05
"""Far above the noise that is assumed before it is measured, as on a laptop."""


WHY_NOT = re.compile(r"; a test would show a gain with a probability of (\d+)%, and (15|25)% is needed$")


def arms_by_start(state: State) -> list[str]:
    """Return the experiment of each run in the order of their starts, without the baseline's."""
    runs = sorted((run for run in state.attempts.values() if run.started_at), key=lambda run: run.started_at)
    return [run.experiment for run in runs if run.experiment != state.baseline]


@pytest.mark.parametrize("seed", range(12))
def test_one_noisy_cluster_screens_a_few_arms_before_it_tests_one(seed: int) -> None:
    world = World(lambda constants, attempt: 1.0, hardware=("CPU",), sd=NOISE_SD, seed=seed)
    world.run(0.2)
    world.propose(*({"LR": number} for number in range(2, 10)))
    order = arms_by_start(world.run(1.0))
    assert len(set(order[:SCREENED_FIRST])) == SCREENED_FIRST


def test_the_tests_begin_after_a_few_arms_though_others_wait() -> None:
    world = World(lambda constants, attempt: 1.0 - 0.05 * (constants["LR"] == 2), hardware=("CPU",))
    world.run(0.2)
    better, *others = world.propose(*({"LR": number} for number in range(2, 17)))
    world.run(0.12)
    assert AttemptKind.REPLICATE in world.kinds(better)
    assert any(not world.state.experiments[name].scores for name in others)


def test_a_lone_arm_is_tested_at_once() -> None:
    world = World(lambda constants, attempt: 1.0 - 0.05 * (constants["LR"] == 2), hardware=("CPU",))
    world.run(0.2)
    (arm,) = world.propose({"LR": 2})
    world.run(0.1)
    assert AttemptKind.REPLICATE in world.kinds(arm)


def test_tests_wait_while_search_may_propose_and_not_after_it_failed() -> None:
    world = World(lambda constants, attempt: 1.0, hardware=("CPU",))
    world.run(0.2)
    assert not screens_first(world.state, world.now), "no arm comes"
    world.record(EnvelopeSet(at=world.now, envelope=Envelope(usd=1e6, filler=False), author="me"))
    world.record(ProposerSet(at=world.now, proposer=FILLER, author="me"))
    world.record(ModeSet(at=world.now, mode=Mode.AUTOPILOT, author="me"))
    world.state.ask_retry_at.clear()
    assert screens_first(world.state, world.now)
    number = world.state.asks_total + 1
    world.record(Asked(at=world.now, ask=number, proposer=FILLER, arms=1, reason="dry"))
    assert screens_first(world.state, world.now)
    ended = AskEnded(at=world.now, ask=number, proposer=FILLER, trouble="no space", retry_at=world.now + 600)
    world.record(ended)
    assert not screens_first(world.state, world.now)
    assert screens_first(world.state, world.now + 601)


def score_of(gains: dict[object, float]) -> Truth:
    return lambda constants, attempt: 1.0 - gains.get(constants["LR"], 0.0)


def screened(gain_sds: float, seed: int) -> list[AttemptKind]:
    """Return the runs of an arm that wins a wave of four on eight clusters."""
    world = World(score_of({2: gain_sds * NOISE_SD}), hardware=("CPU",) * 8, sd=NOISE_SD, seed=seed)
    world.run(0.2)
    arm, *_ = world.propose(*({"LR": number} for number in range(2, 6)))
    world.run(0.3)
    return world.kinds(arm)


def test_a_promising_arm_is_screened_again_before_its_test() -> None:
    tested = [kinds for seed in range(12) if AttemptKind.REPLICATE in (kinds := screened(0.7, seed))]
    before = [kinds[: kinds.index(AttemptKind.REPLICATE)].count(AttemptKind.ARM) for kinds in tested]
    assert SCREENING_RUNS in before and {*before} <= {1, SCREENING_RUNS}


def trickled(seed: int) -> State:
    """Return a session of eight clusters in which one arm after another was proposed, each a gain."""
    gains: dict[object, float] = dict.fromkeys(range(2, 30), 1.2 * NOISE_SD)
    world = World(score_of(gains), hardware=("CPU",) * 8, sd=NOISE_SD, seed=seed)
    world.run(0.2)
    for number in range(2, 30):
        world.propose({"LR": number})
        world.run(0.2 * RUN_S / 3600)
        world.now += 0.2 * RUN_S
    return world.state


def test_a_test_waits_for_the_screening_runs_of_its_arm() -> None:
    tested = 0
    for state in map(trickled, range(6)):
        for arm in state.experiments.values():
            runs = [state.attempts[name] for name in arm.attempts]
            screening = [run for run in runs if run.kind is AttemptKind.ARM]
            if fresh := [run.queued_at for run in runs if run.kind is AttemptKind.REPLICATE and arm.test_level]:
                tested += 1
                assert len(screening) <= SCREENING_RUNS
                assert all(run.ended_at and run.ended_at <= fresh[0] for run in screening)
    assert tested


def test_an_arm_that_is_certainly_better_is_tested_at_once() -> None:
    kinds = screened(15.0, 1)
    assert kinds.count(AttemptKind.ARM) == 1 and AttemptKind.REPLICATE in kinds


def test_screening_runs_that_look_worse_end_the_arm_without_a_test() -> None:
    kinds = [screened(-1.0, seed) for seed in range(48)]
    assert any(one.count(AttemptKind.ARM) == SCREENING_RUNS and AttemptKind.REPLICATE not in one for one in kinds)


def test_an_arm_that_looks_better_and_is_not_tested_is_told_how_seldom_a_test_would_show_it() -> None:
    dropped = [one for state in map(trickled, range(6)) for one in state.experiments.values() if one.estimate]
    untested = [one for one in dropped if one.status is ExperimentStatus.DISCARDED and not one.test_level]
    better = [one.reason for one in untested if one.estimate and one.estimate.mean < 0]
    told = [found for reason in better if (found := WHY_NOT.search(reason))]
    assert told
    assert all(int(found[1]) < int(found[2]) for found in told)
    assert all(
        WHY_NOT.search(reason) or "others looked better" in reason or "is its change on" in reason for reason in better
    )


def test_code_that_takes_no_seed_is_not_screened_again() -> None:
    world = World(score_of({2: 2e-4}), hardware=("CPU",) * 8, sd=0.0)
    world.run(0.2)
    world.state.session = msgspec.structs.replace(world.state.session, seed_by=NO_SEED)
    arms = world.propose(*({"LR": number} for number in range(2, 10)))
    world.run(0.3)
    assert all(world.kinds(arm).count(AttemptKind.ARM) == 1 for arm in arms)
