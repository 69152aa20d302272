"""Shrink measured differences: the best of many is not the best, because luck made it stand out.

Empirical Bayes with a flexible prior, adaptive shrinkage (Stephens 2017, Biostatistics 18, "False discovery rates: a
new deal"): true differences come from a mixture of normals around one centre, with a grid of SDs; EM fits the weights
to all differences seen. The noise of an experiment's runs has a prior of its own, a grid of variances that is fitted
with it (as in Lu & Stephens 2016, Bioinformatics 32, "Variance adaptive shrinkage"): the luckiest arms are the noisy
ones, and two runs of an arm show little of its noise. Among single runs, a large difference and a noisy one look alike.
Together they therefore count for no more than the experiments with repeats. The posterior is again a mixture of
normals.
"""

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from cockpit.science.difference import Difference

ITERATIONS = 40
"""EM iterations."""
NULL_WEIGHT = 2.0
"""Pseudo-observations on the narrowest component: with little data, differences are shrunk hard."""
NOISE_RATIOS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Variances that the runs of an experiment may have, in variances of the base's runs."""
ALIKE_WEIGHT = 4.0
"""Pseudo-observations on the first ratio: with little data, runs are as noisy as the base's."""


class Prior(msgspec.Struct, frozen=True):
    """The distribution of true differences in scores: sum of weights[k] * Normal(centre, sds[k])."""

    centre: float
    sds: tuple[float, ...]
    weights: tuple[float, ...]
    ratio_weights: tuple[float, ...] = (1.0,) + (0.0,) * (len(NOISE_RATIOS) - 1)
    """The share of experiments whose runs have each of NOISE_RATIOS."""


class Shrunk(msgspec.Struct, frozen=True):
    """A shrunken difference in scores, with its interval."""

    mean: float
    low: float
    high: float
    level: float
    p_better: float
    """Probability that the true difference is below zero."""
    noise_ratio: float
    """Variance of the experiment's runs, in variances of the base's runs."""


def fit_prior(found: Sequence[Difference]) -> Prior:
    """Fit the prior of differences.

    Raises ValueError if a mean is not finite or a standard error is not positive.
    """
    import numpy as np

    if not all(math.isfinite(one.mean) and one.se > 0 for one in found):
        raise ValueError("Shrinking needs finite differences, each with a positive standard error.")
    if not found:
        return Prior(0.0, (1.0,), (1.0,))
    m = np.array([one.mean for one in found])
    centre = 0.0 if m.size < 8 else float(np.median(m))
    narrow = min(one.se for one in found) / 4
    wide = max(2 * float(np.max(np.abs(m - centre))), 4 * narrow)
    octaves = math.ceil(math.log2(wide / narrow))
    sds = narrow * 2.0 ** np.arange(octaves + 1)
    log_like = np.array([_log_likelihoods(one, centre, sds) for one in found])
    like = np.exp(log_like - log_like.max(axis=(1, 2), keepdims=True))
    weights, ratio_weights = np.full(sds.size, 1 / sds.size), np.full(len(NOISE_RATIOS), 1 / len(NOISE_RATIOS))
    repeated = np.array([one.df > 0 for one in found])
    counts = np.where(repeated, 1.0, min(1.0, repeated.sum() / max(1, (~repeated).sum())))
    pseudo, alike = np.zeros(sds.size), np.zeros(len(NOISE_RATIOS))
    pseudo[0], alike[0] = NULL_WEIGHT, ALIKE_WEIGHT
    for _ in range(ITERATIONS):
        share = like * weights[:, None] * ratio_weights
        share /= share.sum(axis=(1, 2), keepdims=True)
        weights = share.sum(axis=(0, 2)) + pseudo
        weights /= weights.sum()
        ratio_weights = np.tensordot(counts, share.sum(axis=1), 1) + alike
        ratio_weights /= ratio_weights.sum()
    return Prior(centre, tuple(map(float, sds)), tuple(map(float, weights)), tuple(map(float, ratio_weights)))


def _log_likelihoods(found: Difference, centre: float, sds: Any) -> Any:
    """Return the log likelihood of a difference and of its runs' deviations, shape (SDs, ratios)."""
    import numpy as np

    ratios = np.array(NOISE_RATIOS)
    var = sds[:, None] ** 2 + _variances(found)
    of_noise = -0.5 * (found.df * np.log(ratios) + found.squares / ratios)
    return -0.5 * (np.log(var) + (found.mean - centre) ** 2 / var) + of_noise


def _variances(found: Difference) -> Any:
    """Return the variance of a difference for each ratio, shape (ratios,)."""
    import numpy as np

    return found.rest_var + found.runs_var * np.array(NOISE_RATIOS)


def shrink(prior: Prior, found: Difference, level: float = 0.9) -> Shrunk:
    """Return the posterior of one true difference.

    Raises ValueError if the mean is not finite or the standard error is not positive.
    """
    import numpy as np
    from scipy.special import ndtr

    if not math.isfinite(found.mean) or not found.se > 0:
        raise ValueError("Shrinking needs a finite difference with a positive standard error.")
    prior_sds = np.asarray(prior.sds)
    log_w = _log_likelihoods(found, prior.centre, prior_sds)
    log_w += np.log(np.maximum(prior.weights, 1e-300))[:, None] + np.log(np.maximum(prior.ratio_weights, 1e-300))
    w = np.exp(log_w - log_w.max())
    w /= w.sum()
    ratio = float(w.sum(axis=0) @ np.array(NOISE_RATIOS))
    prior_var, own_var = prior_sds[:, None] ** 2, _variances(found)
    var = prior_var + own_var
    means = (prior.centre + prior_var / var * (found.mean - prior.centre)).ravel()
    sds, w = np.sqrt(prior_var * own_var / var).ravel(), w.ravel()

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
    return Shrunk(float(w @ means), ends[0], ends[1], level, below(0.0), ratio)
