"""Estimate how a fleet's scores drift with time: a line, and a random walk around it.

The line is free. The variance of the walk is averaged over a grid of values, each weighted by its restricted likelihood
(Patterson & Thompson 1971, Biometrika 58), so that a drift which is a line costs little and one that turns is followed.
Most sessions have no drift, and a correction would only add noise: scores are corrected for a clear drift alone.
"""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

import msgspec

CLEAR_SES = 2.0
"""Standard errors beyond which a slope is clear. In one session of twenty without a drift it is."""
CLEAR_P = 0.1
"""The p-value of equal scores at all times below which a drift is clear that is not a line. It is not small: a drift
that is missed makes false keeps, and the correction for one that is not there has a walk of nearly no variance."""
RUNS_PER_KNOT = 12
KNOTS_AT_MOST = 24
WALKS = (0.0, *(4.0**power for power in range(-4, 4)))
"""Variances of the walk in an hour, in variances of a run."""
LINE_SHARE = 0.8
"""Prior probability of a drift without a walk. Few runs of the incumbent hardly exclude one."""
LEAST_SPAN_H = 1e-6
"""Hours between the first and the last run below which time says nothing."""


class Drift(msgspec.Struct, frozen=True):
    """The drift of scores; without knots none is clear. Times are in hours."""

    slope: float = 0.0
    """The slope of a line alone, in scores per hour."""
    slope_se: float = math.inf
    knots: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()
    """The slope beyond the knots, then the shift of the scores at each knot. The mean shift of all runs is zero."""
    covariance: tuple[tuple[float, ...], ...] = ()
    """The covariance of the errors of `levels`."""
    walk_variance: float = 0.0
    """Variance of the walk in an hour."""
    df: float = 0.0
    """Degrees of freedom that the correction takes from the runs."""

    def shift(self, hours: float) -> float:
        """Return the shift of scores at a time."""
        return sum(weight * self.levels[index] for index, weight in self._at(hours)) if self.knots else 0.0

    def variance(self, weighted: Iterable[tuple[float, float]]) -> float:
        """Return the variance of the correction of a weighted sum of scores, given as times and weights."""
        if not self.knots:
            return 0.0
        on = [0.0] * len(self.levels)
        gaps: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for hours, weight in weighted:
            for index, share in self._at(hours):
                on[index] += weight * share
            gaps[bisect_right(self.knots, hours)].append((hours, weight))
        known = sum(
            weight * other * row[j]
            for weight, row in zip(on, self.covariance, strict=True)
            if weight
            for j, other in enumerate(on)
        )
        return max(0.0, known) + self.walk_variance * sum(self._walked(gap, inside) for gap, inside in gaps.items())

    def _walked(self, gap: int, weighted: Sequence[tuple[float, float]]) -> float:
        """Return the variance of a weighted sum of a walk's shifts in one gap between knots, for 1 in an hour."""
        if gap == 0:
            return walk_variance(((self.knots[0] - hours, weight) for hours, weight in weighted), math.inf)
        length = self.knots[gap] - self.knots[gap - 1] if gap < len(self.knots) else math.inf
        return walk_variance(((hours - self.knots[gap - 1], weight) for hours, weight in weighted), length)

    def _at(self, hours: float) -> Sequence[tuple[int, float]]:
        """Return the levels between which a time lies, each with its share."""
        if hours <= self.knots[0]:
            return (0, hours - self.knots[0]), (1, 1.0)
        if hours >= self.knots[-1]:
            return (0, hours - self.knots[-1]), (len(self.knots), 1.0)
        after = bisect_right(self.knots, hours)
        share = (hours - self.knots[after - 1]) / (self.knots[after] - self.knots[after - 1])
        return (after, 1 - share), (after + 1, share)


def walk_variance(weighted: Iterable[tuple[float, float]], length_h: float) -> float:
    """Return the variance of a weighted sum of shifts of a walk with a variance of 1 in an hour.

    The shifts are given as hours since the walk's known start and weights. The walk is known again after `length_h`, or
    never if that is infinite: a Brownian bridge, or a Wiener process (Karatzas & Shreve 1991, 5.6.B). With the sum of
    the later weights g(u), the variance is the integral of g squared, less the squared integral of g over `length_h`.
    """
    steps = sorted(weighted)
    left, before, squares, area = sum(weight for _, weight in steps), 0.0, 0.0, 0.0
    for at, weight in steps:
        squares += left**2 * (at - before)
        area += left * (at - before)
        left, before = left - weight, at
    return max(0.0, squares - area**2 / length_h)


class _Equations(NamedTuple):
    """The normal equations of a line and the steps of the walk, and the squares of the scores."""

    squares: "Floats"
    products: "Floats"
    total: float
    df: int


