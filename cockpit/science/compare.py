"""An experiment against its base: a difference within each hardware class, pooled as differences over classes."""

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
"""A ranking flips when two classes disagree in sign, each by this many standard errors."""


class Comparison(msgspec.Struct, frozen=True):
    """Differences in val_bpb against the base; negative is better."""

    pooled: Estimate
    by_class: dict[str, Estimate]
    se: float
    """Of the pooled difference."""
    df: float
    noise_units: float
    """The pooled difference over the SD of a single run."""
    p_value: float
    """One-sided: of a difference at least this good if the experiment were no better than its base."""
    flips: bool
    """Better in one class and worse in another, each beyond its noise."""


def compare(
    experiment: Sequence[Reading], base: Sequence[Reading], noise: Noise, level: float = LEVEL, margin: float = 0.0
) -> Comparison | None:
    """The difference of two experiments from their runs; None where no class ran both.

    Each run is corrected for its cluster's offset; what is unknown of the offset counts as variance, and cancels where
    both ran on the same cluster. The variance is the session's, so the t distribution has its degrees of freedom.
    `margin` (val_bpb) is how much worse the experiment may be under the hypothesis that `p_value` is about.
    Raises ValueError on NaN or infinite scores.
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
    """(mean, se) of the pooled difference alone, as `compare` gives it, for where there are many to be taken."""
    parts = _parts(experiment, base, noise)
    return _pooled(parts, noise) if parts else None


def _parts(experiment: Sequence[Reading], base: Sequence[Reading], noise: Noise) -> dict[str, tuple[float, float, int]]:
    """Class -> (difference, its variance, runs of the experiment)."""
    ours, theirs = _by_class(experiment), _by_class(base)
    return {h: (*_difference(runs, theirs[h], noise), len(runs)) for h, runs in ours.items() if h in theirs}


def _pooled(parts: dict[str, tuple[float, float, int]], noise: Noise) -> tuple[float, float]:
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
    """Mean difference in one class, and its variance."""
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
    from scipy.special import stdtrit

    return float(stdtrit(df, p))


def t_cdf(t: float, df: float) -> float:
    from scipy.special import stdtr

    return float(stdtr(df, t))


class Standing(msgspec.Struct, frozen=True):
    """An experiment's val_bpb as if run on the reference class."""

    mean: float
    se: float


def standing(readings: Sequence[Reading], noise: Noise) -> Standing:
    """Where runs on any classes and clusters put an experiment: for search and for ranking, never for keeping.

    A class without a known offset counts as the reference. Raises ValueError without readings.
    """
    if not readings:
        raise ValueError("An experiment without a run stands nowhere.")
    total, var = 0.0, 0.0
    for reading in readings:
        cluster, hardware = noise.cluster(reading.cluster), noise.classes.get(reading.hardware)
        total += reading.val_bpb - cluster.mean - (hardware.mean if hardware else 0.0)
        var += noise.within_sd**2 + cluster.se**2
    return Standing(total / len(readings), math.sqrt(var) / len(readings))
