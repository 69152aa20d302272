"""The snapshot file: the state at one event, so that a reader need not fold the session from its first event."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec

from cockpit.core.state import State
from cockpit.session import packed_state
from cockpit.session.chain import digest
from cockpit.session.event_stream import Place
from cockpit.session.plain_file import make_way, read_plain

STATE_FORMAT = 12
"""Counted up when State changes its shape: older snapshots are then ignored."""
SNAPSHOT_MODE = 0o640
SNAPSHOT_BYTES_AT_MOST = 4 << 30
MAGIC = b"cockpit state 2\n"
_HEADER = struct.Struct("<IQ16sQ")
"""STATE_FORMAT, the number of the last event, its chain, and the offset in the event stream after it."""
_CHECKSUM_BYTES = 32


class Snapshot(msgspec.Struct, frozen=True):
    place: Place
    body: bytes

    def state(self) -> State:
        return packed_state.unpack(self.body)

    def glance(self) -> State:
        """Return the state for a look at a few of its records: it may not be packed."""
        return packed_state.glance(self.body)


def partial_of(path: Path) -> Path:
    """Return the file that a snapshot is written to before it takes its place."""
    return path.with_name(f"{path.name}.partial")


def write_snapshot(
    path: Path, state: State, place: Place, small_until: float = 0.0, is_wanted: Callable[[], bool] = lambda: True
) -> None:
    """Write the snapshot of a state beside the old one, and rename it over it if it is still wanted. Raises OSError.

    `small_until` is a time on the monotonic clock: what is packed before it is packed smaller.
    """
    body = packed_state.pack(state, small_until)
    content = _HEADER.pack(STATE_FORMAT, place.seq, place.chain, place.offset) + body
    checksum = digest(content, _CHECKSUM_BYTES)
    partial = partial_of(path)
    make_way(partial)
    try:
        descriptor = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, SNAPSHOT_MODE)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, SNAPSHOT_MODE)
            file.write(MAGIC + checksum)
            file.write(content)
            file.flush()
            os.fdatasync(descriptor)
        if is_wanted():
            make_way(path)
            partial.replace(path)
        else:
            partial.unlink()
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def read_snapshot(path: Path) -> Snapshot | None:
    """Return the snapshot; None if there is none in the present format. Raises ValueError if it is damaged."""
    try:
        data = read_plain(path, SNAPSHOT_BYTES_AT_MOST)
    except FileNotFoundError:
        return None
    head = len(MAGIC) + _CHECKSUM_BYTES
    if data[: len(MAGIC)] != MAGIC or len(data) < head + _HEADER.size:
        raise ValueError(f"{path} is not a snapshot")
    content = memoryview(data)[head:]
    if digest(content, _CHECKSUM_BYTES) != data[len(MAGIC) : head]:
        raise ValueError(f"{path} is damaged")
    state_format, seq, chain, offset = _HEADER.unpack_from(content)
    if state_format != STATE_FORMAT:
        return None
    return Snapshot(Place(seq, chain, offset), bytes(content[_HEADER.size :]))
