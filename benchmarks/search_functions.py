"""Compare `search` with other samplers on functions that are not language models: evaluations to fixed targets.

    python -m benchmarks.search_functions [--seeds 10] [--evaluations 400] [--only search,tpe] [--on hartmann6]
        [--in-flight 16]

A new evaluation is asked for when one ends. `steps` is `search` as it begins on one or two clusters. Durations vary by
a tenth; those of a table are the table's own, and its scores differ by seed. Processor time is of the asking and
telling alone. A sampler that is not installed is left out, and said: all but `search`, `steps`, `random` and `tpe`, and
the tables, need the extra `samplers`.
"""

import argparse
import heapq
import math
import time
from typing import Any, NamedTuple

import numpy as np

from benchmarks.search_problems import FUNCTIONS, TABLES, Constants, Problem, problem
from benchmarks.search_samplers import SAMPLERS, Sampler

IN_FLIGHT = 16


class Outcome(NamedTuple):
    reached: tuple[float, ...]
    """Evaluations to each target; infinite where it was not reached."""
    best: float
    processor_ms: float
    """Processor time of one ask and tell, on average."""


def play(sampler: Sampler, problem: Problem, evaluations: int, seed: int, in_flight: int = IN_FLIGHT) -> Outcome:
    rng = np.random.default_rng(seed)
    running: list[tuple[float, int, Any, Constants, float | None]] = []
    reached = [math.inf] * len(problem.targets)
    best, spent_s, now, asked = math.inf, 0.0, 0.0, 0
    for ended in range(1, evaluations + 1):
        while len(running) < in_flight and asked < evaluations:
            began = time.process_time()
            tag, constants = sampler.ask()
            spent_s += time.process_time() - began
            asked += 1
            score, duration = problem.run(constants, rng) if problem.run else (problem.value(constants), 1.0)
            heapq.heappush(running, (now + duration * rng.uniform(0.9, 1.1), asked, tag, constants, score))
        now, _, tag, constants, score = heapq.heappop(running)
        began = time.process_time()
        sampler.tell(tag, constants, score)
        spent_s += time.process_time() - began
        truth = problem.value(constants)
        if truth is not None:
            best = min(best, truth)
        for number, target in enumerate(problem.targets):
            if best <= target and math.isinf(reached[number]):
                reached[number] = ended
    return Outcome(tuple(reached), best, 1000 * spent_s / evaluations)


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
    given.add_argument("--in-flight", type=int, default=IN_FLIGHT)
    given.add_argument("--only", default=",".join(SAMPLERS))
    given.add_argument("--on", default=",".join((*FUNCTIONS, *TABLES)))
    words = given.parse_args()
    print("Median evaluations to three targets (seeds that reached it), and processor time of a decision\n")
    print("| function | sampler | " + " | ".join(("first", "second", "third")) + " | best, median | ms a decision |")
    print("|---|---|---|---|---|---|---|")
    for name in words.on.split(","):
        try:
            played = problem(name)
        except ImportError as error:
            print(f"| {name} | not run: {error.name} is not installed | | | | | |")
            continue
        for kind in words.only.split(","):
            try:
                outcomes = [
                    play(
                        SAMPLERS[kind](played.dimensions, played.start, words.evaluations, seed),
                        played,
                        words.evaluations,
                        seed,
                        words.in_flight,
                    )
                    for seed in range(words.seeds)
                ]
            except ImportError as error:
                print(f"| {name} | {kind} | not run: {error.name} is not installed | | | | |")
                continue
            best = float(np.median([one.best for one in outcomes]))
            spent = float(np.mean([one.processor_ms for one in outcomes]))
            targets = [f"{target:.4g}: {median(outcomes, n)}" for n, target in enumerate(played.targets)]
            print(f"| {name} | {kind} | {' | '.join(targets)} | {best:.4g} | {spent:.1f} |", flush=True)


if __name__ == "__main__":
    main()
