"""Shrink measured differences: the best of many is not the best, because luck made it stand out.

Empirical Bayes with a flexible prior, adaptive shrinkage (Stephens 2017, Biostatistics 18, "False discovery rates: a
new deal"): true differences come from a mixture of normals, one at zero and two for each octave of sizes, for gains and
for losses. EM fits the weights to all differences seen. Most changes lose, and losses say nothing about gains: a prior
that is the same on both sides of a centre expects gains as large as the losses are. The noise of an experiment's runs
has a prior of its own, a grid of variances that is fitted with it (as in Lu & Stephens 2016, Bioinformatics 32,
"Variance adaptive shrinkage"): the luckiest arms are the noisy ones, and two runs of an arm show little of its noise.
Among single runs, a large difference and a noisy one look alike. Together they therefore count for no more than the
experiments with repeats. The posterior is again a mixture of normals.
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
"""Pseudo-observations of no difference: with little data, differences are shrunk hard."""
GAIN_WEIGHT = 4.0
"""Pseudo-observations of gains near the SD of a run. Single runs hardly show such gains, so that the fit alone would
take them for none, and a session would test none of them."""
NEAR_SDS = (0.4, 1.6)
"""The sizes of these gains, in SDs of a run of the base."""
ANY_GAIN_WEIGHT = 0.5
"""Pseudo-observations of gains of any size: one that is larger than all before it is believed at once."""
OCTAVE_CENTRE, OCTAVE_SD = 0.5, 0.5
"""Centre and SD of the component of an octave, in its upper end. The components overlap, so that the fit is smooth."""
NULL_SD = 0.5
"""SD of the component at zero, in the lower end of the first octave."""
NOISE_RATIOS = (0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Variances that the runs of an experiment may have, in variances of the base's runs."""
ALIKE = NOISE_RATIOS.index(1.0)
ALIKE_WEIGHT = 4.0
"""Pseudo-observations of runs as noisy as the base's, for sessions with little data."""


class Prior(msgspec.Struct, frozen=True):
    """The distribution of true differences in scores: sum of weights[k] * Normal(centres[k], sds[k])."""

    centres: tuple[float, ...]
    sds: tuple[float, ...]
    weights: tuple[float, ...]
    ratio_weights: tuple[float, ...] = tuple(float(ratio == 1) for ratio in NOISE_RATIOS)
    """The share of experiments whose runs have each of NOISE_RATIOS."""


class Shrunk(msgspec.Struct, frozen=True):
    """A shrunken difference in scores: its posterior is the sum of weights[k] * Normal(means[k], sds[k])."""

    mean: float
    p_better: float
    """Probability that the true difference is below zero."""
    means: Any
    """Shape (components,), as have `sds`, `weights` and `ratios`."""
    sds: Any
    weights: Any
    ratios: Any
    """The variance of the experiment's runs in each component, in variances of the base's runs."""

    def p_shown(self, runs: int, run_var: float, p_value: float) -> float:
        """Return the probability that a comparison of `runs` runs with as many of the base has at most this p-value.

        `run_var` is the variance of one run of the base. The noise counts as known.
        """
        import numpy as np
        from scipy.special import ndtri

        var = run_var * (self.ratios + 1) / runs
        needed = float(ndtri(p_value)) * np.sqrt(var)
        return _below(needed, self.means, np.sqrt(self.sds**2 + var), self.weights)

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
        return Prior((0.0,), (1.0,), (1.0,))
    others = np.array([(one.squares, one.df) for one in spreads]).reshape(-1, 2)
    of_spreads = _of_noise(others[:, :1], others[:, 1:])
    spread_like = np.exp(of_spreads - of_spreads.max(axis=1, keepdims=True))
    centres, sds = _components(found)
    log_like = _log_likelihoods(found, centres, sds)
    like = np.exp(log_like - log_like.max(axis=1, keepdims=True))
    weights, ratio_weights = np.full(sds.size, 1 / sds.size), np.full(len(NOISE_RATIOS), 1 / len(NOISE_RATIOS))
    repeated = np.array([one.df > 0 for one in found])
    counts = np.where(repeated, 1.0, min(1.0, (repeated.sum() + len(spreads)) / max(1, (~repeated).sum())))
    pseudo, alike = _expected(found, centres), np.zeros(len(NOISE_RATIOS))
    alike[ALIKE] = ALIKE_WEIGHT
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
    return Prior(*(tuple(map(float, each)) for each in (centres, sds, weights, ratio_weights)))


