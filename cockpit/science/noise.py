"""Estimate how much two runs of the same code differ on this fleet, and the offset of each cluster and class.

The model is `score = (experiment, class) + cluster + run`: the mean of an experiment in a class is free, clusters and
runs are random, and those of one cluster may be noisier than those of another (run_variance). A class's offset is the
mean difference of experiments measured in both classes; the spread of those differences shows how far rankings differ
between classes. Variances are shrunk to a weak prior, so that an answer, marked as not measured, exists before the
first repeat.

A session with one control a cluster barely tells the variance of clusters from that of runs. `Noise.unsplit` is the
same noise with all of it in the runs, for comparisons that must hold either way.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cockpit.science.drift import Drift, estimate_drift
from cockpit.science.outliers import without_far
from cockpit.science.reading import Reading, require_finite
from cockpit.science.robust import median, robust_sd
from cockpit.science.run_variance import OWN_DF, Spread, estimate_ratios, estimate_spreads
from cockpit.science.seed_pairs import NO_CORRELATION, Correlation, estimate_correlation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

PRIOR_RELATIVE_SD = 5e-4
"""Prior SD of a run, relative to the score: autoresearch's repeats differ by 0.0003 to 0.0006 at 0.99."""
PRIOR_DF = 1.0
"""Degrees of freedom of the prior SD: other corpora and models are much noisier."""
MEASURED_DF = 4
"""The noise counts as measured from this many degrees of freedom in the data."""
OUTLIER_SDS = 4.0
"""Readings further out than this many robust SDs are clipped to it, so that one misprint does not hide the session."""
FLAG_SDS = 4.0
"""A cluster this many robust SDs away from the others is flagged."""
THROTTLED_SHARE = 0.95
"""A cluster with less than this share of its class's tokens on the same code is throttled."""
ITERATIONS = 25
"""EM iterations."""
DRIFT_FITS = 8
"""Most times that a drift is fitted."""
DRIFT_CONVERGED_SDS = 0.05
"""Change of the drift between two fits, in SDs of a run, below which it is not fitted again."""
APART_P = 0.01
"""The p-value of equal clusters below which they differ beyond doubt."""


class Offset(msgspec.Struct, frozen=True):
    """A shift in scores and its standard error."""

    mean: float
    se: float


