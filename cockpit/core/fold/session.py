"""Fold the session: its worker, its settings, its end, its asks and what its model costs."""

import msgspec

from cockpit.core.agent_events import (
    AgentHosted,
    AgentStarted,
    ApiReleased,
    ApiReserved,
    ApiUsed,
    ModelEstimated,
    PermissionAnswered,
    PermissionAsked,
    TurnUnmetered,
)
from cockpit.core.events import (
    Asked,
    AskEnded,
    BaselineReplaced,
    BudgetSet,
    CapReached,
    EarlyStoppingSet,
    EnvelopeSet,
    Held,
    IntentTaken,
    ModeSet,
    ProposerSet,
    Resumed,
    SessionCreated,
    SessionEnded,
    SessionEnding,
    WorkerStarted,
    WorkerStopped,
)
from cockpit.core.fold.conversation import say
from cockpit.core.fold.handlers import Handlers
from cockpit.core.fold.idling import idles
from cockpit.core.knob_events import KnobSet
from cockpit.core.knobs import knob_words
from cockpit.core.model import DECISIONS, Cluster
from cockpit.core.model_usage import RECENT_REQUESTS
from cockpit.core.shares import shares_of
from cockpit.core.state import AskState, PermissionRequest, ProposerBeside, State, converses, shares

REFUSALS_KEPT = 200


def _session_created(state: State, event: SessionCreated) -> None:
    state.session = event.session
    state.mode = event.mode
    state.envelope = event.envelope
    state.proposer = event.session.proposer
    state.budget_usd = event.session.budget_usd
    state.corpus, state.preset = event.session.corpus, event.session.preset
    state.early_stops.on = event.session.early_stopping
    for spec in event.session.fleet.clusters:
        state.clusters[spec.name] = Cluster(
            spec.name, spec.hardware, usd_per_hour=spec.usd_per_hour, since=event.at, gpus=spec.gpus
        )


def _worker_started(state: State, event: WorkerStarted) -> None:
    """Reopen a session whose last worker stopped; after a worker that was killed the session keeps ending."""
    if not state.worker_running:
        if state.ended_at and event.at > state.ended_at:
            state.pauses.append((state.ended_at, event.at))
        state.ending, state.clusters_down, state.end_reason, state.ended_at = None, False, "", 0.0
        state.adopted_down = False
    else:  # it was killed
        _leave_at(state, state.recorded_at)
    state.worker_running, state.worker_host, state.worker_user = True, event.host, event.user
    state.worker_began, state.boot, state.clock_origin = event.at, event.boot, event.clock_origin
    state.asks.clear()
    state.permissions.clear()
    _charge_unknown(state, event.at)


def _worker_stopped(state: State, event: WorkerStopped) -> None:
    _leave_at(state, event.at)
    state.worker_running = False
    _charge_unknown(state, event.at)


def _leave_at(state: State, at: float) -> None:
    """Begin an absence of the worker. Clusters that have idled since before the last one keep its seconds."""
    for cluster in state.clusters.values():
        if idles(cluster):
            cluster.away_s += state.without_worker_s(cluster.since, at)
    state.worker_left = at


def _charge_unknown(state: State, at: float, ask: int = 0) -> None:
    """Charge the full reservation of each request whose outcome is unknown: of every ask, or of `ask` alone."""
    lost = [name for name in state.api_reserved if not ask or name.partition(".")[0] == str(ask)]
    usd = sum(state.api_reserved.pop(name) for name in lost)
    if lost:
        state.spend.api_usd += usd
        text = f"a request to a model was broken off unseen: ${usd:.2f}, the most it can have cost, count as spent"
        say(state, at, "cockpit", text, "trouble")


def _session_ending(state: State, event: SessionEnding) -> None:
    state.ending, state.clusters_down, state.end_reason = event.how, event.clusters_down, event.reason
    state.adopted_down = event.clusters_down and event.author != DECISIONS


def _session_ended(state: State, event: SessionEnded) -> None:
    state.ended_at, state.end_reason = event.at, event.reason
    state.asks.clear()
    state.permissions.clear()


# Settings


def _mode_set(state: State, event: ModeSet) -> None:
    state.mode = event.mode
    say(state, event.at, event.author, f"mode is now {event.mode}", "news")


def _envelope_set(state: State, event: EnvelopeSet) -> None:
    state.envelope = event.envelope


def _proposer_set(state: State, event: ProposerSet) -> None:
    _add_proposer(state, event.proposer, event.share)
    say(state, event.at, event.author, _proposes(state, event.proposer), "news")


