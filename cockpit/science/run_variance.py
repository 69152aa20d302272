"""Estimate how noisy the runs of each cluster are, in the variance of the fleet's typical cluster.

The model is `variance = experiment x cluster`: an arm may be noisier than its base, and a cluster noisier than others.
Each cluster's variance is moderated by the common one, with prior degrees of freedom that are fitted to the spread of
all (Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3). Clusters that do not differ beyond doubt share one variance.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

OWN_DF = 2.0
"""Degrees of freedom that the session's variance counts for in an experiment's own variance. A variant may be up to
three times as noisy as the code it changes, and two close runs do not show it."""
LEAST_DF = 4.0
"""Degrees of freedom from which the variance of a cluster says anything: the logarithm of fewer is far from normal."""
UNEQUAL_P = 1e-3
"""The p-value of equal variances below which clusters differ beyond doubt. A session asks hundreds of times."""
REACH_SDS = 3.0
"""Distance from the mean, in SDs of a cluster's runs, to which runs are clipped: one far run makes no noisy cluster."""
RATIO_AT_MOST = 25.0
"""Largest ratio of a cluster's variance to the typical one, either way. A few runs that score the same have none."""
LEAST_SQUARE = 1e-9
"""Mean square of runs, in that of their experiment, below which they count as equal."""
ROUNDS = 6
"""Rounds of the fit: weights follow the variances, and residuals the weights."""
SPREAD_SDS = 3.5
"""Distance in robust SDs of the session's runs beyond which a run does not show how noisy its experiment is."""


class Spread(msgspec.Struct, frozen=True):
    """Squared deviations of an experiment's runs from their mean, as on the typical cluster."""

    squares: float
    df: int
    """Degrees of freedom of `squares`."""


def estimate_ratios(
    residual: "Floats", group_of: "Indices", cluster_of: "Indices", run_var: float, offsets_df: "Floats"
) -> "Floats":
    """Return the variance of each cluster's runs in that of the typical one, shape (clusters,).

    `residual` is free of drift and of the clusters' offsets, shape (runs,); a group is one experiment in one class.
    All ratios are 1 where the clusters do not differ beyond doubt; otherwise their geometric mean is 1. The squares of
    a cluster are divided by the sum of one minus the leverage of its runs (Hoaglin & Welsch 1978, Am. Stat. 32), less
    the degrees of freedom that its offset took, `offsets_df`: a few runs around an offset of their own look quiet.
    """
    import numpy as np

    sizes = np.bincount(group_of)
    ratios: Floats = np.ones(int(cluster_of.max()) + 1)
    p_value = 1.0
    for _ in range(ROUNDS):
        weights = 1 / ratios[cluster_of]
        sums = np.bincount(group_of, weights=weights)
        apart = residual - (np.bincount(group_of, weights=weights * residual) / sums)[group_of]
        squares = np.bincount(group_of, weights=weights * apart**2)
        own_sds = np.sqrt((OWN_DF * run_var + squares) / (OWN_DF + sizes - 1))
        units = np.clip(apart * np.sqrt(weights) / own_sds[group_of], -REACH_SDS, REACH_SDS)
        df = np.maximum(0.0, np.bincount(cluster_of, weights=1 - weights / sums[group_of]) - offsets_df)
        excess = _excess(units)
        found = _moderated(np.bincount(cluster_of, weights=units**2 / weights) / excess, df / excess)
        if found is None:
            return np.ones(len(ratios))
        ratios, p_value = found
    return ratios if p_value < UNEQUAL_P else np.ones(len(ratios))


def _excess(units: "Floats") -> float:
    """Return the variance of a variance in that of normal runs, by the fourth moment (Box & Andersen 1955, J. Roy.
    Stat. Soc. B 17)."""
    import numpy as np

    second = float(np.mean(units**2))
    return max(1.0, (float(np.mean(units**4)) / second**2 - 1) / 2) if second > LEAST_SQUARE else 1.0


def _moderated(squares: "Floats", df: "Floats") -> "tuple[Floats, float] | None":
    """Return variances moderated by the common one, shape (clusters,), and the p-value of equal ones; None without a
    spread.

    The moments of the logarithms of the variances give the prior (Smyth 2004), each weighted by its precision.
    """
    import numpy as np
    from scipy.special import chdtrc, digamma, polygamma

    known = (df >= LEAST_DF) & (squares > 0)
    count = int(np.count_nonzero(known))
    if count < 2:
        return None
    half = df[known] / 2
    logs = np.log(squares[known] / df[known]) - digamma(half) + np.log(half)
    precision = 1 / polygamma(1, half)
    centre = float(np.average(logs, weights=precision))
    q = float(precision @ (logs - centre) ** 2)
    if q <= count - 1:
        return None
    spread = (q - (count - 1)) / float(precision.sum() - (precision**2).sum() / precision.sum())
    prior_df = 2 * _inverse_trigamma(spread)
    common = float(np.exp(centre + digamma(prior_df / 2) - np.log(prior_df / 2)))
    ratios: Floats = (prior_df * common + squares) / (prior_df + df)
    ratios = np.clip(ratios / np.exp(np.mean(np.log(ratios))), 1 / RATIO_AT_MOST, RATIO_AT_MOST)
    return ratios, float(chdtrc(count - 1, q))


def _inverse_trigamma(value: float) -> float:
    """Return the number whose trigamma is `value`, by Newton's method on its inverse (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    found = 0.5 + 1 / value
    for _ in range(8):
        slope = float(polygamma(1, found))
        found += slope * (1 - slope / value) / float(polygamma(2, found))
    return found


def estimate_spreads(residual: "Floats", group_of: "Indices", experiments: Sequence[str]) -> dict[str, Spread]:
    """Return the spread of each experiment, summed over its groups. A run far from its group's mean does not count.

    `residual` is free of drift and of the clusters' offsets and variances, shape (runs,); each run is of one of the
    `experiments`.
    """
    import numpy as np

    groups = int(group_of[-1]) + 1
    robust_sd = 1.4826 * float(np.median(np.abs(residual))) * np.sqrt(len(residual) / (len(residual) - groups))
    near = np.abs(residual) <= SPREAD_SDS * robust_sd
    runs = np.bincount(group_of[near], minlength=groups)
    squares = np.bincount(group_of[near], weights=residual[near] ** 2, minlength=groups)
    found: dict[str, Spread] = {}
    for row, of, count in zip(np.searchsorted(group_of, np.arange(groups)), squares, runs, strict=True):
        before = found.get(experiments[row], Spread(0.0, 0))
        if count > 1:
            found[experiments[row]] = Spread(before.squares + float(of), before.df + int(count) - 1)
    return found
