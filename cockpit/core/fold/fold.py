"""fold(state, event) -> state: the only way state comes to be, in the worker, the screen, the report and a replay.

It takes the state over: the one passed in must not be used afterwards (it is changed in place, since a hundred
thousand experiments are not copied for each event). Given the same events it always gives the same state.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from cockpit.core.events import (
    ApiReleased,
    ApiReserved,
    ApiUsed,
    Approved,
    ArmDropped,
    Asked,
    AskEnded,
    BudgetSet,
    Cancelling,
    CapReached,
    ClusterDown,
    ClusterFailed,
    ClusterFlagged,
    ClusterGivenUp,
    ClusterSeen,
    ClusterStopping,
    ClusterUp,
    ClusterWaiting,
    Decided,
    EarlyStoppingSet,
    EarlyStopSkipped,
    Ended,
    EnvelopeSet,
    Event,
    FindingRecorded,
    Held,
    IncumbentSet,
    IntentTaken,
    Interrupted,
    Launching,
    ModeSet,
    PhaseSet,
    Progressed,
    ProposalEdited,
    Proposed,
    ProposerSet,
    Queued,
    Rejected,
    Resumed,
    Said,
    SessionCreated,
    SessionEnded,
    SessionEnding,
    Started,
    Submitted,
    Submitting,
    Trouble,
    Unsubmitted,
    WaveCancelled,
    WaveMoved,
    WorkerStarted,
    WorkerStopped,
)
from cockpit.core.fold.clusters import fold_cluster
from cockpit.core.fold.runs import fold_ended, fold_queued, fold_run, set_status, take_out_waiting
from cockpit.core.interning import one_estimate, one_wave
from cockpit.core.model import (
    CONVERSES,
    Cluster,
    ExperimentStatus,
    Finding,
    Message,
    WaveKind,
    WaveStatus,
)
from cockpit.core.state import CONVERSATION_LINES, TESTED_LISTED, AskState, Incumbency, State, is_answered

REFUSALS_KEPT = 200


def fold(state: State | None, event: Event) -> State:
    """The state after `event`; a session's first event makes the state.

    Raises KeyError on an event about something no earlier event made, ValueError where a first event makes no session.

    Progress has no number in the ledger, so `seq` does not count it.
    """
    if state is None:
        if not isinstance(event, SessionCreated):
            raise ValueError(f"a session begins with SessionCreated, not with {type(event).__name__}")
        state = State(event.session)
    if not isinstance(event, Progressed):
        state.seq += 1
    state.now = max(state.now, event.at)
    _FOLDS[type(event)](state, event)
    return state


def fold_all(events: Iterable[Event], state: State | None = None) -> State:
    """The state after all of these events, from a session's first or on from `state`. Raises ValueError for none."""
    for event in events:
        state = fold(state, event)
    if state is None:
        raise ValueError("no events, so no session")
    return state


def _say(state: State, at: float, author: str, text: str, kind: str = "say") -> None:
    state.messages.append(Message(at, author, text, kind))
    if len(state.messages) > CONVERSATION_LINES * 2:
        del state.messages[:-CONVERSATION_LINES]


def _session_created(state: State, event: SessionCreated) -> None:
    state.session = event.session
    state.mode = event.mode
    state.envelope = event.envelope
    state.proposer = event.session.proposer
    state.budget_usd = event.session.budget_usd
    state.corpus, state.preset = event.session.corpus, event.session.preset
    state.early_stops.on = event.session.early_stopping
    for spec in event.session.fleet.clusters:
        state.clusters[spec.name] = Cluster(spec.name, spec.hardware, usd_per_hour=spec.usd_per_hour, since=event.at)


def _worker_started(state: State, event: WorkerStarted) -> None:
    if not state.worker_running:  # else the last worker was killed, and what it was about is still to be done
        state.ending, state.clusters_down, state.end_reason, state.ended_at = None, False, "", 0.0
    state.worker_running, state.worker_host, state.worker_user = True, event.host, event.user
    state.asks.clear()
    _settle_unanswered(state, event.at)


def _worker_stopped(state: State, event: WorkerStopped) -> None:
    state.worker_running = False
    _settle_unanswered(state, event.at)


