"""Simulate whole nights under the real decisions and fold, with null and real changes, by condition of the noise.

    python -m benchmarks.evidence_nights [--null 32] [--power 8] [--gain 1] [--correlation 0] [--runs 87] [--only NAME]

A night is 87 runs on each of 16 clusters. Each arm is one change on top of the incumbent: in a power night a tenth of
them gain `--gain` run SDs, in a null night none. Half of the others have no effect, and half make it worse by up to 3
SD. One run's SD is the unit of every gain. `--correlation` is that of the noise of two experiments' runs with one seed.
"""

import argparse
import multiprocessing
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from benchmarks.evidence import CONDITIONS, OUTLIER_REACH_SDS, Condition
from benchmarks.evidence_fates import UNTESTED, Fate, fate_of_lost
from cockpit.core.model import Attempt, AttemptKind, AttemptStatus, Estimate, Experiment, ExperimentStatus, Value
from cockpit.core.state import WITHOUT, State
from tests.decide.world import RUN_S, World

RUN_SD = 0.003
CLUSTERS = 16
NIGHT_RUNS = 87
"""Runs of 5.5 minutes on one cluster in 8 hours."""
RUN_HOURS = 5.5 / 60
WAVE = 8
GAINS_SHARE = 0.1
NOISY_SHARE = 0.5
"""Share of the changes that make runs noisier, where a condition says so."""
TWO_CLASSES = "class effects"
"""The condition of 13 H100 and 3 H200, in which half of the gains are gains on H100 only."""
WALK = "drift as a random walk of 1.5 SD in an hour"
WALK_STEPS_PER_HOUR = 12
SINGLE_TESTS_ONLY = ("2 clusters alike", "arm half as noisy")
"""Conditions of benchmarks.evidence that are not played here."""
NIGHT_CONDITIONS = (
    *(one for one in CONDITIONS if one.name not in SINGLE_TESTS_ONLY),
    Condition(TWO_CLASSES),
    Condition(WALK),
)
POWER_SEEDS = 100_000
CHANGES = 1_000
"""Constants of the baseline, each of which one arm changes: more than a night tries."""


class Night(NamedTuple):
    """One night's arms of which the truth is known."""

    fates: Counter[tuple[str, Fate]]
    """The fates of the changes with a real gain of which an arm ran, each with its kind."""
    keeps: int
    false: int
    """Keeps of a change without a gain, or for a class on which it has none."""
    tests: int
    ablated: int
    """Kept changes that an ablation measured."""
    dropped: int
    """The ones among them that it dropped."""
    lost: int
    """The real gains among those."""
    ablation_runs: float
    """Share of the night's runs that ablations took."""

    @property
    def found(self) -> int:
        """Real gains that were kept for a class on which they hold, and not dropped again."""
        return sum(count for (_, fate), count in self.fates.items() if fate is Fate.KEPT)

    @property
    def screened(self) -> int:
        return self.fates.total()

    @property
    def offered(self) -> int:
        """Real gains of which an arm began a test."""
        return sum(count for (_, fate), count in self.fates.items() if fate not in UNTESTED)


