"""`search`: the built-in proposer. Numeric arms from this session's own results, at once, without a model's help.

A steady-state evolution: parents are the best few, a child crosses two of them (gene by gene, or along the line
through both, beyond its ends too) and mutates. Of a handful of children it takes the one that a regression on the
best results so far likes most and that is unlikely to crash. It needs no generation to end, so any number may be in
flight. benchmarks/search.py measures it against Optuna's samplers and others.
"""

import itertools
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from cockpit.agent.base import Desk, ProposerTrouble, Request
from cockpit.intents import Arm, Draft
from cockpit.model import Change, Experiment, ExperimentStatus, Outcome, Value, WaveKind
from cockpit.plan.evidence import noise_of, readings_of
from cockpit.plan.space import Choice, Dimension, Ladder, fit, position, space, value_at
from cockpit.science.compare import standing
from cockpit.science.forecast import crash_risks
from cockpit.science.noise import Noise
from cockpit.state import State, constants_of

Floats = NDArray[np.float64]

PARENTS = 5
MUTATION_RATE = 0.2
"""Of each gene, in a child of gene-by-gene crossing; half of it along the line, which moves all genes already."""
STEPS = (0.05, 0.15, 0.3)
"""SDs of a mutation, as a share of the range: fine and coarse at once."""
LINE = 0.3
"""Share of children on the line through two parents."""
CROSS = 0.7
BEYOND = 0.5
"""How far past its ends the line reaches."""
CHILDREN = 12
GUIDED = 0.8
"""Share of arms that the regression chooses; the rest keep it honest."""
GUIDED_FROM = 20
FITTED = 120
"""The regression sees the best so many: what is good matters, what is terrible does not."""
RIDGE = 0.05
SCORE_SD = 6e-4
"""Relative to the score: nearer to the best than this, results weigh alike in the regression."""
CRASH_RISK = 0.3
TRIES = 20
READ = 400
"""The newest experiments it learns from, beside the best."""


class Tried(msgspec.Struct, frozen=True):
    """One configuration and what is known of it."""

    constants: dict[str, Value]
    score: float | None
    """Estimated val_bpb on one common scale, classes and clusters evened out; None where it crashed."""


def next_arms(
    dimensions: Mapping[str, Dimension],
    start: Mapping[str, Value],
    tried: Sequence[Tried],
    pending: Sequence[Mapping[str, Value]],
    arms: int,
    seed: int,
) -> list[dict[str, Value]]:
    """Up to `arms` configurations to try next: all of `start`'s constants, those in `dimensions` varied.

    `tried` and `pending` are never proposed again. The same arguments give the same arms. Fewer come back where the
    space is nearly used up; ValueError where there is nothing to vary.
    """
    if not dimensions:
        raise ValueError("none of train.py's constants can be varied by number")
    searcher = _Searcher(dimensions, start, tried, seed)
    known = {_key(dimensions, constants) for constants in (*(one.constants for one in tried), *pending)}
    found: list[dict[str, Value]] = []
    for _ in range(arms):
        for _ in range(TRIES):
            constants = searcher.child()
            key = _key(dimensions, constants)
            if key not in known:
                known.add(key)
                found.append(constants)
                break
    return found


def _key(dimensions: Mapping[str, Dimension], constants: Mapping[str, Value]) -> tuple[str, ...]:
    return tuple(repr(constants.get(name)) for name in dimensions)


class _Searcher:
    def __init__(
        self, dimensions: Mapping[str, Dimension], start: Mapping[str, Value], tried: Sequence[Tried], seed: int
    ) -> None:
        self.dimensions, self.start = dimensions, start
        self.rng = np.random.default_rng(seed)
        done = sorted((one for one in tried if one.score is not None), key=_score)
        self.points = np.asarray([self._place(one.constants) for one in done]).reshape(len(done), len(dimensions))
        self.scores = np.asarray([_score(one) for one in done])
        self.seen = np.asarray([self._place(one.constants) for one in tried]).reshape(len(tried), len(dimensions))
        self.crashed = np.asarray([one.score is None for one in tried], dtype=bool)
        self.parents = self.points[:PARENTS] if done else np.asarray([self._place(start)])
        self.weights = self._regress() if len(done) >= GUIDED_FROM else None

    def child(self) -> dict[str, Value]:
        born = np.asarray([self._place(self._constants(self._born())) for _ in range(CHILDREN)])
        risks = crash_risks(self.seen, self.crashed, born)
        safe = born[risks < CRASH_RISK] if np.any(risks < CRASH_RISK) else born[[int(np.argmin(risks))]]
        if self.weights is None or self.rng.random() > GUIDED:
            return self._constants(safe[0])
        return self._constants(safe[int(np.argmin(self._features(safe) @ self.weights))])

    def _place(self, constants: Mapping[str, Value]) -> list[float]:
        return [position(dimension, constants[name]) for name, dimension in self.dimensions.items()]

    def _constants(self, place: Floats) -> dict[str, Value]:
        moved = {
            name: value_at(dimension, float(at))
            for (name, dimension), at in zip(self.dimensions.items(), place, strict=True)
        }
        start = dict(self.start)
        return {**start, **fit(start, moved)}

    def _born(self) -> Floats:
        rng, parents = self.rng, self.parents
        one = parents[rng.integers(len(parents))]
        if len(parents) == 1:
            return self._mutated(one, MUTATION_RATE)
        other = parents[rng.integers(len(parents))]
        if rng.random() < LINE:
            return self._mutated(one + rng.uniform(-BEYOND, 1 + BEYOND) * (other - one), MUTATION_RATE / 2)
        if rng.random() < CROSS:
            one = np.where(rng.random(one.size) < 0.5, one, other)
        return self._mutated(one, MUTATION_RATE)

    def _mutated(self, place: Floats, rate: float) -> Floats:
        rng, place = self.rng, np.clip(place, 0.0, 1.0)
        moved = rng.random(place.size) < rate
        if not moved.any():
            moved[rng.integers(place.size)] = True
        for index, dimension in enumerate(self.dimensions.values()):
            if not moved[index]:
                continue
            if isinstance(dimension, Choice):
                place[index] = rng.random()
            else:
                step = rng.normal() * rng.choice(STEPS)
                if isinstance(dimension, Ladder):
                    rung = 1 / len(dimension.rungs)
                    step = np.copysign(max(abs(step), rung), step)
                place[index] += step
        place = 1 - np.abs(1 - np.abs(place))  # a step over the edge comes back from it
        return np.clip(place, 0.0, 1.0)

    def _features(self, places: Floats) -> Floats:
        """Linear and squared in every dimension with an order, one column for each option of the others."""
        columns = [np.ones(len(places))]
        for index, dimension in enumerate(self.dimensions.values()):
            at = places[:, index]
            if isinstance(dimension, Choice):
                count = len(dimension.options)
                option = np.minimum((at * count).astype(int), count - 1)
                columns.extend((option == number).astype(float) for number in range(count))
            else:
                columns.extend((at - 0.5, (at - 0.5) ** 2))
        return np.stack(columns, axis=1)

    def _regress(self) -> Floats:
        """Weighted ridge regression of the best scores; those far behind the best weigh less."""
        gap = self.scores[:FITTED] - self.scores[0]
        scale = SCORE_SD * max(abs(float(self.scores[0])), 1e-9)
        gap = np.minimum(gap, 50 * scale)
        weight = 1 / (scale**2 + (0.3 * gap) ** 2)
        features = self._features(self.points[:FITTED])
        penalty = np.eye(features.shape[1]) * (RIDGE * float(weight.mean()))
        penalty[0, 0] *= 1e-6
        weighted = features.T * weight
        solved: Floats = np.linalg.solve(weighted @ features + penalty, weighted @ gap)
        return solved


