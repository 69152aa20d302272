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
from cockpit.science.run_variance import Spread

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
    """A shrunken difference in scores: its posterior is the sum of weights[k] * Normal(means[k], sds[k])."""

    mean: float
    p_better: float
    """Probability that the true difference is below zero."""
    noise_ratio: float
    """Variance of the experiment's runs, in variances of the base's runs."""
    means: Any
    """Shape (components,), as have `sds` and `weights`."""
    sds: Any
    weights: Any

    def interval(self, level: float = 0.9) -> tuple[float, float]:
        """Return the central interval that holds the true difference with this probability, found by bisection."""
        reach = 12 * float(self.sds.max())
        low, high = float(self.means.min()) - reach, float(self.means.max()) + reach
        ends = []
        for target in ((1 - level) / 2, (1 + level) / 2):
            a, b = low, high
            for _ in range(40):
                middle = (a + b) / 2
                a, b = (middle, b) if _below(middle, self.means, self.sds, self.weights) < target else (a, middle)
            ends.append((a + b) / 2)
        return ends[0], ends[1]


def fit_prior(found: Sequence[Difference], spreads: Sequence[Spread] = ()) -> Prior:
    """Fit the prior of differences.

    `spreads` are those of other experiments, in variances of the base's runs: how noisy a session's experiments are is
    known from all that it has tested. Raises ValueError if a mean is not finite or a standard error is not positive.
    """
    import numpy as np

    if not all(math.isfinite(one.mean) and one.se > 0 for one in found):
        raise ValueError("Shrinking needs finite differences, each with a positive standard error.")
    if not found:
        return Prior(0.0, (1.0,), (1.0,))
    others = np.array([(one.squares, one.df) for one in spreads]).reshape(-1, 2)
    of_spreads = _of_noise(others[:, :1], others[:, 1:])
    spread_like = np.exp(of_spreads - of_spreads.max(axis=1, keepdims=True))
    m = np.array([one.mean for one in found])
    centre = 0.0 if m.size < 8 else float(np.median(m))
    narrow = min(one.se for one in found) / 4
    wide = max(2 * float(np.max(np.abs(m - centre))), 4 * narrow)
    octaves = math.ceil(math.log2(wide / narrow))
    sds = narrow * 2.0 ** np.arange(octaves + 1)
    log_like = _log_likelihoods(found, centre, sds)
    like = np.exp(log_like - log_like.max(axis=1, keepdims=True))
    weights, ratio_weights = np.full(sds.size, 1 / sds.size), np.full(len(NOISE_RATIOS), 1 / len(NOISE_RATIOS))
    repeated = np.array([one.df > 0 for one in found])
    counts = np.where(repeated, 1.0, min(1.0, (repeated.sum() + len(spreads)) / max(1, (~repeated).sum())))
    pseudo, alike = np.zeros(sds.size), np.zeros(len(NOISE_RATIOS))
    pseudo[0], alike[0] = NULL_WEIGHT, ALIKE_WEIGHT
    counted = np.stack((np.ones(len(found)), counts))
    for _ in range(ITERATIONS):
        joint = np.outer(weights, ratio_weights)
        shares = (counted / (like @ joint.ravel()) @ like).reshape(2, *joint.shape) * joint
        weights = shares[0].sum(axis=1) + pseudo
        weights /= weights.sum()
        of_others = spread_like * ratio_weights
        of_others /= of_others.sum(axis=1, keepdims=True)
        ratio_weights = shares[1].sum(axis=0) + of_others.sum(axis=0) + alike
        ratio_weights /= ratio_weights.sum()
    return Prior(centre, tuple(map(float, sds)), tuple(map(float, weights)), tuple(map(float, ratio_weights)))


def _log_likelihoods(found: Sequence[Difference], centre: float, sds: Any) -> Any:
    """Return the log likelihoods of differences and of their runs' deviations, shape (differences, SDs x ratios)."""
    import numpy as np

    mean, rest_var, runs_var, squares, df = np.array(
        [(one.mean, one.rest_var, one.runs_var, one.squares, one.df) for one in found]
    ).T[:, :, None, None]
    var = sds[:, None] ** 2 + rest_var + runs_var * np.array(NOISE_RATIOS)
    return (-0.5 * (np.log(var) + (mean - centre) ** 2 / var) + _of_noise(squares, df)).reshape(len(found), -1)


def _of_noise(squares: Any, df: Any) -> Any:
    """Return the log likelihoods of the deviations of experiments' runs; the last axis gets one for each ratio."""
    import numpy as np

    ratios = np.array(NOISE_RATIOS)
    return -0.5 * (df * np.log(ratios) + squares / ratios)


def shrink(prior: Prior, found: Difference) -> Shrunk:
    """Return the posterior of one true difference.

    Raises ValueError if the mean is not finite or the standard error is not positive.
    """
    import numpy as np

    if not math.isfinite(found.mean) or not found.se > 0:
        raise ValueError("Shrinking needs a finite difference with a positive standard error.")
    prior_sds, ratios = np.asarray(prior.sds), np.array(NOISE_RATIOS)
    log_w = _log_likelihoods([found], prior.centre, prior_sds).reshape(prior_sds.size, ratios.size)
    log_w += np.log(np.maximum(prior.weights, 1e-300))[:, None] + np.log(np.maximum(prior.ratio_weights, 1e-300))
    w = np.exp(log_w - log_w.max())
    w /= w.sum()
    ratio = float(w.sum(axis=0) @ ratios)
    prior_var, own_var = prior_sds[:, None] ** 2, found.rest_var + found.runs_var * ratios
    var = prior_var + own_var
    means = (prior.centre + prior_var / var * (found.mean - prior.centre)).ravel()
    sds, w = np.sqrt(prior_var * own_var / var).ravel(), w.ravel()
    return Shrunk(float(w @ means), _below(0.0, means, sds, w), ratio, means, sds, w)


def _below(x: float, means: Any, sds: Any, weights: Any) -> float:
    """Return the probability that a mixture of normals is below x."""
    from scipy.special import ndtr

    return float(weights @ ndtr((x - means) / sds))
