"""Find loud clusters, whose runs are much noisier than others of their class. They screen; tests run on quiet ones.

A run on a cluster with nine times the variance tells as much as a ninth of a run on another. Where clusters do not
differ beyond doubt (cockpit/science/run_variance.py), none is loud.
"""

from collections import defaultdict
from statistics import median_low

from cockpit.core.model import ClusterState
from cockpit.core.state import State
from cockpit.decide.evidence import noise_of

LOUD_RATIO = 2.0
"""A loud cluster's variance is more than this many times that of the median cluster of its class, the lower one of two:
at least half of a class is quiet, so tests are not left with a few clusters."""

_UP = (ClusterState.IDLE, ClusterState.BUSY)


def loud_clusters(state: State) -> frozenset[str]:
    """Return the loud clusters among those that are up."""
    ratios = noise_of(state).ratios
    if not ratios:
        return frozenset()
    by_class: dict[str, list[str]] = defaultdict(list)
    for cluster in state.clusters.values():
        if cluster.state in _UP and not cluster.held:
            by_class[cluster.hardware].append(cluster.name)
    found: set[str] = set()
    for names in by_class.values():
        usual = median_low([ratios.get(name, 1.0) for name in names])
        found |= {name for name in names if ratios.get(name, 1.0) > LOUD_RATIO * usual}
    return frozenset(found)