class Noise(msgspec.Struct, frozen=True):
    """The noise of a session, in scores; drift in scores per hour."""

    within_sd: float
    """SD of runs of one experiment on one cluster, the typical one."""
    between_sd: float
    """SD of the clusters of one class."""
    df: float
    """Degrees of freedom of `within_sd`: the data's, or the prior's if there is no data."""
    readings: int
    measured: bool
    """True if this session's own repeats determine the noise."""
    clusters: dict[str, Offset]
    """Each cluster's offset to its class, shrunk to zero (a BLUP with the standard error of its prediction)."""
    covariance: dict[str, dict[str, float]]
    """Covariance of the errors of the clusters' offsets: an error that all share cancels in a difference."""
    classes: dict[str, Offset]
    """Each class's offset to `reference`; only classes that share an experiment with it."""
    reference: str
    """The class with the most readings."""
    interaction_sd: float
    """SD of the classes' difference from one experiment to another: how far rankings differ between classes."""
    drift: Drift
    """Scores are corrected for it where it is clear. Seven of nine day-long sessions of real repeats
    (benchmarks/drift.py) have a slope within 2 of its errors. In the other two one configuration jumped late by 3 SDs.
    Against jumps the incumbent runs beside each test that ends with a keep (experiment_test), and controls run
    throughout, on sixteen clusters one every quarter of an hour."""
    flagged: dict[str, str]
    """Clusters that do not measure like their class, each with its reason in one sentence."""
    unsplit_sd: float = 0.0
    """SD of runs of one experiment in a class if all of the variance were in the runs; 0 if clusters differ beyond
    doubt."""
    are_identical: bool = False
    """True if every repeat scored exactly like the others of its experiment. The code takes no seed, and its repeats
    are no evidence."""
    takes_no_seed: bool = False
    """True if the code seeds itself: its repeats are one run again, however much they differ."""
    seed_correlation: float = 0.0
    """The correlation of the noise of two experiments' runs with one seed; 0 if this session does not show it."""
    seed_pairs: int = 0
    """Pairs of runs that it was estimated from."""
    ratios: dict[str, float] = {}
    """The variance of each cluster's runs in that of `within_sd`; empty where clusters do not differ beyond doubt."""
    spreads: dict[str, Spread] = {}
    """How far the runs of each experiment with repeats lie apart."""

    @property
    def run_sd(self) -> float:
        """SD of runs of one experiment over the clusters of a class: the noise unit."""
        return math.hypot(self.within_sd, self.between_sd)

    @property
    def unsplit(self) -> "Noise":
        """The same noise with all of its variance in the runs: clusters are alike."""
        if not self.unsplit_sd:
            return self
        return msgspec.structs.replace(
            self,
            within_sd=self.unsplit_sd,
            between_sd=0.0,
            clusters={},
            covariance={},
            seed_correlation=self.seed_correlation * min(1.0, (self.within_sd / self.unsplit_sd) ** 2),
        )

    def corrected(self, readings: Sequence[Reading]) -> list[float]:
        """Return the scores without their clusters' offsets and without a clear drift."""
        return [one.score - self.cluster(one.cluster).mean - self.drift.shift(one.at / 3600) for one in readings]

    def cluster(self, name: str) -> Offset:
        """Return a cluster's offset; an unknown cluster's is zero with the SD between clusters."""
        return self.clusters.get(name) or Offset(0.0, self.between_sd)

    def weight(self, cluster: str) -> float:
        """Return the weight of a run on this cluster: the inverse of its variance, in that of `within_sd`."""
        return 1 / self.ratios.get(cluster, 1.0)

    def variance_of(self, experiment: str) -> float:
        """Return the variance of an experiment's runs on the typical cluster, moderated by the session's."""
        one = self.spreads.get(experiment, Spread(0.0, 0))
        return (OWN_DF * self.within_sd**2 + one.squares) / (OWN_DF + one.df)

    def variance(self, weights: Mapping[str, float]) -> float:
        """Return the variance of a weighted sum of clusters' offsets, given what is known of them."""
        return max(0.0, sum(weight * self.covariance_with(one, weights) for one, weight in weights.items()))

    def covariance_with(self, cluster: str, weights: Mapping[str, float]) -> float:
        """Return the covariance of a cluster's offset with a weighted sum of offsets."""
        known = self.covariance.get(cluster)
        if known is None:
            return weights.get(cluster, 0.0) * self.between_sd**2
        return sum(weight * known.get(other, 0.0) for other, weight in weights.items())


def estimate_noise(readings: Sequence[Reading], magnitude: float = 1.0) -> Noise:
    """Estimate the noise from `readings`: controls and replicates; single runs carry no information.

    `magnitude` is a typical score; only the prior uses it, if there are no readings. Variance components by the EM
    of restricted likelihood for one random factor (Laird & Ware 1982, Biometrics 38), each variance with a scaled
    inverse chi-squared prior (as in Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3). Raises ValueError on NaN or infinity.
    """
    require_finite(readings)
    if readings:
        scores = [reading.score for reading in readings]
        centre = median(scores)
        magnitude = max(abs(centre), median([abs(score - centre) for score in scores]))
    prior_var = (PRIOR_RELATIVE_SD * max(magnitude, 1e-9)) ** 2 / 2  # half for runs, half for clusters
    groups: dict[tuple[str, str], list[Reading]] = defaultdict(list)
    for reading in readings:
        groups[reading.experiment, reading.hardware].append(reading)
    repeated = [group for group in groups.values() if len(group) > 1]
    reference = max(
        sorted({r.hardware for r in readings}), key=lambda h: sum(r.hardware == h for r in readings), default=""
    )
    if not repeated:
        classes, interaction = _class_offsets(groups, {}, {}, prior_var, reference)
        return Noise(
            math.sqrt(prior_var), math.sqrt(prior_var), PRIOR_DF, len(readings), False, {}, {}, classes, reference,
            interaction, Drift(), {},
        )  # fmt: skip
    return _fit(groups, repeated, prior_var, reference, len(readings))


