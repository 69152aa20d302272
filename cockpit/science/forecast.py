"""Forecast a run: its probability of a crash, its memory, and the score at which its curve will end."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from cockpit.core.curves import Point, loss_at
from cockpit.science.compare import LEVEL, t_cdf, t_quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEIGHBOURS = 9
"""Finished runs that a crash forecast uses, the nearest ones."""
REACH = 0.1
"""Squared distance, in shares of each constant's range, at which a neighbour's weight is 1/e."""
PRIOR_CRASHES, PRIOR_RUNS = 0.1, 0.5
"""The prior far from all finished runs: one crash in five, worth half a run."""

RISK = 0.01
"""A run is hopeless when its probability of ending better than the bar is below this."""
MISTAKES_AT_MOST = 0.02
"""Early stopping is off while this share of the finished runs that it would have ended were good ones."""
CURVES_NEEDED = 12
"""Finished runs of the class below which a curve is not forecast."""
ALIKE = 24
"""Finished runs that a curve's forecast uses, the nearest ones: a diverged run says nothing about a good one."""
RIDGE = 1e-2
"""Penalty of the ridge regression, in squared units of the positions."""
RUNS_LEAST = 4
"""Finished runs that a forecast of a crash takes, and runs with a known peak that one of memory takes."""


def crash_risks(
    points: "NDArray[np.float64]", crashed: "NDArray[np.bool_]", at: "NDArray[np.float64]"
) -> "NDArray[np.float64]":
    """Return the probability of a crash at each row of `at`, shape (m,).

    `points` (n, d) and `at` (m, d) are positions in [0, 1]; `crashed` has shape (n,). The nearest neighbours are
    weighted by distance and added to a Beta prior.
    """
    likely, against = _crash_counts(points, crashed, at)
    risks: NDArray[np.float64] = likely / (likely + against)
    return risks


class Forecast(msgspec.Struct, frozen=True):
    mean: float
    low: float
    high: float
    level: float
    runs: int
    """Runs that the forecast is based on."""


def crash_forecast(
    points: "NDArray[np.float64]",
    crashed: "NDArray[np.bool_]",
    at: "NDArray[np.float64]",
    level: float = LEVEL,
    near: int = NEIGHBOURS,
) -> Forecast:
    """Forecast the probability of a crash at one place, shape (d,), positions in [0, 1].

    The interval holds the quantiles of the Beta posterior from the `near` nearest runs.
    """
    from scipy.special import betaincinv

    likely, against = (float(count[0]) for count in _crash_counts(points, crashed, at[None, :], near))
    low, high = (float(betaincinv(likely, against, q)) for q in ((1 - level) / 2, (1 + level) / 2))
    return Forecast(likely / (likely + against), low, high, level, len(points))


def _crash_counts(
    points: "NDArray[np.float64]", crashed: "NDArray[np.bool_]", at: "NDArray[np.float64]", near: int = NEIGHBOURS
) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """Return (crashes, successes) at each row of `at`, each of shape (m,), the prior included."""
    import numpy as np

    likely, against = np.full(len(at), PRIOR_CRASHES), np.full(len(at), PRIOR_RUNS - PRIOR_CRASHES)
    if len(points):
        squared = ((at[:, None, :] - points[None, :, :]) ** 2).sum(axis=2)
        count = min(near, len(points))
        nearest = np.argpartition(squared, count - 1, axis=1)[:, :count]
        weight = np.exp(-np.take_along_axis(squared, nearest, axis=1) / REACH)
        hits = crashed[nearest]
        likely = likely + (weight * hits).sum(axis=1)
        against = against + (weight * ~hits).sum(axis=1)
    return likely, against


