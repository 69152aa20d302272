"""When a proposer is asked for more, so that no cluster waits for a person or a thought."""

import msgspec

from cockpit.core.events import Asked, Event
from cockpit.core.model import CONVERSES, PROPOSERS, Cluster, ClusterState, Mode
from cockpit.core.state import State
from cockpit.decide.budget import launch_usd, left_usd, pays_for_a_run, run_usd
from cockpit.decide.kept_changes import unablated
from cockpit.decide.result_batching import wait_for_results_until
from cockpit.decide.schedule import expected_run_s, room

PARTS = {"hybrid": ("claude", "search", "tpe")}
"""By which names the waves of a proposer go that is not one alone."""
THOUGHT_S = 90.0
"""How long a proposer may take before clusters must not have run dry."""
PROPOSALS_WAITING = 2
"""A person who has this many of a proposer's waves to read is not sent another."""

FILLER = "search"
"""The proposer of filler: it answers at once, in numeric arms only."""

EARLY_RUNS = 8
"""Until clusters have ended so many runs each, an arm of `search` is chosen when its cluster is free and not ahead of
that: what runs at the same time teaches more, so early in a session, than the seconds are worth that it is late."""

ABLATE = "ablate"
ABLATE_AT = 0.85
"""The share of the session's hours after which its kept changes are dropped again, one at a time."""


def ask(state: State, now: float) -> list[Event]:
    """Ask each proposer whose arms are wanted."""
    wanted = enumerate(_wanted(state, now), state.asks_total + 1)
    return [
        Asked(at=now, ask=number, proposer=one.proposer, arms=one.arms, reason=one.reason) for number, one in wanted
    ]


class _Wanted(msgspec.Struct, frozen=True):
    proposer: str
    arms: int
    reason: str


def _wanted(state: State, now: float) -> list[_Wanted]:
    if state.ending or not state.baseline:
        return []
    if state.held or state.mode is Mode.MANUAL or not pays_for_a_run(state, now):
        said = _reason(state, False) == "said" and _may_ask(state, state.proposer, "said", now)
        return [_Wanted(state.proposer, 0, "said")] if said else []
    wanted: list[_Wanted] = []
    clusters = [
        cluster
        for cluster in state.clusters.values()
        if (cluster.state in (ClusterState.IDLE, ClusterState.BUSY, ClusterState.LAUNCHING) or cluster.rests)
        and not (cluster.held or cluster.waits)
    ]
    waiting = sum(
        not state.waves[state.experiments[state.attempts[name].experiment].wave].held for name in state.waiting
    )
    if _ablation_is_due(state, now):
        wanted.append(_Wanted(ABLATE, len(unablated(state)), "finished"))
    run_s = max(1.0, expected_run_s(state))
    dry_in_s = waiting / max(1, len(clusters)) * run_s
    by_itself = state.proposer == FILLER and state.mode is Mode.AUTOPILOT
    if by_itself and _is_early(state, clusters):
        if now < wait_for_results_until(state, now):
            return wanted
        clusters = [cluster for cluster in clusters if not (cluster.running or cluster.ahead)]
    # Whatever waits and suits a cluster with room was submitted before this is asked.
    empty = _paid_room(state, clusters, now)
    if by_itself:
        # It thinks in no time and nobody reads its waves first: the later it is asked, the more results it knows.
        # More at once than the envelope allows would wait for a person; the rest is asked for next.
        empty = min(empty, state.envelope.wave_size)
        if empty > 0 and _may_ask(state, FILLER, "dry", now):
            wanted.append(_Wanted(FILLER, empty, "dry"))
        return wanted
    arms = min(state.envelope.wave_size, max(4, len(clusters)))
    reason = _reason(state, dry_in_s < max(THOUGHT_S, run_s))
    if reason and _may_ask(state, state.proposer, reason, now):
        wanted.append(_Wanted(state.proposer, arms, reason))
    if empty > 0 and state.envelope.filler and _may_fill(state, now):
        wanted.append(_Wanted(FILLER, empty, "filler"))
    return wanted


def _is_early(state: State, clusters: list[Cluster]) -> bool:
    return sum(state.outcome_counts.values()) < EARLY_RUNS * len(clusters)


def _paid_room(state: State, clusters: list[Cluster], now: float) -> int:
    """How many of the clusters have room for a run that what is left pays for. One at rest has, once it is launched."""
    left, count = left_usd(state, now), 0
    for cluster in clusters:
        cost = launch_usd(state, cluster) if cluster.rests else run_usd(state, cluster)
        if (cluster.rests or room(state, cluster, now)) and cost <= left:
            left -= cost
            count += 1
    return count


def _ablation_is_due(state: State, now: float) -> bool:
    """Once, when the session's hours are nearly over and something kept is still to be taken apart."""
    session = state.session
    if not session.budget_hours or ABLATE in state.asks or ABLATE in state.ask_retry_at:
        return False
    return now - session.created_at >= ABLATE_AT * session.budget_hours * 3600 and bool(unablated(state))


def _reason(state: State, dry: bool) -> str:
    """Why the proposer would be asked now; empty for no reason. Only who converses is asked because of words."""
    if state.proposer in CONVERSES and state.words_unanswered:
        return "said"
    if dry:
        return "dry"
    return "finished" if state.proposer in CONVERSES and state.waves_finished else ""


def _may_ask(state: State, proposer: str, reason: str, now: float) -> bool:
    if proposer not in PROPOSERS or proposer in state.asks:
        return False
    if now < state.ask_retry_at.get(proposer, 0.0) and (reason != "said" or state.ask_failures.get(proposer)):
        # Words are answered at once, but for a proposer that is in trouble.
        return False
    return reason == "said" or all(
        _waiting(state, part) < PROPOSALS_WAITING for part in PARTS.get(proposer, (proposer,))
    )


def _waiting(state: State, proposer: str) -> int:
    return sum(state.waves[name].proposer == proposer for name in state.proposals)


def _may_fill(state: State, now: float) -> bool:
    return FILLER not in state.asks and now >= state.ask_retry_at.get(FILLER, 0.0)
