"""Estimate the effects of a wave's factors: main effects and two-factor interactions, with intervals.

Least squares on sum-to-zero codes with hardware classes as blocks: an effect is averaged evenly over the other factors'
levels, however unevenly they were run. Missing and crashed cells widen the intervals. An effect that the cells cannot
separate from others is named, not estimated.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from cockpit.core.intents import FACTORS_AT_MOST
from cockpit.core.model import Estimate, Value
from cockpit.science.compare import LEVEL, POOLED, t_quantile
from cockpit.science.noise import Noise
from cockpit.science.reading import Reading, require_finite

if TYPE_CHECKING:
    from numpy.typing import NDArray


class FactorEffect(msgspec.Struct, frozen=True):
    """The effect of `factors` at `levels` against the first level of each.

    For two factors it is the interaction: their joint effect minus the sum of both.
    """

    factors: tuple[str, ...]
    levels: tuple[Value, ...]
    against: tuple[Value, ...]
    estimate: Estimate


class FactorEffects(msgspec.Struct, frozen=True):
    main: tuple[FactorEffect, ...]
    interactions: tuple[FactorEffect, ...]
    not_estimable: tuple[str, ...]
    """Factors and pairs, such as `DEPTH×MATRIX_LR`, that these cells cannot separate from others."""
    runs: int


def estimate_effects(
    factors: Mapping[str, Sequence[Value]],
    runs: Sequence[tuple[Mapping[str, Value], Reading]],
    noise: Noise,
    level: float = LEVEL,
) -> FactorEffects:
    """Estimate the effects of a wave from its valid `runs`, each with the levels of its cell; in scores, negative is
    better.

    The variance is the session's noise pooled with the residuals of the fit, each weighted by its degrees of freedom,
    so a model that fits badly widens its intervals. Runs with a level that no factor names are left out. Raises
    ValueError on NaN or infinite scores.
    """
    rows = [(at, reading) for at, reading in runs if all(at.get(name) in levels for name, levels in factors.items())]
    require_finite([reading for _, reading in rows])
    seen = {name: [v for v in levels if any(at[name] == v for at, _ in rows)] for name, levels in factors.items()}
    varied = {name: levels for name, levels in seen.items() if len(levels) > 1}
    not_varied = tuple(name for name in factors if name not in varied)
    if not rows or not varied:
        return FactorEffects((), (), not_varied, len(rows))
    design = _design(rows, varied)
    fit = _fit(rows, design, noise, level)
    main: list[FactorEffect] = []
    interactions: list[FactorEffect] = []
    for term in design.columns:
        for levels in itertools.product(*(varied[name][1:] for name in term)):
            (main if len(term) == 1 else interactions).append(_effect(rows, design, fit, term, levels))
    return FactorEffects(tuple(main), tuple(interactions), (*not_varied, *design.not_estimable), len(rows))


_Term = tuple[str, ...]
_Rows = Sequence[tuple[Mapping[str, Value], Reading]]


class _Design(NamedTuple):
    """The model matrix, shape (runs, columns): the hardware classes, then every term that the cells can separate."""

    varied: dict[str, list[Value]]
    """The levels of each factor that ran, for the factors with two or more."""
    blocks: list[str]
    matrix: "NDArray[Any]"
    columns: dict[_Term, slice]
    not_estimable: list[str]


def _design(rows: _Rows, varied: dict[str, list[Value]]) -> _Design:
    import numpy as np

    blocks = sorted({reading.hardware for _, reading in rows})
    matrix = np.asarray([[float(reading.hardware == block) for block in blocks] for _, reading in rows])
    codes = {name: np.stack([_code(levels, at[name]) for at, _ in rows]) for name, levels in varied.items()}
    columns: dict[_Term, slice] = {}
    not_estimable: list[str] = []
    pairs = list(itertools.combinations(varied, 2)) if len(varied) <= FACTORS_AT_MOST else []
    for term in [*((name,) for name in varied), *pairs]:
        if matrix.shape[1] + math.prod(len(varied[name]) - 1 for name in term) > len(rows):
            not_estimable.append("×".join(term))  # more columns than rows, so it is not built
            continue
        block = codes[term[0]] if len(term) == 1 else _product(codes[term[0]], codes[term[1]])
        grown = np.concatenate([matrix, block], axis=1)
        if np.linalg.matrix_rank(grown) < grown.shape[1]:
            not_estimable.append("×".join(term))
            continue
        columns[term] = slice(matrix.shape[1], grown.shape[1])
        matrix = grown
    return _Design(varied, blocks, matrix, columns, not_estimable)


class _Fit(NamedTuple):
    solved: "NDArray[Any]"
    covariance: "NDArray[Any]"
    reach: float
    """Half the width of an interval, in standard errors."""
    level: float


def _fit(rows: _Rows, design: _Design, noise: Noise, level: float) -> _Fit:
    """Fit the effects by least squares."""
    import numpy as np

    y = np.asarray([reading.score - noise.cluster(reading.cluster).mean for _, reading in rows])
    solved, *_ = np.linalg.lstsq(design.matrix, y, rcond=None)
    rest = y - design.matrix @ solved
    df = len(rows) - design.matrix.shape[1]
    known = noise.within_sd**2 + float(np.mean([noise.cluster(reading.cluster).se ** 2 for _, reading in rows]))
    variance = (noise.df * known + float(rest @ rest)) / (noise.df + df)
    covariance = np.linalg.pinv(design.matrix.T @ design.matrix) * variance
    return _Fit(solved, covariance, t_quantile((1 + level) / 2, noise.df + df), level)


def _effect(rows: _Rows, design: _Design, fit: _Fit, term: _Term, levels: tuple[Value, ...]) -> FactorEffect:
    """Return the effect of a term at these levels against the first level of each factor."""
    import numpy as np

    first = tuple(design.varied[name][0] for name in term)
    contrast = np.zeros(design.matrix.shape[1])
    contrast[design.columns[term]] = _contrast([design.varied[name] for name in term], levels)
    mean = float(contrast @ fit.solved)
    half = fit.reach * float(np.sqrt(contrast @ fit.covariance @ contrast))
    against = ", ".join(f"{name} {value}" for name, value in zip(term, first, strict=True))
    hardware = design.blocks[0] if len(design.blocks) == 1 else POOLED
    count = sum(all(at[n] == v for n, v in zip(term, levels, strict=True)) for at, _ in rows)
    estimate = Estimate(mean, mean - half, mean + half, fit.level, count, against, hardware)
    return FactorEffect(term, levels, first, estimate)


def _code(levels: Sequence[Value], value: Value) -> "NDArray[Any]":
    """Return the sum-to-zero code of a level, shape (levels - 1,)."""
    import numpy as np

    code = np.zeros(len(levels) - 1)
    index = list(levels).index(value)
    if index == len(levels) - 1:
        return code - 1.0
    code[index] = 1.0
    return code


def _product(one: "NDArray[Any]", other: "NDArray[Any]") -> "NDArray[Any]":
    """Return the columns of an interaction, shape (runs, columns of one x columns of the other)."""
    product: NDArray[Any] = (one[:, :, None] * other[:, None, :]).reshape(len(one), -1)
    return product


def _contrast(of: Sequence[Sequence[Value]], levels: Sequence[Value]) -> "NDArray[Any]":
    """Return the weights of the columns for these levels against the first level of each factor."""
    import numpy as np

    contrast = np.ones(1)
    for names, value in zip(of, levels, strict=True):
        contrast = np.outer(contrast, _code(names, value) - _code(names, names[0])).ravel()
    return contrast
