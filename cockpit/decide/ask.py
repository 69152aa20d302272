"""Ask proposers for arms, so that no cluster waits for a person or for a proposer."""

import msgspec

from cockpit.core.events import Asked, Event
from cockpit.core.model import Cluster, ClusterState, Mode
from cockpit.core.state import State, converses, is_asked, shares
from cockpit.decide.ablation import PROPOSER as ABLATE
from cockpit.decide.ablation import due_ablations
from cockpit.decide.budget import launch_usd, left_usd, pays_for_a_run, run_usd
from cockpit.decide.rebasing import PROPOSER as REBASE
from cockpit.decide.rebasing import outdated
from cockpit.decide.result_batching import wait_for_results_until
from cockpit.decide.schedule import expected_run_s, has_room

DELEGATES = {"hybrid": ("claude", "search", "tpe")}
"""Proposer to the names of its waves' proposers, where it delegates to others."""
THOUGHT_S = 90.0
"""Seconds that a proposer may take. It is asked this long before clusters run out of work."""
PROPOSALS_WAITING = 2
"""Waves of one proposer that wait for approval, at which it is asked for no more."""

FILLER = "search"
"""The proposer of filler: it answers at once, in numeric arms only."""

SLOW_S = 300.0
"""Seconds of an ask after which a proposer no longer holds back those that propose beside it."""

STAND_IN = "search"
"""The proposer in place of an agent that has failed, until the agent is back."""

EARLY_RUNS = 8
"""Runs each cluster has ended before `search` chooses arms ahead of a free cluster. Early in a session, waiting for a
running result is worth the idle seconds."""


class _Wanted(msgspec.Struct, frozen=True):
    proposer: str
    arms: int
    reason: str


def ask(state: State, now: float) -> list[Event]:
    """Ask each proposer whose arms are wanted."""
    wanted = enumerate(_wanted(state, now), state.asks_total + 1)
    return [
        Asked(at=now, ask=number, proposer=one.proposer, arms=one.arms, reason=one.reason) for number, one in wanted
    ]


def _wanted(state: State, now: float) -> list[_Wanted]:
    if state.ending or not state.baseline:
        return []
    if state.held or state.mode is Mode.MANUAL or not pays_for_a_run(state, now):
        return [
            _Wanted(name, 0, "said")
            for name in shares(state)
            if _reason(state, name, False) == "said" and _may_ask(state, name, "said", now)
        ]
    due = [*_ablations(state, now), *_rebases(state, now)]
    clusters = [cluster for cluster in state.clusters.values() if _takes_runs(cluster)]
    if state.proposer == FILLER and not state.beside and state.mode is Mode.AUTOPILOT:
        return due + _from_search(state, clusters, now)
    return due + _from_proposer(state, clusters, now) + _filler(state, clusters, now)


def _takes_runs(cluster: Cluster) -> bool:
    coming = cluster.state in (ClusterState.IDLE, ClusterState.BUSY, ClusterState.LAUNCHING)
    return (coming or cluster.rests) and not (cluster.held or cluster.waits)


def _from_search(state: State, clusters: list[Cluster], now: float) -> list[_Wanted]:
    """Ask `search` as late as possible, so that it knows more results: it answers at once and no person reads its
    waves."""
    if _is_early(state, clusters):
        if now < wait_for_results_until(state, now):
            return []
        clusters = [cluster for cluster in clusters if not (cluster.running or cluster.ahead)]
    # A larger wave than the envelope allows would wait for a person, so more arms are asked for next time.
    arms = min(_paid_room(state, clusters, now), state.envelope.wave_size)
    return [_Wanted(FILLER, arms, "dry")] if arms > 0 and _may_ask(state, FILLER, "dry", now) else []


def _from_proposer(state: State, clusters: list[Cluster], now: float) -> list[_Wanted]:
    waiting = sum(
        not state.waves[state.experiments[state.attempts[name].experiment].wave].held for name in state.waiting
    )
    run_s = max(1.0, expected_run_s(state))
    dry_in_s = waiting / max(1, len(clusters)) * run_s
    is_dry = dry_in_s < max(THOUGHT_S, run_s)
    arms = min(state.envelope.wave_size, max(4, len(clusters)))
    proposers = shares(state)
    present = [name for name in proposers if not _is_away(state, name, now)]
    found = []
    for name in proposers:
        reason = _reason(state, name, is_dry)
        if reason in ("dry", "finished") and _is_ahead(state, name, present, arms, now):
            continue
        if reason and _may_ask(state, name, reason, now):
            found.append(_Wanted(name, max(1, round(arms * _arm_share(state, name))), reason))
    if is_dry and not present and STAND_IN not in proposers and _may_ask(state, STAND_IN, "dry", now):
        return [*found, _Wanted(STAND_IN, arms, "dry")]
    return found


