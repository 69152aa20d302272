"""Schedule attempts on clusters: submit, retry, cancel; launch clusters, give them up, take them down."""

from functools import lru_cache
from statistics import median

import msgspec

from cockpit.core.cluster_events import ClusterGivenUp, ClusterStopping, Launching
from cockpit.core.events import Cancelling, Decided, Event, Queued, SessionEnded, Submitting
from cockpit.core.model import (
    DECISIONS,
    Attempt,
    AttemptKind,
    AttemptStatus,
    Cluster,
    ClusterState,
    EndMode,
    ExperimentStatus,
    Outcome,
    Tier,
    WaveKind,
)
from cockpit.core.state import State, class_under_task
from cockpit.decide.budget import (
    LIMIT_GRACE_S,
    added_launch_usd,
    budget_down,
    is_priced,
    joins_a_launch,
    left_usd,
    needed_usd,
    run_usd,
    stop_unpaid,
)
from cockpit.decide.loud_clusters import loud_clusters
from cockpit.decide.run_seeds import next_seed

FAILURES_TO_GIVE_UP = 3
TRIES = 3
"""Attempts without a result, for reasons outside the code, before an experiment counts as crashed."""
LEAD_FLOOR_S = 15.0

_UP = (ClusterState.IDLE, ClusterState.BUSY)
_TEST_KINDS = (AttemptKind.REPLICATE, AttemptKind.VALIDATION, AttemptKind.CONFIRMATION, AttemptKind.ABLATION)
_ON_DEMAND_KINDS = (AttemptKind.VALIDATION, AttemptKind.CONFIRMATION)
"""Runs that a keep waits for. They prefer clusters that no cloud takes back."""
_PRIORITY = {
    AttemptKind.CONFIRMATION: 0,
    AttemptKind.VALIDATION: 0,
    AttemptKind.REPLICATE: 0,
    AttemptKind.RETRY: 1,
    AttemptKind.CONTROL: 1,
    AttemptKind.ABLATION: 2,
    AttemptKind.ARM: 3,
}


class RunSpec(msgspec.Struct, frozen=True):
    """One more attempt to make of an experiment."""

    experiment: str
    kind: AttemptKind
    rule: str
    """The approval it runs under."""
    tier: Tier = Tier.SCREEN
    hardware: str = ""
    avoid: str = ""
    pin: str = ""


def schedule(state: State, now: float) -> list[Event]:
    """Cancel and retry runs, launch clusters, submit attempts; wind the session down where it ends."""
    events = [*_cancels(state, now), *_retries(state, now)]
    if unpaid := stop_unpaid(state, now):
        return events + unpaid
    if state.ending:
        return events + _wind_down(state, now)
    if state.held:
        return events
    # Runs on clusters that are billed already come first. Both draw on the same money left.
    submits, left = _submits(state, now, left_usd(state, now))
    return events + _launches(state, now, left) + submits


def next_attempt(state: State, run: RunSpec, extra: int = 0) -> Attempt:
    """Make one more attempt of an experiment; `extra` counts those already made in the same decision."""
    return Attempt(
        id=f"{run.experiment}.{state.attempt_number(run.experiment) + extra}",
        experiment=run.experiment,
        kind=run.kind,
        seed=next_seed(state, run.experiment, extra),
        tier=run.tier,
        hardware=run.hardware,
        avoid=run.avoid,
        pin=run.pin,
        rule=run.rule,
    )


def lead_s(state: State) -> float:
    """Return how long before the end of a run the next one is submitted: twice the slowest of the last submissions."""
    if not state.submit_latency_s:
        return 4 * LEAD_FLOOR_S
    return max(LEAD_FLOOR_S, 2 * max(state.submit_latency_s[-16:]))


def expected_run_s(state: State) -> float:
    """Return the expected time of a run: the median of this session, or 1.5 times the time budget before any."""
    if state.run_s:
        return _median(tuple(state.run_s))
    return 1.5 * state.session.expected_training_s


