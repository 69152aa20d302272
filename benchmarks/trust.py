"""Measure the cost of the walls: confinement for each run, and the score from outside for each keep.

    python -m benchmarks.trust             two minutes on two cores
    python -m benchmarks.trust 30          30 seconds of training, the CPU preset's own

Processor seconds are printed beside seconds, because other programs change only the latter. Budgets: 50 ms of
confinement a run, 5% of a run for the score from outside at the default of a GPU.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.first_run import ROOT
from cockpit.fleet.node import confinement
from cockpit.fleet.node.confinement import Sandbox, Wall, confined, environment_paths
from cockpit.redteam.run import RedTeam
from cockpit.session import corpus

TRIES = 20
COMMAND = [sys.executable, "-I", "-c", "pass"]


def main() -> None:
    budget_s = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    wall = confinement.available().wall
    with tempfile.TemporaryDirectory() as place:
        bare, walled = started_ms(Path(place), wall)
        ratio = walled / bare
        print(
            f"a start: {bare:.0f} ms unconfined, {walled:.0f} ms behind {wall}: {walled - bare:+.0f} ms, {ratio:.2f}x"
        )
        environment = {"COCKPIT_DATA_DIR": str(corpus.data_folder()), "COCKPIT_CORPUS": "stdlib"}
        one = RedTeam(ROOT, Path(place), budget_s, environment, eval_tokens=0)
        score, printed = one.measure_baseline()
        print(
            f"a run: {score.run_s:.1f} s, {score.cpu_s:.1f} s of a processor, {printed.training_seconds:.1f} s trained"
        )
        print(f"its score from outside: {score.seconds:.1f} s more, {score.seconds / score.run_s:.0%} of the run")
        print(f"of a processor: {score.scorer_cpu_s:.1f} s, {score.scorer_cpu_s / score.cpu_s:.0%} of the run's")


def started_ms(place: Path, wall: Wall) -> tuple[float, float]:
    """Return the median milliseconds of a program that does nothing: without a wall and behind it, in turns."""
    taken: dict[Wall, list[float]] = {Wall.NONE: [], wall: []}
    commands = {one: confined(COMMAND, Sandbox(place, environment_paths(COMMAND)), one) for one in taken}
    for _ in range(TRIES):
        for one, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, cwd=place, check=True)
            taken[one].append(1000 * (time.perf_counter() - began))
    return statistics.median(taken[Wall.NONE]), statistics.median(taken[wall])


if __name__ == "__main__":
    main()
