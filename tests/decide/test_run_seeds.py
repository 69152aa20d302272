"""A test's runs and the incumbent's share their seeds, and no experiment runs a seed twice."""

import math
from collections.abc import Mapping

import msgspec
import numpy as np

from cockpit.core.model import Attempt, AttemptKind, AttemptStatus, Outcome, Value
from cockpit.core.paired_runs import paired_words
from cockpit.core.seeds import NO_SEED
from cockpit.decide.evidence import TEST_KINDS, evidence_of, noise_of, runs_since_kept
from tests.decide.world import RUN_S, World

SD = 0.003
SHARED = 0.7


def score(constants: Mapping[str, Value], attempt: Attempt) -> float:
    """Return a score whose noise is mostly that of the run's seed; LR=2 gains 5 SD and SMALL 2 SD."""
    gain = 5 * (constants["LR"] == 2) + 2 * ("SMALL" in constants)
    return 2.0 - SD * gain + SD * math.sqrt(SHARED) * float(np.random.default_rng(attempt.seed).normal())


def night(hours: float = 1.5) -> World:
    """Return a session of eight clusters after tests of two real gains and of changes without one."""
    world = World(score, hardware=("CPU",) * 8, sd=SD * (1 - SHARED) ** 0.5, seed=5)
    world.run(0.2)
    for number in range(round(hours / 0.1)):
        world.propose({"LR": 2, "N": number}, {"SMALL": 1, "N": number}, {"DEPTH": 9 + number})
        world.run(0.1)
    return world


def test_no_experiment_runs_a_seed_twice() -> None:
    state = night().state
    for experiment in state.experiments.values():
        seeds = [state.attempts[name].seed for name in experiment.attempts]
        assert len(set(seeds)) == len(seeds)


def test_most_runs_of_a_test_are_paired_by_seed_and_the_verdict_shows_it() -> None:
    world = night()
    assert noise_of(world.state).seed_correlation > 0.3
    said = [one for one in world.state.experiments.values() if one.estimate and one.estimate.pairs]
    assert any(one.estimate and one.estimate.pairs >= one.estimate.runs / 2 for one in said)
    words = [(paired_words(one.estimate.runs, one.estimate.pairs), one.reason) for one in said if one.estimate]
    assert all(pairs in reason for pairs, reason in words)


def test_a_new_incumbent_does_not_run_the_seeds_that_it_was_kept_on() -> None:
    state = night().state
    kept = state.experiments[state.incumbent]
    assert state.incumbent != "e0000"
    since = next(one.at for one in state.incumbencies if one.experiment == kept.id)
    before = {state.attempts[name].seed for name in kept.attempts if state.attempts[name].queued_at < since}
    after = [state.attempts[name].seed for name in kept.attempts if state.attempts[name].queued_at >= since]
    assert after and before.isdisjoint(after)


def first_test(world: World) -> str:
    """Run until an arm has begun its test; return its name."""
    for _ in range(60):
        world.run(RUN_S / 3600)
        for name in world.state.undecided:
            if world.state.experiments[name].test_level:
                return name
    raise AssertionError("no test began")


def seeds_of(world: World, experiment: str) -> list[int]:
    runs = (world.state.attempts[name] for name in world.state.experiments[experiment].attempts)
    return [run.seed for run in runs if run.kind in TEST_KINDS]


def test_a_test_begins_on_the_first_seeds_of_the_incumbent_whatever_they_scored() -> None:
    world = World(score, hardware=("CPU",) * 8, sd=SD, seed=3)
    world.run(0.2)
    world.propose({"LR": 2})
    arm = first_test(world)
    own = seeds_of(world, arm)
    offered = [run.seed for run in runs_since_kept(world.state, world.state.incumbent)]
    assert own[:2] == offered[:2]


def test_a_seed_whose_run_failed_is_not_offered() -> None:
    world = World(score, hardware=("CPU",) * 8, sd=SD, seed=3)
    world.run(0.2)
    controls = [run for run in world.state.attempts.values() if run.kind is AttemptKind.CONTROL]
    failed = next(run for run in controls if run.status is AttemptStatus.ENDED)
    failed.outcome, failed.metrics = Outcome.LOST, None
    world.propose({"LR": 2})
    assert failed.seed not in seeds_of(world, first_test(world))


def test_first_runs_have_the_sessions_seed_until_seeds_are_known_to_share_noise() -> None:
    world = World(score, hardware=("CPU",) * 8, sd=SD, seed=2)
    world.run(0.2)
    (arm,) = world.propose({"LR": 2})
    world.run(RUN_S / 3600)
    assert world.state.attempts[f"{arm}.1"].seed == 2


def test_then_the_first_runs_of_a_wave_share_a_seed_that_the_incumbent_has_run() -> None:
    world = night()
    offered = {run.seed for run in evidence_of(world.state, world.state.incumbent)}
    arms = world.propose({"DEPTH": 30}, {"DEPTH": 31})
    world.run(RUN_S / 3600)
    seeds = {world.state.attempts[world.state.experiments[arm].attempts[0]].seed for arm in arms}
    assert len(seeds) == 1 and seeds < offered


def test_runs_of_code_that_takes_no_seed_are_not_paired() -> None:
    world = night(0.4)
    world.state.session = msgspec.structs.replace(world.state.session, seed_by=NO_SEED)
    assert noise_of(world.state).seed_correlation == 0
    assert all(one.seed is None for one in evidence_of(world.state, world.state.incumbent))
