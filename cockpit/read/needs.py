"""List the needs: everything that waits for a person, each with a sentence and a short form.

The screen, the command line and `on_event` read this one list.
"""

import math
import re
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from cockpit.core.model import ClusterState, Experiment, ExperimentStatus, WaveKind
from cockpit.core.state import State, open_permissions
from cockpit.decide.budget import accounts
from cockpit.read.checks import UNCONFINED
from cockpit.read.plateau import plateau_words
from cockpit.read.waves import replaced_base
from cockpit.read.wording import age
from cockpit.session.heartbeat import WorkerStatus

BUDGET_NEAR = 0.8
"""The share of the budget from which its end is announced."""


class NeedKind(StrEnum):
    """The kinds of need, the gravest first."""

    WORKER = "worker"
    BUDGET = "budget"
    BASELINE = "baseline"
    CLUSTER = "cluster"
    """A cluster that was given up."""
    UNUSABLE = "unusable"
    """A lost cluster that is billed as up."""
    LOST = "lost"
    WAITING = "waiting"
    """A cluster that its cloud has no capacity for."""
    FLAGGED = "flagged"
    APPROVAL = "approval"
    PERMISSION = "permission"
    """A hosted agent asks to use a tool of its own."""
    HELD = "held"
    PLATEAU = "plateau"
    """The next hour is expected to gain less than it costs."""


NOTIFIED = (
    NeedKind.APPROVAL, NeedKind.PERMISSION, NeedKind.CLUSTER, NeedKind.BUDGET, NeedKind.BASELINE, NeedKind.HELD,
    NeedKind.PLATEAU,
)  # fmt: skip
"""The kinds that wait for a person until the person acts; the others may pass without one."""

_DENIED = re.compile(
    r"Permission denied|Operation not permitted|Read-only file system|No such file|unreachable|name resolution"
    r"|Name or service not known|getaddrinfo|Connection refused"
)
"""Errors that a run's wall may cause."""

_PLURALS = {
    NeedKind.CLUSTER: "{} clusters given up",
    NeedKind.UNUSABLE: "{} clusters unusable, billed",
    NeedKind.LOST: "{} clusters lost",
    NeedKind.WAITING: "{} clusters wait for capacity",
    NeedKind.FLAGGED: "{} clusters flagged",
    NeedKind.APPROVAL: "{} proposals wait",
    NeedKind.PERMISSION: "{} permissions wait",
}


class Need(msgspec.Struct, frozen=True):
    """One need. `kind` and `about` identify it."""

    kind: NeedKind
    about: str
    sentence: str
    short: str
    """A few words for a header."""


def is_budget_near(state: State, now: float) -> bool:
    return state.budget_usd > 0 and accounts(state, now).total_usd >= BUDGET_NEAR * state.budget_usd


def needs(state: State, now: float) -> list[Need]:
    """Everything in the state that needs a person at `now`, on the session's clock, the gravest first.

    After a session's end only its budget, its baseline and its clusters need one: nothing else waits for an answer.
    """
    lasting = [*_budget(state, now), *_baseline(state), *_clusters(state)]
    if state.ended_at:
        return lasting
    return [*lasting, *_approvals(state), *_held(state), *_permissions(state), *_plateau(state, now)]


def worker_needs(state: State, worker: WorkerStatus) -> list[Need]:
    """Return the trouble of the session's worker."""
    found: list[Need] = []
    if worker.note:
        found.append(Need(NeedKind.WORKER, "note", worker.note, "worker in trouble"))
    if worker.state == "stale":
        silent = f"worker silent for {age(worker.heartbeat_age_s or 0.0)}"
        found.append(Need(NeedKind.WORKER, "stale", f"the {silent}: see its log", silent))
    elif worker.state == "stopped" and not state.ending:
        sentence = f"the worker has stopped: `cockpit start {state.session.name}` starts it"
        found.append(Need(NeedKind.WORKER, "stopped", sentence, "worker stopped"))
    return found


def brief(found: Iterable[Need]) -> list[Need]:
    """Return the needs for a header: several of one kind become one, counted."""
    by_kind: dict[NeedKind, list[Need]] = {}
    for need in found:
        by_kind.setdefault(need.kind, []).append(need)
    shown: list[Need] = []
    for kind in NeedKind:
        listed = by_kind.get(kind, [])
        if len(listed) > 1 and kind in _PLURALS:
            names = ", ".join(need.about for need in listed)
            words = _PLURALS[kind].format(len(listed))
            shown.append(Need(kind, " ".join(need.about for need in listed), f"{words}: {names}", words))
        else:
            shown += listed
    return shown


