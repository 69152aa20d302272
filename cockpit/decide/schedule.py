"""Which attempt goes where and when; what is launched, retried, cancelled, given up and taken down."""

from statistics import median

from cockpit.core.model import (
    Attempt,
    AttemptKind,
    AttemptStatus,
    Cluster,
    ClusterState,
    ExperimentStatus,
    Outcome,
    Tier,
    WaveKind,
)
from cockpit.core.state import State
from cockpit.decide import actions as a
from cockpit.decide.budget import launch_usd, left_usd, run_usd

FAILURES_TO_GIVE_UP = 3
TRIES = 3
"""Attempts that end without a result, through no fault of the code, before an experiment is dropped."""
LIMIT_GRACE_S = 20.0
"""A fleet ends a run at its limit by itself; past this the plan does."""
LEAD_FLOOR_S = 15.0

_UP = (ClusterState.IDLE, ClusterState.BUSY)
_OF_TESTS = (AttemptKind.REPLICATE, AttemptKind.VALIDATION, AttemptKind.CONFIRMATION)
_PRIORITY = {
    AttemptKind.CONFIRMATION: 0,
    AttemptKind.VALIDATION: 0,
    AttemptKind.REPLICATE: 0,
    AttemptKind.RETRY: 1,
    AttemptKind.CONTROL: 1,
    AttemptKind.ABLATION: 2,
    AttemptKind.ARM: 3,
}


def schedule(state: State, now: float) -> list[a.Action]:
    actions = [*_cancels(state, now), *_retries(state)]
    if state.ending:
        return actions + _wind_down(state)
    if state.held:
        return actions
    return actions + _launches(state, now) + _submits(state, now)


def next_seed(state: State, experiment: str, extra: int = 0) -> int:
    """Replicates differ in seed; the first attempt of every experiment has the session's."""
    base = state.session.seed
    return base + len(state.experiments[experiment].attempts) + extra


def another(
    state: State,
    experiment: str,
    kind: AttemptKind,
    *,
    rule: str,
    tier: Tier = Tier.SCREEN,
    hardware: str = "",
    avoid: str = "",
    pin: str = "",
    extra: int = 0,
) -> Attempt:
    """One more attempt of an experiment; `extra` counts those already made in the same decision."""
    return Attempt(
        id=f"{experiment}.{state.attempt_number(experiment) + extra}",
        experiment=experiment,
        kind=kind,
        seed=next_seed(state, experiment, extra),
        tier=tier,
        hardware=hardware,
        avoid=avoid,
        pin=pin,
        rule=rule,
    )


def lead_s(state: State) -> float:
    """How long before a run ends the next one is submitted: what submitting has taken in this session, with room."""
    if not state.submit_latency_s:
        return 4 * LEAD_FLOOR_S
    return max(LEAD_FLOOR_S, 2 * max(state.submit_latency_s[-16:]))


def expected_run_s(state: State) -> float:
    """Of a run from start to end: the median of this session's, or its budget with half as much again."""
    if state.run_s:
        return median(state.run_s)
    return 1.5 * state.session.time_budget_s


def order(state: State, attempt: Attempt) -> tuple[int, int, float, float]:
    """Waiting attempts run in this order: evidence first, then waves by rank, filler last, oldest first."""
    wave = state.waves[state.experiments[attempt.experiment].wave]
    first = 0 if wave.kind is WaveKind.BASELINE and attempt.kind is AttemptKind.ARM else _PRIORITY[attempt.kind]
    return (first, int(wave.kind is WaveKind.FILLER), wave.rank, attempt.queued_at)


def suits(state: State, attempt: Attempt, cluster: Cluster) -> bool:
    if attempt.pin and attempt.pin != cluster.name:
        return False
    if attempt.hardware and attempt.hardware != cluster.hardware and not _is_gone(state, attempt):
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


def _is_gone(state: State, attempt: Attempt) -> bool:
    """Whether it is a test's run in a class of which every cluster was given up: the test goes on elsewhere."""
    return attempt.kind in _OF_TESTS and all(
        cluster.state is ClusterState.GIVEN_UP
        for cluster in state.clusters.values()
        if cluster.hardware == attempt.hardware
    )


def room(state: State, cluster: Cluster, now: float) -> bool:
    """Whether the cluster should be given an attempt now: it is free, or it will be by the time one has arrived."""
    if cluster.state not in _UP or cluster.held:
        return False
    holds = int(bool(cluster.running)) + len(cluster.ahead)
    if holds == 0:
        return True
    if holds >= state.session.fleet.depth:
        return False
    if not cluster.running:
        # Of a run as short as that the end would come before another, submitted once it is known to run, had arrived.
        return expected_run_s(state) <= lead_s(state)
    attempt = state.attempts[cluster.running]
    return now >= attempt.started_at + expected_run_s(state) - lead_s(state)


def next_room_at(state: State, now: float) -> float:
    """When a busy cluster next has room; infinite when none will."""
    if state.session.fleet.depth < 2:
        return float("inf")
    lead, run_s = lead_s(state), expected_run_s(state)
    times = [
        state.attempts[cluster.running].started_at + run_s - lead
        for cluster in state.clusters.values()
        if cluster.running and not cluster.ahead and not cluster.held
    ]
    return min((at for at in times if at > now), default=float("inf"))


