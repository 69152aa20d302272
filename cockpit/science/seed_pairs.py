"""Use runs with the same seed: the correlation of their noise, and the best difference of two experiments that share
some seeds.

The seed is a random effect beside those of clusters and runs: a run's noise is partly that of its seed, and another
experiment's run with that seed has it too. The correlation is estimated from the session's own pairs. Where they do not
show it, it counts as 0, and a difference is that of two plain means.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

SHOWN_SES = 2.0
"""A correlation counts beyond this many standard errors."""
CORRELATION_AT_MOST = 0.95
REACH_SDS = 3.0
"""Distance from the mean, in SDs of an experiment's runs, to which runs are clipped before they are correlated."""
SESSION_PAIRS = 8.0
"""Pairs that the session's correlation counts for in that of one experiment with its base. A change may break it."""


class Correlation(NamedTuple):
    """The correlation of the noise of two experiments' runs with one seed."""

    value: float
    """It is shrunk to zero; zero where it is not shown."""
    pairs: int
    """Pairs of runs that it was estimated from."""


NO_CORRELATION = Correlation(0.0, 0)


def estimate_correlation(
    residuals: "Floats", group_of: "Indices", seeds: Sequence[int | None], classes: Sequence[str]
) -> Correlation:
    """Estimate the correlation from runs that are centred on their group and have an SD of one, all of shape (runs,).

    A group is one experiment in one class; only runs of one class are pairs. It is the sum of products over all pairs
    of groups, divided by its expectation under a correlation of one: with p shared seeds of n and m runs, centring
    leaves p(1 - 1/n - 1/m + p/nm). The variance component of a crossed random effect by the method of moments
    (Henderson 1953, Biometrics 9). It is shrunk to zero (James & Stein 1961) by its standard error without a
    correlation: products of different pairs of groups are then uncorrelated.
    """
    import numpy as np

    clipped = np.clip(residuals, -REACH_SDS, REACH_SDS)
    sizes = np.bincount(group_of)
    products = pairs = expected = 0.0
    for hardware in sorted(set(classes)):
        rows = [
            i for i, (seed, one) in enumerate(zip(seeds, classes, strict=True)) if one == hardware and seed is not None
        ]
        if not rows:
            continue
        columns, column_of = np.unique([seeds[i] for i in rows], return_inverse=True)
        groups, row_of = np.unique(group_of[rows], return_inverse=True)
        scores, ran = np.zeros((len(groups), len(columns))), np.zeros((len(groups), len(columns)))
        scores[row_of, column_of], ran[row_of, column_of] = clipped[rows], 1.0
        products += float((scores.sum(axis=0) ** 2 - (scores**2).sum(axis=0)).sum()) / 2
        pairs += float((ran.sum(axis=0) * (ran.sum(axis=0) - 1)).sum()) / 2
        shared, share = ran @ ran.T, 1 / sizes[groups]
        left = shared * (1 - share[:, None] - share[None, :] + shared * np.outer(share, share))
        expected += float(left.sum() - np.trace(left)) / 2
    if expected < 1:
        return Correlation(0.0, round(pairs))
    found = products / expected
    se = 1 / math.sqrt(expected)
    if found <= SHOWN_SES * se:
        return Correlation(0.0, round(pairs))
    return Correlation(min(CORRELATION_AT_MOST, found * (1 - (se / found) ** 2)), round(pairs))


def own_correlation(
    known: float, ours: Sequence[float], theirs: Sequence[float], our_var: float, their_var: float
) -> float:
    """Return the correlation of an experiment with its base from their scores on shared seeds, moderated by the
    session's, `known`, which counts for SESSION_PAIRS pairs."""
    our_mean, their_mean = sum(ours) / len(ours), sum(theirs) / len(theirs)
    products = sum((a - our_mean) * (b - their_mean) for a, b in zip(ours, theirs, strict=True))
    own = products / math.sqrt(our_var * their_var)
    moderated = (SESSION_PAIRS * known + own) / (SESSION_PAIRS + len(ours) - 1)
    return min(CORRELATION_AT_MOST, max(0.0, moderated))


class Weights(NamedTuple):
    """The weights of runs in the difference of two means; those of the experiment sum to 1, those of its base to -1."""

    ours: float
    """The weight of each of the experiment's runs that share a seed with the base."""
    theirs: float
    """The weight of each of the base's runs in these pairs."""
    ours_alone: float
    theirs_alone: float


def difference_weights(
    pairs: float, ours_alone: float, theirs_alone: float, our_var: float, their_var: float, correlation: float
) -> Weights:
    """Return the weights of the best linear unbiased difference, by generalised least squares (Aitken 1936, Proc. Roy.
    Soc. Edinburgh 55).

    `pairs` runs of each side share their seeds, and their noise has this correlation; the other runs are independent.
    Runs on a noisy cluster count for less than one.
    """
    shared = correlation * math.sqrt(our_var * their_var)
    determinant = our_var * their_var - shared**2
    ours = pairs * their_var / determinant + ours_alone / our_var
    theirs = pairs * our_var / determinant + theirs_alone / their_var
    cross = -pairs * shared / determinant
    # The contrast (1, -1) times the inverse of the information matrix [[ours, cross], [cross, theirs]].
    scale = ours * theirs - cross**2
    one, other = (theirs + cross) / scale, -(ours + cross) / scale
    return Weights(
        (one * their_var - other * shared) / determinant,
        (other * our_var - one * shared) / determinant,
        one / our_var,
        other / their_var,
    )