def _settle_unanswered(state: State, at: float, ask: int = 0) -> None:
    """What a request cost that nobody heard the end of, nobody knows: all that was reserved for it counts as spent.

    Of every ask, or of `ask` alone.
    """
    lost = [name for name in state.api_reserved if not ask or name.partition(".")[0] == str(ask)]
    usd = sum(state.api_reserved.pop(name) for name in lost)
    if lost:
        state.spend.api_usd += usd
        text = f"a request to a model was broken off unseen: ${usd:.2f}, the most it can have cost, count as spent"
        _say(state, at, "cockpit", text, "trouble")


def _mode_set(state: State, event: ModeSet) -> None:
    state.mode = event.mode
    _say(state, event.at, event.author, f"mode is now {event.mode}", "news")


def _envelope_set(state: State, event: EnvelopeSet) -> None:
    state.envelope = event.envelope


def _proposer_set(state: State, event: ProposerSet) -> None:
    state.proposer = event.proposer
    _say(state, event.at, event.author, f"{event.proposer} proposes from now on", "news")


def _budget_set(state: State, event: BudgetSet) -> None:
    state.budget_usd = event.usd
    state.capped = ""
    state.ask_retry_at.clear()  # who could not be paid may be asked again


def _cap_reached(state: State, event: CapReached) -> None:
    state.capped = event.text
    _say(state, event.at, "cockpit", event.text, "trouble")


def _early_stopping_set(state: State, event: EarlyStoppingSet) -> None:
    state.early_stops.on = event.on
    said = "hopeless runs are ended early" if event.on else "every run runs to its end"
    _say(state, event.at, event.author, f"{said} from now on", "news")


def _set_held(state: State, target: str, held: bool) -> None:
    if not target:
        state.held = held
    elif target in state.waves:
        state.waves[target].held = held
    else:
        state.clusters[target].held = held


def _held(state: State, event: Held) -> None:
    _set_held(state, event.target, True)
    state.held_why = event.reason if not event.target else state.held_why
    _say(state, event.at, event.author, f"holds {event.target or 'everything'}", "news")


def _resumed(state: State, event: Resumed) -> None:
    _set_held(state, event.target, False)
    state.held_why = "" if not event.target else state.held_why
    _say(state, event.at, event.author, f"resumes {event.target or 'everything'}", "news")


def _session_ending(state: State, event: SessionEnding) -> None:
    state.ending, state.clusters_down, state.end_reason = event.how, event.clusters_down, event.reason


def _session_ended(state: State, event: SessionEnded) -> None:
    state.ended_at, state.end_reason = event.at, event.reason


def _interrupted(state: State, event: Interrupted) -> None:
    _say(state, event.at, event.author, "interrupts the proposer", "news")


def _intent_taken(state: State, event: IntentTaken) -> None:
    state.intent = event.intent
    if event.refused:
        state.refusals[str(event.intent)] = event.refused
        while len(state.refusals) > REFUSALS_KEPT:
            del state.refusals[next(iter(state.refusals))]


def _asked(state: State, event: Asked) -> None:
    state.asks_total = max(state.asks_total, event.ask)
    heard = state.unheard if event.proposer == state.proposer else 0
    state.asks[event.proposer] = AskState(event.ask, event.proposer, event.arms, event.at, heard)
    if event.proposer == state.proposer:
        state.unheard = state.untold = 0


def _ask_ended(state: State, event: AskEnded) -> None:
    asked = state.asks.pop(event.proposer, None)
    state.ask_retry_at[event.proposer] = event.retry_at
    _settle_unanswered(state, event.at, event.ask)
    if event.trouble:
        state.unheard += asked.unheard if asked else 0
        state.ask_failures[event.proposer] = state.ask_failures.get(event.proposer, 0) + 1
        _say(state, event.at, event.proposer, _with_retry(event), "trouble")
    else:
        state.unheard = max(0, state.unheard - event.heard)
        state.ask_failures.pop(event.proposer, None)


def _with_retry(event: AskEnded) -> str:
    """The trouble, and when the proposer is asked again."""
    wait_s = event.retry_at - event.at
    if wait_s <= 0:
        return event.trouble
    wait = f"{wait_s:.0f} s" if wait_s < 120 else f"{wait_s / 60:.0f} min"
    sooner = ", or when you speak" * (event.proposer in CONVERSES)
    return f"{event.trouble.rstrip('.')}; asked again in {wait}{sooner}"


