"""Account for money and time (spent, reserved, left), and end the session at its limits.

Admission: the event that causes a cost reserves it beforehand. A launch reserves its own time, one
run and a teardown; a submitted run its time limit; a request to a model the most it can cost. A cluster that is billed
without a reservation is stopped once the money left no longer covers it.
"""

from collections.abc import Collection

import msgspec

from cockpit.core.cluster_events import ClusterStopping
from cockpit.core.events import CapReached, Event, SessionEnding
from cockpit.core.fold.idling import idles
from cockpit.core.model import DECISIONS, Attempt, AttemptStatus, Cluster, ClusterState, EndMode
from cockpit.core.running_time import running_h
from cockpit.core.shares import shares_of
from cockpit.core.state import State

TEARDOWN_S = 180.0
"""Seconds that a cluster may still be billed after the decision to take it down."""
LAUNCH_S = 180.0
"""Seconds that a cluster may be billed before it is up."""
START_S = 30.0
"""Seconds that a free cluster may be billed before a submitted run starts."""
LIMIT_GRACE_S = 20.0
"""Seconds past its limit after which a run is cancelled from here; its fleet should have ended it at the limit."""
OVERRUN_S = 60.0
"""Seconds past its limit that a run may be billed: the grace, and the cancelling."""
SPENT_BELOW_USD = 1e-4
"""Dollars left below which the budget counts as spent."""

_TO_TAKE_DOWN = (ClusterState.LAUNCHING, ClusterState.IDLE, ClusterState.BUSY, ClusterState.LOST)
_UP = (ClusterState.IDLE, ClusterState.BUSY)
_ABSENT = (ClusterState.DOWN, ClusterState.LOST)


class Accounts(msgspec.Struct, frozen=True):
    """Time and money up to a moment. Seconds are summed over clusters."""

    training_s: float
    idle_s: float
    provisioning_s: float
    duty: float
    """Training time as a share of the time clusters were up while a worker was there, or trained without one; 0 before
    any was up."""
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
    elif idles(cluster):
        idle += open_s
    elif cluster.state is ClusterState.LAUNCHING and not cluster.waits:
        provisioning += open_s
    return training, idle, provisioning


def accounts(state: State, now: float) -> Accounts:
    """Return the session's accounts at `now`, in seconds on its clock."""
    training = idle = away = provisioning = usd = gpu_hours = 0.0
    for cluster in state.clusters.values():
        seconds = cluster_seconds(cluster, now)
        training += seconds[0]
        idle += seconds[1]
        away += cluster.away_s + (state.without_worker_s(cluster.since, now) if idles(cluster) else 0.0)
        provisioning += seconds[2]
        usd += sum(seconds) / 3600 * cluster.usd_per_hour + cluster.repriced_usd
        gpu_hours += sum(seconds) / 3600 * cluster.gpus + cluster.resized_gpu_hours
    up = training + idle - away
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
    """Return the dollars spent and reserved."""
    return accounts(state, now).total_usd + reserved_usd(state, now)


def reserved_usd(state: State, now: float) -> float:
    """Return the dollars reserved and not yet spent.

    Reserved are the rest of each run in flight, each launch with its first run, each request to a model that is under
    way, and taking clusters down.
    """
    reserved = sum(state.api_reserved.values())
    for cluster in state.clusters.values():
        first = not cluster.running
        for attempt in state.active(cluster):
            reserved += _left_of_run_usd(attempt, cluster, now, first)
            first = False
        reserved += (_left_of_launch_s(cluster, now) + _left_of_teardown_s(cluster, now)) / 3600 * price(state, cluster)
        if cluster.state is ClusterState.LAUNCHING and not cluster.ahead:
            reserved += run_usd(state, cluster)
    return reserved


def _left_of_run_usd(attempt: Attempt, cluster: Cluster, now: float, is_next: bool) -> float:
    """Return the part of the run's reservation that is not spent. A run that is next spends it while it starts.

    A cluster that is stopping ends its runs: its teardown is reserved instead.
    """
    if cluster.state is ClusterState.STOPPING:
        return 0.0
    start_usd = START_S / 3600 * cluster.usd_per_hour
    if attempt.status is AttemptStatus.RUNNING:
        return max(0.0, attempt.reserved_usd - start_usd - paid_usd(attempt, cluster, now))
    if is_next and cluster.state is ClusterState.IDLE:
        spent = max(0.0, now - max(attempt.submitting_at, cluster.since)) / 3600 * cluster.usd_per_hour
        return attempt.reserved_usd - min(start_usd, spent)
    return attempt.reserved_usd