def _arm_share(state: State, name: str) -> float:
    """Return the share of a proposer in the arms, from 0 to 1."""
    proposers = shares(state)
    return proposers[name] / sum(proposers.values())


def _is_ahead(state: State, name: str, present: list[str], arms: int, now: float) -> bool:
    """Return True if a proposer is over a wave ahead of its share, against one that is present and prompt."""
    proposed = {other: state.arms_proposed.get(other, 0) / _arm_share(state, other) for other in (name, *present)}
    prompt = (other for other in present if other not in state.asks or now - state.asks[other].asked_at < SLOW_S)
    return proposed[name] - min((proposed[other] for other in prompt), default=proposed[name]) > arms


def _is_away(state: State, name: str, now: float) -> bool:
    """Return True if an agent that the worker starts has failed and is not to be asked yet."""
    return (
        name in state.hosted_agents and bool(state.ask_failures.get(name)) and now < state.ask_retry_at.get(name, 0.0)
    )


def _filler(state: State, clusters: list[Cluster], now: float) -> list[_Wanted]:
    # Each waiting attempt that suits a cluster with room was submitted before this is decided.
    empty = _paid_room(state, clusters, now)
    return [_Wanted(FILLER, empty, "filler")] if empty > 0 and state.envelope.filler and _may_fill(state, now) else []


def _is_early(state: State, clusters: list[Cluster]) -> bool:
    return sum(state.outcome_counts.values()) < EARLY_RUNS * len(clusters)


def _paid_room(state: State, clusters: list[Cluster], now: float) -> int:
    """Count the clusters with room for a run that the budget pays for. A resting one has room once it is launched."""
    left, count = left_usd(state, now), 0
    for cluster in clusters:
        cost = launch_usd(state, cluster) if cluster.rests else run_usd(state, cluster)
        if (cluster.rests or has_room(state, cluster, now)) and cost <= left:
            left -= cost
            count += 1
    return count


def _ablations(state: State, now: float) -> list[_Wanted]:
    """Ask for the incumbent without the kept changes that are due to be left out."""
    if ABLATE in state.asks or now < state.ask_retry_at.get(ABLATE, 0.0) or _waiting(state, ABLATE):
        return []
    count = due_ablations(state, now)
    return [_Wanted(ABLATE, count, "finished")] if count else []


def _rebases(state: State, now: float) -> list[_Wanted]:
    """Ask for the changes whose tests the last keep has outdated."""
    if REBASE in state.asks or now < state.ask_retry_at.get(REBASE, 0.0) or _waiting(state, REBASE):
        return []
    count = len(outdated(state))
    return [_Wanted(REBASE, count, "incumbent")] if count else []


def _reason(state: State, name: str, dry: bool) -> str:
    """Return why a proposer would be asked now; empty for no reason. `said` is for proposers that converse."""
    beside = state.beside.get(name)
    words, waves = (beside.words, beside.waves) if beside else (state.words_unanswered, state.waves_finished)
    if converses(state, name) and words:
        return "said"
    if dry:
        return "dry"
    return "finished" if converses(state, name) and waves else ""


def _may_ask(state: State, proposer: str, reason: str, now: float) -> bool:
    if not is_asked(state, proposer) or proposer in state.asks:
        return False
    if now < state.ask_retry_at.get(proposer, 0.0) and (reason != "said" or state.ask_failures.get(proposer)):
        # A message is answered at once, unless the last ask of the proposer failed.
        return False
    return reason == "said" or all(
        _waiting(state, part) < PROPOSALS_WAITING for part in DELEGATES.get(proposer, (proposer,))
    )


def _waiting(state: State, proposer: str) -> int:
    return sum(state.waves[name].proposer == proposer for name in state.proposals)


def _may_fill(state: State, now: float) -> bool:
    return FILLER not in state.asks and now >= state.ask_retry_at.get(FILLER, 0.0)
