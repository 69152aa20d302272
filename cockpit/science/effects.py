"""What the factors of a wave did: main effects and two-factor interactions, with intervals, from the cells there are.

Least squares on sum-to-zero codes, hardware classes as blocks: an effect is what it is averaged evenly over the other
factors' levels, however unevenly they were run. Missing and crashed cells only widen intervals, until an effect
cannot be told at all; then it is named, not guessed.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from cockpit.core.model import Estimate, Value
from cockpit.science.compare import LEVEL, POOLED, t_quantile
from cockpit.science.noise import Noise, Reading, require_finite

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Effect(msgspec.Struct, frozen=True):
    """`factors` at `levels` against the first level of each; of two factors, the interaction: what their joint effect
    is beyond the sum of both."""

    factors: tuple[str, ...]
    levels: tuple[Value, ...]
    against: tuple[Value, ...]
    estimate: Estimate


class Effects(msgspec.Struct, frozen=True):
    main: tuple[Effect, ...]
    interactions: tuple[Effect, ...]
    untold: tuple[str, ...]
    """Factors and pairs, like `DEPTH×MATRIX_LR`, that these cells cannot tell apart from others."""
    runs: int


def effects(
    factors: Mapping[str, Sequence[Value]],
    runs: Sequence[tuple[Mapping[str, Value], Reading]],
    noise: Noise,
    level: float = LEVEL,
) -> Effects:
    """The effects of a wave from its valid `runs`, each with the levels of its cell; in val_bpb, negative is better.

    The variance is the session's noise pooled with the residuals of the fit, each by its degrees of freedom, so that a
    model that does not fit widens its intervals. Runs with a level that no factor names are left out. Raises ValueError
    on NaN or infinite scores.
    """
    import numpy as np

    rows = [(at, reading) for at, reading in runs if all(at.get(name) in levels for name, levels in factors.items())]
    require_finite([reading for _, reading in rows])
    seen = {name: [v for v in levels if any(at[name] == v for at, _ in rows)] for name, levels in factors.items()}
    varied = {name: levels for name, levels in seen.items() if len(levels) > 1}
    untold = [name for name in factors if name not in varied]
    if not rows or not varied:
        return Effects((), (), tuple(untold), len(rows))
    blocks = sorted({reading.hardware for _, reading in rows})
    matrix = np.asarray([[float(reading.hardware == block) for block in blocks] for _, reading in rows])
    codes = {name: np.stack([_code(levels, at[name]) for at, _ in rows]) for name, levels in varied.items()}
    columns: dict[tuple[str, ...], slice] = {}
    pairs = list(itertools.combinations(varied, 2))
    for term in [*((name,) for name in varied), *pairs]:
        block = codes[term[0]] if len(term) == 1 else _product(codes[term[0]], codes[term[1]])
        grown = np.concatenate([matrix, block], axis=1)
        if np.linalg.matrix_rank(grown) < grown.shape[1]:
            untold.append("×".join(term))
            continue
        columns[term] = slice(matrix.shape[1], grown.shape[1])
        matrix = grown
    y = np.asarray([reading.val_bpb - noise.cluster(reading.cluster).mean for _, reading in rows])
    solved, *_ = np.linalg.lstsq(matrix, y, rcond=None)
    rest = y - matrix @ solved
    df = len(rows) - matrix.shape[1]
    known = noise.within_sd**2 + float(np.mean([noise.cluster(reading.cluster).se ** 2 for _, reading in rows]))
    variance = (noise.df * known + float(rest @ rest)) / (noise.df + df)
    spread = np.linalg.pinv(matrix.T @ matrix) * variance
    reach = t_quantile((1 + level) / 2, noise.df + df)

    def effect(term: tuple[str, ...], levels: tuple[Value, ...]) -> Effect:
        first = tuple(varied[name][0] for name in term)
        contrast = np.zeros(matrix.shape[1])
        contrast[columns[term]] = _contrast([varied[name] for name in term], levels)
        mean = float(contrast @ solved)
        se = float(np.sqrt(contrast @ spread @ contrast))
        said = ", ".join(f"{name} {value}" for name, value in zip(term, first, strict=True))
        hardware = blocks[0] if len(blocks) == 1 else POOLED
        count = sum(all(at[n] == v for n, v in zip(term, levels, strict=True)) for at, _ in rows)
        return Effect(
            term, levels, first, Estimate(mean, mean - reach * se, mean + reach * se, level, count, said, hardware)
        )

    main: list[Effect] = []
    interactions: list[Effect] = []
    for term in columns:
        for levels in itertools.product(*(varied[name][1:] for name in term)):
            (main if len(term) == 1 else interactions).append(effect(term, levels))
    return Effects(tuple(main), tuple(interactions), tuple(untold), len(rows))


def _code(levels: Sequence[Value], value: Value) -> "NDArray[Any]":
    """Sum-to-zero code of a level: one column for each level but the last."""
    import numpy as np

    code = np.zeros(len(levels) - 1)
    index = list(levels).index(value)
    if index == len(levels) - 1:
        return code - 1.0
    code[index] = 1.0
    return code


def _product(one: "NDArray[Any]", other: "NDArray[Any]") -> "NDArray[Any]":
    product: NDArray[Any] = (one[:, :, None] * other[:, None, :]).reshape(len(one), -1)
    return product


def _contrast(of: Sequence[Sequence[Value]], levels: Sequence[Value]) -> "NDArray[Any]":
    """The columns' weights for these levels against the first of each factor."""
    import numpy as np

    contrast = np.ones(1)
    for names, value in zip(of, levels, strict=True):
        contrast = np.outer(contrast, _code(names, value) - _code(names, names[0])).ravel()
    return contrast
