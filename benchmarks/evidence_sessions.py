"""Simulate whole sessions under the real decisions and fold: keeps, class effects and ablations with a known truth.

    python -m benchmarks.evidence_sessions [--sessions 60]

The virtual fleet is that of tests/decide/world.py. One run's SD is the unit of every gain.
"""

import argparse
import multiprocessing
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from benchmarks.evidence import CONDITIONS, OUTLIER_REACH_SDS, Condition
from cockpit.core.model import Attempt, AttemptKind, AttemptStatus, Value
from cockpit.decide.kept_changes import WITHOUT
from tests.decide.world import RUN_S, World

RUN_SD = 0.003
TWO_CLASSES = ("H100",) * 13 + ("H200",) * 3
ABLATED_GAINS_SDS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
BIG_GAIN = 0.1

CLUSTERS = 16
NIGHT_RUNS = 87
"""Runs of 5.5 minutes on one cluster in 8 hours."""
RUN_HOURS = 5.5 / 60
WAVE = 8
GAINS_SHARE = 0.1
NIGHT_GAINS = ((0.0, 0.0), (1.0, GAINS_SHARE), (2.0, GAINS_SHARE))
"""(gain in run SDs, share of the arms that have it)."""
NOISY_SHARE = 0.5
"""Share of the changes that make runs noisier, where a condition says so."""


def is_dropped(gain_sds: float, seed: int) -> bool:
    """Ablate a kept change of this true gain, beside one that gains far more; tell if it is dropped."""

    def truth(constants: Mapping[str, Value], attempt: Attempt) -> float:
        return 2.0 - BIG_GAIN * (constants["LR"] == 2) - RUN_SD * gain_sds * (constants.get("NAME") == "kept")

    world = World(truth, hardware=("CPU",) * 8, sd=RUN_SD, seed=seed)
    world.run(0.1)
    world.propose({"LR": 2, "NAME": "kept"})
    stack = world.run(1.0).incumbent
    if stack == "e0000":
        raise AssertionError("the change to ablate was not kept")
    (without,) = world.propose({"NAME": "as before"}, levels={WITHOUT: stack})
    return world.run(2.0).incumbent == without


def class_of_keep(h100_sds: float, h200_sds: float, seed: int) -> str:
    """Return the class that the session's first keep says it holds on; empty without a keep."""

    def truth(constants: Mapping[str, Value], attempt: Attempt) -> float:
        gain = h100_sds if attempt.hardware == "H100" else h200_sds
        return 2.0 - RUN_SD * gain * (constants["LR"] == 2)

    world = World(truth, hardware=TWO_CLASSES, sd=RUN_SD, seed=seed)
    world.run(0.2)
    drafts: list[dict[str, Value]] = [{"LR": 2, "NAME": str(i)} for i in range(4)]
    world.propose(*drafts)
    keeps = [one for one in world.run(4.0).incumbencies if one.experiment != "e0000"]
    return keeps[0].estimate.hardware if keeps and keeps[0].estimate else ""


class Night(NamedTuple):
    """One night's arms of which the truth is known."""

    offered: int
    """Changes with a real gain of which an arm began a test."""
    found: int
    """Real gains that were kept."""
    keeps: int
    false: int
    tests: int
    arms: int


