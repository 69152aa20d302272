"""The file `progress.live`: the newest progress of each running attempt. The ledger does not keep it."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from cockpit.core.event_codec import AnyEvent, decode_event, encode_event
from cockpit.core.events import Ended, Event, Progressed, Unsubmitted
from cockpit.session.chain import digest
from cockpit.session.plain_file import make_way, read_plain

PROGRESS_MODE = 0o640
PROGRESS_BYTES_AT_MOST = 64 << 20
_CHECKSUM_BYTES = 16
_TRIES = 3
_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


class ProgressFile:
    """Written in place, with a checksum by which a reader knows a half-written one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bodies: dict[str, bytes] = {event.attempt: encode_event(event) for event in read_progress(path)}

    def take(self, events: Sequence[Event]) -> bool:
        """Note the progress among `events`, and forget attempts that ended. Returns True if the file is out of date."""
        changed = False
        for event in events:
            if isinstance(event, Progressed):
                self._bodies[event.attempt] = encode_event(event)
                changed = True
            elif isinstance(event, Ended | Unsubmitted):
                changed |= self._bodies.pop(event.attempt, None) is not None
        return changed

    def events(self) -> list[Progressed]:
        return _progressed(decode_event(body) for body in self._bodies.values())

    def write(self) -> None:
        """Write the file. Raises OSError."""
        content = msgspec.json.encode({name: msgspec.Raw(body) for name, body in self._bodies.items()})
        data = digest(content, _CHECKSUM_BYTES) + content
        make_way(self.path)
        descriptor = os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_NONBLOCK, PROGRESS_MODE)
        try:
            os.fchmod(descriptor, PROGRESS_MODE)
            os.pwrite(descriptor, data, 0)
            os.ftruncate(descriptor, len(data))
        finally:
            os.close(descriptor)


def read_progress(path: Path) -> list[Progressed]:
    """Return the newest progress of each running attempt; empty if the file cannot be used."""
    for _ in range(_TRIES):
        try:
            data = read_plain(path, PROGRESS_BYTES_AT_MOST)
        except OSError:
            return []
        content = data[_CHECKSUM_BYTES:]
        if digest(content, _CHECKSUM_BYTES) != data[:_CHECKSUM_BYTES]:
            continue  # it is being written
        try:
            return _progressed(decode_event(bytes(body)) for body in _decoder.decode(content).values())
        except msgspec.MsgspecError:
            return []
    return []


def _progressed(events: Iterable[AnyEvent]) -> list[Progressed]:
    return [event for event in events if isinstance(event, Progressed)]
