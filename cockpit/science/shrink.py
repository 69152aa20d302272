"""Shrink measured differences: the best of many is not the best, because luck made it stand out.

Empirical Bayes with a flexible prior, adaptive shrinkage (Stephens 2017, Biostatistics 18, "False discovery rates: a
new deal"): true differences come from a mixture of normals around one centre, with a grid of SDs; EM fits the weights
to all differences seen. The posterior is again a mixture of normals.
"""

import math
from collections.abc import Sequence

import msgspec

ITERATIONS = 40
"""EM iterations."""
NULL_WEIGHT = 2.0
"""Pseudo-observations on the narrowest component: with little data, differences are shrunk hard."""


class Prior(msgspec.Struct, frozen=True):
    """The distribution of true differences in scores: sum of weights[k] * Normal(centre, sds[k])."""

    centre: float
    sds: tuple[float, ...]
    weights: tuple[float, ...]


class Shrunk(msgspec.Struct, frozen=True):
    """A shrunken difference in scores, with its interval."""

    mean: float
    low: float
    high: float
    level: float
    p_better: float
    """Probability that the true difference is below zero."""


def fit_prior(means: Sequence[float], ses: Sequence[float]) -> Prior:
    """Fit the prior of `means` (differences in scores) with standard errors `ses`; both of shape (n,).

    Raises ValueError if their shapes differ, a mean is not finite or a standard error is not positive.
    """
    import numpy as np

    m, s = np.asarray(means, dtype=float), np.asarray(ses, dtype=float)
    if m.shape != s.shape or not np.all(np.isfinite(m)) or not np.all(s > 0):
        raise ValueError("Shrinking needs finite differences, each with a positive standard error.")
    if m.size == 0:
        return Prior(0.0, (1.0,), (1.0,))
    centre = 0.0 if m.size < 8 else float(np.median(m))
    narrow = float(np.min(s)) / 4
    wide = max(2 * float(np.max(np.abs(m - centre))), 4 * narrow)
    octaves = math.ceil(math.log2(wide / narrow))
    sds = narrow * 2.0 ** np.arange(octaves + 1)
    var = sds[None, :] ** 2 + s[:, None] ** 2
    log_like = -0.5 * (np.log(var) + (m[:, None] - centre) ** 2 / var)
    like = np.exp(log_like - log_like.max(axis=1, keepdims=True))
    weights = np.full(sds.size, 1 / sds.size)
    pseudo = np.zeros(sds.size)
    pseudo[0] = NULL_WEIGHT
    for _ in range(ITERATIONS):
        share = like * weights
        share /= share.sum(axis=1, keepdims=True)
        weights = share.sum(axis=0) + pseudo
        weights /= weights.sum()
    return Prior(centre, tuple(map(float, sds)), tuple(map(float, weights)))


def shrink(prior: Prior, mean: float, se: float, level: float = 0.9) -> Shrunk:
    """Return the posterior of one true difference, given its measured `mean` and `se`.

    Raises ValueError if the mean is not finite or the standard error is not positive.
    """
    import numpy as np
    from scipy.special import ndtr

    if not math.isfinite(mean) or not se > 0:
        raise ValueError("Shrinking needs a finite difference with a positive standard error.")
    prior_var = np.asarray(prior.sds) ** 2
    var = prior_var + se**2
    log_w = np.log(np.maximum(prior.weights, 1e-300)) - 0.5 * (np.log(var) + (mean - prior.centre) ** 2 / var)
    w = np.exp(log_w - log_w.max())
    w /= w.sum()
    means = prior.centre + prior_var / var * (mean - prior.centre)
    sds = np.sqrt(prior_var * se**2 / var)

    def below(x: float) -> float:
        return float(w @ ndtr((x - means) / sds))

    reach = 12 * float(sds.max())
    low, high = float(means.min()) - reach, float(means.max()) + reach
    ends = []
    for target in ((1 - level) / 2, (1 + level) / 2):
        a, b = low, high
        for _ in range(40):
            middle = (a + b) / 2
            a, b = (middle, b) if below(middle) < target else (a, middle)
        ends.append((a + b) / 2)
    return Shrunk(float(w @ means), ends[0], ends[1], level, below(0.0))
