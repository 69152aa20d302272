"""Compare an experiment with its base: the difference in each hardware class, then pooled over classes."""

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from cockpit.core.model import Estimate
from cockpit.science.noise import Noise, Reading, require_finite

LEVEL = 0.9
POOLED = "pooled"
FLIP_SDS = 1.5
"""A ranking flips when two classes disagree in sign and each difference exceeds this many standard errors."""


class Comparison(msgspec.Struct, frozen=True):
    """Differences to the base, in val_bpb; negative is better."""

    pooled: Estimate
    by_class: dict[str, Estimate]
    se: float
    """Standard error of the pooled difference, in val_bpb."""
    df: float
    """Degrees of freedom of the t distribution."""
    noise_units: float
    """The pooled difference divided by the SD of a single run."""
    p_value: float
    """One-sided: the probability of a difference at least this good if the experiment were no better than its base."""
    flips: bool
    """Whether it is better in one class and worse in another, each beyond FLIP_SDS."""


def compare(
    experiment: Sequence[Reading], base: Sequence[Reading], noise: Noise, level: float = LEVEL, margin: float = 0.0
) -> Comparison | None:
    """Estimate the difference of two experiments from their runs; None where no class ran both.

    Each run is corrected for its cluster's offset. The uncertainty of that offset counts as variance, and cancels where
    both ran on the same cluster. The variance is the session's, so the t distribution has the session's degrees of
    freedom. `margin` (val_bpb) is how much worse the experiment may be under the null hypothesis of `p_value`. Raises
    ValueError on NaN or infinite scores.
    """
    require_finite([*experiment, *base])
    parts = _parts(experiment, base, noise)
    if not parts:
        return None
    mean, se = _pooled(parts, noise)
    reach = t_quantile((1 + level) / 2, noise.df)
    against = base[0].experiment

    def estimated(mean: float, se: float, runs: int, hardware: str) -> Estimate:
        return Estimate(mean, mean - reach * se, mean + reach * se, level, runs, against, hardware)

    by_class = {h: estimated(m, math.sqrt(v), n, h) for h, (m, v, n) in sorted(parts.items())}
    runs = sum(n for _, _, n in parts.values())
    units = [m / math.sqrt(v) for m, v, _ in parts.values()]
    return Comparison(
        pooled=estimated(mean, se, runs, POOLED if len(parts) > 1 else next(iter(parts))),
        by_class=by_class,
        se=se,
        df=noise.df,
        noise_units=mean / noise.run_sd,
        p_value=t_cdf((mean - margin) / se, noise.df),
        flips=min(units) < -FLIP_SDS and max(units) > FLIP_SDS,
    )


def difference(experiment: Sequence[Reading], base: Sequence[Reading], noise: Noise) -> tuple[float, float] | None:
    """Return (mean, se) of the pooled difference alone, in val_bpb, as `compare` does; for callers that take many."""
    parts = _parts(experiment, base, noise)
    return _pooled(parts, noise) if parts else None


def _parts(experiment: Sequence[Reading], base: Sequence[Reading], noise: Noise) -> dict[str, tuple[float, float, int]]:
    """Return class -> (difference, its variance, runs of the experiment)."""
    ours, theirs = _by_class(experiment), _by_class(base)
    return {h: (*_difference(runs, theirs[h], noise), len(runs)) for h, runs in ours.items() if h in theirs}


def _pooled(parts: dict[str, tuple[float, float, int]], noise: Noise) -> tuple[float, float]:
    """Return (mean, se) over classes, weighted by inverse variance; the interaction's variance is added to each
    class."""
    interaction = noise.interaction_sd**2 if len(parts) > 1 else 0.0
    weights = [1 / (var + interaction) for _, var, _ in parts.values()]
    mean = sum(w * d for w, (d, _, _) in zip(weights, parts.values(), strict=True)) / sum(weights)
    return mean, math.sqrt(1 / sum(weights))


def _by_class(readings: Sequence[Reading]) -> dict[str, list[Reading]]:
    found: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        found[reading.hardware].append(reading)
    return found


def _difference(ours: list[Reading], theirs: list[Reading], noise: Noise) -> tuple[float, float]:
    """Return the mean difference within one class and its variance."""
    mean = 0.0
    weight_on: dict[str, float] = defaultdict(float)
    for sign, runs in ((1.0, ours), (-1.0, theirs)):
        for run in runs:
            mean += sign * (run.val_bpb - noise.cluster(run.cluster).mean) / len(runs)
            weight_on[run.cluster] += sign / len(runs)
    var = noise.within_sd**2 * (1 / len(ours) + 1 / len(theirs))
    return mean, var + noise.variance(weight_on)


@lru_cache(maxsize=256)
def t_quantile(p: float, df: float) -> float:
    """Return the quantile of Student's t distribution at probability `p`."""
    from scipy.special import stdtrit

    return float(stdtrit(df, p))


def t_cdf(t: float, df: float) -> float:
    """Return the cumulative probability of Student's t distribution at `t`."""
    from scipy.special import stdtr

    return float(stdtr(df, t))


class ReferenceScore(msgspec.Struct, frozen=True):
    """An experiment's val_bpb as if it had run on the reference class."""

    mean: float
    se: float


def reference_score(readings: Sequence[Reading], noise: Noise) -> ReferenceScore:
    """Estimate an experiment's score on the reference class from runs on any class: for search and ranking, never for
    keeping.

    A class without a known offset counts as the reference. Raises ValueError without readings.
    """
    if not readings:
        raise ValueError("An experiment without a run has no score.")
    total, var = 0.0, 0.0
    for reading in readings:
        cluster, hardware = noise.cluster(reading.cluster), noise.classes.get(reading.hardware)
        total += reading.val_bpb - cluster.mean - (hardware.mean if hardware else 0.0)
        var += noise.within_sd**2 + cluster.se**2
    return ReferenceScore(total / len(readings), math.sqrt(var) / len(readings))
