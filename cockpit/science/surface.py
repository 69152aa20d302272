"""A smooth surface through noisy scores: the expected score of a configuration that has not run.

Gaussian-process regression (Rasmussen & Williams 2006, ch. 2) with a squared-exponential kernel of one length in all
dimensions: the one of LENGTHS with the highest likelihood. A few dozen results in a dozen dimensions
cannot support more. One matrix of their size is inverted per length.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

LENGTHS = (0.6, 1.0, 1.7, 3.0)
"""Kernel lengths, in units of a dimension's range, which is 1."""
JITTER = 1e-3
"""Share of the scores' variance that no surface explains."""


class Surface(msgspec.Struct, frozen=True):
    places: FloatArray
    """Shape (runs, dimensions)."""
    length: float
    centre: float
    """The score far from all runs."""
    pull: FloatArray
    """Weight of each run, shape (runs,)."""

    def at(self, places: FloatArray) -> FloatArray:
        """Return the expected score at each of `places` (n, dimensions), shape (n,)."""
        found: FloatArray = self.centre + _kernel(places, self.places, self.length) @ self.pull
        return found


def fit_surface(places: FloatArray, scores: FloatArray, sds: FloatArray) -> Surface:
    """Fit the surface through `scores`, each with the SD of its noise, of runs at `places` (runs, dimensions; from 0 to
    1).

    Raises ValueError without runs, and where a score or an SD is not a finite number.
    """
    if not len(scores) or not (np.all(np.isfinite(scores)) and np.all(np.isfinite(sds))):
        raise ValueError("A surface needs scores, each a finite number with a finite SD.")
    scale = float(scores.std()) or 1.0
    noise = (sds / scale) ** 2 + JITTER
    values = (scores - scores.mean()) / scale
    best: tuple[float, Surface] | None = None
    for length in LENGTHS:
        covariance = _kernel(places, places, length) + np.diag(noise)
        inverse = np.linalg.inv(covariance)
        weight = inverse.sum(axis=0)
        centre = float(weight @ values) / float(weight.sum())
        rest = values - centre
        spread = max(float(rest @ inverse @ rest) / len(rest), 1e-12)
        likely = -0.5 * (len(rest) * np.log(spread) + float(np.linalg.slogdet(covariance)[1]))
        if best is None or likely > best[0]:
            level = float(scores.mean()) + scale * centre
            best = (likely, Surface(places, length, level, scale * (inverse @ rest)))
    assert best is not None
    return best[1]


def _kernel(one: FloatArray, other: FloatArray, length: float) -> FloatArray:
    """Return the squared-exponential kernel between two sets of places, shape (n, m)."""
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None, :] - 2 * one @ other.T
    kernel: FloatArray = np.exp(-0.5 * np.maximum(squares, 0.0) / length**2)
    return kernel