def _proposed(state: State, event: Proposed) -> None:
    wave = event.wave
    state.waves[wave.id] = wave
    state.proposals[wave.id] = None
    one_wave(wave, event.experiments)
    for experiment in event.experiments:
        state.experiments[experiment.id] = experiment
        set_status(state, experiment, ExperimentStatus.PROPOSED, new=True)
        if wave.kind is WaveKind.BASELINE and not state.baseline:
            state.baseline = experiment.id


def _proposal_edited(state: State, event: ProposalEdited) -> None:
    old = state.waves[event.wave.id]
    keep = {experiment.id for experiment in event.experiments}
    for arm in old.arms:
        if arm not in keep:
            _drop(state, arm, f"taken out by {event.author}")
    state.waves[event.wave.id] = event.wave
    one_wave(event.wave, event.experiments)
    for experiment in event.experiments:
        known = state.experiments.get(experiment.id)
        if known is not None:
            state.status_counts[known.status] -= 1
            _forget_fingerprint(state, known.id)
        state.experiments[experiment.id] = experiment
        set_status(state, experiment, ExperimentStatus.PROPOSED, new=True)


def _approved(state: State, event: Approved) -> None:
    wave = state.waves[event.wave]
    wave.status, wave.decided_at, wave.decided_by, wave.rule = (
        WaveStatus.APPROVED, event.at, event.author, event.rule,
    )  # fmt: skip
    state.proposals.pop(wave.id, None)
    state.open_waves[wave.id] = None
    for arm in wave.arms:
        experiment = state.experiments[arm]
        if experiment.status is ExperimentStatus.PROPOSED:
            set_status(state, experiment, ExperimentStatus.QUEUED)
            wave.open_arms += 1
    for attempt in event.attempts:
        fold_queued(state, attempt, event.at)
    if not wave.open_arms:
        # All its arms were dropped, or what it measures again is open in the waves that made it: nothing here would
        # ever close this one.
        wave.status = WaveStatus.DONE
        state.open_waves.pop(wave.id, None)


def _forget_fingerprint(state: State, experiment: str) -> None:
    fingerprint = state.experiments[experiment].fingerprint
    if state.by_fingerprint.get(fingerprint) == experiment:
        del state.by_fingerprint[fingerprint]


def _drop(state: State, arm: str, reason: str) -> None:
    """Take an arm that has no result out; one that was measured stays what it is."""
    experiment = state.experiments[arm]
    take_out_waiting(state, experiment)
    if experiment.status not in (ExperimentStatus.PROPOSED, ExperimentStatus.QUEUED, ExperimentStatus.RUNNING):
        return
    experiment.reason = reason
    set_status(state, experiment, ExperimentStatus.DROPPED)


def _rejected(state: State, event: Rejected) -> None:
    wave = state.waves[event.wave]
    wave.status, wave.decided_at, wave.decided_by, wave.reason = (
        WaveStatus.REJECTED, event.at, event.author, event.reason,
    )  # fmt: skip
    state.proposals.pop(wave.id, None)
    for arm in wave.arms:
        _drop(state, arm, f"rejected by {event.author}: {event.reason}")
    _say(state, event.at, event.author, f"rejects {wave.id}: {event.reason}", "news")


def _wave_moved(state: State, event: WaveMoved) -> None:
    state.waves[event.wave].rank = event.rank


def _wave_cancelled(state: State, event: WaveCancelled) -> None:
    wave = state.waves[event.wave]
    wave.status, wave.decided_by, wave.reason = WaveStatus.CANCELLED, event.author, event.reason
    state.open_waves.pop(wave.id, None)
    state.proposals.pop(wave.id, None)
    for arm in wave.arms:
        _drop(state, arm, f"cancelled by {event.author}")


def _arm_dropped(state: State, event: ArmDropped) -> None:
    _drop(state, event.experiment, f"dropped by {event.author}" + (f": {event.reason}" if event.reason else ""))


def _queued(state: State, event: Queued) -> None:
    fold_queued(state, event.attempt, event.at)
    if event.test_level:
        state.experiments[event.attempt.experiment].test_level = event.test_level
        state.tests += 1
        state.tested.append(event.attempt.experiment)
        del state.tested[:-TESTED_LISTED]