def night(condition: Condition, seed: int, gain_sds: float, share: float, runs: int = NIGHT_RUNS) -> Night:
    """Play a night of `runs` runs on each of 16 clusters. Each arm is one change on top of the incumbent.

    A share of the changes gains `gain_sds`; half of the others have no effect, and half make it worse by up to 3 SD.
    """
    rng = np.random.default_rng([seed, 11])
    offsets = {f"gpu-{number + 1:02d}": float(rng.normal(0, condition.clusters_sd)) for number in range(CLUSTERS)}
    effects: dict[str, float] = {}
    noisy: set[str] = set()

    def truth(constants: Mapping[str, Value], attempt: Attempt) -> float:
        changes = [name for name in constants if name in effects]
        units = sum(effects[name] for name in changes) + offsets[attempt.cluster]
        units += float(rng.normal(0, condition.arm_sd if noisy.intersection(changes[-1:]) else 1.0))
        units += condition.drift_per_hour * attempt.queued_at / RUN_S * RUN_HOURS
        if rng.random() < condition.outliers:
            units += OUTLIER_REACH_SDS * float(rng.choice((-1.0, 1.0)))
        return 2.0 + RUN_SD * units

    world = World(truth, hardware=("H100",) * CLUSTERS, sd=0.0, seed=seed)
    world.run(2 * RUN_S / 3600)
    while world.now < runs * RUN_S:
        waiting = sum(world.state.attempts[name].kind is AttemptKind.ARM for name in world.state.waiting)
        if waiting < WAVE:
            drafts: list[dict[str, Value]] = []
            for _ in range(WAVE):
                name = f"C{len(effects)}"
                worse = float(rng.uniform(0, 3)) if rng.random() < 0.5 else 0.0
                effects[name] = -gain_sds if rng.random() < share else worse
                if rng.random() < NOISY_SHARE:
                    noisy.add(name)
                drafts.append({name: 1})
            world.propose(*drafts)
        later = world.now + RUN_S / 2
        world.run(RUN_S / 2 / 3600)
        world.now = later
    state = world.state
    ended = {run.experiment for run in state.attempts.values() if run.status is AttemptStatus.ENDED}
    change_of = {name: next(iter(one.change.constants), "") for name, one in state.experiments.items()}
    ran = [one for one in change_of if one in ended and change_of[one] in effects]
    kept = {change_of[one.experiment] for one in state.incumbencies} & set(effects)
    tested = [one for one in ran if state.experiments[one].test_level]
    offered = {change_of[one] for one in tested if effects[change_of[one]] < 0}
    false = sum(effects[name] >= 0 for name in kept)
    return Night(len(offered), len(kept) - false, len(kept), false, len(tested), len(ran))


def _night(task: tuple[Condition, int, float, float]) -> Night:
    return night(*task)


def nights(condition: Condition, count: int, gain_sds: float, share: float, processes: int) -> Night:
    """Return the sums over `count` nights."""
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        found = pool.map(_night, [(condition, seed, gain_sds, share) for seed in range(count)], chunksize=1)
    return Night(*(sum(one) for one in zip(*found, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=60)
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", choices=("nights", "sessions"))
    options = parser.parse_args()
    if options.only != "sessions":
        _print_nights(options.nights, options.processes)
    if options.only != "nights":
        _print_sessions(options.sessions)


def _print_nights(count: int, processes: int) -> None:
    print(f"{count} nights a row: real gains found of those offered to tests; false keeps of all keeps; tests a night")
    for condition in CONDITIONS:
        for gain, share in NIGHT_GAINS:
            one = nights(condition, count, gain, share, processes)
            print(
                f"{condition.name:<26} gains of {gain:g} SD: {one.found:>4}/{one.offered:<4} "
                f"false {one.false:>3}/{one.keeps:<4} {one.tests / count:>5.1f} tests, {one.arms / count:.0f} arms",
                flush=True,
            )


def _print_sessions(sessions: int) -> None:
    for gain in ABLATED_GAINS_SDS:
        dropped = sum(is_dropped(gain, seed) for seed in range(sessions))
        print(f"a kept change of {gain:g} SD: its ablation drops it in {dropped} of {sessions}", flush=True)
    for h100, h200 in ((3.0, 0.0), (3.0, 3.0), (6.0, -6.0)):
        said = [class_of_keep(h100, h200, seed) for seed in range(sessions)]
        print(
            f"a gain of {h100:g} SD on H100 and {h200:g} on H200: kept for both in {said.count('pooled')}, for H100 in "
            f"{said.count('H100')} of {sessions}",
            flush=True,
        )


if __name__ == "__main__":
    main()