def _fit(
    groups: dict[tuple[str, str], list[Reading]],
    repeated: list[list[Reading]],
    prior_var: float,
    reference: str,
    readings: int,
) -> Noise:
    """Fit the variance components and the offsets to the groups that have repeats."""
    import numpy as np

    repeats, fitted, residual, drift, ratios = _fit_runs(repeated, prior_var)
    clusters = _cluster_offsets(repeats, fitted)
    classes, interaction = _class_offsets(groups, clusters, ratios, fitted.within, reference)
    are_identical = all(len({reading.score for reading in group}) == 1 for group in repeated)
    paired = NO_CORRELATION if are_identical else _seed_correlation(repeats, residual, fitted.within)
    return Noise(
        within_sd=math.sqrt(fitted.within),
        between_sd=math.sqrt(fitted.between),
        df=float(repeats.df),
        readings=readings,
        measured=repeats.df >= MEASURED_DF and not are_identical,
        clusters=clusters,
        covariance=_covariance(repeats, fitted),
        classes=classes,
        reference=reference,
        interaction_sd=interaction,
        drift=drift,
        flagged=_flagged(repeats.rows, clusters, math.sqrt(prior_var)),
        unsplit_sd=math.sqrt(fitted.unsplit),
        are_identical=are_identical,
        seed_correlation=paired.value,
        seed_pairs=paired.pairs,
        ratios=ratios,
        spreads=estimate_spreads(
            residual * np.sqrt(repeats.weights), repeats.group_of, [row.experiment for row in repeats.rows]
        ),
    )


def _fit_runs(
    repeated: list[list[Reading]], prior_var: float
) -> "tuple[_Repeats, _Components, Floats, Drift, dict[str, float]]":
    """Fit the variances, the offsets and the drift, again without far readings and with the weights of noisy clusters.

    Returns the rows used, the components, the runs' residuals, the drift, and the ratios of the clusters' variances.
    """
    repeats = _repeats(repeated)
    fitted, centred, drift = _fit_drift(repeats, prior_var)
    near = without_far(repeated, drift, math.sqrt(prior_var))
    if sum(map(len, near)) < len(repeats.rows):
        repeats = _repeats(near)
        fitted, centred, drift = _fit_drift(repeats, prior_var)
    residual = _residual(repeats, fitted, centred)
    taken = 1 - fitted.errors.diagonal() / fitted.between
    found = estimate_ratios(residual, repeats.group_of, repeats.cluster_of, fitted.within, taken)
    if found.min() == found.max():
        return repeats, fitted, residual, drift, {}
    ratios = dict(zip(repeats.clusters, map(float, found), strict=True))
    repeats = _repeats(near, ratios)
    fitted, centred, drift = _fit_drift(repeats, prior_var)
    return repeats, fitted, _residual(repeats, fitted, centred), drift, ratios


def _residual(repeats: "_Repeats", fitted: "_Components", centred: "Floats") -> "Floats":
    """Return scores without their experiment and the clusters' offsets, shape (rows,)."""
    return _centred(centred - fitted.effects[repeats.cluster_of], repeats.group_of, repeats.weights)


def _cluster_offsets(repeats: "_Repeats", fitted: "_Components") -> dict[str, Offset]:
    return {
        name: Offset(float(fitted.effects[i]), math.sqrt(float(fitted.errors[i, i])))
        for i, name in enumerate(repeats.clusters)
    }


