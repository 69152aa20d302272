"""The policies that benchmarks/search.py compares Cockpit with. All vary the same constants within the same bounds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.search_fleet import Job, Report, Result
from benchmarks.search_surface import BASELINE, H100_OFFSET, Slot
from cockpit.science.search_space import Choice, Ladder, Real, fit_overrides, position, search_space, value_at

SPACE = search_space(BASELINE)
THOUGHT_S = 60.0
SUBMIT_S = 10.0
NOTICED_S = 30.0
"""An agent that looks once a minute sees a wave end so late. With all of this the duty is the published 46%."""


def configured(places: Mapping[str, float]) -> dict[str, Any]:
    moved = {name: value_at(SPACE[name], place) for name, place in places.items()}
    return {**BASELINE, **fit_overrides(BASELINE, moved)}


class Sampler:
    """Takes whatever is measured at its word: the lowest raw score so far is its best."""

    def __init__(self) -> None:
        self.report = Report()
        self.report.bests.append((0.0, BASELINE))
        self.best_raw = float("inf")
        self.best: Mapping[str, Any] = BASELINE

    def next(self, now: float, slot: Slot) -> Job | float | None:
        raise NotImplementedError

    def ended(self, result: Result) -> None:
        if result.val_bpb is not None and result.val_bpb < self.best_raw:
            if self.best_raw < float("inf"):
                self.report.keeps.append((result.at, result.job.config, self.best))
            self.best_raw, self.best = result.val_bpb, result.job.config
            self.report.bests.append((result.at, self.best))


class Random(Sampler):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng = np.random.default_rng([seed, 11])
        self.begun = False

    def next(self, now: float, slot: Slot) -> Job:
        if not self.begun:
            self.begun = True
            return Job(BASELINE)
        return Job(configured({name: float(self.rng.random()) for name in SPACE}))


class Optuna(Sampler):
    """A sampler of Optuna's, asked and told as it comes; the baseline is its first trial, a crash a failed one."""

    def __init__(self, kind: str, seed: int) -> None:
        super().__init__()
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        make = {"tpe": optuna.samplers.TPESampler, "cma": optuna.samplers.CmaEsSampler}[kind]
        self.failed = optuna.trial.TrialState.FAIL
        self.study = optuna.create_study(sampler=make(seed=seed))
        self.study.enqueue_trial(BASELINE)

    def next(self, now: float, slot: Slot) -> Job:
        trial = self.study.ask()
        config: dict[str, Any] = {}
        for name, dimension in SPACE.items():
            match dimension:
                case Real(low, high, log):
                    config[name] = trial.suggest_float(name, low, high, log=log)
                case Ladder(rungs):
                    if rungs[1] == rungs[0] * 2:
                        config[name] = trial.suggest_categorical(name, rungs)
                    else:
                        config[name] = trial.suggest_int(name, rungs[0], rungs[-1], step=int(rungs[1] - rungs[0]))
                case Choice(options):
                    config[name] = trial.suggest_categorical(name, options)
        return Job({**BASELINE, **fit_overrides(BASELINE, config)}, trial.number)

    def ended(self, result: Result) -> None:
        super().ended(result)
        if result.val_bpb is None:
            self.study.tell(result.job.tag, state=self.failed)
        else:
            self.study.tell(result.job.tag, result.val_bpb)


class Greedy:
    """Mutates one or two constants of the incumbent and keeps whatever scores lower. `told` it knows the classes' true
    difference; untold it compares runs on H100 with runs on H200, as the published night did."""

    def __init__(self, seed: int, told: bool) -> None:
        self.offset = H100_OFFSET if told else 0.0
        self.report = Report()
        self.report.bests.append((0.0, BASELINE))
        self.rng = np.random.default_rng([seed, 13])
        self.incumbent: Mapping[str, Any] = BASELINE
        self.score = float("inf")
        self.begun = False

    def mutated(self) -> dict[str, Any]:
        places = {name: position(dimension, self.incumbent[name]) for name, dimension in SPACE.items()}
        for name in self.rng.choice(list(SPACE), size=int(self.rng.integers(1, 3)), replace=False):
            dimension = SPACE[name]
            if isinstance(dimension, Choice):
                places[name] = float(self.rng.random())
                continue
            step = float(self.rng.normal(0.0, 0.15))
            if isinstance(dimension, Ladder):
                step = float(np.copysign(max(abs(step), 1 / len(dimension.rungs)), step))
            places[name] = min(1.0, max(0.0, places[name] + step))
        return configured(places)

    def arm(self) -> Job:
        if not self.begun:
            self.begun = True
            return Job(BASELINE)
        return Job(self.mutated())

    def next(self, now: float, slot: Slot) -> Job | float | None:
        return self.arm()

    def scored(self, result: Result) -> float:
        assert result.val_bpb is not None
        return float(result.val_bpb - (self.offset if result.slot.hardware == "H100" else 0.0))

    def ended(self, result: Result) -> None:
        if result.val_bpb is None:
            return
        score = self.scored(result)
        if score < self.score:
            if self.score < float("inf"):
                self.report.keeps.append((result.at, result.job.config, self.incumbent))
            self.incumbent, self.score = result.job.config, score
            self.report.bests.append((result.at, self.incumbent))


class Waves(Greedy):
    """The published way: think, submit one after another, wait for the whole wave, keep its best if it looks better."""

    def __init__(self, seed: int, told: bool, size: int) -> None:
        super().__init__(seed, told)
        self.size = size
        self.to_submit = 0
        self.running = 0
        self.ready_at = 0.0
        self.results: list[Result] = []
        self.think(0.0)

    def think(self, now: float) -> None:
        self.to_submit, self.ready_at = self.size, now + NOTICED_S + THOUGHT_S + SUBMIT_S

    def next(self, now: float, slot: Slot) -> Job | float | None:
        if not self.to_submit:
            return None
        if now < self.ready_at:
            return self.ready_at
        self.to_submit -= 1
        self.running += 1
        self.ready_at = now + SUBMIT_S
        return self.arm()

    def ended(self, result: Result) -> None:
        self.running -= 1
        self.results.append(result)
        if self.to_submit or self.running:
            return
        valid = [one for one in self.results if one.val_bpb is not None]
        if valid:
            super().ended(min(valid, key=self.scored))
        self.results = []
        self.think(result.at)