def _agent_hosted(state: State, event: AgentHosted) -> None:
    state.hosted_agents[event.agent] = tuple(event.command)
    _add_proposer(state, event.agent, event.share)
    state.ask_retry_at.pop(event.agent, None)
    state.ask_failures.pop(event.agent, None)
    say(state, event.at, event.author, _proposes(state, event.agent), "news")


def _add_proposer(state: State, name: str, share: float) -> None:
    """Make a proposer the only one, or add it beside the others if it has a share."""
    if not share:
        state.proposer, state.share = name, 1.0
        state.beside.clear()
    elif name == state.proposer:
        state.share = share
    elif name in state.beside:
        state.beside[name].share = share
    else:
        state.beside[name] = ProposerBeside(share)


def _proposes(state: State, name: str) -> str:
    others = [other for other in shares(state) if other != name]
    return f"{name} proposes from now on" + (f", beside {', '.join(others)}" if others else "")


def _agent_started(state: State, event: AgentStarted) -> None:
    if state.agent_walls.get(event.agent) != event.wall:
        how = f"is confined by {event.wall}: it sees its checkout, its login and the network"
        if event.reason:
            how = f"is unconfined: a command that it runs has your rights ({event.reason})"
        say(state, event.at, event.agent, how, "trouble" if event.reason else "news")
    state.agent_walls[event.agent] = event.wall


def _permission_asked(state: State, event: PermissionAsked) -> None:
    state.permissions[event.request] = PermissionRequest(event.agent, event.what, event.at, event.within_s)
    say(state, event.at, event.agent, f"asks to {event.what} ({event.request})", "news")


def _permission_answered(state: State, event: PermissionAnswered) -> None:
    if event.request:
        request = state.permissions.get(event.request)
        if request is None or request.allowed is not None:
            return
        request.allowed = event.allowed
    answer = "may" if event.allowed else "may not"
    say(state, event.at, event.agent, f"{answer} {event.what} ({event.rule})", "news")


def _turn_unmetered(state: State, event: TurnUnmetered) -> None:
    if event.agent not in state.unmetered:
        text = f"{event.agent} does not report what its turns cost: they are unmetered, and no budget holds them"
        say(state, event.at, "cockpit", text, "news")
    state.unmetered[event.agent] = state.unmetered.get(event.agent, 0) + 1


def _budget_set(state: State, event: BudgetSet) -> None:
    state.budget_usd = event.usd
    state.capped = ""
    state.ask_retry_at.clear()  # a proposer that could not be paid may be asked again


def _cap_reached(state: State, event: CapReached) -> None:
    state.capped = event.text
    say(state, event.at, "cockpit", event.text, "trouble")


def _early_stopping_set(state: State, event: EarlyStoppingSet) -> None:
    state.early_stops.on = event.on
    text = "hopeless runs are ended early from now on" if event.on else "every run runs to its end from now on"
    say(state, event.at, event.author, text, "news")


def _knob_set(state: State, event: KnobSet) -> None:
    """Set it in the session's ranges, by its name there: every proposer reads them."""
    ranges = dict(state.session.ranges)
    ranges[event.knob] = msgspec.structs.replace(event.range, set_by=event.author)
    state.session = msgspec.structs.replace(state.session, ranges=ranges)
    say(state, event.at, event.author, f"{event.knob}: {knob_words(event.range)}", "news")


def _baseline_replaced(state: State, event: BaselineReplaced) -> None:
    state.baseline = ""  # the next wave of this kind brings it
    state.session = msgspec.structs.replace(
        state.session, commit=event.commit, constants=event.constants, access=event.access
    )
    text = f"takes the mended code as the baseline, from commit {event.commit[:12]}"
    say(state, event.at, event.author, text, "news")


def _held(state: State, event: Held) -> None:
    _set_held(state, event.target, True)
    state.held_reason = state.held_reason if event.target else event.reason
    say(state, event.at, event.author, f"holds {event.target or 'everything'}", "news")


def _resumed(state: State, event: Resumed) -> None:
    _set_held(state, event.target, False)
    state.held_reason = state.held_reason if event.target else ""
    say(state, event.at, event.author, f"resumes {event.target or 'everything'}", "news")


def _set_held(state: State, target: str, held: bool) -> None:
    if not target:
        state.held = held
    elif target in state.waves:
        state.waves[target].held = held
    else:
        for cluster in [state.clusters[target]] if target in state.clusters else shares_of(state, target):
            cluster.held = held