def _left_of_launch_s(cluster: Cluster, now: float) -> float:
    if cluster.state is not ClusterState.LAUNCHING:
        return 0.0
    since_s = 0.0 if cluster.waits else max(0.0, now - cluster.since)
    return max(0.0, LAUNCH_S - cluster.launch_billed_s - since_s)


def _left_of_teardown_s(cluster: Cluster, now: float) -> float:
    if cluster.state is ClusterState.STOPPING or (cluster.state is ClusterState.GIVEN_UP and cluster.billed):
        return max(0.0, TEARDOWN_S - max(0.0, now - cluster.since)) if not cluster.adopted else 0.0
    return TEARDOWN_S if cluster.state in _TO_TAKE_DOWN and not cluster.adopted else 0.0


def left_usd(state: State, now: float) -> float:
    """Return the dollars that may still be committed; infinite without a cap."""
    if state.budget_usd <= 0:
        return float("inf")
    return state.budget_usd - committed_usd(state, now)


def price(state: State, cluster: Cluster) -> float:
    """Return the cluster's dollars an hour. Until its launch reports the price, the highest known price counts."""
    if cluster.usd_per_hour or cluster.up_at or state.session.fleet.kind != "sky":
        return cluster.usd_per_hour
    return max((other.usd_per_hour for other in state.clusters.values()), default=0.0)


def paid_usd(attempt: Attempt, cluster: Cluster, now: float) -> float:
    """Return the dollars that a run which has started has cost up to `now`, at the prices of its time."""
    until = attempt.ended_at if attempt.status is AttemptStatus.ENDED else now
    usd_per_hour = attempt.usd_per_hour or cluster.usd_per_hour
    return max(0.0, until - attempt.started_at) / 3600 * usd_per_hour + attempt.repriced_usd


def run_usd(state: State, cluster: Cluster) -> float:
    """Return the most that one run on the cluster can cost: its start, its time limit and the overrun."""
    seconds = START_S + state.session.time_limit_s + OVERRUN_S
    return seconds / 3600 * price(state, cluster)


def launch_usd(state: State, cluster: Cluster) -> float:
    """Return the most that a launch, one run and taking the cluster down can cost. With less money left, nothing is
    launched."""
    return run_usd(state, cluster) + (LAUNCH_S + TEARDOWN_S) / 3600 * price(state, cluster)


def needed_usd(state: State, cluster: Cluster, begun: Collection[str] = ()) -> float:
    """Return the dollars that must be left for a launch. The first share of a SkyPilot cluster brings up all of them.

    `begun` are clusters whose launch was just decided.
    """
    if joins_a_launch(state, cluster, begun):
        return launch_usd(state, cluster)
    return sum(launch_usd(state, share) for share in shares_of(state, cluster.name))


def joins_a_launch(state: State, cluster: Cluster, begun: Collection[str]) -> bool:
    """Return True if another share of its SkyPilot cluster is up or launching, so that this share comes up with it."""
    others = (share for share in shares_of(state, cluster.name) if share is not cluster)
    return any(share.name in begun or share.state not in _ABSENT for share in others)


def added_launch_usd(state: State, cluster: Cluster) -> float:
    """Return the dollars that a launch adds to those committed. The teardown of a lost cluster is reserved already."""
    reserved_s = TEARDOWN_S if cluster.state is ClusterState.LOST and not cluster.adopted else 0.0
    return launch_usd(state, cluster) - reserved_s / 3600 * price(state, cluster)


def is_priced(state: State) -> bool:
    """Return True if launches can be reserved. Under a cap without any known price, one launch may learn it."""
    return state.budget_usd <= 0 or is_price_known(state)


def is_price_known(state: State) -> bool:
    """Return True once a cluster has told its price, which may be none."""
    if state.session.fleet.kind != "sky":
        return True
    clusters = state.clusters.values()
    return any(cluster.usd_per_hour or cluster.up_at or cluster.attempts_ended for cluster in clusters)


def pays_for_a_run(state: State, now: float) -> bool:
    """Return True if the budget pays for one more run anywhere, its launch included where the cluster is not up.

    True if no cluster could run one at any price: the budget is not the reason then. The first run of a launch
    under way is reserved.
    """
    left = left_usd(state, now)
    able = [cluster for cluster in state.clusters.values() if cluster.state is not ClusterState.GIVEN_UP]
    return not able or any(_added_run_usd(state, cluster) <= left for cluster in able)


