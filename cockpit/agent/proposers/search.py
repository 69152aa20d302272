"""`search`: the built-in proposer. Numeric arms from this session's own results, at once, without a model's help.

A steady-state evolution: parents are the best few, a child crosses two of them gene by gene and mutates. Of a hundred
children it takes the one that a smooth surface through the best results so far likes most and that is unlikely to
crash. No other is like it, so that any number may be in flight, and no generation has to end. benchmarks/search.py
measures it against Optuna's samplers and others.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np

from cockpit.agent.proposer_api import ProposalRequest, ProposerApi, ProposerTrouble
from cockpit.core.intents import Arm, Draft
from cockpit.core.model import Change, Experiment, ExperimentStatus, Outcome, Value, WaveKind
from cockpit.core.state import State, constants_of
from cockpit.decide.evidence import noise_of, readings_of
from cockpit.science.compare import reference_score
from cockpit.science.forecast import crash_risks
from cockpit.science.noise import Noise
from cockpit.science.search_space import (
    Choice,
    Dimension,
    Ladder,
    Real,
    fit_overrides,
    position,
    search_space,
    value_at,
)
from cockpit.science.surface import FloatArray, Surface, fit_surface

PARENTS = 5
MUTATION_RATE = 0.4
"""Of each gene in a child."""
STEPS = (0.03, 0.1, 0.2)
"""SDs of a mutation, as a share of the range: fine and coarse at once."""
CROSS = 0.7
"""Share of the children that have two parents."""
CHILDREN = 12
GUIDED_CHILDREN = 100
"""Children that the surface chooses one of."""
GUIDED_FROM = 6
FITTED = 100
"""The surface goes through the best so many."""
APART = 0.35
"""How far apart two options without an order are, over the square root of 2, where a dimension's range is 1."""
SCORE_SD = 6e-4
"""Of a score, relative to it, where nothing else is known."""
AHEAD, AHEAD_SES = 4e-3, 4.0
"""How far ahead of the best the zero of the scores' log is: relative to the score, or in SEs where these are more."""
CRASH_RISK = 0.15
BROODS = 5
"""So many are looked through for a child that was not tried, before the space counts as used up."""
READ = 400
"""The newest experiments it learns from, beside the best."""