@lru_cache(maxsize=8)
def _median(times_s: tuple[float, ...]) -> float:
    """Return the median. Each cluster asks for it in each decision."""
    return median(times_s)


def order(state: State, attempt: Attempt) -> tuple[int, int, float, float]:
    """Return the sort key of a waiting attempt: evidence first, then waves by rank, filler last, oldest first."""
    wave = state.waves[state.experiments[attempt.experiment].wave]
    first = 0 if wave.kind is WaveKind.BASELINE and attempt.kind is AttemptKind.ARM else _PRIORITY[attempt.kind]
    return (first, int(wave.kind is WaveKind.FILLER), wave.rank, attempt.queued_at)


def suits(state: State, attempt: Attempt, cluster: Cluster) -> bool:
    """Return True if the attempt may run on the cluster."""
    if attempt.pin and attempt.pin != cluster.name:
        return False
    if attempt.hardware and attempt.hardware != cluster.hardware and not _is_gone(state, attempt):
        return False
    if cluster.spot and attempt.kind in _ON_DEMAND_KINDS and _has_on_demand_cluster(state, attempt):
        return False
    if attempt.avoid == cluster.name:
        return not any(
            other.name != cluster.name
            and other.state in _UP
            and not other.held
            and (not attempt.hardware or other.hardware == attempt.hardware)
            for other in state.clusters.values()
        )
    return True


def _has_on_demand_cluster(state: State, attempt: Attempt) -> bool:
    """Return True if a cluster that its cloud does not take back is up and may run the attempt."""
    return any(
        not other.spot and other.state in _UP and not other.held
        for other in state.clusters.values()
        if not attempt.hardware or other.hardware == attempt.hardware
    )


def _is_gone(state: State, attempt: Attempt) -> bool:
    """Return True if it is a run of a test in a class whose clusters are all given up: the test continues elsewhere."""
    return attempt.kind in _TEST_KINDS and all(
        cluster.state is ClusterState.GIVEN_UP
        for cluster in state.clusters.values()
        if cluster.hardware == attempt.hardware
    )


def has_room(state: State, cluster: Cluster, now: float) -> bool:
    """Return True if the cluster should get an attempt now: it is free, or will be when the attempt has arrived."""
    if cluster.state not in _UP or cluster.held:
        return False
    holds = int(bool(cluster.running)) + len(cluster.ahead)
    if holds == 0:
        return True
    if holds >= state.session.fleet.depth:
        return False
    if not cluster.running:
        # Such a short run would end before another, submitted once it is known to run, had arrived.
        return expected_run_s(state) <= lead_s(state)
    attempt = state.attempts[cluster.running]
    return now >= attempt.started_at + expected_run_s(state) - lead_s(state)


def next_room_at(state: State, now: float) -> float:
    """Return when a busy cluster next has room; infinite where none will."""
    if state.session.fleet.depth < 2:
        return float("inf")
    lead, run_s = lead_s(state), expected_run_s(state)
    times = [
        state.attempts[cluster.running].started_at + run_s - lead
        for cluster in state.clusters.values()
        if cluster.running and not cluster.ahead and not cluster.held
    ]
    return min((at for at in times if at > now), default=float("inf"))