def _components(found: Sequence[Difference]) -> tuple[Any, Any]:
    """Return centres and SDs of the prior's components, from the largest gain over zero to the largest loss."""
    import numpy as np

    narrow = min(one.se for one in found) / 4
    wide = max(2 * max(abs(one.mean) for one in found), 4 * narrow)
    ends = narrow * 2.0 ** np.arange(1, math.ceil(math.log2(wide / narrow)) + 1)
    centres = OCTAVE_CENTRE * np.concatenate((-ends[::-1], [0.0], ends))
    return centres, np.concatenate((OCTAVE_SD * ends[::-1], [NULL_SD * narrow], OCTAVE_SD * ends))


def _expected(found: Sequence[Difference], centres: Any) -> Any:
    """Return the pseudo-observations of each of the prior's components, shape (components,)."""
    import numpy as np

    run_sd = float(np.median([math.sqrt(one.runs_var * (one.df + 1)) for one in found]))
    is_gain, sizes = centres < 0, np.abs(centres)
    is_near = is_gain & (sizes > NEAR_SDS[0] * run_sd) & (sizes < NEAR_SDS[1] * run_sd)
    near = GAIN_WEIGHT * is_near / max(1, np.count_nonzero(is_near))
    return NULL_WEIGHT * (sizes == 0) + near + ANY_GAIN_WEIGHT * is_gain / np.count_nonzero(is_gain)


def _log_likelihoods(found: Sequence[Difference], centres: Any, sds: Any) -> Any:
    """Return the log likelihoods of differences and of their runs' deviations, shape (differences, SDs x ratios)."""
    import numpy as np

    mean, rest_var, runs_var, squares, df = np.array(
        [(one.mean, one.rest_var, one.runs_var, one.squares, one.df) for one in found]
    ).T[:, :, None, None]
    var = sds[:, None] ** 2 + rest_var + runs_var * np.array(NOISE_RATIOS)
    apart = mean - centres[:, None]
    return (-0.5 * (np.log(var) + apart**2 / var) + _of_noise(squares, df)).reshape(len(found), -1)


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
    centres, prior_sds, ratios = np.asarray(prior.centres), np.asarray(prior.sds), np.array(NOISE_RATIOS)
    log_w = _log_likelihoods([found], centres, prior_sds).reshape(prior_sds.size, ratios.size)
    log_w += np.log(np.maximum(prior.weights, 1e-300))[:, None] + np.log(np.maximum(prior.ratio_weights, 1e-300))
    w = np.exp(log_w - log_w.max())
    w /= w.sum()
    prior_var, own_var = prior_sds[:, None] ** 2, found.rest_var + found.runs_var * ratios
    var = prior_var + own_var
    means = (centres[:, None] + prior_var / var * (found.mean - centres[:, None])).ravel()
    sds, of_each, w = np.sqrt(prior_var * own_var / var).ravel(), np.tile(ratios, prior_sds.size), w.ravel()
    return Shrunk(float(w @ means), _below(0.0, means, sds, w), means, sds, w, of_each)


def _below(x: Any, means: Any, sds: Any, weights: Any) -> float:
    """Return the probability that a mixture of normals is below x, a number or one for each component."""
    from scipy.special import ndtr

    return float(weights @ ndtr((x - means) / sds))