def _intent_taken(state: State, event: IntentTaken) -> None:
    state.intent = event.intent
    if event.refused:
        state.refusals[str(event.intent)] = event.refused
        while len(state.refusals) > REFUSALS_KEPT:
            del state.refusals[next(iter(state.refusals))]


# Asks and requests to a model


def _asked(state: State, event: Asked) -> None:
    state.asks_total = max(state.asks_total, event.ask)
    words = 0
    if beside := state.beside.get(event.proposer):
        words, beside.words, beside.waves = beside.words, 0, 0
    elif event.proposer == state.proposer:
        words, state.words_unanswered, state.waves_finished = state.words_unanswered, 0, 0
    state.asks[event.proposer] = AskState(event.ask, event.proposer, event.arms, event.at, words)


def _ask_ended(state: State, event: AskEnded) -> None:
    asked = state.asks.pop(event.proposer, None)
    state.permissions = {name: one for name, one in state.permissions.items() if one.agent != event.proposer}
    state.ask_retry_at[event.proposer] = event.retry_at
    _charge_unknown(state, event.at, event.ask)
    beside = state.beside.get(event.proposer)
    if event.trouble and beside is not None:
        beside.words += asked.words if asked else 0
    elif event.trouble:
        state.words_unanswered += asked.words if asked else 0
    if event.trouble:
        state.ask_failures[event.proposer] = state.ask_failures.get(event.proposer, 0) + 1
        say(state, event.at, event.proposer, _with_retry(state, event), "trouble")
    else:
        if beside is not None:
            beside.words = max(0, beside.words - event.words_answered)
        else:
            state.words_unanswered = max(0, state.words_unanswered - event.words_answered)
        state.ask_failures.pop(event.proposer, None)


def _with_retry(state: State, event: AskEnded) -> str:
    """Return the trouble, and when the proposer is asked again."""
    wait_s = event.retry_at - event.at
    if wait_s <= 0:
        return event.trouble
    wait = f"{wait_s:.0f} s" if wait_s < 120 else f"{wait_s / 60:.0f} min"
    sooner = ", or when you speak" if converses(state, event.proposer) else ""
    return f"{event.trouble.rstrip('.')}; asked again in {wait}{sooner}"


def _api_reserved(state: State, event: ApiReserved) -> None:
    state.api_reserved[event.request] = event.usd


def _api_released(state: State, event: ApiReleased) -> None:
    state.api_reserved.pop(event.request, None)


def _model_estimated(state: State, event: ModelEstimated) -> None:
    state.model_estimate = event.estimate


def _api_used(state: State, event: ApiUsed) -> None:
    spend = state.spend
    reserved = state.api_reserved.pop(event.request, None)
    if reserved is not None or not event.request:
        spend.api_usd += event.usd  # else its full reservation is charged already
    state.api_usd_by[event.proposer] = state.api_usd_by.get(event.proposer, 0.0) + event.usd
    state.model_requests += bool(event.request)
    state.recent_costs.append((event.at, event.usd))
    del state.recent_costs[:-RECENT_REQUESTS]
    spend.input_tokens += event.input_tokens
    spend.output_tokens += event.output_tokens
    spend.cache_read_tokens += event.cache_read_tokens
    spend.cache_write_tokens += event.cache_write_tokens


HANDLERS: Handlers = {
    SessionCreated: _session_created,
    WorkerStarted: _worker_started,
    WorkerStopped: _worker_stopped,
    SessionEnding: _session_ending,
    SessionEnded: _session_ended,
    ModeSet: _mode_set,
    EnvelopeSet: _envelope_set,
    ProposerSet: _proposer_set,
    AgentHosted: _agent_hosted,
    AgentStarted: _agent_started,
    PermissionAsked: _permission_asked,
    PermissionAnswered: _permission_answered,
    TurnUnmetered: _turn_unmetered,
    BudgetSet: _budget_set,
    CapReached: _cap_reached,
    EarlyStoppingSet: _early_stopping_set,
    KnobSet: _knob_set,
    BaselineReplaced: _baseline_replaced,
    Held: _held,
    Resumed: _resumed,
    IntentTaken: _intent_taken,
    Asked: _asked,
    AskEnded: _ask_ended,
    ApiReserved: _api_reserved,
    ApiReleased: _api_released,
    ApiUsed: _api_used,
    ModelEstimated: _model_estimated,
}
