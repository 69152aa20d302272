"""Word the time and cost of a cluster's launch."""

from statistics import median

from cockpit.core.model import Cluster, ClusterState
from cockpit.core.state import State
from cockpit.decide.budget import price
from cockpit.read.wording import count, duration, money


def launch_note(state: State, cluster: Cluster, now: float) -> str:
    """Return how long this session's launches took and the cost of this one until now, in a sentence; empty for a
    cluster that is not being launched or where neither is known."""
    if cluster.state is not ClusterState.LAUNCHING:
        return ""
    words = []
    if took := _launches_s(state, cluster):
        words.append(f"{count(len(took), 'launch', 'launches')} took {duration(median(took))} here")
    if usd := launch_so_far_usd(state, cluster, now):
        words.append(f"{money(usd)} until now")
    return ", ".join(words)


def launch_figures(state: State, cluster: Cluster, now: float) -> str:
    """Return ` of ~2m30s  $0.13`, the usual time of a launch and its cost until now, to stand behind its time."""
    if cluster.state is not ClusterState.LAUNCHING:
        return ""
    took, usd = _launches_s(state, cluster), launch_so_far_usd(state, cluster, now)
    return (f" of ~{duration(median(took))}" if took else "") + (f"  {money(usd)}" if usd else "")


def _launches_s(state: State, cluster: Cluster) -> list[float]:
    """Return the seconds of the session's launches in the cluster's class, else of all."""
    took = [one.launch_s for one in state.clusters.values() if one.launch_s and one.hardware == cluster.hardware]
    return took or [one.launch_s for one in state.clusters.values() if one.launch_s]


def launch_so_far_usd(state: State, cluster: Cluster, now: float) -> float:
    """Return the dollars of a launch that is under way; time in its cloud's queue is not billed."""
    since_s = 0.0 if cluster.waits else max(0.0, now - cluster.since)
    return (cluster.launch_billed_s + since_s) / 3600 * price(state, cluster)
