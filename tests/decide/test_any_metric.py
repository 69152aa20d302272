"""Decisions and search are the same for a metric of any scale, sign and direction."""

import random
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import pytest

from cockpit.agent.proposers.evolution import next_arms
from cockpit.agent.proposers.search import search_history
from cockpit.core.metric import Direction, Metric
from cockpit.core.model import Attempt, ExperimentStatus, Value
from cockpit.core.state import State
from cockpit.read.scores import best_score
from cockpit.report.results import results_tsv
from cockpit.report.status import status
from cockpit.science.noise import estimate_noise
from cockpit.science.reading import Reading
from tests.decide.world import World

ARMS: tuple[Mapping[str, Value], ...] = ({"NAME": "renamed"}, {"LR": 2}, {"LR": 3}, {"LR": 4})
GAINS = {2: 0.03, 3: 0.06, 4: -0.03}


class Scale(NamedTuple):
    """A metric whose values are those of another, scaled, and worded by its own name."""

    name: str
    direction: Direction
    factor: float


SCALES = (
    Scale("perplexity", Direction.MIN, 3_000.0),
    Scale("seconds", Direction.MIN, 2e-6),
    Scale("val_acc", Direction.MAX, 0.01),
    Scale("reward", Direction.MAX, 1_000.0),
)


def night(metric: Metric, factor: float, seed: int) -> State:
    """Return a session in which LR 2 and LR 3 are better, its scores scaled by `factor`."""

    def truth(constants: Mapping[str, Value], attempt: Attempt) -> float:
        return factor * (2.0 - GAINS.get(int(str(constants["LR"])), 0.0))

    world = World(truth, metric=metric, sd=0.003 * factor, seed=seed)
    world.run(0.2)
    world.propose(*ARMS)
    return world.run(2.0)


def decisions(state: State) -> dict[str, tuple[str, int]]:
    """Return the status of each experiment, and the runs that it took."""
    return {name: (str(one.status), len(one.attempts)) for name, one in state.experiments.items()}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: scale.name)
def test_a_night_is_decided_alike_in_every_scale_and_direction(scale: Scale, seed: int) -> None:
    plain = night(Metric(), 1.0, seed)
    other = night(Metric(scale.name, scale.direction), scale.factor, seed)
    assert decisions(other) == decisions(plain)
    assert other.incumbent == plain.incumbent != plain.baseline


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: scale.name)
def test_search_proposes_alike_in_every_scale_and_direction(scale: Scale) -> None:
    plain, other = night(Metric(), 1.0, 0), night(Metric(scale.name, scale.direction), scale.factor, 0)
    proposed = []
    for state in (plain, other):
        history = search_history(state)
        assert len([one for one in history.tried if one.score is not None]) == 1 + len(ARMS)
        proposed.append(
            next_arms(history.dimensions, history.base_constants, history.tried, history.pending, 8, history.seed)
        )
    assert proposed[0] == proposed[1] != []


def test_values_are_reported_as_printed_where_higher_is_better() -> None:
    state = night(Metric("val_acc", Direction.MAX), -0.3, 0)  # values of 0.6, of which higher ones are better
    best = best_score(state)
    assert best is not None and best.score.mean < 0
    shown = status(state, state.now, {})["best"]
    assert 0.58 < shown["val_acc"] < 0.62
    assert shown["gain"]["low"] < shown["gain"]["mean"] < shown["gain"]["high"]
    header, *lines = (line.split("\t") for line in results_tsv(state))
    assert header[1] == "val_acc" and all(0.55 < float(line[1]) < 0.65 for line in lines)
    reason = state.incumbencies[-1].reason
    assert reason.startswith("+0.0"), "a gain in accuracy is a plus"


@pytest.mark.parametrize("seed", range(6))
def test_a_coarse_metric_of_few_values_keeps_no_placebo(seed: int) -> None:
    def truth(constants: Mapping[str, Value], attempt: Attempt) -> float:
        dice = random.Random(f"{seed} {attempt.id}")
        return round(0.9 - GAINS.get(int(str(constants["LR"])), 0.0) * 3 + dice.gauss(0, 0.01), 2)

    world = World(truth, metric=Metric("top1_error"), sd=0.0, seed=seed)
    world.run(0.2)
    placebo, _, better, _ = world.propose(*ARMS)
    state = world.run(3.0)
    assert state.incumbent == better
    assert state.experiments[placebo].status is ExperimentStatus.DISCARDED


def test_identical_scores_keep_nothing_and_decide_everything() -> None:
    world = World(lambda constants, attempt: 0.5, metric=Metric("val_acc", Direction.MAX), sd=0.0)
    world.run(0.2)
    names = world.propose(*ARMS)
    state = world.run(3.0)
    assert state.incumbent == state.baseline
    assert not any(state.experiments[name].status is ExperimentStatus.KEPT for name in names)


def test_a_metric_around_zero_has_a_prior_of_its_own_spread() -> None:
    spread = [
        Reading(f"e{n:04d}", "gpu-01", "CPU", score, float(n)) for n, score in enumerate((-9.0, -3.0, 0.0, 4.0, 8.0))
    ]
    at_zero = estimate_noise(spread)
    assert at_zero.run_sd == pytest.approx(
        estimate_noise([msgspec.structs.replace(one, score=4.0) for one in spread]).run_sd
    )
