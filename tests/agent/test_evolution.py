"""The algorithm of `search`: scale, sparsity and determinism of its proposals."""

import random
from pathlib import Path

import msgspec
import pytest

from cockpit.agent.proposer_api import ProposalRequest
from cockpit.agent.proposers.evolution import FIRST_ARMS, FIRST_CHANGES, MUTATIONS, Tried, next_arms
from cockpit.agent.proposers.search import SearchHistory, draft, search_history, searched
from cockpit.core.model import Value
from cockpit.science.search_space import Dimension, Ladder, Real, position, search_space
from cockpit.variant.knobs.constants import find_constants
from tests.decide.world import World

ROOT = Path(__file__).parents[2]
SPACE: dict[str, Dimension] = {f"RATE_{number}": Real(0.0, 1.0) for number in range(6)}
CENTER: dict[str, Value] = dict.fromkeys(SPACE, 0.5)


def tried(runs: int, scale: float = 1.0, offset: float = 0.0, se: float = 6e-4) -> list[Tried]:
    """Return scored configurations around 0.3 in every dimension; every seventh crashed."""
    dice = random.Random(5)
    found = []
    for number in range(runs):
        constants: dict[str, Value] = {name: round(dice.random(), 3) for name in SPACE}
        distance = sum((value - 0.3) ** 2 for value in constants.values() if isinstance(value, float))
        score = 0.97 + 0.02 * distance + dice.gauss(0, 6e-4)
        crashed = number % 7 == 3
        found.append(Tried(constants, None if crashed else score * scale + offset, 0.0 if crashed else se * scale))
    return found


@pytest.mark.parametrize("se", [6e-4, 0.0], ids=["known SE", "unknown SE"])
@pytest.mark.parametrize("runs", [3, 12, 150])
@pytest.mark.parametrize(
    ("scale", "offset"),
    [(1000.0, 2000.0), (0.01, 0.0), (0.5, -0.985), (1.0, -30.0), (1e-6, 5.0)],
    ids=["perplexity", "accuracy", "around zero", "negated", "tiny differences"],
)
def test_scale_and_offset_of_the_metric_do_not_change_the_arms(
    scale: float, offset: float, runs: int, se: float
) -> None:
    expected = next_arms(SPACE, CENTER, tried(runs, se=se), [], 12, seed=1)
    assert next_arms(SPACE, CENTER, tried(runs, scale, offset, se), [], 12, seed=1) == expected


@pytest.mark.parametrize("dimensions", [2, 14, 40])
def test_the_first_arms_change_few_of_any_number_of_constants(dimensions: int) -> None:
    space: dict[str, Dimension] = {f"RATE_{number}": Real(0.0, 1.0) for number in range(dimensions)}
    base: dict[str, Value] = dict.fromkeys(space, 0.5)
    arms = next_arms(space, base, [Tried(base, 1.0, 6e-4)], [], 30, seed=2)
    changed = [sum(arm[name] != base[name] for name in space) for arm in arms]
    assert len(arms) == 30
    assert min(changed) >= 1 and max(changed) <= MUTATIONS[1]
    assert len(set(changed)) > 1, "the number of changes varies"


def is_visible(dimension: Dimension, base: Value, value: Value) -> bool:
    """Return True for another option or rung, a number half as large again, or one an eighth of its range away."""
    match dimension:
        case Real(_, _, True):
            return not 1 / 1.45 < float(str(value)) / float(str(base)) < 1.45
        case Real():
            return abs(position(dimension, value) - position(dimension, base)) > 1 / 8
    return value != base


@pytest.mark.parametrize("seed", range(5))
def test_the_first_arms_on_one_slot_are_visible_steps_of_one_or_two_constants(seed: int) -> None:
    base = find_constants((ROOT / "train.py").read_text(encoding="utf-8"))
    space = search_space(base)
    dice = random.Random(seed)
    scored = [Tried(base, 1.0, 6e-4)]
    changes = []
    for asked in range(FIRST_ARMS):
        (arm,) = next_arms(space, base, scored, [], 1, seed=100 * seed + asked, by_steps=True)
        scored.append(Tried(arm, None if asked == 3 else 1.0 + dice.gauss(0, 0.01), 6e-4))
        changed = [name for name in space if arm[name] != base[name]]
        drawn = [name for name in changed if name != "DEVICE_BATCH_SIZE" or "TOTAL_BATCH_SIZE" not in changed]
        assert 1 <= len(drawn) <= FIRST_CHANGES, drawn
        assert all(is_visible(space[name], base[name], arm[name]) for name in drawn), {
            name: arm[name] for name in drawn
        }
        changes.append(len(drawn))
    assert len(set(changes)) == FIRST_CHANGES, "some change one constant, some two"