def _score(one: Tried) -> float:
    assert one.score is not None
    return one.score


class Record(msgspec.Struct, frozen=True):
    """What the search reads off the state."""

    dimensions: dict[str, Dimension]
    start: dict[str, Value]
    base: str
    tried: list[Tried]
    pending: list[dict[str, Value]]
    seed: int


def record_of(state: State) -> Record:
    """The session's own record: the newest experiments and the best, on one scale."""
    noise = noise_of(state)
    newest = itertools.islice(reversed(state.experiments.values()), READ)
    best = (state.experiments[one.experiment] for ranked in state.best.values() for one in ranked)
    experiments = {experiment.id: experiment for experiment in (*newest, *best)}
    base = state.incumbent or state.baseline
    tried: list[Tried] = []
    pending: list[dict[str, Value]] = []
    for experiment in experiments.values():
        if _edited(state, experiment.id) != _edited(state, base):
            continue
        constants = constants_of(state, experiment.id)
        if experiment.scores:
            if readings := readings_of(state, experiment.id):
                tried.append(Tried(constants, standing(readings, noise).mean))
        elif experiment.status is ExperimentStatus.CRASHED:
            tried.append(Tried(constants, None))
        elif (expected := _expected(state, experiment, noise)) is not None:
            tried.append(Tried(constants, expected))
        elif experiment.status is not ExperimentStatus.DROPPED:
            pending.append(constants)
    start = constants_of(state, base)
    session_seed = state.session.seed if state.session else 0
    baseline = constants_of(state, state.baseline) if state.baseline else start
    return Record(space(baseline), start, base, tried, pending, session_seed * 1_000_003 + state.asks_total)


def _expected(state: State, experiment: Experiment, noise: Noise) -> float | None:
    """Where the curve of an arm that was ended as hopeless led to, on the reference class; None for any other."""
    for attempt in (state.attempts[name] for name in experiment.attempts):
        if attempt.outcome is Outcome.HOPELESS and attempt.expected_bpb:
            offset = noise.classes.get(attempt.hardware)
            return attempt.expected_bpb - (offset.mean if offset else 0.0)
    return None


def _edited(state: State, experiment: str) -> tuple[str, ...]:
    """The experiments on the way from the baseline whose edits are code: constants compare only where these agree."""
    found: list[str] = []
    while experiment:
        one = state.experiments[experiment]
        if one.change.edits:
            found.append(one.id)
        experiment = one.base
    return tuple(found)


class Search:
    """The Proposer."""

    name = "search"

    def propose(self, desk: Desk, request: Request) -> None:
        record = desk.read(record_of)
        if not record.base:
            raise ProposerTrouble("there is no baseline yet", retry_in_s=10.0)
        try:
            found = next_arms(record.dimensions, record.start, record.tried, record.pending, request.arms, record.seed)
        except ValueError as error:
            raise ProposerTrouble(f"search cannot propose: {error}", retry_in_s=600.0) from None
        if not found:
            raise ProposerTrouble("search has tried everything near the best", retry_in_s=600.0)
        desk.propose(draft(record, found, request))


def draft(record: Record, found: Sequence[Mapping[str, Value]], request: Request) -> Draft:
    arms = []
    for constants in found:
        changed = {name: value for name, value in constants.items() if record.start.get(name) != value}
        arms.append(Arm(Change(changed), why=", ".join(f"{name} {value}" for name, value in changed.items())))
    return Draft(
        proposer=Search.name,
        question="Does crossing and nudging the best so far give a better one?",
        hypothesis="Good settings lie near, and between, the best found.",
        base=record.base,
        arms=tuple(arms),
        kind=WaveKind.FILLER if request.reason == "filler" else WaveKind.WAVE,
    )