def estimate_drift(hours: "Floats", scores: "Floats", group_of: "Indices", df: int) -> Drift:
    """Estimate the drift from the runs of groups of equal code, all of shape (runs,).

    `scores` are centred on their group and free of the clusters' offsets; `df` is their degrees of freedom.
    """
    import numpy as np

    if df < 2 or np.ptp(hours) < LEAST_SPAN_H:
        return Drift()
    knots = _knots(hours)
    shares = _shares(hours, knots)
    steps = np.tril(np.ones((len(knots), len(knots))))[:, 1:]
    basis = np.column_stack([knots - knots[0], steps])
    columns = _centred(shares, group_of) @ basis
    equations = _Equations(columns.T @ columns, columns.T @ scores, float(scores @ scores), df)
    line = float(equations.squares[0, 0])
    if line <= 0 or equations.total <= 0:
        return Drift()
    slope = float(equations.products[0]) / line
    slope_se = math.sqrt(max(equations.total - slope**2 * line, 0.0) / (df - 1) / line)
    if abs(slope) <= CLEAR_SES * slope_se and not _is_clear(equations):
        return Drift(slope, slope_se)
    # The first row is the slope beyond the knots; the mean shift of all runs is zero.
    to_levels = np.vstack([np.eye(1, len(knots)), basis - shares.mean(axis=0) @ basis])
    fits = [_fit(equations, np.diff(knots), walk) for walk in WALKS]
    return msgspec.structs.replace(
        _averaged(fits, to_levels), slope=slope, slope_se=slope_se, knots=tuple(map(float, knots))
    )


def _knots(hours: "Floats") -> "Floats":
    """Return times with equal shares of the runs between them, shape (knots,)."""
    import numpy as np

    wanted = min(max(len(hours) // RUNS_PER_KNOT, 2), KNOTS_AT_MOST)
    knots = np.quantile(hours, np.linspace(0, 1, wanted))
    apart = np.append(True, np.diff(knots) > LEAST_SPAN_H)
    return knots[apart] if apart[1:].all() else np.unique(np.append(knots[apart][:-1], knots[-1]))


def _shares(hours: "Floats", knots: "Floats") -> "Floats":
    """Return each run's shares of the knots beside it, shape (runs, knots)."""
    import numpy as np

    after = np.clip(np.searchsorted(knots, hours, side="right"), 1, len(knots) - 1)
    share = (hours - knots[after - 1]) / (knots[after] - knots[after - 1])
    found = np.zeros((len(hours), len(knots)))
    rows = np.arange(len(hours))
    found[rows, after - 1], found[rows, after] = 1 - share, share
    return found


def _centred(design: "Floats", group_of: "Indices") -> "Floats":
    """Return the design minus the mean of each group, shape (runs, knots)."""
    import numpy as np

    sums = np.zeros((int(group_of.max()) + 1, design.shape[1]))
    np.add.at(sums, group_of, design)
    return design - (sums / np.bincount(group_of)[:, None])[group_of]


def _is_clear(equations: _Equations) -> bool:
    """Return True if scores differ between times beyond doubt, by the F test of the knots."""
    import numpy as np
    from scipy.special import fdtrc

    values, vectors = np.linalg.eigh(equations.squares)
    estimable = values > 1e-9 * values[-1]
    count = int(np.count_nonzero(estimable))
    explained = float(np.sum((vectors.T @ equations.products)[estimable] ** 2 / values[estimable]))
    rest, rest_df = equations.total - explained, equations.df - count
    if rest_df < 1 or rest <= 0:
        return False
    return bool(fdtrc(count, rest_df, explained / count / (rest / rest_df)) < CLEAR_P)


class _Fit(NamedTuple):
    """The slope and the walk's steps under one variance of the walk."""

    log_weight: float
    """The logarithm of its prior probability times its restricted likelihood."""
    coefficients: "Floats"
    covariance: "Floats"
    walk_variance: float
    df: float
    """Degrees of freedom that it takes."""


def _fit(equations: _Equations, gaps_h: "Floats", walk: float) -> _Fit:
    """Fit the line and a walk whose variance in an hour is `walk` times that of a run; 0 for the line alone."""
    import numpy as np

    used = len(gaps_h) + 1 if walk else 1
    squares, products = equations.squares[:used, :used], equations.products[:used]
    penalty = np.append(0.0, 1 / (walk * gaps_h)) if walk else np.zeros(1)
    inverse: Floats = np.asarray(np.linalg.inv(squares + np.diag(penalty)), np.float64)
    coefficients = inverse @ products
    rest = max(equations.total - float(products @ coefficients), 1e-12 * equations.total)
    run_variance = rest / (equations.df - 1)
    log_likelihood = (np.linalg.slogdet(inverse)[1] + np.sum(np.log(penalty[1:]))) / 2
    log_likelihood -= (equations.df - 1) / 2 * math.log(run_variance)
    log_prior = math.log((1 - LINE_SHARE) / (len(WALKS) - 1) if walk else LINE_SHARE)
    taken = float(np.trace(inverse @ squares))
    return _Fit(log_prior + log_likelihood, coefficients, run_variance * inverse, walk * run_variance, taken)


def _averaged(fits: Sequence[_Fit], to_levels: "Floats") -> Drift:
    """Average fits by their weights. `to_levels` turns coefficients into levels, shape (levels, coefficients)."""
    import numpy as np

    best = max(one.log_weight for one in fits)
    weights = np.exp([one.log_weight - best for one in fits])
    weights /= weights.sum()
    mean, second = np.zeros(len(to_levels)), np.zeros((len(to_levels), len(to_levels)))
    for weight, one in zip(weights, fits, strict=True):
        turned = to_levels[:, : len(one.coefficients)]
        levels = turned @ one.coefficients
        mean += weight * levels
        second += weight * (turned @ one.covariance @ turned.T + np.outer(levels, levels))
    covariance = second - np.outer(mean, mean)
    return Drift(
        levels=tuple(map(float, mean)),
        covariance=tuple(tuple(map(float, row)) for row in covariance),
        walk_variance=float(weights @ [one.walk_variance for one in fits]),
        df=float(weights @ [one.df for one in fits]),
    )