def _submits(state: State, now: float, left: float) -> tuple[list[Event], float]:
    """Submit waiting attempts to clusters with room. Returns the events and the money they leave."""
    free = [cluster for cluster in state.clusters.values() if has_room(state, cluster, now)]
    if not free:
        return [], left
    unheld = (attempt for name in state.waiting if not _is_held(state, attempt := state.attempts[name]))
    waiting = sorted(unheld, key=lambda attempt: order(state, attempt))
    events: list[Event] = []
    loud = loud_clusters(state) if any(_is_evidence(state, attempt) for attempt in waiting) else frozenset()
    for cluster in sorted(free, key=lambda cluster: (bool(cluster.running), cluster.name in loud)):
        cost = run_usd(state, cluster)
        if cost > left:
            comes_back = sum(state.api_reserved.values())  # most of it, once the model has answered
            if not cluster.running and not cluster.ahead and not cluster.adopted and cost > left + comes_back:
                events.append(budget_down(state, cluster, now))
            continue
        chosen = _chosen(state, waiting, cluster, cluster.name in loud)
        if chosen is not None:
            events.append(_submitting(chosen, cluster, cost, now))
            waiting.remove(chosen)
            left -= cost
    return events, left


def _chosen(state: State, waiting: list[Attempt], cluster: Cluster, is_loud: bool) -> Attempt | None:
    """Return the first attempt that suits the cluster; on a loud one evidence comes last."""
    suitable = (attempt for attempt in waiting if suits(state, attempt, cluster))
    first = next(suitable, None)
    if first is None or not is_loud or not _is_evidence(state, first):
        return first
    return next((attempt for attempt in suitable if not _is_evidence(state, attempt)), first)


def _is_evidence(state: State, attempt: Attempt) -> bool:
    """Return True for runs of tests and of ablations, and for the run by which a promising arm is screened again."""
    is_again = attempt.kind is AttemptKind.ARM and state.experiments[attempt.experiment].attempts[0] != attempt.id
    return attempt.kind in _TEST_KINDS or is_again


def _is_held(state: State, attempt: Attempt) -> bool:
    return state.waves[state.experiments[attempt.experiment].wave].held


def _launches(state: State, now: float, left: float) -> list[Event]:
    """Launch clusters with the money left."""
    events: list[Event] = []
    begun: set[str] = set()
    woken = _clusters_to_wake(state)
    priced = is_priced(state)
    launching = any(cluster.state is ClusterState.LAUNCHING for cluster in state.clusters.values())
    price_is_awaited = launching and not priced
    for cluster in state.clusters.values():
        if cluster.held or cluster.state not in (ClusterState.DOWN, ClusterState.LOST):
            continue
        waits = price_is_awaited or (cluster.rests and cluster.name not in woken)
        if cluster.failures >= FAILURES_TO_GIVE_UP:
            times = "three" if cluster.failures == FAILURES_TO_GIVE_UP else cluster.failures
            message = f"failed {times} times in a row, last: {cluster.message}"
            events.append(ClusterGivenUp(at=now, cluster=cluster.name, message=message))
        elif now < cluster.retry_at or (waits and not joins_a_launch(state, cluster, begun)):
            continue
        elif needed_usd(state, cluster, begun) <= left:
            left -= added_launch_usd(state, cluster)
            events.append(Launching(at=now, cluster=cluster.name))
            begun.add(cluster.name)
            price_is_awaited = not priced
        elif cluster.state is ClusterState.LOST and not cluster.adopted:
            # It does not answer, and may be billing.
            events.append(budget_down(state, cluster, now))
    return events


def _clusters_to_wake(state: State) -> set[str]:
    """Return the resting clusters to launch: those with work that no free or launching cluster can start at once."""
    resting = [cluster for cluster in state.clusters.values() if cluster.rests]
    if not resting:
        return set()
    free = [
        cluster
        for cluster in state.clusters.values()
        if cluster.state is ClusterState.LAUNCHING or (cluster.state is ClusterState.IDLE and not cluster.ahead)
    ]
    woken: set[str] = set()
    for attempt in (state.attempts[name] for name in state.waiting):
        if _is_held(state, attempt):
            continue
        for some in (free, resting):
            if taker := next((cluster for cluster in some if suits(state, attempt, cluster)), None):
                some.remove(taker)
                woken |= {taker.name} if some is resting else set()
                break
    return woken


