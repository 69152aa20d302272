"""Compare an experiment with its base: the difference in each hardware class, then pooled over classes."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from cockpit.core.model import Estimate
from cockpit.science.difference import Difference
from cockpit.science.noise import Noise
from cockpit.science.reading import Reading, require_finite
from cockpit.science.robust import robust_sd, weighted_median
from cockpit.science.run_variance import OWN_DF
from cockpit.science.seed_pairs import Weights, difference_weights, own_correlation

LEVEL = 0.9
POOLED = "pooled"
FLIP_SDS = 1.5
"""A ranking flips when two classes disagree in sign and each difference exceeds this many standard errors."""

QUIET_FROM = 16
"""Runs of an experiment from which its noise may be below its base's. A few runs lie close together by luck."""
CLIPPED_FROM = 3
"""Runs of an experiment from which those far from the others are clipped."""
CLIPPED_SDS = 3.0
"""Distance from the median, in SDs, to which they are clipped."""
IGNORED_SDS = 6.0
"""Distance from which they count as the median."""
UNSTABLE_SHARE = 0.08
"""Share of the runs of an experiment beyond IGNORED_SDS from which they are part of what it does."""


class Comparison(msgspec.Struct, frozen=True):
    """Differences to the base; negative is better."""

    pooled: Estimate
    by_class: dict[str, Estimate]
    se: float
    """Standard error of the pooled difference, in scores."""
    df: float
    """Degrees of freedom of the t distribution."""
    noise_units: float
    """The pooled difference divided by the SD of a single run."""
    p_value: float
    """One-sided: the probability of a difference at least this good if the experiment were no better than its base."""
    flips: bool
    """True if it is better in one class and worse in another, each beyond FLIP_SDS."""


def compare(
    experiment: Sequence[Reading], base: Sequence[Reading], noise: Noise, level: float = LEVEL, margin: float = 0.0
) -> Comparison | None:
    """Estimate the difference of two experiments from their runs; None if no class ran both.

    Each run is corrected for its cluster's offset and for a clear drift, and weighted by its cluster's noise. A run far
    from its experiment's others is clipped. The uncertainty of a cluster's offset counts as variance, and cancels where
    both ran on the same cluster. Each of the two has its own variance, moderated by the session's; the experiment's by
    its base's where that is larger. With few controls the noise of clusters and that of runs are hard to tell apart, so
    the difference is also taken with all variance in the runs, and the result with the larger p-value is returned.
    Where the session shows that runs with one seed share noise, runs of the two with one seed count as pairs. `margin`
    is how much worse the experiment may be under the null hypothesis of `p_value`. Raises ValueError on NaN or
    infinity.
    """
    require_finite([*experiment, *base])
    ours, theirs = _by_class(experiment), _by_class(base)
    found = [_compared(ours, theirs, split, level, margin) for split in (noise, noise.unsplit)]
    return max((one for one in found if one is not None), key=lambda one: one.p_value, default=None)


def _compared(
    ours: dict[str, list[Reading]], theirs: dict[str, list[Reading]], noise: Noise, level: float, margin: float
) -> Comparison | None:
    sides = _base_sides(theirs, noise)
    parts = {
        h: _paired(runs, theirs[h], sides[h], noise) or _difference(runs, sides[h], noise)
        for h, runs in ours.items()
        if h in sides
    }
    if not parts:
        return None
    mean, se = _pooled(parts, noise)
    df = _df(parts, noise)
    reach = t_quantile((1 + level) / 2, df)
    against = next(iter(theirs.values()))[0].experiment

    def estimated(mean: float, se: float, classes: Sequence[str]) -> Estimate:
        runs, pairs = sum(len(ours[h]) for h in classes), sum(parts[h].pairs for h in classes)
        hardware = POOLED if len(classes) > 1 else classes[0]
        return Estimate(mean, mean - reach * se, mean + reach * se, level, runs, against, hardware, pairs)

    by_class = {h: estimated(one.mean, math.sqrt(one.var), [h]) for h, one in sorted(parts.items())}
    units = [one.mean / math.sqrt(one.var) for one in parts.values()]
    return Comparison(
        pooled=estimated(mean, se, list(parts)),
        by_class=by_class,
        se=se,
        df=df,
        noise_units=mean / noise.run_sd,
        p_value=t_cdf((mean - margin) / se, df),
        flips=min(units) < -FLIP_SDS and max(units) > FLIP_SDS,
    )


def difference(experiment: Sequence[Reading], base: Sequence[Reading], noise: Noise) -> Difference | None:
    """Return the pooled difference alone, without pairs of runs with one seed."""
    return next(differences([experiment], base, noise))