def _covariance(repeats: "_Repeats", fitted: "_Components") -> dict[str, dict[str, float]]:
    """Return the covariance of each cluster's offset with each other one."""
    return {
        name: dict(zip(repeats.clusters, map(float, fitted.errors[i]), strict=True))
        for i, name in enumerate(repeats.clusters)
    }


def _fit_drift(repeats: "_Repeats", prior_var: float) -> "tuple[_Components, Floats, Drift]":
    """Fit the variance components without a clear drift. Returns them, the scores used, and the drift.

    Scores are clipped around the drift, not before it: clipped around a mean, a long drift would look shorter than it
    is. Both depend on each other and are fitted in turns (pseudo-values: Huber 1981, Robust Statistics, 7.8).
    """
    import numpy as np

    floor = math.sqrt(prior_var)
    centred = _clipped(repeats, repeats.centred, floor)
    fitted = _variance_components(repeats, centred, prior_var)
    drift = _drift(repeats, centred, fitted)
    shift = np.zeros(len(centred))
    for _ in range(DRIFT_FITS if drift.knots else 0):
        before = shift
        shift = _centred(np.array([drift.shift(hours) for hours in repeats.hours]), repeats.group_of, repeats.weights)
        centred = _clipped(repeats, repeats.centred - shift, floor)
        if np.abs(shift - before).max() < DRIFT_CONVERGED_SDS * math.sqrt(fitted.within):
            break
        fitted = _variance_components(repeats, centred, prior_var, drift.df)
        drift = _drift(repeats, centred + shift, fitted)
    return fitted, centred, drift


def _drift(repeats: "_Repeats", centred: "Floats", fitted: "_Components") -> Drift:
    """Estimate the drift from the runs that did not depend on the scores before them."""
    import numpy as np

    whole = np.array([not reading.may_end for reading in repeats.rows])
    if not whole.any():
        return Drift()
    groups, group_of = np.unique(repeats.group_of[whole], return_inverse=True)
    free = _centred((centred - fitted.effects[repeats.cluster_of])[whole], group_of, np.ones(len(group_of)))
    return estimate_drift(repeats.hours[whole], free, group_of, len(group_of) - len(groups))


def _clipped(repeats: "_Repeats", centred: "Floats", floor_sd: float) -> "Floats":
    """Return the centred scores clipped at OUTLIER_SDS robust SDs of their cluster's runs, shape (rows,)."""
    import numpy as np

    rows, scale = len(repeats.rows), np.sqrt(repeats.weights)
    sd = 1.4826 * float(np.median(np.abs(centred * scale))) * math.sqrt(rows / repeats.df)
    reach = OUTLIER_SDS * max(sd, floor_sd) / scale
    return _centred(np.clip(centred, -reach, reach), repeats.group_of, repeats.weights)


def _seed_correlation(repeats: "_Repeats", residual: "Floats", within: float) -> Correlation:
    """Estimate the correlation of runs with one seed, each in SDs of its group's runs: moderated by the session's."""
    import numpy as np

    residual = residual * np.sqrt(repeats.weights)
    squares, sizes = np.bincount(repeats.group_of, weights=residual**2), np.bincount(repeats.group_of)
    sds = np.sqrt((OWN_DF * within + squares) / (OWN_DF + sizes - 1))
    seeds, classes = [row.seed for row in repeats.rows], [row.hardware for row in repeats.rows]
    return estimate_correlation(residual / sds[repeats.group_of], repeats.group_of, seeds, classes)


class _Repeats(NamedTuple):
    """The readings of all groups with repeats, as rows."""

    rows: list[Reading]
    clusters: list[str]
    group_of: "Indices"
    cluster_of: "Indices"
    centred: "Floats"
    """Scores minus the mean of their group, shape (rows,)."""
    hours: "Floats"
    """Times, shape (rows,)."""
    weights: "Floats"
    """The inverse of the variance of each row's cluster, in that of the typical one, shape (rows,)."""

    @property
    def df(self) -> int:
        return len(self.rows) - int(self.group_of[-1]) - 1