def _submits(state: State, now: float) -> list[a.Action]:
    free = [cluster for cluster in state.clusters.values() if room(state, cluster, now)]
    if not free:
        return []
    waiting = sorted((state.attempts[name] for name in state.waiting), key=lambda attempt: order(state, attempt))
    left = left_usd(state, now)
    actions: list[a.Action] = []
    for cluster in sorted(free, key=lambda cluster: bool(cluster.running)):
        cost = run_usd(state, cluster)
        if cost > left:
            comes_back = sum(state.api_reserved.values())  # most of it, as soon as the model has answered
            if not cluster.running and not cluster.ahead and cost > left + comes_back:
                actions.append(a.Down(cluster.name, f"the budget of ${state.budget_usd:.2f} is spent"))
            continue
        for attempt in waiting:
            wave = state.waves[state.experiments[attempt.experiment].wave]
            if not wave.held and suits(state, attempt, cluster):
                actions.append(a.Submit(attempt.id, cluster.name, cost))
                waiting.remove(attempt)
                left -= cost
                break
    return actions


def _launches(state: State, now: float) -> list[a.Action]:
    actions: list[a.Action] = []
    left = left_usd(state, now)
    roused = _roused(state)
    for cluster in state.clusters.values():
        if cluster.held or cluster.state not in (ClusterState.DOWN, ClusterState.LOST):
            continue
        if cluster.failures >= FAILURES_TO_GIVE_UP:
            times = "three" if cluster.failures == FAILURES_TO_GIVE_UP else cluster.failures
            actions.append(a.GiveUp(cluster.name, f"failed {times} times in a row, last: {cluster.message}"))
        elif now < cluster.retry_at or (cluster.rests and cluster.name not in roused):
            continue
        elif launch_usd(state, cluster) <= left:
            left -= launch_usd(state, cluster)
            actions.append(a.Launch(cluster.name))
        elif cluster.state is ClusterState.LOST:
            # It does not answer, and may bill all the same.
            actions.append(a.Down(cluster.name, f"the budget of ${state.budget_usd:.2f} is spent"))
    return actions


def _roused(state: State) -> set[str]:
    """The clusters at rest that there is work for, beyond what those that are up or coming can begin at once."""
    resting = [cluster for cluster in state.clusters.values() if cluster.rests]
    if not resting:
        return set()
    free = [
        cluster
        for cluster in state.clusters.values()
        if cluster.state is ClusterState.LAUNCHING or (cluster.state is ClusterState.IDLE and not cluster.ahead)
    ]
    roused: set[str] = set()
    for attempt in (state.attempts[name] for name in state.waiting):
        if state.waves[state.experiments[attempt.experiment].wave].held:
            continue
        for some in (free, resting):
            if taker := next((cluster for cluster in some if suits(state, attempt, cluster)), None):
                some.remove(taker)
                roused |= {taker.name} if some is resting else set()
                break
    return roused


def _cancels(state: State, now: float) -> list[a.Action]:
    limit_s = state.session.time_limit_s
    actions: list[a.Action] = []
    for name in state.in_flight:
        attempt = state.attempts[name]
        if attempt.cancelling:
            continue
        if state.experiments[attempt.experiment].status is ExperimentStatus.DROPPED:
            actions.append(a.Cancel(name, state.experiments[attempt.experiment].reason or "dropped"))
        elif attempt.status is AttemptStatus.RUNNING and now - attempt.started_at > limit_s + LIMIT_GRACE_S:
            actions.append(a.Cancel(name, f"ran past its limit of {limit_s / 60:g} minutes", Outcome.TIMEOUT))
    return actions


def _retries(state: State) -> list[a.Action]:
    """Approved experiments whose runs were lost, cancelled or unproven: again elsewhere, or no more."""
    actions: list[a.Action] = []
    for name in state.stranded:
        experiment = state.experiments[name]
        ended = [state.attempts[attempt] for attempt in experiment.attempts]
        last = ended[-1]
        if last.outcome is Outcome.CANCELLED and last.cancelled_by not in ("", "plan"):
            reason = f"ended by {last.cancelled_by}: {last.cancelling}"
            actions.append(a.Decide(name, ExperimentStatus.DISCARDED, reason))
        elif sum(attempt.outcome is not Outcome.CANCELLED for attempt in ended) >= TRIES:
            reason = f"gave no result {TRIES} times, last: {last.message or last.outcome}"
            actions.append(a.Decide(name, ExperimentStatus.CRASHED, reason))
        else:
            again = another(
                state, name, AttemptKind.RETRY, rule=last.rule, tier=last.tier, avoid=last.cluster, pin=last.pin
            )
            if last.tier is Tier.VALIDATE:
                again.hardware = last.hardware
            actions.append(a.Queue(again, last.message or str(last.outcome)))
    return actions


def _wind_down(state: State) -> list[a.Action]:
    actions: list[a.Action] = []
    cancel = state.ending.startswith("cancel")
    why = state.ended_why or "the session ends"
    for name in state.in_flight:
        attempt = state.attempts[name]
        if not attempt.cancelling and (cancel or attempt.status is not AttemptStatus.RUNNING):
            actions.append(a.Cancel(name, why))
    live = [
        cluster
        for cluster in state.clusters.values()
        if cluster.state is not ClusterState.DOWN and (cluster.state is not ClusterState.GIVEN_UP or cluster.unverified)
    ]
    if state.ending.endswith("+down"):
        for cluster in live:
            if cluster.state is not ClusterState.STOPPING and not cluster.running and not cluster.ahead:
                actions.append(a.Down(cluster.name, why))
        if not live:
            actions.append(a.Finish(why))
    elif not state.in_flight:
        actions.append(a.Finish(why))
    return actions
