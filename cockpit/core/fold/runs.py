"""Fold runs: queued, submitted, started, progressed, ended."""

import sys
from bisect import insort
from statistics import median

import msgspec

from cockpit.core.curves import packed
from cockpit.core.events import (
    Cancelling,
    EarlyStopSkipped,
    Ended,
    Progressed,
    Started,
    Submitted,
    Submitting,
    Unsubmitted,
)
from cockpit.core.fold.handlers import Handlers
from cockpit.core.fold.idling import count_idle
from cockpit.core.interning import intern_attempt
from cockpit.core.model import (
    Attempt,
    AttemptKind,
    AttemptStatus,
    Cluster,
    ClusterState,
    Experiment,
    ExperimentStatus,
    Metrics,
    Outcome,
    SkippedStop,
    WaveKind,
    WaveStatus,
)
from cockpit.core.shares import shares_of
from cockpit.core.state import BEST_LISTED, Ranked, State, is_open

RECENT = 64
GAPS = 256


def set_status(state: State, experiment: Experiment, status: ExperimentStatus, new: bool = False) -> None:
    """Move an experiment, its wave's count of open arms and the indexes with it."""
    counts = state.status_counts
    was = experiment.status
    if not new:
        counts[was] = counts.get(was, 0) - 1
    counts[status] = counts.get(status, 0) + 1
    experiment.status = status
    if status is ExperimentStatus.DROPPED:
        if state.by_fingerprint.get(experiment.fingerprint) == experiment.id:
            del state.by_fingerprint[experiment.fingerprint]
    else:
        state.by_fingerprint.setdefault(experiment.fingerprint, experiment.id)
    if status is not ExperimentStatus.QUEUED:
        state.stranded.pop(experiment.id, None)
    if status is ExperimentStatus.VALID:
        state.undecided[experiment.id] = None
    else:
        state.undecided.pop(experiment.id, None)
        state.contenders.pop(experiment.id, None)
    wave = state.waves[experiment.wave]
    if experiment.id not in wave.arms:
        return  # it was edited out of its proposal, so its status does not count for the wave
    if not new and is_open(was) != is_open(status) and was is not ExperimentStatus.PROPOSED:
        wave.open_arms += 1 if is_open(status) else -1
    if wave.status is WaveStatus.APPROVED and wave.open_arms == 0 and not is_open(status):
        wave.status, wave.done_seq = WaveStatus.DONE, state.seq
        state.open_waves.pop(wave.id, None)
        if beside := state.beside.get(wave.proposer):
            beside.waves += wave.kind is WaveKind.WAVE
        else:
            state.waves_finished += wave.kind is WaveKind.WAVE
    elif wave.status is WaveStatus.DONE and is_open(status):
        wave.status = WaveStatus.APPROVED
        state.open_waves[wave.id] = None


def fold_queued(state: State, attempt: Attempt, at: float) -> None:
    attempt.queued_at = at
    intern_attempt(state, attempt)
    state.attempts[attempt.id] = attempt
    if attempt.kind is AttemptKind.CONTROL and attempt.pin in state.clusters:
        state.clusters[attempt.pin].control_age, state.clusters[attempt.pin].controlled = 0, True
    experiment = state.experiments[attempt.experiment]
    experiment.attempts.append(attempt.id)
    state.waiting[attempt.id] = None
    state.stranded.pop(experiment.id, None)
    asked_again = attempt.kind in (AttemptKind.ARM, AttemptKind.REPLICATE, AttemptKind.VALIDATION, AttemptKind.RETRY)
    if asked_again and experiment.status in (
        ExperimentStatus.DISCARDED,
        ExperimentStatus.CRASHED,
        ExperimentStatus.DROPPED,
    ):
        set_status(state, experiment, ExperimentStatus.VALID if experiment.scores else ExperimentStatus.QUEUED)


def take_out_waiting(state: State, experiment: Experiment) -> None:
    """Drop the experiment's waiting attempts. A measured experiment is decided on with the results it has."""
    for name in experiment.attempts:
        if name in state.waiting:
            del state.waiting[name]
            state.attempts[name].status = AttemptStatus.ENDED
            state.attempts[name].outcome = Outcome.CANCELLED
    if experiment.status is ExperimentStatus.VALID:
        state.contenders[experiment.id] = None


