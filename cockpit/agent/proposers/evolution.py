"""The algorithm of `search`: configurations to try next, from the scores so far. Pure and deterministic.

It is a steady-state evolution. Parents are the best few configurations; a child crosses two of them gene by gene and
mutates. It takes the one of a hundred children with the best expected score, on a smooth surface through the best
results so far, among those unlikely to crash. Where few runs go at once, the first arms move one or two constants of
the base by a step that a person would try. No two configurations are equal, so any number may be in flight, and no
generation has to end. benchmarks/search.py measures it against Optuna's samplers and others.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from cockpit.core.model import Value
from cockpit.science.forecast import crash_risks
from cockpit.science.search_space import (
    Choice,
    Dimension,
    Ladder,
    Real,
    first_levels,
    fit_overrides,
    moved_to,
    position,
    step_share,
)
from cockpit.science.surface import FloatArray, Surface, fit_surface

FIRST_ARMS, FIRST_CHANGES = 8, 2
"""The arms that are steps from the base, and the most constants that each changes."""
PARENTS = 5
MUTATIONS, GUIDED_MUTATIONS = (1, 5), (3, 8)
"""The fewest and the most constants that a child mutates: without a surface, and with one to choose among the children.
The number is uniform between them and does not depend on the number of constants."""
MUTATION_SDS = (0.03, 0.1, 0.2)
"""SDs of a mutation, as shares of the dimension's range: fine and coarse steps together."""
CROSSOVER_RATE = 0.7
"""The share of children with two parents."""
CHILDREN = 12
GUIDED_CHILDREN = 100
"""Children among which the surface chooses one."""
GUIDED_FROM = 6
"""Scores from which a surface is fitted."""
FITTED = 100
"""The best configurations, through which the surface is fitted."""
OPTION_DISTANCE = 0.35
"""The distance between two options without an order, over the square root of 2. A dimension's range is 1."""
AHEAD_SES, AHEAD_SPREAD = 6.0, 0.05
"""The distance from the best score to the zero of the scores' log: in median SEs, or in spreads if that is more. The
spread is the median distance of the scores behind the best, so the scale and the offset of the metric do not matter."""
MAX_CRASH_RISK = 0.15
MAX_BROODS = 5
"""Broods without an untried child after which the space counts as used up."""


class Tried(msgspec.Struct, frozen=True):
    """A configuration that was tried, with its score."""

    constants: dict[str, Value]
    score: float | None
    """The estimated score on one scale, corrected for classes and clusters; None for a crash."""
    se: float = 0.0
    """The SE of the score; 0 if unknown."""


def next_arms(
    dimensions: Mapping[str, Dimension],
    base: Mapping[str, Value],
    tried: Sequence[Tried],
    pending: Sequence[Mapping[str, Value]],
    arms: int,
    seed: int,
    by_steps: bool = False,
) -> list[dict[str, Value]]:
    """Return up to `arms` configurations to try next: all constants of `base`, with those in `dimensions` varied.

    With `by_steps` the first ones are visible steps from the base. The base and the configurations in `tried` and
    `pending` are not proposed. Equal arguments give equal arms. Fewer are returned when the space is nearly used up.
    Raises ValueError without dimensions.
    """
    if not dimensions:
        raise ValueError("none of train.py's constants can be varied by number")
    evolution = _Evolution(dimensions, base, tried, seed)
    known = {_key(dimensions, constants) for constants in (base, *(one.constants for one in tried), *pending)}
    found: list[dict[str, Value]] = []
    for _ in range(arms):
        first = [evolution.first_steps] if are_first_steps(by_steps, known) else []
        for constants in (child for brood in (*first, *[evolution.children] * MAX_BROODS) for child in brood()):
            key = _key(dimensions, constants)
            if key not in known:
                known.add(key)
                found.append(constants)
                break
    return found


def are_first_steps(by_steps: bool, known: Collection[object]) -> bool:
    """Return True if the next arm is a visible step from the base. `known` holds the base and each arm so far."""
    return by_steps and len(known) <= FIRST_ARMS


def _key(dimensions: Mapping[str, Dimension], constants: Mapping[str, Value]) -> tuple[str, ...]:
    return tuple(repr(constants.get(name)) for name in dimensions)


