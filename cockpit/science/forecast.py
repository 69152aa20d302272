"""What a run will come to before it has: whether it will crash, how much memory it takes, where its curve ends."""

import bisect
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from cockpit.core.curves import Point
from cockpit.science.compare import LEVEL, t_cdf, t_quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEIGHBOURS = 9
REACH = 0.1
"""Squared distance (in shares of each constant's range) at which a neighbour counts for 1/e."""
PRIOR_CRASHES, PRIOR_RUNS = 0.1, 0.5
"""A configuration far from all others: one crash in five, barely believed."""

RISK = 0.01
"""A run is hopeless when its probability of ending better than the bar is below this."""
MISTAKES_AT_MOST = 0.02
"""Of the finished runs that would have been ended: past this share of good ones, nothing is ended early."""
CURVES_NEEDED = 12
ALIKE = 24
"""A diverged run says nothing about a good one."""
RIDGE = 1e-2


def crash_risks(
    points: "NDArray[np.float64]", crashed: "NDArray[np.bool_]", at: "NDArray[np.float64]"
) -> "NDArray[np.float64]":
    """Probability of a crash at each row of `at` (m x d, positions in [0, 1]) from the outcomes at `points` (n x d).

    Nearest neighbours weighted by distance, with a Beta prior; shape m.
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
    """How many runs it rests on."""


def crash_forecast(
    points: "NDArray[np.float64]",
    crashed: "NDArray[np.bool_]",
    at: "NDArray[np.float64]",
    level: float = LEVEL,
    near: int = NEIGHBOURS,
) -> Forecast:
    """The probability of a crash at one place (d positions in [0, 1]), with its interval: the quantiles of the Beta
    distribution that the `near` nearest leave of the prior."""
    from scipy.special import betaincinv

    likely, against = (float(count[0]) for count in _crash_counts(points, crashed, at[None, :], near))
    low, high = (float(betaincinv(likely, against, q)) for q in ((1 - level) / 2, (1 + level) / 2))
    return Forecast(likely / (likely + against), low, high, level, len(points))


def _crash_counts(
    points: "NDArray[np.float64]", crashed: "NDArray[np.bool_]", at: "NDArray[np.float64]", near: int = NEIGHBOURS
) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """(crashes, successes) that count at each row of `at`, the prior's among them."""
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
    """Peak memory (MB) at one place, from that of runs at `points` (n x d, positions in [0, 1]).

    Ridge regression of its logarithm, sizes acting by ratio; None with fewer than four runs. The interval is the
    residuals' t interval for one more run.
    """
    import numpy as np

    y = np.log(np.asarray(vram_mb, dtype=float))
    if len(y) < 4 or not np.all(np.isfinite(y)):
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
    """A run that ended: its curve and what it scored."""

    curve: Sequence[Point]
    val_bpb: float


class Outlook(msgspec.Struct, frozen=True):
    """Where a run's curve leads, and what acting on that would have cost on the finished runs."""

    final: Forecast
    p_reach: float
    """Probability that it ends better than the bar."""
    fraction: float
    ended: int
    """Of the finished runs, how many would have been ended at this fraction, each forecast from the others. Counted
    where the run itself may be ended: for one that may still reach the bar, nobody asks."""
    wrongly: int
    """How many of those ended better than the bar."""

    @property
    def hopeless(self) -> bool:
        return self.p_reach < RISK and self.wrongly <= MISTAKES_AT_MOST * max(self.ended, 1)


def loss_at(curve: Sequence[Point], fraction: float) -> float | None:
    """The training loss at a fraction of the budget, between the points around it; None where the curve has no such."""
    index = bisect.bisect_left(curve, fraction, key=lambda point: point[0])
    if index == len(curve) or (index == 0 and curve[0][0] > fraction):
        return None
    (at, loss), (before, earlier) = curve[index], curve[max(0, index - 1)]
    if at == before:
        return loss
    return earlier + (loss - earlier) * (fraction - before) / (at - before)


def outlook(curve: Sequence[Point], finished: Sequence[Finished], bar: float, level: float = LEVEL) -> Outlook | None:
    """The final val_bpb of a run from its curve so far, and whether it can still end better than `bar`.

    Compared at the same fraction of the budget: a least-squares line from the loss there to the final score over the
    ALIKE `finished` runs of the same class that were nearest, with the t interval for one more run; the risk is
    measured by leaving each finished run out. None with fewer than CURVES_NEEDED of them, or a curve without points
    or with a loss that is not finite.
    """
    if not curve or not math.isfinite(curve[-1][1]):
        return None
    fraction, loss = curve[-1]
    pairs = [(at, run.val_bpb) for run in finished if (at := loss_at(run.curve, fraction)) is not None]
    pairs = [(at, score) for at, score in pairs if math.isfinite(at) and math.isfinite(score)]
    if len(pairs) < CURVES_NEEDED:
        return None
    final, p_reach = _line(pairs, loss, bar, level)
    ended = wrongly = 0
    if p_reach >= RISK:
        return Outlook(final, p_reach, fraction, ended, wrongly)
    for index, (at, score) in enumerate(pairs):
        _, p = _line(pairs[:index] + pairs[index + 1 :], at, bar, level)
        if p < RISK:
            ended += 1
            wrongly += score < bar
    return Outlook(final, p_reach, fraction, ended, wrongly)


def _line(pairs: Sequence[tuple[float, float]], at: float, bar: float, level: float) -> tuple[Forecast, float]:
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
