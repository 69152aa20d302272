"""Simulate whole sessions under the real decisions and fold: keeps, class effects and ablations with a known truth.

    python -m benchmarks.evidence_sessions [--sessions 60]

The virtual fleet is that of tests/decide/world.py. One run's SD is the unit of every gain.
"""

import argparse
from collections.abc import Mapping

from cockpit.core.events import Decided, IncumbentSet
from cockpit.core.model import Attempt, Estimate, ExperimentStatus, Value
from cockpit.core.state import WITHOUT
from tests.decide.world import World

RUN_SD = 0.003
TWO_CLASSES = ("H100",) * 13 + ("H200",) * 3
ABLATED_GAINS_SDS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
BIG_GAIN = 0.1
KEPT_FOR_SDS = (0.3, 0.5, 1.0)


def is_dropped(gain_sds: float, seed: int, kept_for_it: bool = False) -> bool:
    """Ablate a kept change of this true gain; tell if it is dropped.

    It was kept beside a change that gains far more, or for its own gain alone.
    """

    def truth(constants: Mapping[str, Value], attempt: Attempt) -> float:
        return 2.0 - BIG_GAIN * (constants["LR"] == 2) - RUN_SD * gain_sds * (constants.get("NAME") == "kept")

    world = World(truth, hardware=("CPU",) * 8, sd=RUN_SD, seed=seed)
    world.run(0.1)
    if kept_for_it:
        (name,) = world.propose({"NAME": "kept"})
        gain = RUN_SD * gain_sds
        estimate = Estimate(-gain, -2 * gain, 0.0, 0.9, 32, "e0000", "CPU")
        world.record(
            Decided(at=world.now, experiment=name, status=ExperimentStatus.KEPT, reason="a gain", estimate=estimate)
        )
        world.record(IncumbentSet(at=world.now, experiment=name, reason="a gain", estimate=estimate))
    else:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=60)
    sessions = parser.parse_args().sessions
    for gain in ABLATED_GAINS_SDS:
        dropped = sum(is_dropped(gain, seed) for seed in range(sessions))
        print(f"a kept change of {gain:g} SD: its ablation drops it in {dropped} of {sessions}", flush=True)
    for gain in KEPT_FOR_SDS:
        dropped = sum(is_dropped(gain, seed, kept_for_it=True) for seed in range(sessions))
        print(f"a change kept for its {gain:g} SD: its ablation drops it in {dropped} of {sessions}", flush=True)
    for h100, h200 in ((3.0, 0.0), (3.0, 3.0), (6.0, -6.0)):
        said = [class_of_keep(h100, h200, seed) for seed in range(sessions)]
        print(
            f"a gain of {h100:g} SD on H100 and {h200:g} on H200: kept for both in {said.count('pooled')}, for H100 in "
            f"{said.count('H100')} of {sessions}",
            flush=True,
        )


if __name__ == "__main__":
    main()
