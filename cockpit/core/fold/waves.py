"""Fold waves and their experiments: proposed, edited, approved, dropped, decided on."""

import sys

from cockpit.core.events import (
    Approved,
    ArmDropped,
    Certified,
    Decided,
    IncumbentSet,
    ProposalEdited,
    Proposed,
    Queued,
    Rejected,
    WaveCancelled,
    WaveMoved,
)
from cockpit.core.fold.conversation import say
from cockpit.core.fold.handlers import Handlers
from cockpit.core.fold.runs import fold_queued, set_status, take_out_waiting
from cockpit.core.interning import intern_estimate, intern_wave
from cockpit.core.model import FINGERPRINT_CHARACTERS, Experiment, ExperimentStatus, WaveKind, WaveStatus
from cockpit.core.state import TESTED_LISTED, WITHOUT, Incumbency, State


def _proposed(state: State, event: Proposed) -> None:
    wave = event.wave
    state.waves[wave.id] = wave
    state.proposals[wave.id] = None
    intern_wave(wave, event.experiments)
    if wave.kind is WaveKind.WAVE:
        state.arms_proposed[wave.proposer] = state.arms_proposed.get(wave.proposer, 0) + len(wave.arms)
    for experiment in event.experiments:
        _add(state, experiment)
        set_status(state, experiment, ExperimentStatus.PROPOSED, new=True)
        if WITHOUT in experiment.levels:
            state.ablations.append(experiment.id)
        if wave.kind is WaveKind.BASELINE and not state.baseline:
            state.baseline = experiment.id


def _add(state: State, experiment: Experiment) -> None:
    """Add an experiment. A fingerprint of an older cockpit is as long as those of new variants, which it may equal."""
    experiment.fingerprint = experiment.fingerprint[:FINGERPRINT_CHARACTERS]
    state.experiments[experiment.id] = experiment


def _proposal_edited(state: State, event: ProposalEdited) -> None:
    old = state.waves[event.wave.id]
    keep = {experiment.id for experiment in event.experiments}
    for arm in old.arms:
        if arm not in keep:
            _drop(state, arm, f"taken out by {event.author}")
    state.waves[event.wave.id] = event.wave
    intern_wave(event.wave, event.experiments)
    for experiment in event.experiments:
        known = state.experiments.get(experiment.id)
        if known is not None:
            state.status_counts[known.status] -= 1
            _forget_fingerprint(state, known.id)
        _add(state, experiment)
        set_status(state, experiment, ExperimentStatus.PROPOSED, new=True)


def _approved(state: State, event: Approved) -> None:
    wave = state.waves[event.wave]
    wave.decided_seq = state.seq
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
        # All arms were dropped, or the wave only measures experiments of earlier waves again: no arm would close it.
        wave.status, wave.done_seq = WaveStatus.DONE, state.seq
        state.open_waves.pop(wave.id, None)


def _forget_fingerprint(state: State, experiment: str) -> None:
    fingerprint = state.experiments[experiment].fingerprint
    if state.by_fingerprint.get(fingerprint) == experiment:
        del state.by_fingerprint[fingerprint]


def _drop(state: State, arm: str, reason: str) -> None:
    """Drop an arm that has no result. A measured arm keeps its status."""
    experiment = state.experiments[arm]
    take_out_waiting(state, experiment)
    if experiment.status not in (ExperimentStatus.PROPOSED, ExperimentStatus.QUEUED, ExperimentStatus.RUNNING):
        return
    experiment.reason = reason
    set_status(state, experiment, ExperimentStatus.DROPPED)


def _rejected(state: State, event: Rejected) -> None:
    wave = state.waves[event.wave]
    wave.decided_seq = state.seq
    wave.status, wave.decided_at, wave.decided_by, wave.reason = (
        WaveStatus.REJECTED, event.at, event.author, event.reason,
    )  # fmt: skip
    state.proposals.pop(wave.id, None)
    for arm in wave.arms:
        _drop(state, arm, f"rejected by {event.author}: {event.reason}")
    say(state, event.at, event.author, f"rejects {wave.id}: {event.reason}", "news")


def _wave_moved(state: State, event: WaveMoved) -> None:
    state.waves[event.wave].rank = event.rank


def _wave_cancelled(state: State, event: WaveCancelled) -> None:
    wave = state.waves[event.wave]
    wave.status, wave.decided_by, wave.reason = WaveStatus.CANCELLED, event.author, event.reason
    wave.decided_seq = state.seq
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
        experiment.estimate = intern_estimate(event.estimate)
    if event.status is ExperimentStatus.KEPT and experiment.status is not event.status and experiment.test_level:
        state.test_keeps.append(state.tests)
    set_status(state, experiment, event.status)
    if event.status in (ExperimentStatus.DISCARDED, ExperimentStatus.CRASHED):
        take_out_waiting(state, experiment)
    state.contenders.pop(experiment.id, None)


def _incumbent_set(state: State, event: IncumbentSet) -> None:
    state.incumbent = event.experiment
    state.incumbencies.append(
        Incumbency(event.at, event.experiment, event.reason, event.author, event.estimate, state.seq)
    )
    say(state, event.at, event.author, f"{event.experiment} is the incumbent: {event.reason}", "news")


def _certified(state: State, event: Certified) -> None:
    state.certificates[event.experiment] = event.digest


HANDLERS: Handlers = {
    Proposed: _proposed,
    ProposalEdited: _proposal_edited,
    Approved: _approved,
    Rejected: _rejected,
    WaveMoved: _wave_moved,
    WaveCancelled: _wave_cancelled,
    ArmDropped: _arm_dropped,
    Queued: _queued,
    Decided: _decided,
    IncumbentSet: _incumbent_set,
    Certified: _certified,
}
