"""Shares of a SkyPilot cluster. Where a run gets fewer GPUs than a cluster has, each place for a run is a cluster of
the session: `gpu-01/1` and `gpu-01/2` are halves of SkyPilot's gpu-01. They come up and go down together."""

from cockpit.core.model import Cluster
from cockpit.core.state import State


def share_names(whole: str, count: int) -> tuple[str, ...]:
    """Return the names of the shares of a SkyPilot cluster; its own name alone where a run gets all of it."""
    return (whole,) if count == 1 else tuple(f"{whole}/{number}" for number in range(1, count + 1))


def whole_of(name: str) -> str:
    """Return the SkyPilot cluster that a cluster of the session is or is a share of. SkyPilot's names have no slash."""
    return name.partition("/")[0]


def shares_of(state: State, name: str) -> list[Cluster]:
    """Return all shares of a SkyPilot cluster, by its name or the name of one of them."""
    if name in state.clusters and "/" not in name:
        return [state.clusters[name]]
    return [cluster for cluster in state.clusters.values() if whole_of(cluster.name) == whole_of(name)]
