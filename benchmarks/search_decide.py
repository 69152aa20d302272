"""Compare the cost of a decision after 100,000 experiments with its cost at the start of a session.

    python -m benchmarks.search_decide [--experiments 100000]
    python -m benchmarks.search_decide --clusters 1000 --hours 0.4

Fills a state through the fold with finished, discarded experiments around a night of real decisions, and times
`promote` on a new result, the whole of `decide`, and the search reading the state. Processor time,
so that a busy machine does not count.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from benchmarks.search_cockpit import Night
from benchmarks.search_surface import BASELINE, Config, Surface, features, make_fleet
from cockpit.agent.proposers.search import search_history
from cockpit.core.events import Approved, Decided, Ended, Proposed, Started, Submitting
from cockpit.core.fold import fold
from cockpit.core.model import Attempt, AttemptKind, Change, Experiment, ExperimentStatus, Metrics, Outcome, Wave
from cockpit.core.state import State
from cockpit.decide.decisions import decide
from cockpit.decide.promotion import promote

REPEATS = 15


class Bowl(Surface):
    """A score that is best in the middle: any surface will do here."""

    def __init__(self) -> None:
        self._middle = np.asarray(features(BASELINE))

    def score(self, config: Config) -> float:
        return 0.99 + 0.001 * float(np.abs(np.asarray(features(config)) - self._middle).sum())

    def crashes(self, config: Config) -> bool:
        return False


def filled(state: State, until: int) -> State:
    """Add discarded experiments of one run each, as the fold would have."""
    dice = np.random.default_rng(0)
    clusters = list(state.clusters.values())
    while len(state.experiments) < until:
        name, wave = state.next_experiment_id(), state.next_wave_id()
        experiment = Experiment(
            id=name, wave=wave, base=state.baseline, change=Change(), commit=name, train_hash="", prepare_hash="",
            fingerprint=name, overrides={"MATRIX_LR": float(dice.uniform(0.02, 0.08))},
        )  # fmt: skip
        cluster = clusters[len(state.experiments) % len(clusters)]
        attempt = Attempt(f"{name}.1", name, AttemptKind.ARM, 0)
        made = Wave(id=wave, proposer="search", question="", arms=[name])
        score = Metrics(float(dice.normal(0.999, 0.002)))
        for event in (
            Proposed(at=state.now, wave=made, experiments=[experiment]),
            Approved(at=state.now, wave=wave, author="plan", rule="envelope", attempts=[attempt]),
            Submitting(at=state.now, attempt=attempt.id, cluster=cluster.name, hardware=cluster.hardware),
            Started(at=state.now, attempt=attempt.id),
            Ended(at=state.now, attempt=attempt.id, outcome=Outcome.VALID, metrics=score),
            Decided(at=state.now, experiment=name, status=ExperimentStatus.DISCARDED, reason="worse"),
        ):
            state = fold(state, event)
    return state


def median_ms(do: Callable[[], object]) -> float:
    took = []
    for _ in range(REPEATS):
        began = time.process_time()
        do()
        took.append(1000 * (time.process_time() - began))
    return statistics.median(took)


def figures(state: State, now: float) -> dict[str, float]:
    newest = next(one for one in reversed(state.experiments.values()) if one.status is ExperimentStatus.DISCARDED)
    state.undecided[newest.id] = state.contenders[newest.id] = None
    return {
        "decide": median_ms(lambda: decide(state, now)),
        "promote": median_ms(lambda: promote(state, now)),
        "search reads": median_ms(lambda: search_history(state)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=100_000)
    parser.add_argument("--clusters", type=int, default=16)
    parser.add_argument("--hours", type=float, default=2.0, help="of real decisions before the filling")
    options = parser.parse_args()
    better = round(options.clusters * 3 / 16)
    fleet = make_fleet(np.random.default_rng(0), options.clusters - better, better)
    night = Night(fleet, Bowl(), 0, options.hours)
    state = night.run()
    small = figures(state, night.now)
    before = len(state.experiments)
    night.state = filled(state, options.experiments)
    night.settle()  # the controls that are due at once on every cluster are not a usual decision
    state = night.state
    large = figures(state, night.now)
    print(f"{'':<14} {before:>10} {len(state.experiments):>10} experiments")
    for name, ms in large.items():
        print(f"{name:<14} {small[name]:>7.1f} ms {ms:>7.1f} ms   x{ms / small[name]:.2f}")


if __name__ == "__main__":
    main()