@pytest.mark.parametrize(("clusters", "by_steps"), [(1, True), (2, True), (3, False), (16, False)])
def test_only_a_session_of_few_clusters_begins_with_visible_steps(clusters: int, by_steps: bool) -> None:
    base = find_constants((ROOT / "train.py").read_text(encoding="utf-8"))
    history = search_history(World(lambda constants, attempt: 1.0, hardware=("CPU",) * clusters, constants=base).state)
    arms = searched(history, [], 6)
    changed = [sum(arm[name] != base[name] for name in base if name != "DEVICE_BATCH_SIZE") for arm in arms]
    assert (max(changed) <= FIRST_CHANGES) == by_steps, changed
    assert ("step of one or two constants" in asked_by(history, arms)) == by_steps


def test_arms_after_the_visible_steps_are_a_mix_and_are_called_one() -> None:
    base = find_constants((ROOT / "train.py").read_text(encoding="utf-8"))
    history = search_history(World(lambda constants, attempt: 1.0, hardware=("CPU",), constants=base).state)
    history = msgspec.structs.replace(history, tried=[Tried(base, 1.0)] * (FIRST_ARMS + 1))
    assert "mix of the best configurations" in asked_by(history, searched(history, [], 1))


def asked_by(history: SearchHistory, arms: list[dict[str, Value]]) -> str:
    """Return the question of the wave of these arms."""
    return draft(history, arms, ProposalRequest(1, len(arms), "filler")).question


def test_one_slot_uses_up_a_space_with_few_visible_steps() -> None:
    space: dict[str, Dimension] = {"STEPS": Ladder(tuple(range(20, 44)))}
    scored = [Tried({"STEPS": 30}, 1.0)]
    for asked in range(7):
        scored += [Tried(arm, 1.0) for arm in next_arms(space, {"STEPS": 30}, scored, [], 1, asked, by_steps=True)]
    assert len({repr(one.constants) for one in scored}) == 8


def test_the_arms_approach_the_best_scores() -> None:
    arms = next_arms(SPACE, CENTER, tried(150), [], 20, seed=3)
    means = [sum(value for value in arm.values() if isinstance(value, float)) / len(SPACE) for arm in arms]
    assert abs(sum(means) / len(means) - 0.3) < 0.08


@pytest.mark.parametrize("score", [0.0, -3.0, 1.0])
def test_identical_scores_give_arms(score: float) -> None:
    same = [Tried(one.constants, score, 0.0) for one in tried(40)]
    assert len(next_arms(SPACE, CENTER, same, [], 8, seed=4)) == 8


@pytest.mark.parametrize("runs", [3, 150], ids=["no surface", "a surface"])
def test_no_arm_changes_a_constant_by_less_than_a_sensible_step(runs: int) -> None:
    """Propose from results that crowd around the base, where a mutation of a parent is a trifle beside the base."""
    dice = random.Random(7)
    near = [
        Tried({name: round(0.5 + dice.gauss(0, 0.01), 3) for name in SPACE}, 0.97 + dice.gauss(0, 6e-4), 6e-4)
        for _ in range(runs)
    ]
    arms = next_arms(SPACE, CENTER, near, [], 30, seed=6)
    moves = [abs(float(str(arm[name])) - 0.5) for arm in arms for name in SPACE if arm[name] != CENTER[name]]
    assert len(arms) == 30 and CENTER not in arms
    assert min(moves) >= 0.02 - 1e-9


def test_the_base_is_not_proposed_where_it_was_not_tried() -> None:
    space: dict[str, Dimension] = {"DEPTH": Ladder((7, 8))}
    assert next_arms(space, {"DEPTH": 8}, [Tried({"DEPTH": 7}, 1.0)], [], 4, seed=1) == []
