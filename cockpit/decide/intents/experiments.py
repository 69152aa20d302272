"""Intents about experiments and their runs."""

from cockpit.core.events import Cancelling, Decided, Event, IncumbentSet, Queued
from cockpit.core.intents import Discard, Kill, MakeBase, Promote, Rerun
from cockpit.core.model import AttemptKind, AttemptStatus, ExperimentStatus, Tier
from cockpit.decide.intents.request import Handlers, IntentRequest, Refused, experiment_named
from cockpit.decide.schedule import RunSpec, next_attempt

RUNS_TO_COME_AT_MOST = 16
"""Runs of one experiment that may wait or be under way when another is asked for."""


def _kill(asked: IntentRequest, intent: Kill) -> list[Event]:
    if intent.attempt not in asked.state.in_flight:
        raise Refused(f"{intent.attempt} is not running")
    reason = intent.reason or "killed"
    return [Cancelling(at=asked.at, attempt=intent.attempt, author=asked.author, reason=reason)]


def _rerun(asked: IntentRequest, intent: Rerun) -> list[Event]:
    return [_one_more_run(asked, intent.experiment, AttemptKind.REPLICATE, Tier.SCREEN, intent.hardware)]


def _promote(asked: IntentRequest, intent: Promote) -> list[Event]:
    better = asked.state.session.fleet.validate_hardware
    if not better:
        raise Refused(f"there is no better class of hardware: `rerun` measures {intent.experiment} again")
    return [_one_more_run(asked, intent.experiment, AttemptKind.VALIDATION, Tier.VALIDATE, better)]


def _one_more_run(asked: IntentRequest, name: str, kind: AttemptKind, tier: Tier, hardware: str) -> Queued:
    state, experiment = asked.state, experiment_named(asked.state, name)
    if experiment.status is ExperimentStatus.PROPOSED:
        raise Refused(f"{name} waits for approval: approve {experiment.wave} first")
    attempts = [state.attempts[attempt] for attempt in experiment.attempts]
    to_come = sum(attempt.status is not AttemptStatus.ENDED for attempt in attempts)
    if to_come >= RUNS_TO_COME_AT_MOST:
        raise Refused(f"{name} has {to_come} runs to come already")
    avoid = attempts[-1].cluster if attempts else ""
    run = RunSpec(name, kind, f"person:{asked.author}", tier, hardware, avoid)
    return Queued(at=asked.at, attempt=next_attempt(state, run), reason=f"{asked.author} asked for it")


def _make_base(asked: IntentRequest, intent: MakeBase) -> list[Event]:
    name, at, author = intent.experiment, asked.at, asked.author
    if not experiment_named(asked.state, name).scores:
        raise Refused(f"{name} has no result yet: only measured code can be the base")
    reason = _reason(asked, intent.reason)
    return [
        Decided(at=at, experiment=name, status=ExperimentStatus.KEPT, reason=reason, author=author),
        IncumbentSet(at=at, experiment=name, reason=reason, author=author),
    ]


def _discard(asked: IntentRequest, intent: Discard) -> list[Event]:
    name = intent.experiment
    if experiment_named(asked.state, name).status is ExperimentStatus.PROPOSED:
        raise Refused(f"{name} waits for approval: reject its wave, or drop it from it")
    reason, status = _reason(asked, intent.reason), ExperimentStatus.DISCARDED
    return [Decided(at=asked.at, experiment=name, status=status, reason=reason, author=asked.author)]


def _reason(asked: IntentRequest, reason: str) -> str:
    return reason or f"on {asked.author}'s word"


HANDLERS: Handlers = {
    Kill: _kill,
    Rerun: _rerun,
    Promote: _promote,
    MakeBase: _make_base,
    Discard: _discard,
}
