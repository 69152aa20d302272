"""Pack a state into bytes, its experiments and attempts in blocks that are decoded on first access.

A status reads a few dozen of a hundred thousand records, so only their blocks are decompressed and decoded.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Raw, msgpack

from cockpit.core.interning import intern_attempt, intern_experiment
from cockpit.core.model import Attempt, Experiment
from cockpit.core.state import State
from cockpit.session.compressed import FAST, SMALL, SMALLEST, compressed, decompressed

T = TypeVar("T")

SMALLEST_UP_TO = 2_000
"""Experiments of the largest state that is packed as small as can be: it takes half a second of a processor."""
BLOCK_RECORDS = 512

_experiment, _attempt = msgpack.Decoder(Experiment), msgpack.Decoder(Attempt)


class _Records(msgspec.Struct, array_like=True):
    """Records by name, in order: all names, and the records in blocks. Each part is compressed."""

    names: bytes
    blocks: list[bytes]


class _Parts(msgspec.Struct, array_like=True):
    state: bytes
    """The state without the other parts."""
    fingerprinted: bytes
    """The first experiment of each fingerprint, in the order of the state's index."""
    experiments: _Records
    attempts: _Records


def pack(state: State, small_until: float = 0.0) -> bytes:
    """Return a state as bytes, packed small up to a time on the monotonic clock, and fast after it."""
    small = SMALLEST if len(state.experiments) <= SMALLEST_UP_TO else SMALL

    def level() -> int:
        return small if time.monotonic() < small_until else FAST

    rest = msgspec.structs.replace(state, experiments={}, attempts={}, by_fingerprint={})
    first = list(state.by_fingerprint.values())
    return msgpack.encode(
        _Parts(
            compressed(msgpack.encode(rest), level()),
            compressed(msgpack.encode(first), level()),
            _blocks(state.experiments, level),
            _blocks(state.attempts, level),
        )
    )


def unpack(body: bytes) -> State:
    """Return the whole state. Raises msgspec.MsgspecError or ValueError on anything else.

    Records are decoded and share their equal values one by one. Freed all together at the end, the copies that are
    shared away would leave holes in the heap.
    """
    parts = msgpack.decode(body, type=_Parts)
    state = msgpack.decode(decompressed(parts.state), type=State)
    for raw in _raws(parts.experiments.blocks):
        experiment = _experiment.decode(raw)
        intern_experiment(experiment)
        state.experiments[experiment.id] = experiment
    for wave in state.waves.values():
        wave.arms = [state.experiments[arm].id for arm in wave.arms]
    for raw in _raws(parts.attempts.blocks):
        attempt = _attempt.decode(raw)
        intern_attempt(state, attempt)
        state.attempts[attempt.id] = attempt
    for experiment in state.experiments.values():
        experiment.wave = state.waves[experiment.wave].id
        experiment.attempts = [state.attempts[name].id for name in experiment.attempts]
    first = [state.experiments[name] for name in _names(parts.fingerprinted)]
    state.by_fingerprint = {known.fingerprint: known.id for known in first}
    return state


def glance(body: bytes) -> State:
    """Return the state for a look at a few of its experiments and attempts.

    Such a state may be folded on and read, but not packed, and it knows no fingerprints. Raises as `unpack` does.
    """
    parts = msgpack.decode(body, type=_Parts)
    state = msgpack.decode(decompressed(parts.state), type=State)
    state.experiments = LazyRecords(parts.experiments, _experiment)
    state.attempts = LazyRecords(parts.attempts, _attempt)
    return state


class LazyRecords(dict[str, T]):
    """Records by name, each decoded when it is first read. Until then its place in the blocks is its value."""

    def __init__(self, records: _Records, decoder: msgpack.Decoder[T]) -> None:
        names: list[Any] = _names(records.names)
        super().__init__(zip(names, cast(Iterable[T], range(len(names))), strict=True))
        self._decode = decoder.decode
        self._blocks = records.blocks
        self._read: dict[int, list[Raw]] = {}

    def __getitem__(self, name: str) -> T:
        found: Any = super().__getitem__(name)
        if type(found) is int:
            found = self._decode(self._block(found // BLOCK_RECORDS)[found % BLOCK_RECORDS])
            self[name] = found
        return cast(T, found)

    def _block(self, number: int) -> list[Raw]:
        if number not in self._read:
            self._read[number] = _block(self._blocks[number])
        return self._read[number]

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def values(self) -> Any:
        return [self[name] for name in self]

    def items(self) -> Any:
        return [(name, self[name]) for name in self]


def _blocks(records: Mapping[str, Experiment] | Mapping[str, Attempt], level: Callable[[], int]) -> _Records:
    every = list(records.values())
    starts = range(0, len(every), BLOCK_RECORDS)
    blocks = [compressed(msgpack.encode(every[start : start + BLOCK_RECORDS]), level()) for start in starts]
    return _Records(compressed(msgpack.encode(list(records)), level()), blocks)


def _names(data: bytes) -> list[str]:
    return msgpack.decode(decompressed(data), type=list[str])


def _block(data: bytes) -> list[Raw]:
    return msgpack.decode(decompressed(data), type=list[Raw])


def _raws(blocks: Iterable[bytes]) -> Iterator[Raw]:
    for block in blocks:
        yield from _block(block)