def differences(
    experiments: Iterable[Sequence[Reading]], base: Sequence[Reading], noise: Noise
) -> Iterator[Difference | None]:
    """Yield the `difference` of each experiment to one base, which is summed up once."""
    sides = _base_sides(_by_class(base), noise)
    for experiment in experiments:
        ours = {h: runs for h, runs in _by_class(experiment).items() if h in sides}
        parts = {h: _difference(runs, sides[h], noise) for h, runs in ours.items()}
        yield _whole(ours, sides, parts, noise) if parts else None


class _Part(NamedTuple):
    """The difference within one class."""

    mean: float
    var: float
    of_runs: tuple[tuple[float, float], ...]
    """The parts of `var` that come from the noise of runs, each with the degrees of freedom of its estimate."""
    pairs: int = 0
    """Runs of the experiment that count as pairs with runs of the base with the same seed."""


class _BaseSide(NamedTuple):
    """The base's side of a difference within one class."""

    mean: float
    timed: list[tuple[float, float]]
    """When its runs ended, in hours, each with its weight in the difference."""
    own_var: float
    """Variance of one of its runs."""
    own_df: float
    scores: list[float]
    """Corrected and clipped."""
    weights: list[float]
    """The weight of each score: the inverse of its cluster's variance."""
    weight: float
    """Their sum."""
    weight_on: dict[str, float]
    """Cluster to its weight in the difference."""
    offsets_var: float
    """Variance of its clusters' offsets."""


def _base_sides(theirs: dict[str, list[Reading]], noise: Noise) -> dict[str, _BaseSide]:
    found = {}
    for hardware, runs in theirs.items():
        weights = _weights(runs, noise)
        total = sum(weights)
        weight_on: dict[str, float] = defaultdict(float)
        for run, weight in zip(runs, weights, strict=True):
            weight_on[run.cluster] -= weight / total
        timed = [(run.at / 3600, -weight / total) for run, weight in zip(runs, weights, strict=True)]
        scores = _clipped(runs, weights, noise, 1)
        own_var, own_df = _own_variance(scores, weights, noise)
        found[hardware] = _BaseSide(
            _mean(scores, weights), timed, own_var, own_df, scores, weights, total, weight_on, noise.variance(weight_on)
        )
    return found


def _whole(
    ours: dict[str, list[Reading]], sides: dict[str, _BaseSide], parts: dict[str, _Part], noise: Noise
) -> Difference:
    """Return the pooled difference, with the noise of its runs in units of the base's."""
    mean, se = _pooled(parts, noise)
    interaction = noise.interaction_sd**2 if len(parts) > 1 else 0.0
    own_var = like_base_var = squares = df = 0.0
    for hardware, part in parts.items():
        runs, base_var = ours[hardware], sides[hardware].own_var
        share = (se**2 / (part.var + interaction)) ** 2
        own_var += share * part.of_runs[0][0]
        weights = _weights(runs, noise)
        like_base_var += share * base_var / sum(weights)
        scores = _clipped(runs, weights, noise, -1)
        of_offsets = (w * noise.cluster(run.cluster).se ** 2 for w, run in zip(weights, runs, strict=True))
        squares += _squares(scores, weights) / (base_var + sum(of_offsets) / len(runs))
        df += len(runs) - 1
    return Difference(mean, se, max(0.0, se**2 - own_var), like_base_var, squares, df)


def _pooled(parts: dict[str, _Part], noise: Noise) -> tuple[float, float]:
    """Return (mean, se) over classes, weighted by inverse variance; the interaction's variance is added to each
    class."""
    interaction = noise.interaction_sd**2 if len(parts) > 1 else 0.0
    weights = [1 / (one.var + interaction) for one in parts.values()]
    mean = sum(w * one.mean for w, one in zip(weights, parts.values(), strict=True)) / sum(weights)
    return mean, math.sqrt(1 / sum(weights))


def _df(parts: dict[str, _Part], noise: Noise) -> float:
    """Return the degrees of freedom of the pooled difference (Satterthwaite 1946, Biometrics Bulletin 2)."""
    total = denominator = 0.0
    for one in parts.values():
        total += one.var
        rest = one.var - sum(var for var, _ in one.of_runs)
        denominator += sum(var**2 / df for var, df in one.of_runs) + rest**2 / noise.df
    return min(noise.df, total**2 / denominator)


def _by_class(readings: Sequence[Reading]) -> dict[str, list[Reading]]:
    found: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        found[reading.hardware].append(reading)
    return {hardware: _independent(runs) for hardware, runs in found.items()}


def _independent(runs: list[Reading]) -> list[Reading]:
    """Return the runs; one of them where all scored exactly the same, as they do without a seed."""
    return runs[:1] if len({run.score for run in runs}) == 1 else runs


