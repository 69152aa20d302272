"""Find single runs that lie far from the others of their experiment."""

from collections import defaultdict
from collections.abc import Sequence

from cockpit.science.noise import Reading
from cockpit.science.robust import median, robust_sd

LONE_OUTLIER_SDS = 6.0
"""A single run this many robust SDs away from its class is an outlier: with the MAD of a few runs, 4 would be too
often."""
LONE_OUTLIER_CLUSTERS = 5
"""Clusters that must have run the experiment before a lone outlier is named."""


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
