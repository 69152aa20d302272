"""Intents about approved waves and their arms."""

from cockpit.core.events import ArmDropped, Event, WaveCancelled, WaveMoved
from cockpit.core.intents import CancelWave, DropArm, MoveWave
from cockpit.core.model import ExperimentStatus, WaveStatus
from cockpit.core.state import State
from cockpit.decide.intents.request import Handlers, IntentRequest, Refused, experiment_named, wave_named

_DROPPABLE = (ExperimentStatus.PROPOSED, ExperimentStatus.QUEUED, ExperimentStatus.RUNNING)


def _drop_arm(asked: IntentRequest, intent: DropArm) -> list[Event]:
    name = intent.experiment
    status = experiment_named(asked.state, name).status
    if status not in _DROPPABLE:
        raise Refused(f"{name} is {status}: there is nothing left to drop")
    return [ArmDropped(at=asked.at, experiment=name, author=asked.author, reason=intent.reason)]


def _move_wave(asked: IntentRequest, intent: MoveWave) -> list[Event]:
    wave = wave_named(asked.state, intent.wave)
    if wave.status not in (WaveStatus.PROPOSED, WaveStatus.APPROVED):
        raise Refused(f"{wave.id} is {wave.status}: only a wave that has runs to come can be moved")
    if intent.before == wave.id:
        raise Refused(f"{wave.id} cannot run before itself")
    rank = _rank_before(asked.state, intent.wave, intent.before)
    return [WaveMoved(at=asked.at, wave=intent.wave, rank=rank, author=asked.author)]


def _cancel_wave(asked: IntentRequest, intent: CancelWave) -> list[Event]:
    wave = wave_named(asked.state, intent.wave)
    if wave.status not in (WaveStatus.PROPOSED, WaveStatus.APPROVED):
        raise Refused(f"{wave.id} is {wave.status} already")
    return [WaveCancelled(at=asked.at, wave=wave.id, author=asked.author, reason=intent.reason)]


def _rank_before(state: State, name: str, before: str) -> float:
    ranks = sorted(wave.rank for wave in state.waves.values() if wave.id != name)
    if not before:
        return (ranks[-1] if ranks else 0.0) + 1.0
    rank = wave_named(state, before).rank
    lower = [other for other in ranks if other < rank]
    return (lower[-1] + rank) / 2 if lower else rank - 1.0


HANDLERS: Handlers = {
    DropArm: _drop_arm,
    MoveWave: _move_wave,
    CancelWave: _cancel_wave,
}