class Fleet:
    """The truth of one night: what each change gains, and the noise of each run."""

    def __init__(self, condition: Condition, seed: int, correlation: float = 0.0) -> None:
        self.condition, self.rng = condition, np.random.default_rng([seed, 11])
        self.seed, self.correlation = seed, correlation
        names = [f"gpu-{number + 1:02d}" for number in range(CLUSTERS)]
        self.offsets = {name: float(self.rng.normal(0, condition.clusters_sd)) for name in names}
        self.effects: dict[str, float] = {}
        self.noisy: set[str] = set()
        steps = np.random.default_rng([seed, 17]).normal(
            0, 1.5 / np.sqrt(WALK_STEPS_PER_HOUR), 24 * WALK_STEPS_PER_HOUR
        )
        self.walk = np.append(0.0, np.cumsum(steps)) if condition.name == WALK else np.zeros(len(steps) + 1)
        self.world: World | None = None
        self.one_class: set[str] = set()
        """Changes that have their effect on H100 only."""

    @property
    def hardware(self) -> tuple[str, ...]:
        return ("H100",) * 13 + ("H200",) * 3 if self.condition.name == TWO_CLASSES else ("H100",) * CLUSTERS

    def drafts(self, gain_sds: float, share: float) -> list[dict[str, Value]]:
        """Return a wave of new changes."""
        drafts: list[dict[str, Value]] = []
        for _ in range(WAVE):
            name = f"C{len(self.effects)}"
            worse = float(self.rng.uniform(0, 3)) if self.rng.random() < 0.5 else 0.0
            self.effects[name] = -gain_sds if self.rng.random() < share else worse
            if self.rng.random() < NOISY_SHARE:
                self.noisy.add(name)
            if self.condition.name == TWO_CLASSES and self.effects[name] < 0 and self.rng.random() < 0.5:
                self.one_class.add(name)
            drafts.append({name: 1})
        return drafts

    def score(self, constants: Mapping[str, Value], attempt: Attempt) -> float:
        changes = [name for name in self.effects if constants.get(name)]
        holding = (name for name in changes if attempt.hardware != "H200" or name not in self.one_class)
        units = sum(self.effects[name] for name in holding) + self.offsets[attempt.cluster]
        noise_sd = self.condition.arm_sd if self._own_change(attempt.experiment) in self.noisy else 1.0
        noise_sd *= self.condition.cluster_sd(list(self.offsets).index(attempt.cluster))
        units += noise_sd * self.noise(attempt.seed)
        assert self.world is not None
        hours = self.world.now / RUN_S * RUN_HOURS
        units += self.condition.drift_per_hour * hours
        units += float(np.interp(hours * WALK_STEPS_PER_HOUR, np.arange(len(self.walk)), self.walk))
        if self.rng.random() < self.condition.outliers:
            units += OUTLIER_REACH_SDS * float(self.rng.choice((-1.0, 1.0)))
        return 2.0 + RUN_SD * self.condition.printed(units)

    def _own_change(self, experiment: str) -> str:
        """Return the change that the experiment adds; that of its base for an ablation."""
        assert self.world is not None
        one = self.world.state.experiments[experiment]
        return self._own_change(one.base) if WITHOUT in one.levels else next(iter(one.change.constants), "")

    def noise(self, seed: int) -> float:
        """Return the noise of a run in its SDs. Its square's share `correlation` is that of its seed."""
        own = float(self.rng.normal(0, 1.0))
        if not self.correlation:
            return own
        shared = float(np.random.default_rng([self.seed, seed, 13]).normal(0, 1.0))
        return float(np.sqrt(self.correlation) * shared + np.sqrt(1 - self.correlation) * own)

    def told(self, state: State) -> Night:
        """Compare what became of the arms with the truth."""
        ended = {run.experiment for run in state.attempts.values() if run.status is AttemptStatus.ENDED}
        ablations = set(state.ablations)
        arms_of: dict[str, list[Experiment]] = defaultdict(list)
        for name, one in state.experiments.items():
            change = next(iter(one.change.constants), "")
            if name not in ablations and change in self.effects:
                arms_of[change].append(one)
        ran = {change: [one for one in arms if one.id in ended] for change, arms in arms_of.items()}
        change_of = {one.id: change for change, arms in arms_of.items() for one in arms}
        keeps = [(change_of[one.experiment], one) for one in state.incumbencies if one.experiment in change_of]
        real = {change for change, one in keeps if self._holds(change, one.estimate)}
        false = sum(not self._holds(change, one.estimate) for change, one in keeps)
        measured = [one for name in state.ablations if (one := state.experiments[name]).estimate is not None]
        dropped = {next(iter(one.change.constants)) for one in measured if one.status is ExperimentStatus.KEPT}
        fates = {change: Fate.DROPPED if change in dropped else Fate.KEPT for change in real}
        fates |= {change: Fate.WRONG_CLASS for change, _ in keeps if change not in real}
        gains = [change for change, arms in ran.items() if arms and self.effects[change] < 0]
        return Night(
            fates=Counter(
                (self._kind_of(change), fates.get(change) or fate_of_lost(state, arms_of[change])) for change in gains
            ),
            keeps=len(keeps),
            false=false,
            tests=sum(one.test_level > 0 for arms in ran.values() for one in arms),
            ablated=len(measured),
            dropped=len(dropped),
            lost=len(real & dropped),
            ablation_runs=sum(run.experiment in ablations for run in state.attempts.values()) / len(state.attempts),
        )

    def _holds(self, change: str, claimed: Estimate | None) -> bool:
        """Return True if the change has a real gain on the class that its keep claims."""
        hardware = claimed.hardware if claimed else ""
        return self.effects[change] < 0 and (change not in self.one_class or hardware == "H100")

    def _kind_of(self, change: str) -> str:
        """Return the kind of a change under the condition; empty for a usual one."""
        if self.condition.arm_sd != 1 and change in self.noisy:
            return "noisier arms"
        return "H100 only" if change in self.one_class else ""