def _submitting(state: State, event: Submitting) -> None:
    attempt, cluster = state.attempts[event.attempt], state.clusters[event.cluster]
    attempt.status, attempt.cluster = AttemptStatus.SUBMITTING, cluster.name
    attempt.hardware = sys.intern(event.hardware)
    attempt.submitting_at, attempt.reserved_usd = event.at, event.reserved_usd
    state.spend.reserved_usd += event.reserved_usd
    state.waiting.pop(attempt.id, None)
    state.in_flight[attempt.id] = None
    cluster.ahead.append(attempt.id)
    if attempt.experiment == (state.incumbent or state.baseline):
        cluster.control_age, cluster.controlled = 0, True
    _mark_running(state, attempt)


def _submitted(state: State, event: Submitted) -> None:
    attempt = state.attempts[event.attempt]
    if attempt.status is AttemptStatus.SUBMITTING:
        attempt.status, attempt.submitted_at = AttemptStatus.SUBMITTED, event.at
        _push(state.submit_latency_s, event.at - attempt.submitting_at, RECENT)


def _unsubmitted(state: State, event: Unsubmitted) -> None:
    attempt = state.attempts[event.attempt]
    _leave(state, attempt, event.at)
    attempt.status, attempt.cluster, attempt.cancelling = AttemptStatus.QUEUED, "", ""
    state.waiting[attempt.id] = None
    experiment = state.experiments[attempt.experiment]
    if experiment.status is ExperimentStatus.DROPPED:
        take_out_waiting(state, experiment)
    else:
        _mark_waiting(state, experiment)


def _progressed(state: State, event: Progressed) -> None:
    attempt = state.attempts[event.attempt]
    attempt.progress, attempt.curve = event.progress, packed(event.curve)
    state.clusters[attempt.cluster].seen_at = event.at


def _cancelling(state: State, event: Cancelling) -> None:
    attempt = state.attempts[event.attempt]
    attempt.cancelling, attempt.cancel_outcome = event.reason, event.outcome
    attempt.cancelled_by = event.author
    attempt.expected_score, attempt.expected_se = event.expected_score, event.expected_se


def _early_stop_skipped(state: State, event: EarlyStopSkipped) -> None:
    state.attempts[event.attempt].skipped_stop = SkippedStop(event.bar, event.reason)


def _started(state: State, event: Started) -> None:
    attempt, at = state.attempts[event.attempt], event.at
    attempt.wall = event.wall
    if attempt.status is AttemptStatus.RUNNING:
        return
    cluster = state.clusters[attempt.cluster]
    attempt.status, attempt.started_at = AttemptStatus.RUNNING, at
    if attempt.id in cluster.ahead:
        cluster.ahead.remove(attempt.id)
    if not cluster.running:
        idle_s = count_idle(state, cluster, at)
        if cluster.attempts_ended:
            _push(state.gap_s, idle_s, GAPS)
        cluster.since = max(cluster.since, at)
    cluster.running, cluster.seen_at = attempt.id, at
    if cluster.state is ClusterState.IDLE:
        cluster.state = ClusterState.BUSY


def _mark_running(state: State, attempt: Attempt) -> None:
    experiment = state.experiments[attempt.experiment]
    if experiment.status is ExperimentStatus.QUEUED:
        set_status(state, experiment, ExperimentStatus.RUNNING)


def _mark_waiting(state: State, experiment: Experiment) -> None:
    """Mark an experiment without a run under way as queued."""
    if experiment.status is ExperimentStatus.RUNNING and state.in_flight.keys().isdisjoint(experiment.attempts):
        set_status(state, experiment, ExperimentStatus.QUEUED)


def _leave(state: State, attempt: Attempt, at: float) -> Cluster:
    """Take an attempt off its cluster and release what was reserved for it."""
    cluster = state.clusters[attempt.cluster]
    state.in_flight.pop(attempt.id, None)
    state.spend.reserved_usd = max(0.0, state.spend.reserved_usd - attempt.reserved_usd)
    attempt.reserved_usd = 0.0
    if attempt.id in cluster.ahead:
        cluster.ahead.remove(attempt.id)
    if cluster.running == attempt.id:
        cluster.running = ""
        cluster.training_s += max(0.0, at - cluster.since)
        cluster.since = max(cluster.since, at)
        if cluster.state is ClusterState.BUSY:
            cluster.state = ClusterState.IDLE
    return cluster


