"""Compare `search` with Optuna's samplers on functions that are not language models: evaluations to fixed targets.

    python -m benchmarks.search_functions [--seeds 10] [--evaluations 400] [--only search,tpe] [--on hartmann6]

16 evaluations are in flight; a new one is asked for when one ends. Durations vary by a tenth. Each sampler gets the
same start, bounds and kinds of values; a crash is told as a crash. Processor time is of the asking and telling alone.
`gp` needs torch, `cma` needs cmaes; a sampler that is not installed is left out, and said.
"""

import argparse
import heapq
import math
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from cockpit.agent.proposers.evolution import Tried, next_arms
from cockpit.core.model import Value
from cockpit.science.search_space import Choice, Dimension, Ladder, Real

IN_FLIGHT = 16
SAMPLERS = ("search", "random", "tpe", "cma", "gp")
Constants = Mapping[str, Any]

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
    """Lower is better; None for a crash."""
    targets: tuple[float, float, float]


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
PROBLEMS = {
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


class Sampler(Protocol):
    def ask(self) -> tuple[Any, Constants]: ...

    def tell(self, tag: Any, constants: Constants, value: float | None) -> None: ...


class Search:
    def __init__(self, problem: Problem, seed: int) -> None:
        self._problem, self._seed = problem, seed
        self._tried: list[Tried] = []
        self._pending: list[Constants] = []
        self._asked = 0

    def ask(self) -> tuple[Any, Constants]:
        self._asked += 1
        if self._asked == 1:
            arm: Constants = dict(self._problem.start)
        else:
            valid = [one for one in self._tried if one.score is not None]
            base = min(valid, key=lambda one: one.score or 0.0).constants if valid else self._problem.start
            seed = self._seed * 100_003 + self._asked
            (arm,) = next_arms(self._problem.dimensions, base, self._tried, self._pending, 1, seed)
        self._pending.append(arm)
        return None, arm

    def tell(self, tag: Any, constants: Constants, value: float | None) -> None:
        self._pending.remove(constants)
        self._tried.append(Tried(dict(constants), value))


class Optuna:
    def __init__(self, kind: str, problem: Problem, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", module="optuna")
        samplers = {
            "random": lambda: optuna.samplers.RandomSampler(seed=seed),
            "tpe": lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
            "cma": lambda: optuna.samplers.CmaEsSampler(seed=seed),
            "gp": lambda: optuna.samplers.GPSampler(seed=seed),
        }
        self._problem = problem
        self._failed = optuna.trial.TrialState.FAIL
        self._study = optuna.create_study(sampler=samplers[kind]())
        self._study.enqueue_trial(dict(problem.start))

    def ask(self) -> tuple[Any, Constants]:
        trial = self._study.ask()
        found: dict[str, Any] = {}
        for name, dimension in self._problem.dimensions.items():
            match dimension:
                case Real(low, high, log):
                    found[name] = trial.suggest_float(name, low, high, log=log)
                case Ladder(rungs):
                    found[name] = trial.suggest_int(name, int(rungs[0]), int(rungs[-1]), step=int(rungs[1] - rungs[0]))
                case Choice(options):
                    found[name] = trial.suggest_categorical(name, options)
        return trial.number, found

    def tell(self, tag: Any, constants: Constants, value: float | None) -> None:
        if value is None:
            self._study.tell(tag, state=self._failed)
        else:
            self._study.tell(tag, value)


class Outcome(NamedTuple):
    reached: tuple[float, ...]
    """Evaluations to each target; infinite where it was not reached."""
    best: float
    processor_ms: float
    """Processor time of one ask and tell, on average."""


def play(sampler: Sampler, problem: Problem, evaluations: int, seed: int) -> Outcome:
    rng = np.random.default_rng(seed)
    running: list[tuple[float, int, Any, Constants]] = []
    reached = [math.inf] * len(problem.targets)
    best, spent_s, now, asked = math.inf, 0.0, 0.0, 0
    for ended in range(1, evaluations + 1):
        began = time.process_time()
        while len(running) < IN_FLIGHT and asked < evaluations:
            tag, constants = sampler.ask()
            asked += 1
            heapq.heappush(running, (now + rng.uniform(0.9, 1.1), asked, tag, constants))
        now, _, tag, constants = heapq.heappop(running)
        value = problem.value(constants)
        sampler.tell(tag, constants, value)
        spent_s += time.process_time() - began
        if value is not None:
            best = min(best, value)
        for number, target in enumerate(problem.targets):
            if best <= target and math.isinf(reached[number]):
                reached[number] = ended
    return Outcome(tuple(reached), best, 1000 * spent_s / evaluations)


def made(kind: str, problem: Problem, seed: int) -> Sampler:
    """Return a sampler. Raises ImportError where its library is missing."""
    return Search(problem, seed) if kind == "search" else Optuna(kind, problem, seed)


def median(outcomes: list[Outcome], target: int) -> str:
    """Return the median number of evaluations, and how many seeds reached the target where some did not."""
    reached = sorted(one.reached[target] for one in outcomes)
    middle = reached[len(reached) // 2]
    hits = sum(not math.isinf(one) for one in reached)
    text = "not" if math.isinf(middle) else f"{middle:.0f}"
    return text if hits == len(reached) else f"{text} ({hits}/{len(reached)})"


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--seeds", type=int, default=10)
    given.add_argument("--evaluations", type=int, default=400)
    given.add_argument("--only", default=",".join(SAMPLERS))
    given.add_argument("--on", default=",".join(PROBLEMS))
    words = given.parse_args()
    print("Median evaluations to three targets (seeds that reached it), and processor time of a decision\n")
    print("| function | sampler | " + " | ".join(("first", "second", "third")) + " | best, median | ms a decision |")
    print("|---|---|---|---|---|---|---|")
    for name in words.on.split(","):
        problem = PROBLEMS[name]
        for kind in words.only.split(","):
            try:
                outcomes = [
                    play(made(kind, problem, seed), problem, words.evaluations, seed) for seed in range(words.seeds)
                ]
            except ImportError as error:
                print(f"| {name} | {kind} | not run: {error.name} is not installed | | | | |")
                continue
            best = float(np.median([one.best for one in outcomes]))
            spent = float(np.mean([one.processor_ms for one in outcomes]))
            targets = [f"{target:g}: {median(outcomes, n)}" for n, target in enumerate(problem.targets)]
            print(f"| {name} | {kind} | {' | '.join(targets)} | {best:.3f} | {spent:.1f} |", flush=True)


if __name__ == "__main__":
    main()