def overdue_at(state: State, attempt: Attempt) -> float:
    """Return when a run that its fleet has not ended at its limit is cancelled from here.

    A worker that comes back gives each run its whole limit again: the clock may have been set while it was away.
    """
    return max(attempt.started_at, state.worker_began) + state.session.time_limit_s + LIMIT_GRACE_S


def _cancels(state: State, now: float) -> list[Event]:
    limit_s = state.session.time_limit_s
    events: list[Event] = []
    for name in state.in_flight:
        attempt = state.attempts[name]
        if attempt.cancelling:
            continue
        if state.experiments[attempt.experiment].status is ExperimentStatus.DROPPED:
            events.append(cancelling(name, state.experiments[attempt.experiment].reason or "dropped", now))
        elif attempt.status is AttemptStatus.RUNNING and now >= overdue_at(state, attempt):
            reason = f"ran past its limit of {limit_s / 60:g} minutes"
            events.append(cancelling(name, reason, now, Outcome.TIMEOUT))
    return events


def _retries(state: State, now: float) -> list[Event]:
    """Retry approved experiments whose runs were lost, cancelled or not proved, elsewhere; or decide on them."""
    events: list[Event] = []
    for name in state.stranded:
        experiment = state.experiments[name]
        ended = [state.attempts[attempt] for attempt in experiment.attempts]
        last = ended[-1]
        if last.outcome is Outcome.CANCELLED and last.cancelled_by not in ("", "plan", DECISIONS):
            reason = f"ended by {last.cancelled_by}: {last.cancelling}"
            events.append(Decided(at=now, experiment=name, status=ExperimentStatus.DISCARDED, reason=reason))
        elif sum(attempt.outcome is not Outcome.CANCELLED and not attempt.preempted for attempt in ended) >= TRIES:
            reason = f"gave no result {TRIES} times, last: {last.message or last.outcome}"
            events.append(Decided(at=now, experiment=name, status=ExperimentStatus.CRASHED, reason=reason))
        else:
            hardware = class_under_task(last.hardware, state.task_number) if last.tier is Tier.VALIDATE else ""
            # Not pinned where the lost run was: the experiment needs a result first, from any cluster.
            run = RunSpec(name, AttemptKind.RETRY, last.rule, last.tier, hardware, avoid=last.cluster)
            events.append(Queued(at=now, attempt=next_attempt(state, run), reason=last.message or str(last.outcome)))
    return events


def _wind_down(state: State, now: float) -> list[Event]:
    why = state.end_reason or "the session ends"
    cancel = state.ending is EndMode.CANCEL
    cancels: list[Event] = [
        cancelling(name, why, now)
        for name in state.in_flight
        if not (attempt := state.attempts[name]).cancelling and (cancel or attempt.status is not AttemptStatus.RUNNING)
    ]
    if not state.clusters_down:
        return cancels if state.in_flight else [SessionEnded(at=now, reason=why)]
    live = [
        cluster
        for cluster in state.clusters.values()
        if cluster.state is not ClusterState.DOWN
        and (cluster.state is not ClusterState.GIVEN_UP or cluster.unverified)
        and (state.adopted_down or not cluster.adopted)
    ]
    if not live:
        return [*cancels, SessionEnded(at=now, reason=why)]
    return cancels + [
        ClusterStopping(at=now, cluster=cluster.name, reason=why)
        for cluster in live
        if cluster.state is not ClusterState.STOPPING and not cluster.running and not cluster.ahead
    ]


def cancelling(attempt: str, reason: str, now: float, outcome: Outcome = Outcome.CANCELLED) -> Cancelling:
    return Cancelling(at=now, attempt=attempt, author=DECISIONS, reason=reason, outcome=outcome)


def _submitting(attempt: Attempt, cluster: Cluster, cost_usd: float, now: float) -> Submitting:
    return Submitting(
        at=now, attempt=attempt.id, cluster=cluster.name, hardware=cluster.hardware, reserved_usd=cost_usd
    )