def _decided(state: State, event: Decided) -> None:
    experiment = state.experiments[event.experiment]
    experiment.reason = sys.intern(event.reason)
    if event.estimate is not None:
        experiment.estimate = one_estimate(event.estimate)
    if event.status is ExperimentStatus.KEPT and experiment.status is not event.status and experiment.test_level:
        state.test_keeps.append(state.tests)
    set_status(state, experiment, event.status)
    if event.status in (ExperimentStatus.DISCARDED, ExperimentStatus.CRASHED):
        take_out_waiting(state, experiment)
    state.contenders.pop(experiment.id, None)


def _incumbent_set(state: State, event: IncumbentSet) -> None:
    state.incumbent = event.experiment
    state.incumbencies.append(Incumbency(event.at, event.experiment, event.reason, event.author, event.estimate))
    _say(state, event.at, event.author, f"{event.experiment} is the incumbent: {event.reason}", "news")


def _said(state: State, event: Said) -> None:
    if is_answered(state, event.author):
        state.unheard += 1
        if state.ask_failures.get(state.proposer):
            state.ask_retry_at.pop(state.proposer, None)  # the person may have mended what was wrong
    _say(state, event.at, event.author, event.text)


def _finding(state: State, event: FindingRecorded) -> None:
    state.findings.append(Finding(event.at, event.author, event.claim, tuple(event.experiments)))
    _say(state, event.at, event.author, event.claim, "finding")


def _phase(state: State, event: PhaseSet) -> None:
    state.phase = event.phase
    _say(state, event.at, event.author, event.phase, "phase")


def _api_reserved(state: State, event: ApiReserved) -> None:
    state.api_reserved[event.request] = event.usd


def _api_released(state: State, event: ApiReleased) -> None:
    state.api_reserved.pop(event.request, None)


def _api_used(state: State, event: ApiUsed) -> None:
    spend = state.spend
    reserved = state.api_reserved.pop(event.request, None)
    if reserved is not None or not event.request:
        spend.api_usd += event.usd  # else it was settled at its worst, which is counted already
    spend.input_tokens += event.input_tokens
    spend.output_tokens += event.output_tokens
    spend.cache_read_tokens += event.cache_read_tokens
    spend.cache_write_tokens += event.cache_write_tokens


def _trouble(state: State, event: Trouble) -> None:
    _say(state, event.at, event.about or "cockpit", event.text, "trouble")


def _cluster(state: State, event: Event) -> None:
    text = fold_cluster(state, event)
    if text:
        _say(state, event.at, *text, "trouble")


_FOLDS: dict[type[Event], Callable[[State, Any], None]] = {
    SessionCreated: _session_created,
    WorkerStarted: _worker_started,
    WorkerStopped: _worker_stopped,
    ModeSet: _mode_set,
    EnvelopeSet: _envelope_set,
    ProposerSet: _proposer_set,
    BudgetSet: _budget_set,
    EarlyStoppingSet: _early_stopping_set,
    Held: _held,
    Resumed: _resumed,
    SessionEnding: _session_ending,
    SessionEnded: _session_ended,
    Interrupted: _interrupted,
    IntentTaken: _intent_taken,
    Asked: _asked,
    AskEnded: _ask_ended,
    Proposed: _proposed,
    ProposalEdited: _proposal_edited,
    Approved: _approved,
    Rejected: _rejected,
    WaveMoved: _wave_moved,
    WaveCancelled: _wave_cancelled,
    ArmDropped: _arm_dropped,
    Queued: _queued,
    Submitting: fold_run,
    Submitted: fold_run,
    Unsubmitted: fold_run,
    Started: fold_run,
    Progressed: fold_run,
    Cancelling: fold_run,
    EarlyStopSkipped: fold_run,
    Ended: fold_ended,
    Decided: _decided,
    IncumbentSet: _incumbent_set,
    CapReached: _cap_reached,
    Launching: _cluster,
    ClusterUp: _cluster,
    ClusterSeen: _cluster,
    ClusterFailed: _cluster,
    ClusterWaiting: _cluster,
    ClusterGivenUp: _cluster,
    ClusterStopping: _cluster,
    ClusterDown: _cluster,
    ClusterFlagged: _cluster,
    Said: _said,
    FindingRecorded: _finding,
    PhaseSet: _phase,
    ApiReserved: _api_reserved,
    ApiReleased: _api_released,
    ApiUsed: _api_used,
    Trouble: _trouble,
}