def _weights(runs: list[Reading], noise: Noise) -> list[float]:
    return [noise.weight(run.cluster) for run in runs]


def _difference(ours: list[Reading], base: _BaseSide, noise: Noise) -> _Part:
    """Return the mean difference within one class with its variance."""
    weights = _weights(ours, noise)
    total = sum(weights)
    our_scores = _clipped(ours, weights, noise, -1)
    weight_on: dict[str, float] = defaultdict(float)
    for run, weight in zip(ours, weights, strict=True):
        weight_on[run.cluster] += weight / total
    shared = sum(weight * noise.covariance_with(one, base.weight_on) for one, weight in weight_on.items())
    offsets_var = max(0.0, base.offsets_var + 2 * shared + noise.variance(weight_on))
    own_var, own_df = _own_variance(our_scores, weights, noise, base.own_var)
    own_var /= total
    timed = ((run.at / 3600, weight / total) for run, weight in zip(ours, weights, strict=True))
    drift_var = noise.drift.variance([*base.timed, *timed])
    base_var = base.own_var / base.weight
    var = own_var + base_var + offsets_var + drift_var
    return _Part(_mean(our_scores, weights) - base.mean, var, ((own_var, own_df), (base_var, base.own_df)))


def _paired(ours: list[Reading], theirs: list[Reading], base: _BaseSide, noise: Noise) -> _Part | None:
    """Return the difference within one class with the runs of one seed as pairs; None if they carry no information.

    The weights follow the correlation. The variance does not: it is that of the weighted pairs themselves, moderated by
    the correlation's and at least that of a pair of the base's runs, so that a wrong correlation costs power only.
    """
    of_seed = {run.seed: number for number, run in enumerate(theirs) if run.seed is not None}
    pairs = [(number, of_seed.pop(run.seed)) for number, run in enumerate(ours) if run.seed in of_seed]
    if not noise.seed_correlation or not pairs:
        return None
    own = _weights(ours, noise)
    our_scores = _clipped(ours, own, noise, -1)
    our_var, our_df = _own_variance(our_scores, own, noise, base.own_var)
    both = [2 / (1 / own[i] + 1 / base.weights[j]) for i, j in pairs]
    correlation = _correlation(pairs, both, (our_scores, own, our_var), base, noise)
    alone, base_alone = _alone(own, [i for i, _ in pairs]), _alone(base.weights, [j for _, j in pairs])
    weights = difference_weights(sum(both), alone, base_alone, our_var, base.own_var, correlation)
    of_ours = [weights.ours_alone * weight for weight in own]
    of_theirs = [weights.theirs_alone * weight for weight in base.weights]
    for (i, j), weight in zip(pairs, both, strict=True):
        of_ours[i], of_theirs[j] = weights.ours * weight, weights.theirs * weight
    summed = [weights.ours * our_scores[i] + weights.theirs * base.scores[j] for i, j in pairs]
    pair_var, df = _pair_variance(summed, both, weights, our_var, base.own_var, correlation)
    of_runs = (
        (sum(both) * pair_var, df if len(pairs) > 1 else noise.df),
        (alone * weights.ours_alone**2 * our_var, our_df),
        (base_alone * weights.theirs_alone**2 * base.own_var, base.own_df),
    )
    weight_on: dict[str, float] = defaultdict(float)
    timed: list[tuple[float, float]] = []
    mean = 0.0
    for run, score, weight in zip([*ours, *theirs], [*our_scores, *base.scores], [*of_ours, *of_theirs], strict=True):
        weight_on[run.cluster] += weight
        mean += weight * score
        timed.append((run.at / 3600, weight))
    var = sum(one for one, _ in of_runs) + noise.variance(weight_on) + noise.drift.variance(timed)
    return _Part(mean, var, of_runs, len(pairs))


def _alone(weights: Sequence[float], paired: Collection[int]) -> float:
    """Return the sum of the weights of the runs without a pair."""
    return sum(weight for number, weight in enumerate(weights) if number not in paired)


def _correlation(
    pairs: Sequence[tuple[int, int]],
    both: Sequence[float],
    ours: tuple[list[float], list[float], float],
    base: _BaseSide,
    noise: Noise,
) -> float:
    """Return the correlation of an experiment with its base. `ours` are its scores, their weights and variance."""
    scores, weights, variance = ours
    centre = _mean(scores, weights)
    one = [(scores[i] - centre) * math.sqrt(weight) for (i, _), weight in zip(pairs, both, strict=True)]
    other = [(base.scores[j] - base.mean) * math.sqrt(weight) for (_, j), weight in zip(pairs, both, strict=True)]
    return own_correlation(noise.seed_correlation, one, other, variance, base.own_var)