def _repeats(repeated: list[list[Reading]], ratios: Mapping[str, float] = MappingProxyType({})) -> _Repeats:
    import numpy as np

    rows = [reading for group in repeated for reading in group]
    clusters = sorted({reading.cluster for reading in rows})
    index = {name: i for i, name in enumerate(clusters)}
    group_of = np.repeat(np.arange(len(repeated)), [len(group) for group in repeated])
    weights = np.asarray([1 / ratios.get(reading.cluster, 1.0) for reading in rows])
    centred = _centred(np.asarray([reading.score for reading in rows]), group_of, weights)
    hours = np.asarray([reading.at for reading in rows]) / 3600
    cluster_of = np.asarray([index[reading.cluster] for reading in rows])
    return _Repeats(rows, clusters, group_of, cluster_of, centred, hours, weights)


class _Components(NamedTuple):
    """The fitted variances, and the clusters' offsets with the covariance of their errors."""

    within: float
    between: float
    unsplit: float
    """The variance of runs if clusters are alike; 0 if they are apart beyond doubt."""
    effects: "Floats"
    errors: "Floats"


def _variance_components(repeats: _Repeats, centred: "Floats", prior_var: float, taken_df: float = 0.0) -> _Components:
    """Fit the variance of runs and of clusters to scores centred on their groups, by EM.

    `taken_df` are degrees of freedom that a correction of the scores has taken.
    """
    import numpy as np

    clusters = len(repeats.clusters)
    counts = np.zeros((int(repeats.group_of[-1]) + 1, clusters))
    np.add.at(counts, (repeats.group_of, repeats.cluster_of), repeats.weights)
    zmz = np.diag(counts.sum(axis=0)) - (counts / counts.sum(axis=1)[:, None]).T @ counts
    values, vectors = np.linalg.eigh(zmz)
    weighted = repeats.weights * centred
    sums = np.asarray(np.bincount(repeats.cluster_of, weights=weighted, minlength=clusters), np.float64)
    turned = vectors.T @ sums
    total, df = float(weighted @ centred), max(1.0, repeats.df - taken_df)
    within, between, shrunk = prior_var, prior_var, values
    for _ in range(ITERATIONS):
        shrunk = 1 / (np.maximum(values, 0.0) + within / between)
        rest = max(0.0, total - float(shrunk @ turned**2))
        spread = float((shrunk * turned) @ (shrunk * turned) + shrunk.sum() * within)
        within = (PRIOR_DF * prior_var + rest) / (PRIOR_DF + df)
        between = (PRIOR_DF * prior_var + spread) / (PRIOR_DF + clusters)
    unsplit = (2 * PRIOR_DF * prior_var + total) / (PRIOR_DF + df)
    if _are_apart(values, turned, total, repeats.df):
        unsplit = 0.0
    return _Components(within, between, unsplit, vectors @ (shrunk * turned), within * (vectors * shrunk) @ vectors.T)


def _are_apart(values: "Floats", turned: "Floats", total: float, df: int) -> bool:
    """Return True if the clusters differ beyond doubt, by the F test of their fixed effects."""
    import numpy as np
    from scipy.special import fdtrc

    estimable = values > 1e-9
    clusters_df = int(np.count_nonzero(estimable))
    squares = float(np.sum(turned[estimable] ** 2 / values[estimable]))
    rest_df, rest = df - clusters_df, total - squares
    if clusters_df == 0 or rest_df < 1 or rest <= 0:
        return False
    return bool(fdtrc(clusters_df, rest_df, squares / clusters_df / (rest / rest_df)) < APART_P)


def _centred(values: "Floats", group_of: "Indices", weights: "Floats") -> "Floats":
    """Return values minus the weighted mean of their group, shape (rows,)."""
    import numpy as np

    sums = np.bincount(group_of, weights=weights * values)
    return values - (sums / np.bincount(group_of, weights=weights))[group_of]


