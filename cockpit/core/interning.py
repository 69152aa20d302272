"""Share one object among equal values: names, reasons, dicts. Part of `cockpit.core.fold`.

A hundred thousand records hold the same few values, and each event and snapshot is decoded with copies of its own.
Sharing them changes no value of the state.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, cast

from msgspec import Raw, msgpack
from msgspec.structs import replace

from cockpit.core.model import Attempt, Estimate, Experiment, Wave
from cockpit.core.state import State

T = TypeVar("T")

_experiment, _wave, _attempt = msgpack.Decoder(Experiment), msgpack.Decoder(Wave), msgpack.Decoder(Attempt)


def one_wave(wave: Wave, experiments: Sequence[Experiment]) -> None:
    """Share the names that a wave and its arms hold of each other."""
    names = {experiment.id: experiment.id for experiment in experiments}
    wave.arms = [names.get(arm, arm) for arm in wave.arms]
    for experiment in experiments:
        experiment.wave = wave.id
        _one_experiment(experiment)


def _one_experiment(experiment: Experiment) -> None:
    intern = sys.intern
    experiment.base = intern(experiment.base)
    experiment.prepare_hash = intern(experiment.prepare_hash)
    experiment.why, experiment.reason = intern(experiment.why), intern(experiment.reason)
    constants = experiment.change.constants
    experiment.levels = _same(experiment.levels, constants)
    experiment.overrides = _same(experiment.overrides, constants)
    if experiment.estimate is not None:
        experiment.estimate = one_estimate(experiment.estimate)


def _same(mine: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return `other` where both encode the same: 1, 1.0 and True are equal, but encode differently."""
    return other if mine == other and msgpack.encode(mine) == msgpack.encode(other) else mine


def one_estimate(estimate: Estimate) -> Estimate:
    return replace(estimate, against=sys.intern(estimate.against), hardware=sys.intern(estimate.hardware))


def one_attempt(state: State, attempt: Attempt) -> None:
    attempt.experiment = state.experiments[attempt.experiment].id
    attempt.rule, attempt.hardware = sys.intern(attempt.rule), sys.intern(attempt.hardware)
    attempt.cluster, attempt.pin = sys.intern(attempt.cluster), sys.intern(attempt.pin)


def unpacked(body: bytes) -> State:
    """Decode the state of a snapshot, record by record. Raises msgspec.MsgspecError on anything else.

    Freed all together at the end, the copies that are shared away would leave holes in the heap.
    """
    parts = msgpack.decode(body, type=dict[str, Raw])
    waves, experiments, attempts = (_records(parts, name) for name in ("waves", "experiments", "attempts"))
    state = msgpack.decode(msgpack.encode(parts), type=State)
    for raw in experiments:
        experiment = _experiment.decode(raw)
        _one_experiment(experiment)
        state.experiments[experiment.id] = experiment
    for raw in waves:
        wave = _wave.decode(raw)
        wave.arms = [state.experiments[arm].id for arm in wave.arms]
        state.waves[wave.id] = wave
    for raw in attempts:
        attempt = _attempt.decode(raw)
        one_attempt(state, attempt)
        state.attempts[attempt.id] = attempt
    for experiment in state.experiments.values():
        experiment.wave = state.waves[experiment.wave].id
        experiment.attempts = [state.attempts[name].id for name in experiment.attempts]
    first = [state.experiments[name] for name in state.by_fingerprint.values()]
    state.by_fingerprint = {known.fingerprint: known.id for known in first}
    return state


class LazyRecords(dict[str, T]):
    """Records by name, each decoded when it is first looked at: a status looks at a few of a hundred thousand."""

    def __init__(self, raws: dict[str, Any], decoder: msgpack.Decoder[T]) -> None:
        super().__init__(raws)
        self._decode = decoder.decode

    def __getitem__(self, name: str) -> T:
        found: Any = super().__getitem__(name)
        if type(found) is Raw:
            found = self._decode(found)
            self[name] = found
        return cast(T, found)

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def values(self) -> Any:
        return [self[name] for name in self]

    def items(self) -> Any:
        return [(name, self[name]) for name in self]


def glanced(body: bytes) -> State:
    """Decode the state of a snapshot but for its experiments and attempts, which are decoded when they are looked at.

    Such a state may be folded on and read, but not encoded, and it knows no fingerprints. Raises msgspec.MsgspecError
    on anything else.
    """
    parts = msgpack.decode(body, type=dict[str, Raw])
    experiments, attempts, _ = (parts.pop(name, None) for name in ("experiments", "attempts", "by_fingerprint"))
    state = msgpack.decode(msgpack.encode(parts), type=State)
    if experiments is not None:
        state.experiments = LazyRecords(msgpack.decode(experiments, type=dict[str, Raw]), _experiment)
    if attempts is not None:
        state.attempts = LazyRecords(msgpack.decode(attempts, type=dict[str, Raw]), _attempt)
    return state


def _records(parts: dict[str, Raw], name: str) -> Iterable[Raw]:
    return msgpack.decode(parts.pop(name), type=dict[str, Raw]).values() if name in parts else ()
