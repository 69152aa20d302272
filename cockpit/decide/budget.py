"""Account for money and time: spent, reserved and left; end the session at its limits."""

import msgspec

from cockpit.core.events import CapReached, Event, SessionEnding
from cockpit.core.model import Cluster, ClusterState, EndMode
from cockpit.core.state import State

TEARDOWN_S = 180.0
"""Seconds that a cluster may still be billed after the decision to take it down."""

LAUNCH_S = 180.0
"""Seconds that a cluster may be billed before it is up."""

_BILLED = (ClusterState.LAUNCHING, ClusterState.IDLE, ClusterState.BUSY, ClusterState.LOST, ClusterState.STOPPING)


class Accounts(msgspec.Struct, frozen=True):
    """Time and money up to a moment. Seconds are summed over clusters."""

    training_s: float
    idle_s: float
    provisioning_s: float
    duty: float
    """Training time as a share of the time clusters were up; 0 before any was up."""
    gpu_hours: float
    """Billed: training, idle and provisioning."""
    gpu_usd: float
    api_usd: float
    total_usd: float


def cluster_seconds(cluster: Cluster, now: float) -> tuple[float, float, float]:
    """Return the (training, idle, provisioning) seconds of a cluster up to `now`."""
    training, idle, provisioning = cluster.training_s, cluster.idle_s, cluster.provisioning_s
    open_s = max(0.0, now - cluster.since)
    if cluster.running:
        training += open_s
    elif cluster.state in (ClusterState.IDLE, ClusterState.BUSY, ClusterState.STOPPING):
        idle += open_s
    elif cluster.state is ClusterState.LAUNCHING and not cluster.waits:
        provisioning += open_s
    return training, idle, provisioning


def accounts(state: State, now: float) -> Accounts:
    """Return the session's accounts at `now`, in seconds on its clock."""
    training = idle = provisioning = usd = gpu_hours = 0.0
    for cluster in state.clusters.values():
        seconds = cluster_seconds(cluster, now)
        training += seconds[0]
        idle += seconds[1]
        provisioning += seconds[2]
        usd += sum(seconds) / 3600 * cluster.usd_per_hour
        gpu_hours += sum(seconds) / 3600 * cluster.gpus
    up = training + idle
    return Accounts(
        training_s=training,
        idle_s=idle,
        provisioning_s=provisioning,
        duty=training / up if up else 0.0,
        gpu_hours=gpu_hours,
        gpu_usd=usd,
        api_usd=state.spend.api_usd,
        total_usd=usd + state.spend.api_usd,
    )


def committed_usd(state: State, now: float) -> float:
    """Return the dollars spent and reserved.

    Reserved are the rest of each run in flight, each request to a model that is under way, and taking clusters down.
    """
    reserved = sum(state.api_reserved.values())
    for name in state.in_flight:
        attempt = state.attempts[name]
        price = state.clusters[attempt.cluster].usd_per_hour
        spent = max(0.0, now - attempt.started_at) / 3600 * price if attempt.started_at else 0.0
        reserved += max(0.0, attempt.reserved_usd - spent)
    teardown = sum(c.usd_per_hour for c in state.clusters.values() if c.state in _BILLED) * TEARDOWN_S / 3600
    return accounts(state, now).total_usd + reserved + teardown


def left_usd(state: State, now: float) -> float:
    """Return the dollars that may still be committed; infinite without a cap."""
    if state.budget_usd <= 0:
        return float("inf")
    return state.budget_usd - committed_usd(state, now)


def run_usd(state: State, cluster: Cluster) -> float:
    """Return the most that one run on the cluster can cost: its time limit."""
    limit_s = state.session.time_limit_s
    return limit_s / 3600 * cluster.usd_per_hour


def launch_usd(state: State, cluster: Cluster) -> float:
    """Return the most that a launch, one run and taking the cluster down can cost. For less no launch is worth it."""
    return run_usd(state, cluster) + (LAUNCH_S + TEARDOWN_S) / 3600 * cluster.usd_per_hour


def pays_for_a_run(state: State, now: float) -> bool:
    """Tell if the budget pays for one more run anywhere, its launch included where the cluster is not up.

    True where no cluster could run one at any price: the budget is not the reason then.
    """
    left = left_usd(state, now)
    able = [cluster for cluster in state.clusters.values() if cluster.state is not ClusterState.GIVEN_UP]
    absent = (ClusterState.DOWN, ClusterState.LOST)
    costs = [launch_usd(state, c) if c.state in absent else run_usd(state, c) for c in able]
    return not costs or min(costs) <= left


def cap(state: State, now: float) -> list[Event]:
    """Report that the cap is reached, once nothing in flight can give back a part of its reservation."""
    if state.capped or state.ending or state.in_flight or state.api_reserved or pays_for_a_run(state, now):
        return []
    text = (
        f"the budget of ${state.budget_usd:.2f} is reached: ${accounts(state, now).total_usd:.2f} spent, and the rest"
        " pays for no further run. Nothing new starts; raise the budget to continue"
    )
    return [CapReached(at=now, usd=state.budget_usd, text=text)]


def end(state: State, now: float) -> list[Event]:
    """End the session where its hours are over, or its baseline cannot run."""
    session = state.session
    if state.ending:
        return []
    if session.budget_hours and now - session.created_at >= session.budget_hours * 3600:
        reason = f"its {session.budget_hours:g} hours are over"
        return [SessionEnding(at=now, author="plan", how=EndMode.DRAIN, clusters_down=True, reason=reason)]
    baseline = state.experiments.get(state.baseline)
    if baseline is not None and baseline.status == "crashed" and not state.incumbent:
        reason = f"the unchanged train.py gives no result: {baseline.reason}"
        return [SessionEnding(at=now, author="plan", how=EndMode.DRAIN, reason=reason)]
    return []