def _ended(state: State, event: Ended) -> None:
    attempt = state.attempts[event.attempt]
    if attempt.status is AttemptStatus.ENDED:
        return
    was_started = attempt.status is AttemptStatus.RUNNING
    cluster = _leave(state, attempt, event.at)
    state.waiting.pop(attempt.id, None)
    attempt.status, attempt.ended_at, attempt.outcome = AttemptStatus.ENDED, event.at, event.outcome
    attempt.preempted = event.preempted
    attempt.metrics, attempt.message, attempt.rescore = _scored(state, event.metrics), event.message, event.rescore
    attempt.curve = packed(event.curve) or attempt.curve
    attempt.progress = None
    cluster.seen_at = event.at
    cluster.attempts_ended += 1
    cluster.control_age += 1
    if event.outcome in (Outcome.VALID, Outcome.CRASH):
        for share in shares_of(state, cluster.name):
            share.failures = 0
    state.outcome_counts[event.outcome] = state.outcome_counts.get(event.outcome, 0) + 1
    if was_started:
        attempt.usd_per_hour = cluster.usd_per_hour
        hours = max(0.0, event.at - attempt.started_at) / 3600
        state.spend.gpu_hours += hours * cluster.gpus
        if event.outcome is Outcome.VALID:
            state.corpus, state.preset = state.corpus or event.corpus, state.preset or event.preset
            state.data = state.data or event.data
            state.data_restored.update(event.data_restored)
            _push(state.run_s, event.at - attempt.started_at, RECENT)
    _count_early(state, attempt)
    state.recent.append(attempt.id)
    del state.recent[:-RECENT]
    _result(state, attempt)


def _scored(state: State, printed: Metrics | None) -> Metrics | None:
    """Return the metrics as the state holds them, with a score in place of the printed value."""
    if printed is None or not state.session.metric.is_higher_better:
        return printed
    return msgspec.structs.replace(printed, score=state.session.metric.score(printed.score))


def _count_early(state: State, attempt: Attempt) -> None:
    stops = state.early_stops
    if attempt.outcome is Outcome.HOPELESS:
        stops.ended += 1
        if state.run_s:
            stops.saved_s += max(0.0, median(state.run_s) - (attempt.ended_at - attempt.started_at))
    elif attempt.skipped_stop is not None and attempt.outcome is Outcome.VALID and attempt.metrics is not None:
        stops.checked += 1
        stops.mistaken += attempt.metrics.score < attempt.skipped_stop.bar


def _result(state: State, attempt: Attempt) -> None:
    experiment = state.experiments[attempt.experiment]
    if attempt.outcome is Outcome.VALID and attempt.metrics is not None:
        scores = experiment.scores.setdefault(attempt.hardware, [])
        scores.append(attempt.metrics.score)
        _rank(state, experiment, attempt.hardware)
        if experiment.id == state.baseline or any(i.experiment == experiment.id for i in state.incumbencies[-8:]):
            state.controls.setdefault(attempt.hardware, []).append(attempt.id)
        if experiment.status in (ExperimentStatus.QUEUED, ExperimentStatus.RUNNING, ExperimentStatus.CRASHED):
            set_status(state, experiment, ExperimentStatus.VALID)
        if experiment.status is ExperimentStatus.VALID:
            state.contenders[experiment.id] = None
        return
    if experiment.status is ExperimentStatus.VALID:
        state.contenders[experiment.id] = None
    if experiment.status is not ExperimentStatus.RUNNING:
        return
    experiment.reason = attempt.message
    if any(state.attempts[name].status is not AttemptStatus.ENDED for name in experiment.attempts):
        _mark_waiting(state, experiment)
        return
    if attempt.outcome in (Outcome.CRASH, Outcome.TIMEOUT):
        set_status(state, experiment, ExperimentStatus.CRASHED)
    elif attempt.outcome is Outcome.HOPELESS:
        set_status(state, experiment, ExperimentStatus.DISCARDED)
    else:
        set_status(state, experiment, ExperimentStatus.QUEUED)
        state.stranded[experiment.id] = None


def _rank(state: State, experiment: Experiment, hardware: str) -> None:
    scores = experiment.scores[hardware]
    best = [ranked for ranked in state.best.get(hardware, []) if ranked.experiment != experiment.id]
    insort(best, Ranked(sum(scores) / len(scores), experiment.id, len(scores)), key=lambda ranked: ranked.mean)
    state.best[hardware] = best[:BEST_LISTED]


def _push(values: list[float], value: float, most: int) -> None:
    values.append(value)
    del values[:-most]


HANDLERS: Handlers = {
    Submitting: _submitting,
    Submitted: _submitted,
    Unsubmitted: _unsubmitted,
    Started: _started,
    Progressed: _progressed,
    Cancelling: _cancelling,
    EarlyStopSkipped: _early_stop_skipped,
    Ended: _ended,
}