def vram_forecast(
    points: "NDArray[np.float64]", vram_mb: Sequence[float], at: "NDArray[np.float64]", level: float = LEVEL
) -> Forecast | None:
    """Forecast the peak memory (MB) at one place from runs at `points` (n, d; positions in [0, 1]).

    Ridge regression of the logarithm, because sizes act as ratios. The interval is the t interval for one more run.
    None with fewer than RUNS_LEAST.
    """
    import numpy as np

    y = np.log(np.asarray(vram_mb, dtype=float))
    if len(y) < RUNS_LEAST or not np.all(np.isfinite(y)):
        return None
    centre = points.mean(axis=0)
    x = points - centre
    inverse = np.linalg.inv(x.T @ x + RIDGE * np.eye(x.shape[1]))
    slopes = inverse @ x.T @ (y - y.mean())
    rest = y - y.mean() - x @ slopes
    used = float(np.trace(x @ inverse @ x.T)) + 1
    df = max(1.0, len(y) - used)
    offset = at - centre
    sd = math.sqrt(max(float(rest @ rest) / df, 1e-6) * (1 + 1 / len(y) + float(offset @ inverse @ offset)))
    mean = float(y.mean() + offset @ slopes)
    reach = t_quantile((1 + level) / 2, df) * sd
    return Forecast(math.exp(mean), math.exp(mean - reach), math.exp(mean + reach), level, len(y))


class Finished(msgspec.Struct, frozen=True):
    """A finished run: its curve and its score."""

    curve: Sequence[Point]
    score: float


class CurveForecast(msgspec.Struct, frozen=True):
    """The forecast from a run's curve, and what acting on it would have cost among the finished runs."""

    final: Forecast
    p_reach: float
    """Probability that the run ends better than the bar."""
    fraction: float
    """Share of the time budget at which the forecast was made."""
    ended: int
    """Finished runs that would have been ended at this fraction, each forecast from the others. Counted only where the
    run itself is hopeless."""
    wrongly: int
    """Those of `ended` that finished better than the bar."""

    @property
    def se(self) -> float:
        """The standard error of the forecast."""
        half = (self.final.high - self.final.low) / 2
        return half / t_quantile((1 + self.final.level) / 2, self.final.runs - 2)

    @property
    def hopeless(self) -> bool:
        return self.p_reach < RISK and self.wrongly <= MISTAKES_AT_MOST * max(self.ended, 1)


def forecast_curve(
    curve: Sequence[Point], finished: Sequence[Finished], bar: float, level: float = LEVEL
) -> CurveForecast | None:
    """Forecast the final score of a run from its curve so far, and its chance of ending better than `bar`.

    A least-squares line leads from the loss at this fraction of the budget to the final score, over the ALIKE nearest
    `finished` runs of the same class; the interval is the t interval for one more run. The error rate is measured by
    leaving each finished run out. None with fewer than CURVES_NEEDED runs, or a curve without points or with a loss
    that is not finite.
    """
    if not curve or not math.isfinite(curve[-1][1]):
        return None
    fraction, loss = curve[-1]
    pairs = [(at, run.score) for run in finished if (at := loss_at(run.curve, fraction)) is not None]
    pairs = [(at, score) for at, score in pairs if math.isfinite(at) and math.isfinite(score)]
    if len(pairs) < CURVES_NEEDED:
        return None
    final, p_reach = _line(pairs, loss, bar, level)
    ended = wrongly = 0
    if p_reach >= RISK:
        return CurveForecast(final, p_reach, fraction, ended, wrongly)
    for index, (at, score) in enumerate(pairs):
        _, p = _line(pairs[:index] + pairs[index + 1 :], at, bar, level)
        if p < RISK:
            ended += 1
            wrongly += score < bar
    return CurveForecast(final, p_reach, fraction, ended, wrongly)


def _line(pairs: Sequence[tuple[float, float]], at: float, bar: float, level: float) -> tuple[Forecast, float]:
    """Return the forecast at loss `at` from (loss, score) pairs, and the probability of ending below `bar`."""
    pairs = sorted(pairs, key=lambda pair: abs(pair[0] - at))[:ALIKE]
    n = len(pairs)
    mean_x, mean_y = sum(x for x, _ in pairs) / n, sum(y for _, y in pairs) / n
    sxx = sum((x - mean_x) ** 2 for x, _ in pairs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in pairs) / sxx if sxx > 1e-18 else 0.0
    rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in pairs)
    away = (at - mean_x) ** 2 / sxx if sxx > 1e-18 else 0.0
    sd = math.sqrt(max(rest / (n - 2), 1e-12) * (1 + 1 / n + away))
    mean = mean_y + slope * (at - mean_x)
    reach = t_quantile((1 + level) / 2, n - 2) * sd
    return Forecast(mean, mean - reach, mean + reach, level, n), t_cdf((bar - mean) / sd, n - 2)