class Tried(msgspec.Struct, frozen=True):
    """One configuration and what is known of it."""

    constants: dict[str, Value]
    score: float | None
    """Estimated val_bpb on one common scale, classes and clusters evened out; None where it crashed."""
    se: float = 0.0
    """Of the score; 0 where unknown."""


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
        for constants in (child for _ in range(BROODS) for child in searcher.children()):
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
        self.choices = np.asarray([isinstance(one, Choice) for one in dimensions.values()])
        self.steps = np.asarray([_steps(one) for one in dimensions.values()])
        self.seen = self._places([one.constants for one in tried])
        self.crashed = np.asarray([one.score is None for one in tried], dtype=bool)
        done = sorted(
            (number for number, one in enumerate(tried) if one.score is not None), key=lambda n: _score(tried[n])
        )
        self.parents = self.seen[done[:PARENTS]] if done else self._places([start])
        best = done[:FITTED]
        self.surface = (
            self._fit([tried[number] for number in best], self.seen[best]) if len(done) >= GUIDED_FROM else None
        )

    def children(self) -> Iterator[dict[str, Value]]:
        """A brood, the most liked first."""
        born = self._brood(CHILDREN if self.surface is None else GUIDED_CHILDREN)
        risks = crash_risks(self.seen, self.crashed, born)
        safe = born[risks < CRASH_RISK] if np.any(risks < CRASH_RISK) else born[[int(np.argmin(risks))]]
        if self.surface is not None:
            safe = safe[np.argsort(self.surface.at(self._features(safe)))]
        yield from map(self._constants, safe)

    def _places(self, constants: Sequence[Mapping[str, Value]]) -> FloatArray:
        found = [[position(dimension, one[name]) for name, dimension in self.dimensions.items()] for one in constants]
        return np.asarray(found, dtype=float).reshape(len(found), len(self.dimensions))

    def _constants(self, place: FloatArray) -> dict[str, Value]:
        moved = {
            name: value_at(dimension, float(at))
            for (name, dimension), at in zip(self.dimensions.items(), place, strict=True)
        }
        start = dict(self.start)
        return {**start, **fit_overrides(start, moved)}

    def _brood(self, count: int) -> FloatArray:
        """Children of the parents, each at a place that its constants have."""
        rng, parents = self.rng, self.parents
        genes = parents.shape[1]
        one, other = (parents[rng.integers(len(parents), size=count)] for _ in range(2))
        swapped = (rng.random((count, genes)) < 0.5) & (rng.random((count, 1)) < CROSS)
        born = np.where(swapped, other, one)
        moved = rng.random((count, genes)) < MUTATION_RATE
        moved[~moved.any(axis=1), rng.integers(genes)] = True
        step = rng.normal(size=(count, genes)) * rng.choice(STEPS, size=(count, genes))
        rung = 1 / np.where(self.steps > 0, self.steps, np.inf)
        step = np.copysign(np.maximum(np.abs(step), rung), step)
        mutated = np.where(self.choices, rng.random((count, genes)), born + step)
        born = np.where(moved, mutated, born)
        born = np.clip(1 - np.abs(1 - np.abs(born)), 0.0, 1.0)  # a step over the edge comes back from it
        rungs = np.maximum(self.steps, 1)
        stepped = (np.minimum(np.floor(born * rungs), rungs - 1) + 0.5) / rungs
        placed: FloatArray = np.where(self.steps > 0, stepped, born)
        return placed

    def _features(self, places: FloatArray) -> FloatArray:
        """Places as the surface sees them: options without an order are all equally far apart."""
        columns: list[FloatArray] = []
        for index, steps in enumerate(self.steps):
            at = places[:, index]
            if self.choices[index]:
                columns.extend(np.where(np.floor(at * steps) == option, APART, 0.0) for option in range(steps))
            else:
                columns.append(at)
        return np.stack(columns, axis=1)

    def _fit(self, best: Sequence[Tried], places: FloatArray) -> Surface:
        """Through the log of how far each lies behind the best: what is good matters, not how terrible the rest is."""
        scores = np.asarray([_score(one) for one in best])
        ses = np.asarray([one.se or SCORE_SD * abs(_score(one)) for one in best])
        ahead = max(AHEAD * abs(float(scores[0])), AHEAD_SES * float(np.median(ses)), 1e-12)
        behind = scores - scores[0] + ahead
        return fit_surface(self._features(places), np.log(behind), ses / behind)


def _steps(dimension: Dimension) -> int:
    """How many values a dimension has; 0 for any number."""
    match dimension:
        case Real():
            return 0
        case Ladder(rungs):
            return len(rungs)
        case Choice(options):
            return len(options)


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
                stands = reference_score(readings, noise)
                tried.append(Tried(constants, stands.mean, stands.se))
        elif experiment.status is ExperimentStatus.CRASHED:
            tried.append(Tried(constants, None))
        elif (expected := _expected(state, experiment, noise)) is not None:
            tried.append(Tried(constants, expected))
        elif experiment.status is not ExperimentStatus.DROPPED:
            pending.append(constants)
    start = constants_of(state, base)
    session_seed = state.session.seed
    baseline = constants_of(state, state.baseline) if state.baseline else start
    return Record(search_space(baseline), start, base, tried, pending, session_seed * 1_000_003 + state.asks_total)


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

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        record = api.read(record_of)
        if not record.base:
            raise ProposerTrouble("there is no baseline yet", retry_in_s=10.0)
        try:
            found = next_arms(record.dimensions, record.start, record.tried, record.pending, request.arms, record.seed)
        except ValueError as error:
            raise ProposerTrouble(f"search cannot propose: {error}", retry_in_s=600.0) from None
        if not found:
            raise ProposerTrouble("search has tried everything near the best", retry_in_s=600.0)
        api.propose(draft(record, found, request))


def draft(record: Record, found: Sequence[Mapping[str, Value]], request: ProposalRequest) -> Draft:
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