def _pair_variance(
    summed: Sequence[float],
    both: Sequence[float],
    weights: Weights,
    our_var: float,
    their_var: float,
    correlation: float,
) -> tuple[float, float]:
    """Return the variance of a weighted pair, moderated by the correlation's, and its degrees of freedom.

    `both` holds the weight of each pair among the pairs.
    """

    def modelled(variance: float) -> float:
        shared = 2 * weights.ours * weights.theirs * correlation * math.sqrt(variance * their_var)
        return weights.ours**2 * variance + weights.theirs**2 * their_var + shared

    df = OWN_DF + len(summed) - 1
    seen = (OWN_DF * modelled(our_var) + _squares(summed, both)) / df
    return max(seen, modelled(their_var)), df


def _clipped(runs: list[Reading], weights: list[float], noise: Noise, flattering: int) -> list[float]:
    """Return the corrected scores, those far from the median clipped, by their cluster's SD and by their own.

    The limit falls to the median again from CLIPPED_SDS to IGNORED_SDS (a redescending estimator: Hampel 1974, J. Am.
    Stat. Assoc. 69): a run that failed to do the work counts for nothing. `flattering` is the sign of a deviation that
    helps the experiment: -1 for its own runs, 1 for its base's. Where more than UNSTABLE_SHARE of the runs are far on
    the other side, the limit stays: a variant that fails now and then is worse for it.
    """
    scores = noise.corrected(runs)
    if len(scores) < CLIPPED_FROM:
        return scores
    centre = weighted_median(scores, weights)
    scales = [1 / math.sqrt(weight) for weight in weights]
    own_sd = robust_sd([(score - centre) / scale for score, scale in zip(scores, scales, strict=True)], 0.0)
    sd = max(noise.within_sd, own_sd)
    if not sd:
        return scores
    apart = [(score - centre) / (sd * scale) for score, scale in zip(scores, scales, strict=True)]
    failed = sum(one * flattering < -IGNORED_SDS for one in apart)
    is_unstable = failed > max(1.0, UNSTABLE_SHARE * len(scores))
    limited = (_limited(one, is_unstable and one * flattering < 0) for one in apart)
    return [centre + one * sd * scale for one, scale in zip(limited, scales, strict=True)]


def _limited(sds: float, counts: bool) -> float:
    """Return a deviation in SDs within its limit, which stays where it `counts`."""
    if abs(sds) <= CLIPPED_SDS:
        return sds
    left = 1.0 if counts else max(0.0, IGNORED_SDS - abs(sds)) / (IGNORED_SDS - CLIPPED_SDS)
    return math.copysign(CLIPPED_SDS * left, sds)


def _own_variance(
    scores: list[float], weights: list[float], noise: Noise, base_var: float = 0.0
) -> tuple[float, float]:
    """Return the variance of an experiment's runs on the typical cluster with its degrees of freedom.

    It is the experiment's own, moderated by the session's (Smyth 2004), which counts for OWN_DF degrees of freedom:
    noisy arms in the session's variance do not hide the gain of a quiet one for long. That of its base counts in its
    place where it is larger, and few runs are no closer together than it says. A single run has the larger of the two.
    """
    known = max(noise.within_sd**2, base_var)
    if len(scores) < 2:
        return known, noise.df
    df = OWN_DF + len(scores) - 1
    seen = (OWN_DF * known + _squares(scores, weights)) / df
    return (seen if len(scores) >= QUIET_FROM else max(seen, base_var)), df


def _squares(values: Sequence[float], weights: Sequence[float]) -> float:
    """Return the weighted squared deviations from the weighted mean, summed."""
    centre = _mean(values, weights)
    return sum(weight * (value - centre) ** 2 for value, weight in zip(values, weights, strict=True))


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)


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
    """An experiment's score as if it had run on the reference class."""

    mean: float
    se: float


def reference_score(readings: Sequence[Reading], noise: Noise) -> ReferenceScore:
    """Estimate an experiment's score on the reference class from runs on any class: for search and ranking, never for
    keeping.

    A class without a known offset counts as the reference. Raises ValueError without readings.
    """
    if not readings:
        raise ValueError("An experiment without a run has no score.")
    total = var = weights = 0.0
    for reading, score in zip(readings, noise.corrected(readings), strict=True):
        hardware, weight = noise.classes.get(reading.hardware), noise.weight(reading.cluster)
        weights += weight
        total += weight * (score - (hardware.mean if hardware else 0.0))
        var += weight * noise.within_sd**2 + (weight * noise.cluster(reading.cluster).se) ** 2
    return ReferenceScore(total / weights, math.sqrt(var) / weights)