def _budget(state: State, now: float) -> list[Need]:
    cap = f"{state.budget_usd:.2f}"
    if state.capped:
        return [Need(NeedKind.BUDGET, f"{cap} reached", state.capped, "budget reached: raise it to continue")]
    if not is_budget_near(state, now):
        return []
    spent = accounts(state, now).total_usd
    percent = math.floor(100 * spent / state.budget_usd)
    return [Need(NeedKind.BUDGET, cap, f"${spent:.2f} of ${cap} spent", f"budget {percent}% spent")]


def _baseline(state: State) -> list[Need]:
    baseline = state.experiments.get(state.baseline)
    if baseline is None or baseline.status is not ExperimentStatus.CRASHED or state.incumbent:
        return []
    why = f" ({baseline.reason})" if baseline.reason else ""
    mend = f"mend it, commit, then `cockpit resume -s {state.session.name}` takes the new commit"
    sentence = f"the unchanged {state.session.script} gives no result{why}: {mend}{_wall_words(state, baseline)}"
    return [Need(NeedKind.BASELINE, baseline.id, sentence, "the baseline gives no result")]


def _wall_words(state: State, baseline: Experiment) -> str:
    """Return how a new session opens the wall, where the baseline may have failed for want of a file or the network."""
    last = state.attempts[baseline.attempts[-1]] if baseline.attempts else None
    if last is None or last.wall in ("", UNCONFINED) or not _DENIED.search(baseline.reason):
        return ""
    return "; its run was confined: a new session with --readable PATH, --network or --no-confine opens the wall"


def _clusters(state: State) -> list[Need]:
    found: list[Need] = []
    for cluster in state.clusters.values():
        name, why = cluster.name, f": {cluster.message}" if cluster.message else ""
        if cluster.state is ClusterState.GIVEN_UP:
            bill = " and is billed as up" if cluster.billed else ""
            found.append(Need(NeedKind.CLUSTER, name, f"{name} was given up{bill}{why}", f"{name} given up"))
        elif cluster.billed:
            sentence = f"{name} is unusable and billed as up{why}"
            found.append(Need(NeedKind.UNUSABLE, name, sentence, f"{name} unusable, billed"))
        elif cluster.state is ClusterState.LOST and cluster.refusals:
            found.append(Need(NeedKind.WAITING, name, f"{name} waits for capacity{why}", f"{name} waits for capacity"))
        elif cluster.state is ClusterState.LOST:
            found.append(Need(NeedKind.LOST, name, f"{name} is lost{why}", f"{name} lost"))
    flagged = (Need(NeedKind.FLAGGED, name, f"{name} is flagged: {why}", f"{name} flagged")
               for name, why in state.flagged.items())  # fmt: skip
    return [*found, *flagged]


def _approvals(state: State) -> list[Need]:
    found: list[Need] = []
    for name in state.proposals:
        wave = state.waves[name]
        if wave.kind is not WaveKind.WAVE:
            continue
        old = replaced_base(state, wave)
        stale = f" (its base {old} is no longer the incumbent)" if old else ""
        sentence = f"{name} waits for approval{stale}: {wave.question}"
        found.append(Need(NeedKind.APPROVAL, name, sentence, f"{name} is proposed"))
    return found


def _permissions(state: State) -> list[Need]:
    return [
        Need(
            NeedKind.PERMISSION, name,
            f"{one.agent} asks to {one.what}: `cockpit permit allow {name}` or `cockpit permit refuse {name}`",
            f"{one.agent} asks for permission",
        )
        for name, one in open_permissions(state).items()
    ]  # fmt: skip


def _held(state: State) -> list[Need]:
    if not state.held:
        return []
    return [Need(NeedKind.HELD, "", f"the session is held: {state.held_reason or 'resume it to continue'}", "held")]


def _plateau(state: State, now: float) -> list[Need]:
    """Report a plateau: the next hour is expected to gain less than it costs, by the worth that a person gave."""
    words = plateau_words(state, now)
    if not words:
        return []
    sentence = f"{words}; `cockpit stop --drain {state.session.name}` ends it"
    return [Need(NeedKind.PLATEAU, state.incumbent, sentence, "an hour costs more than it gains")]