def _added_run_usd(state: State, cluster: Cluster) -> float:
    if cluster.state is ClusterState.LAUNCHING and not cluster.ahead:
        return 0.0
    return needed_usd(state, cluster) if cluster.state in _ABSENT else run_usd(state, cluster)


def budget_down(state: State, cluster: Cluster, now: float) -> ClusterStopping:
    return ClusterStopping(at=now, cluster=cluster.name, reason=f"the budget of ${state.budget_usd:.2f} is spent")


def stop_unpaid(state: State, now: float) -> list[Event]:
    """Stop a cluster that is billed without a reservation, once nothing is left for it; one held by a person too.
    An adopted cluster stays up.

    The dearest is stopped first, one at a time: its reservation may pay for the others. Shares of a SkyPilot cluster
    are stopped together, since it is billed until the last of them is.
    """
    if left_usd(state, now) > SPENT_BELOW_USD:
        return []
    unreserved = [cluster for cluster in state.clusters.values() if _is_unreserved(state, cluster, now)]
    dearest = max(unreserved, key=lambda cluster: cluster.usd_per_hour, default=None)
    shares = [] if dearest is None else shares_of(state, dearest.name)
    return [budget_down(state, share, now) for share in shares if share is dearest or share.state in _TO_TAKE_DOWN]


def next_unpaid_at(state: State, now: float) -> float:
    """Return when the money left is spent by the clusters that are billed without a reservation; infinite for never."""
    if state.budget_usd <= 0:
        return float("inf")
    billed = [cluster for cluster in state.clusters.values() if cluster.usd_per_hour and _can_be_unreserved(cluster)]
    starts = [at for cluster in billed if (at := _unreserved_from(state, cluster)) > now]
    usd_per_s = sum(cluster.usd_per_hour for cluster in billed if _unreserved_from(state, cluster) <= now) / 3600
    return min([*starts, now + max(0.0, left_usd(state, now)) / usd_per_s if usd_per_s else float("inf")])


def _is_unreserved(state: State, cluster: Cluster, now: float) -> bool:
    return bool(cluster.usd_per_hour) and _can_be_unreserved(cluster) and _unreserved_from(state, cluster) <= now


def _can_be_unreserved(cluster: Cluster) -> bool:
    if cluster.adopted:
        return False  # only the person who launched it takes it down
    if cluster.state is ClusterState.LAUNCHING:
        return not cluster.waits
    if cluster.state is ClusterState.LOST:
        return cluster.billed
    return cluster.state in (ClusterState.IDLE, ClusterState.BUSY)


def _unreserved_from(state: State, cluster: Cluster) -> float:
    """Return when the reservation of a cluster is spent: its run's, its launch's, or at once where it idles."""
    if cluster.running:
        return state.attempts[cluster.running].started_at + state.session.time_limit_s + OVERRUN_S
    if cluster.state is ClusterState.LAUNCHING:
        return cluster.since + LAUNCH_S - cluster.launch_billed_s
    if cluster.ahead:
        return max(state.attempts[cluster.ahead[0]].submitting_at, cluster.since) + START_S
    return cluster.since


def cap(state: State, now: float) -> list[Event]:
    """Report that the cap is reached, once nothing in flight can give back a part of its reservation."""
    if state.capped or state.ending or state.in_flight or state.api_reserved or pays_for_a_run(state, now):
        return []
    text = (
        f"the budget of ${state.budget_usd:.2f} is reached: ${accounts(state, now).total_usd:.2f} spent, and the rest"
        " pays for no further run. Nothing new starts; raise the budget to continue"
    )
    if left_up := [cluster.name for cluster in state.clusters.values() if cluster.adopted and cluster.state in _UP]:
        text += f". You launched {', '.join(left_up)}: still up and billed until you take it down"
    return [CapReached(at=now, usd=state.budget_usd, text=text)]


def end(state: State, now: float) -> list[Event]:
    """End the session where its hours are over, or its baseline cannot run."""
    session = state.session
    if state.ending:
        return []
    if session.budget_hours and running_h(state, now) >= session.budget_hours:
        reason = f"its {session.budget_hours:g} hours are over"
        return [SessionEnding(at=now, author=DECISIONS, how=EndMode.DRAIN, clusters_down=True, reason=reason)]
    baseline = state.experiments.get(state.baseline)
    if baseline is not None and baseline.status == "crashed" and not state.incumbent:
        reason = f"the unchanged {session.script} gives no result: {baseline.reason}"
        return [SessionEnding(at=now, author=DECISIONS, how=EndMode.DRAIN, reason=reason)]
    return []