def night(
    condition: Condition, seed: int, gain_sds: float, share: float, correlation: float = 0.0, runs: int = NIGHT_RUNS
) -> Night:
    """Play a night of `runs` runs on each cluster. All runs of a moment end before the next decision."""
    fleet = Fleet(condition, seed, correlation)
    constants: dict[str, Value] = {f"C{number}": 0 for number in range(CHANGES)}
    world = fleet.world = World(fleet.score, hardware=fleet.hardware, sd=0.0, seed=seed, constants=constants)
    world.together = True
    world.run(2 * RUN_S / 3600)
    while world.now < runs * RUN_S:
        waiting = sum(world.state.attempts[name].kind is AttemptKind.ARM for name in world.state.waiting)
        if waiting < WAVE:
            world.propose(*fleet.drafts(gain_sds, share))
        later = world.now + RUN_S / 2
        world.run(RUN_S / 2 / 3600)
        world.now = later
    return fleet.told(world.state)


def _night(task: tuple[Condition, int, float, float, float, int]) -> Night:
    return night(*task)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--null", type=int, default=32, help="null nights of each condition")
    parser.add_argument("--power", type=int, default=8, help="power nights of each condition")
    parser.add_argument("--gain", type=float, default=1.0)
    parser.add_argument("--correlation", type=float, default=0.0)
    parser.add_argument("--runs", type=int, default=NIGHT_RUNS, help="runs on each cluster in a night")
    parser.add_argument("--only", default="", help="conditions whose name has this in it")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    print("gains found of those offered to tests and of all screened; false keeps of all keeps; null nights with one")
    with multiprocessing.get_context("fork").Pool(options.processes) as pool:
        for condition in (one for one in NIGHT_CONDITIONS if options.only in one.name):
            tasks = [(condition, seed, 0.0, 0.0, options.correlation, options.runs) for seed in range(options.null)]
            tasks += [
                (condition, POWER_SEEDS + seed, options.gain, GAINS_SHARE, options.correlation, options.runs)
                for seed in range(options.power)
            ]
            played = pool.map(_night, tasks, chunksize=1)
            print(line(condition.name, played[: options.null], played[options.null :]), flush=True)


def line(name: str, null: list[Night], power: list[Night]) -> str:
    """Word one condition: the gains found of those whose test began and of all screened, and what became of each."""
    found = sum(one.found for one in power)
    shares = ", ".join(f"of {what} {_share(power, what)}" for what in ("offered", "screened"))
    false, keeps = sum(one.false for one in power), sum(one.keeps for one in power)
    fooled = sum(one.false > 0 for one in null)
    tests = sum(one.tests for one in [*null, *power]) / max(1, len(null) + len(power))
    ablated, dropped, lost = (sum(getattr(one, what) for one in power) for what in ("ablated", "dropped", "lost"))
    taken = sum(one.ablation_runs for one in power) / max(1, len(power))
    fates = sum((one.fates for one in power), Counter[tuple[str, Fate]]())
    return (
        f"{name:<26} found {found} {shares}; false {false}/{keeps}; "
        f"null nights {fooled}/{len(null)}; {tests:.0f} tests a night; {ablated} changes ablated in {taken:.1%} of the "
        f"runs, {dropped} dropped, {lost} of them real" + "".join(_fates(fates, kind) for kind in _kinds(fates))
    )


def _share(power: list[Night], what: str) -> str:
    """Word the gains found of those that were offered or screened, with the error of a ratio over nights or the
    binomial one, whichever is larger."""
    found, of = (np.array([getattr(one, each) for one in power], dtype=float) for each in ("found", what))
    total = max(1.0, of.sum())
    share = found.sum() / total
    over_nights = float(np.sqrt(((found - share * of) ** 2).sum())) / total
    return f"{total:.0f} {share:.0%}±{max(over_nights, float(np.sqrt(share * (1 - share) / total))):.0%}"


def _kinds(fates: Counter[tuple[str, Fate]]) -> list[str]:
    return sorted({kind for kind, _ in fates})


def _fates(fates: Counter[tuple[str, Fate]], kind: str) -> str:
    counts = ", ".join(f"{fate} {count}" for fate in Fate if (count := fates[kind, fate]))
    return f"\n    {kind or 'usual arms'}: {counts}"


if __name__ == "__main__":
    main()
