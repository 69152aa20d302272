"""Find runs that lie far from the others of their experiment or cluster."""

import math
from collections import defaultdict
from collections.abc import Sequence

from cockpit.science.drift import Drift
from cockpit.science.reading import Reading
from cockpit.science.robust import median, robust_sd

LONE_OUTLIER_SDS = 6.0
"""A single run this many robust SDs away from its class is an outlier: with the MAD of a few runs, 4 would be too
often."""
LONE_OUTLIER_CLUSTERS = 5
"""Clusters that must have run the experiment before a lone outlier is named."""
DROPPED_SDS = 6.0
"""Readings this many robust SDs away from their cluster's others are left out."""
DROPPED_FROM = 3
"""Readings of a cluster from which one may be left out: of two, either may be the far one."""


def lone_outliers(runs: Sequence[Reading]) -> set[str]:
    """Return the clusters whose only run of an experiment lies far from its class. `runs` are of one experiment.

    Another run on the cluster shows if the cluster or the run was the cause.
    """
    found: set[str] = set()
    by_class: dict[str, list[Reading]] = defaultdict(list)
    for run in runs:
        by_class[run.hardware].append(run)
    for group in by_class.values():
        if len({run.cluster for run in group}) < LONE_OUTLIER_CLUSTERS:
            continue
        scores = [run.score for run in group]
        centre = median(scores)
        spread = robust_sd(scores, centre)
        far = [run.cluster for run in group if abs(run.score - centre) > LONE_OUTLIER_SDS * spread > 0]
        found.update(name for name in far if sum(run.cluster == name for run in group) == 1)
    return found


def without_far(repeated: list[list[Reading]], drift: Drift, floor_sd: float) -> list[list[Reading]]:
    """Return the groups without the readings far from the others of their cluster; all of them if no repeat is left.

    A cluster that is far off with all of its readings stays: it is flagged.
    """
    of_cluster: dict[str, list[float]] = defaultdict(list)
    apart = []
    for group in repeated:
        scores = [reading.score - drift.shift(reading.at / 3600) for reading in group]
        centre = median(scores)
        apart.append([score - centre for score in scores])
        for reading, one in zip(group, apart[-1], strict=True):
            of_cluster[reading.cluster].append(one)
    centres = {name: median(found) if len(found) >= DROPPED_FROM else None for name, found in of_cluster.items()}
    rows = sum(len(group) for group in repeated)
    sd = robust_sd([one for found in apart for one in found], 0.0) * math.sqrt(rows / (rows - len(repeated)))
    reach = DROPPED_SDS * max(sd, floor_sd)
    kept = [
        [
            reading
            for reading, one in zip(group, found, strict=True)
            if (usual := centres[reading.cluster]) is None or abs(one - usual) <= reach
        ]
        for group, found in zip(repeated, apart, strict=True)
    ]
    return [group for group in kept if len(group) > 1] or repeated
