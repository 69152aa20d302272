"""Knobs without an effect, by simulation: dead ones are found, others are never dropped."""

import random
from collections.abc import Mapping

from cockpit.core.model import Value
from cockpit.science.inert import inert_knobs
from cockpit.science.search_space import Choice, Dimension, Ladder, Real

SD = 0.001
SPACE: dict[str, Dimension] = {
    "LR": Real(0.001, 0.1, log=True),
    "DEPTH": Ladder((4, 6, 8, 10, 12)),
    "ACTIVATION": Choice(("relu", "gelu", "silu")),
    "DEAD": Real(0.0, 1.0),
    "DEAD_OPTION": Choice(("a", "b")),
}


def simulated(runs: int, seed: int, effect_sds: float = 6.0) -> list[tuple[Mapping[str, Value], float]]:
    """Return random configurations; LR bends the score, DEPTH and an option shift it, by `effect_sds` at most."""
    dice = random.Random(seed)
    found: list[tuple[Mapping[str, Value], float]] = []
    for _ in range(runs):
        lr = 10 ** dice.uniform(-3, -1)
        depth = dice.choice((4, 6, 8, 10, 12))
        option = dice.choice(("relu", "gelu", "silu"))
        constants: dict[str, Value] = {
            "LR": lr, "DEPTH": depth, "ACTIVATION": option, "DEAD": dice.random(), "DEAD_OPTION": dice.choice("ab"),
        }  # fmt: skip
        place = (lr > 0.01) * 1.0 if effect_sds < 6 else abs(lr - 0.01) * 10
        score = 1 + effect_sds * SD * (place + (depth - 4) / 8 + (option == "silu")) + dice.gauss(0, SD)
        found.append((constants, score))
    return found


def test_dead_knobs_are_found_and_no_other() -> None:
    names = [{one.name for one in inert_knobs(SPACE, simulated(400, seed), SD)} for seed in range(20)]
    assert all(found <= {"DEAD", "DEAD_OPTION"} for found in names)
    assert sum("DEAD_OPTION" in found for found in names) >= 15
    assert sum("DEAD" in found for found in names) >= 5


def test_an_effect_of_two_sds_is_never_dropped() -> None:
    for seed in range(40):
        found = {one.name for one in inert_knobs(SPACE, simulated(400, seed, effect_sds=2.0), SD)}
        assert not found & {"LR", "DEPTH", "ACTIVATION"}, seed


def test_few_runs_prove_nothing() -> None:
    assert all(inert_knobs(SPACE, simulated(20, seed), SD) == [] for seed in range(20))
    assert inert_knobs(SPACE, [], SD) == []


def test_few_levels_prove_nothing() -> None:
    runs = [({**one, "DEAD": round(float(str(one["DEAD"])))}, score) for one, score in simulated(400, 3)]
    assert "DEAD" not in {one.name for one in inert_knobs(SPACE, runs, SD)}


def test_a_constant_that_some_code_lacks_is_left_out() -> None:
    runs = [({name: value for name, value in one.items() if name != "LR"}, score) for one, score in simulated(400, 3)]
    assert "LR" not in {one.name for one in inert_knobs(SPACE, [*simulated(10, 1), *runs], SD)}
