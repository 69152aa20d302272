"""The incumbent runs again beside a test, because the runs that it was kept on are biased."""

from collections.abc import Mapping

from cockpit.core.model import Attempt, AttemptStatus, Value
from cockpit.decide.evidence import FRESH_AT_LEAST, evidence_of, runs_since_kept
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
        if sum(run.status is AttemptStatus.ENDED for run in runs) > FRESH_AT_LEAST:
            break
    fresh = runs_since_kept(world.state, kept)
    assert len(fresh) >= FRESH_AT_LEAST
    assert evidence_of(world.state, kept) == fresh, "its evidence is its runs since it was kept, and those alone"
