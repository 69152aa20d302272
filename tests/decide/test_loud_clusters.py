"""Runs of tests go to quiet clusters where arms wait for the loud ones."""

import random
from collections.abc import Mapping

import pytest

from cockpit.core.model import Attempt, AttemptKind, Value
from cockpit.decide.loud_clusters import loud_clusters
from tests.decide.world import RUN_S, World

SD = 0.003
CLUSTERS = 8
LOUD_SD = 4.0
"""SD of a run on every second cluster, in that of the others."""
ROUNDS = 48
"""Runs on each cluster."""
LOUD = {f"gpu-{number:02d}" for number in range(1, CLUSTERS + 1, 2)}


def played(loud_sd: float, seed: int) -> World:
    """Play a fleet that always has arms to screen; one in eight gains 1.5 SD."""
    dice = random.Random(seed)

    def truth(constants: Mapping[str, Value], attempt: Attempt) -> float:
        noise = dice.gauss(0, SD) * (loud_sd if attempt.cluster in LOUD else 1.0)
        return 2.0 - SD * (1.5 * ("GAIN" in constants) + 20 * ("JUMP" in constants)) + noise

    world = World(truth, hardware=("CPU",) * CLUSTERS, sd=0.0, seed=seed)
    world.together = True
    world.run(0.1)
    for number in range(ROUNDS):
        if sum(world.state.attempts[name].kind is AttemptKind.ARM for name in world.state.waiting) < CLUSTERS:
            world.propose(*({"NAME" if arm else "GAIN": f"{number}.{arm}"} for arm in range(CLUSTERS)))
        world.run(RUN_S / 3600)
    return world


def share_on_loud(runs: list[Attempt], *kinds: AttemptKind) -> float:
    chosen = [run.cluster in LOUD for run in runs if run.kind in kinds]
    return sum(chosen) / len(chosen)


def test_loud_clusters_screen_and_quiet_ones_test() -> None:
    state = played(LOUD_SD, seed=3).state
    assert loud_clusters(state) == LOUD
    runs = [run for run in state.attempts.values() if run.started_at]
    later = runs[len(runs) // 2 :]
    assert share_on_loud(later, AttemptKind.REPLICATE, AttemptKind.CONFIRMATION) < 0.25
    assert share_on_loud(later, AttemptKind.ARM) > 0.5


def test_a_test_takes_any_cluster_where_no_arm_waits() -> None:
    world = played(LOUD_SD, seed=3)
    world.run(1.0)
    assert not world.state.waiting and loud_clusters(world.state)
    began = world.now
    (arm,) = world.propose({"JUMP": 1})
    world.run(0.2)
    (small,) = world.propose({"GAIN": 1})
    world.run(0.2)
    assert world.state.incumbent == arm and world.state.experiments[small].attempts
    runs = [run for run in world.state.attempts.values() if run.queued_at >= began]
    assert 0.2 < share_on_loud(runs, AttemptKind.REPLICATE) < 0.8


@pytest.mark.parametrize("seed", range(3))
def test_no_cluster_is_loud_by_luck_where_all_are_alike(seed: int) -> None:
    assert loud_clusters(played(1.0, seed).state) == frozenset()
