"""Find knobs without an effect beyond noise, by least squares on all runs of the same code.

Each knob has a straight and a bent part (options have one part each). A knob is inert only if the interval of its
largest effect lies within the noise of one run on both sides: too few runs, or a model that fits badly, prove nothing.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cockpit.core.model import Value
from cockpit.science.compare import LEVEL, t_quantile
from cockpit.science.search_space import Choice, Dimension, position

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVELS_AT_LEAST = 4
"""Different values of a knob that its runs must have, or all of them where it has fewer."""
RUNS_PER_COLUMN = 3
"""Runs for each part of the model, below which nothing is concluded."""
CONTRASTS = 5
"""Values of a knob, spread over those that ran, whose effects are bounded; between them a bent line stays close."""
MARGIN_SDS = 1.0
"""An effect below this many SDs of a run counts as none."""


class Inert(NamedTuple):
    name: str
    levels: int
    runs: int
    largest: float
    """The bound, in scores, below which its effect lies, against the average over its values."""


def inert_knobs(
    space: Mapping[str, Dimension],
    runs: Sequence[tuple[Mapping[str, Value], float]],
    run_sd: float,
    level: float = LEVEL,
) -> list[Inert]:
    """Return the knobs without an effect, given the constants and the score of each run of one code.

    The intervals hold jointly, for all knobs and values, at `level`.
    """
    import numpy as np

    parts = {name: _parts(one, [constants.get(name) for constants, _ in runs]) for name, one in space.items()}
    varied = {name: part for name, part in parts.items() if part is not None}
    width = 1 + sum(part.shape[1] for part in varied.values())
    if not varied or run_sd <= 0 or len(runs) < RUNS_PER_COLUMN * width:
        return []
    matrix = np.concatenate([np.ones((len(runs), 1)), *varied.values()], axis=1)
    if np.linalg.matrix_rank(matrix) < width:
        return []
    scores = np.asarray([score for _, score in runs])
    solved, *_ = np.linalg.lstsq(matrix, scores, rcond=None)
    rest = scores - matrix @ solved
    df = len(runs) - width
    variance = max(run_sd**2, float(rest @ rest) / df)
    inverse = np.linalg.inv(matrix.T @ matrix)
    levels = {name: np.unique(part, axis=0) for name, part in varied.items()}
    contrasts = {name: _spread(levels[name]) - part.mean(axis=0) for name, part in varied.items()}
    reach = t_quantile(1 - (1 - level) / 2 / max(1, sum(map(len, contrasts.values()))), df)
    found: list[Inert] = []
    at = 1
    for name, part in varied.items():
        own = slice(at, at + part.shape[1])
        at = own.stop
        steps = contrasts[name]
        largest = _largest(steps, solved[own], reach**2 * variance * inverse[own, own])
        if largest <= MARGIN_SDS * run_sd and len(levels[name]) >= min(LEVELS_AT_LEAST, _size(space[name])):
            found.append(Inert(name, len(levels[name]), len(runs), largest))
    return found


def _parts(dimension: Dimension, values: Sequence[Value | None]) -> "NDArray[Any] | None":
    """Return the columns of a knob, shape (runs, parts); None if it was not varied, or some code lacks it."""
    import numpy as np

    known = [value for value in values if value is not None]
    if len(known) < len(values) or len({repr(value) for value in known}) < 2:
        return None
    places = np.asarray([position(dimension, value) for value in known])
    seen = sorted(set(places.tolist()))
    if isinstance(dimension, Choice):
        return np.asarray([[float(place == one) for one in seen[1:]] for place in places])
    bent = [places, (places - places.mean()) ** 2] if len(seen) > 2 else [places]
    return np.stack(bent, axis=1)


def _largest(steps: "NDArray[Any]", effects: "NDArray[Any]", spread: "NDArray[Any]") -> float:
    """Return the bound of the largest effect. `spread` is the effects' covariance times the squared t quantile."""
    import numpy as np

    halves = np.sqrt(np.einsum("ij,jk,ik->i", steps, spread, steps))
    return float(np.max(np.abs(steps @ effects) + halves))


def _spread(levels: "NDArray[Any]") -> "NDArray[Any]":
    """Return the rows of at most CONTRASTS levels, the ends included."""
    import numpy as np

    rows = np.linspace(0, len(levels) - 1, min(CONTRASTS, len(levels))).round().astype(int)
    chosen: NDArray[Any] = levels[rows]
    return chosen


def _size(dimension: Dimension) -> int:
    """Return how many values a knob can have, up to LEVELS_AT_LEAST for a range."""
    return len(dimension.options) if isinstance(dimension, Choice) else LEVELS_AT_LEAST
