"""The incumbent runs again beside a test, because the runs that it was kept on are biased."""

from collections.abc import Mapping
from itertools import groupby

from cockpit.core.model import Attempt, AttemptKind, AttemptStatus, Value
from cockpit.decide.evidence import FRESH_AT_LEAST, evidence_of, runs_since_kept
from cockpit.decide.experiment_test import WAITS_FROM
from tests.decide.world import RUN_S, World

SD = 0.003


def truth(constants: Mapping[str, Value], attempt: Attempt) -> float:
    return 2.0 - SD * (10 * (constants["LR"] == 2) + 1.5 * ("SMALL" in constants))


def test_a_test_runs_a_new_incumbent_again() -> None:
    world = World(truth, hardware=("CPU",) * 8, sd=SD, seed=3)
    world.run(0.2)
    (kept,) = world.propose({"LR": 2})
    while world.state.incumbent != kept:
        world.run(RUN_S / 3600)
    assert len(runs_since_kept(world.state, kept)) < FRESH_AT_LEAST
    (small,) = world.propose({"SMALL": 1})
    for _ in range(60):
        world.run(RUN_S / 3600)
        runs = [world.state.attempts[name] for name in world.state.experiments[small].attempts]
        if sum(run.status is AttemptStatus.ENDED for run in runs) >= 2 * FRESH_AT_LEAST:
            break
    fresh = runs_since_kept(world.state, kept)
    assert len(fresh) >= FRESH_AT_LEAST
    assert evidence_of(world.state, kept) == fresh, "its evidence is its runs since it was kept, and those alone"


def test_the_incumbents_runs_take_turns_with_those_of_the_test_and_the_late_looks_wait_for_them() -> None:
    world = World(truth, hardware=("CPU",) * 8, sd=SD, seed=3)
    world.run(0.2)
    (arm,) = world.propose({"LR": 2})
    while not world.state.experiments[arm].test_level:
        world.run(RUN_S / 3600)
    world.state.experiments[arm].test_level = 1e-30
    state = world.run(1.0)
    runs = [run for run in state.attempts.values() if run.kind is AttemptKind.REPLICATE]
    batches = {at: list(batch) for at, batch in groupby(runs, key=lambda run: run.queued_at)}
    late = {at: batch for at, batch in batches.items() if sum(run.experiment == arm for run in batch) >= WAITS_FROM}
    assert late, "no look at 16 runs asked for more"
    for at, batch in late.items():
        ended = [run for run in state.attempts.values() if run.ended_at and run.ended_at <= at]
        assert sum(run.experiment == state.baseline for run in ended) >= WAITS_FROM
        assert sum(run.experiment == arm and run.kind is AttemptKind.REPLICATE for run in ended) >= WAITS_FROM
        assert {run.experiment for run in batch[:2]} == {arm, state.baseline}, "the incumbent's runs come last"