def _class_offsets(
    groups: dict[tuple[str, str], list[Reading]],
    clusters: dict[str, Offset],
    ratios: dict[str, float],
    within: float,
    reference: str,
) -> tuple[dict[str, Offset], float]:
    """Return each class's offset to the reference class, and the SD of the interaction.

    Differences over experiments measured in both classes, pooled as random effects (DerSimonian & Laird 1986, Control.
    Clin. Trials 7).
    """
    differences: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for (experiment, hardware), group in groups.items():
        base = groups.get((experiment, reference))
        if hardware != reference and base:
            (mean, var), (base_mean, base_var) = (_mean(g, clusters, ratios, within) for g in (group, base))
            differences[hardware].append((mean - base_mean, var + base_var))
    offsets: dict[str, Offset] = {}
    excess, weight_sum = 0.0, 0.0
    for hardware, pairs in differences.items():
        weights = [1 / var for _, var in pairs]
        mean = sum(w * d for w, (d, _) in zip(weights, pairs, strict=True)) / sum(weights)
        q = sum(w * (d - mean) ** 2 for w, (d, _) in zip(weights, pairs, strict=True))
        # Without an interaction half of all fleets still show some excess: only more than its SD counts.
        excess += q - (len(pairs) - 1) - math.sqrt(2 * (len(pairs) - 1))
        weight_sum += sum(weights) - sum(w * w for w in weights) / sum(weights)
        offsets[hardware] = Offset(mean, math.sqrt(1 / sum(weights)))
    interaction = math.sqrt(max(0.0, excess) / weight_sum) if weight_sum > 0 else 0.0
    return offsets, interaction


def _mean(
    group: list[Reading], clusters: dict[str, Offset], ratios: dict[str, float], within: float
) -> tuple[float, float]:
    """Return (weighted mean, its variance) of a group of readings, corrected for the clusters' offsets."""
    nothing = Offset(0.0, math.sqrt(within))
    offsets = [clusters.get(reading.cluster, nothing) for reading in group]
    weights = [1 / ratios.get(reading.cluster, 1.0) for reading in group]
    total = sum(weights)
    mean = sum(w * (r.score - o.mean) for w, r, o in zip(weights, group, offsets, strict=True)) / total
    return mean, sum(w * within + (w * o.se) ** 2 for w, o in zip(weights, offsets, strict=True)) / total**2


def _flagged(rows: list[Reading], clusters: dict[str, Offset], floor: float) -> dict[str, str]:
    """Name clusters whose offset is far from the others' (robustly), or that are slow on the same code."""
    flagged: dict[str, str] = {}
    runs: dict[str, int] = defaultdict(int)
    for row in rows:
        runs[row.cluster] += 1
    for name, offset in clusters.items():
        others = [o.mean for other, o in clusters.items() if other != name]
        if len(others) < 3 or runs[name] < 2:
            continue
        centre = median(others)
        spread = max(robust_sd(others, centre), floor)
        if abs(offset.mean - centre) > FLAG_SDS * math.hypot(spread, offset.se):
            way = "worse" if offset.mean > centre else "better"
            flagged[name] = (
                f"{name} scores {abs(offset.mean - centre):.4f} {way} than the other clusters on the same code."
            )
    by_code: dict[tuple[str, str], list[Reading]] = defaultdict(list)
    for row in rows:
        if row.tokens_M > 0:
            by_code[row.experiment, row.hardware].append(row)
    shares: dict[str, list[float]] = defaultdict(list)
    for group in by_code.values():
        if len({row.cluster for row in group}) >= 3:
            usual = median([row.tokens_M for row in group])
            for row in group:
                shares[row.cluster].append(row.tokens_M / usual)
    for name, ratios in shares.items():
        recent = median(ratios[-3:])
        if recent < THROTTLED_SHARE:
            flagged[name] = f"{name} throttles: {100 * recent:.0f}% of the tokens that its class gets through."
    return flagged