class _Evolution:
    def __init__(
        self, dimensions: Mapping[str, Dimension], base: Mapping[str, Value], tried: Sequence[Tried], seed: int
    ) -> None:
        self._dimensions, self._base = dimensions, base
        self._rng = np.random.default_rng(seed)
        self._is_choice = np.asarray([isinstance(one, Choice) for one in dimensions.values()])
        self._value_counts = np.asarray([_value_count(one) for one in dimensions.values()])
        self._smallest_steps = np.asarray([_smallest_step(one) for one in dimensions.values()])
        self._tried_positions = self._positions([one.constants for one in tried])
        self._crashed = np.asarray([one.score is None for one in tried], dtype=bool)
        ranked = sorted(
            (number for number, one in enumerate(tried) if one.score is not None), key=lambda n: _score(tried[n])
        )
        self._parents = self._tried_positions[ranked[:PARENTS]] if ranked else self._positions([base])
        best = ranked[:FITTED]
        self._surface = (
            self._fit([tried[number] for number in best], self._tried_positions[best])
            if len(ranked) >= GUIDED_FROM
            else None
        )

    def first_steps(self) -> Iterator[dict[str, Value]]:
        """Yield a brood of visible steps from the base."""
        levels = {name: first_levels(one, self._base[name]) for name, one in self._dimensions.items()}
        names = [name for name, found in levels.items() if found]
        born: list[dict[str, Value]] = []
        for count in self._rng.integers(1, FIRST_CHANGES + 1, size=CHILDREN):
            moved = [names[number] for number in self._rng.permutation(len(names))[:count]]
            born.append({**self._base, **{name: levels[name][self._rng.integers(len(levels[name]))] for name in moved}})
        yield from self._safest_first(self._positions(born))

    def children(self) -> Iterator[dict[str, Value]]:
        """Yield a brood, the best expected score first."""
        yield from self._safest_first(self._offspring(CHILDREN if self._surface is None else GUIDED_CHILDREN))

    def _safest_first(self, brood: FloatArray) -> Iterator[dict[str, Value]]:
        risks = crash_risks(self._tried_positions, self._crashed, brood)
        low_risk = risks < MAX_CRASH_RISK
        safe = brood[low_risk] if np.any(low_risk) else brood[[int(np.argmin(risks))]]
        if self._surface is not None:
            safe = safe[np.argsort(self._surface.at(self._features(safe)))]
        yield from map(self._constants, safe)

    def _positions(self, constants: Sequence[Mapping[str, Value]]) -> FloatArray:
        """Return the configurations as positions from 0 to 1, shape (configurations, dimensions)."""
        found = [[position(dimension, one[name]) for name, dimension in self._dimensions.items()] for one in constants]
        return np.asarray(found, dtype=float).reshape(len(found), len(self._dimensions))

    def _constants(self, positions: FloatArray) -> dict[str, Value]:
        moved = {
            name: moved_to(dimension, self._base[name], float(at))
            for (name, dimension), at in zip(self._dimensions.items(), positions, strict=True)
        }
        base = dict(self._base)
        return {**base, **fit_overrides(base, moved)}

    def _offspring(self, count: int) -> FloatArray:
        """Return children of the parents, each at a position that its constants can take."""
        born = self._crossed(count)
        moved = self._mutated_genes(count)
        born = np.where(moved, self._mutated(born), born)
        born = np.clip(1 - np.abs(1 - np.abs(born)), 0.0, 1.0)  # a step over the edge is reflected
        counts = np.maximum(self._value_counts, 1)
        on_value = (np.minimum(np.floor(born * counts), counts - 1) + 0.5) / counts
        positions: FloatArray = np.where(self._value_counts > 0, on_value, born)
        return positions

    def _crossed(self, count: int) -> FloatArray:
        rng, parents = self._rng, self._parents
        one, other = (parents[rng.integers(len(parents), size=count)] for _ in range(2))
        swapped = (rng.random((count, parents.shape[1])) < 0.5) & (rng.random((count, 1)) < CROSSOVER_RATE)
        crossed: FloatArray = np.where(swapped, other, one)
        return crossed

    def _mutated_genes(self, count: int) -> NDArray[np.bool_]:
        """Return which genes of each child mutate."""
        fewest, most = MUTATIONS if self._surface is None else GUIDED_MUTATIONS
        mutations = self._rng.integers(fewest, most + 1, size=(count, 1))
        order = self._rng.random((count, self._parents.shape[1])).argsort(axis=1)
        return order.argsort(axis=1) < mutations

    def _mutated(self, born: FloatArray) -> FloatArray:
        """Return every gene moved: an option replaced, any other stepped by one value or sensible step at least."""
        rng, shape = self._rng, born.shape
        step = rng.normal(size=shape) * rng.choice(MUTATION_SDS, size=shape)
        step = np.copysign(np.maximum(np.abs(step), self._smallest_steps), step)
        mutated: FloatArray = np.where(self._is_choice, rng.random(shape), born + step)
        return mutated

    def _features(self, positions: FloatArray) -> FloatArray:
        """Return positions in the surface's space, where all options without an order are equally far apart."""
        columns: list[FloatArray] = []
        for index, count in enumerate(self._value_counts):
            at = positions[:, index]
            if self._is_choice[index]:
                columns.extend(
                    np.where(np.floor(at * count) == option, OPTION_DISTANCE, 0.0) for option in range(count)
                )
            else:
                columns.append(at)
        return np.stack(columns, axis=1)

    def _fit(self, best: Sequence[Tried], positions: FloatArray) -> Surface:
        """Fit the surface to the log of the distance behind the best, so that good scores count more than bad ones."""
        behind = np.asarray([_score(one) for one in best])
        behind = behind - behind[0]
        spread = float(np.median(behind))
        known_ses = [one.se for one in best if one.se > 0]
        typical_se = float(np.median(known_ses)) if known_ses else AHEAD_SPREAD * spread / AHEAD_SES
        ahead = max(AHEAD_SES * typical_se, AHEAD_SPREAD * spread) or 1.0
        ses = np.asarray([one.se or typical_se for one in best])
        return fit_surface(self._features(positions), np.log1p(behind / ahead), ses / (behind + ahead))


def _value_count(dimension: Dimension) -> int:
    """Return the number of values of a dimension; 0 for a continuous one."""
    match dimension:
        case Real():
            return 0
        case Ladder(rungs):
            return len(rungs)
        case Choice(options):
            return len(options)


def _smallest_step(dimension: Dimension) -> float:
    """Return the share of a dimension that a mutation moves at least."""
    return step_share(dimension) if isinstance(dimension, Real) else 1 / _value_count(dimension)


def _score(one: Tried) -> float:
    assert one.score is not None
    return one.score
