"""The event stream `events.log`: every event of the ledger in a plain file that the session's group may read.

The worker appends to it; readers use pread and take no lock, so a reader cannot delay the worker. A frame is a header
and event bodies. They are deflated while the session runs: the first frame of a segment starts a new deflate stream, so
a reader can begin there. Once the session rests, the frames are the ledger's packs. The header holds the chain after
the frame's last event, which every reader checks.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from cockpit.session.chain import GENESIS, chained
from cockpit.session.compressed import decompressed
from cockpit.session.event_bodies import joined, split
from cockpit.session.ledger_errors import LedgerError
from cockpit.session.plain_file import make_way

STREAM_MODE = 0o640
FAMILY = b"cockpit events "
OLD_MAGIC = FAMILY + b"2\n"
"""The start of a stream without packs."""
MAGIC = FAMILY + b"4\n"
"""A 3 would become a 2 by one changed bit."""
FRAME = struct.Struct("<IIIB16s")
"""Bytes of the payload, its CRC-32, events in it, flags, and the chain after its last event.

A CRC-32 of this header follows. The chain alone would miss a changed bit that deflate ignores."""
HEADER_BYTES = FRAME.size + 4
STARTS_SEGMENT, IS_PACK = 1, 2
"""Flags of a frame."""
EVENTS_A_FRAME = 1_000
READ_BYTES = 1 << 20
LEVEL = 6


class StreamDamaged(Exception):
    """A frame does not fit the chain; `seq` is the last event that does."""

    def __init__(self, path: Path, seq: int) -> None:
        super().__init__(f"{path} is damaged after event {seq}")
        self.seq = seq


class Place(msgspec.Struct, frozen=True):
    """The end of a frame after which a new deflate stream begins."""

    seq: int
    chain: bytes
    offset: int


START = Place(0, GENESIS, len(MAGIC))


def is_header(header: bytes) -> bool:
    """Return True if a frame's header is whole and as it was written."""
    head, crc = header[: FRAME.size], header[FRAME.size :]
    return len(header) == HEADER_BYTES and zlib.crc32(head) == int.from_bytes(crc, "little")


class Compressor(Protocol):
    """Compresses a segment. The name of zlib's own type differs between versions of Python."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self, mode: int = ..., /) -> bytes: ...


class Decompressor(Protocol):
    """Decompresses a segment."""

    def decompress(self, data: bytes, /) -> bytes: ...


class StreamWriter:
    """Appends to the stream. Raises OSError; a frame that was not written whole is cut off before the next."""

    def __init__(self, path: Path, end: Place) -> None:
        """Continue the stream after `end`; what lies behind is cut off."""
        self.path = path
        self.end = end
        self._deflate: Compressor | None = None
        make_way(path)
        self._fd = os.open(path, os.O_CREAT | os.O_RDWR, STREAM_MODE)
        os.fchmod(self._fd, STREAM_MODE)
        os.pwrite(self._fd, MAGIC, 0)
        os.ftruncate(self._fd, end.offset)
        self._written_ns = self._changed_ns()

    def append(self, bodies: Sequence[bytes]) -> None:
        """Append events; several frames if there are many."""
        for first in range(0, len(bodies), EVENTS_A_FRAME):
            self._append_frame(bodies[first : first + EVENTS_A_FRAME])

    def _append_frame(self, bodies: Sequence[bytes]) -> None:
        flags = 0
        if self._deflate is None:
            self._deflate, flags = zlib.compressobj(LEVEL), STARTS_SEGMENT
        payload = self._deflate.compress(joined(bodies)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        self._write_frame(payload, len(bodies), flags, chained(self.end.chain, bodies))

    def append_pack(self, payload: bytes, events: int, chain: bytes) -> None:
        """Append a pack of the ledger, whose last event has this link of the chain."""
        self._write_frame(payload, events, IS_PACK, chain)
        self.start_segment()

    def _write_frame(self, payload: bytes, events: int, flags: int, chain: bytes) -> None:
        head = FRAME.pack(len(payload), zlib.crc32(payload), events, flags, chain)
        frame = head + zlib.crc32(head).to_bytes(4, "little") + payload
        written = 0
        try:
            while written < len(frame):
                written += os.pwrite(self._fd, frame[written:], self.end.offset + written)
        except OSError:
            self.start_segment()
            os.ftruncate(self._fd, self.end.offset)
            raise
        self.end = Place(self.end.seq + events, chain, self.end.offset + len(frame))
        self._written_ns = self._changed_ns()

    def start_segment(self) -> Place:
        """Let a new deflate stream begin after the last frame, and return that place."""
        self._deflate = None
        return self.end

    def packs_end(self) -> Place:
        """Return the end of the leading frames that are packs of the ledger."""
        place = START
        while True:
            header = os.pread(self._fd, HEADER_BYTES, place.offset)
            size, _, count, flags, chain = FRAME.unpack(header[: FRAME.size].ljust(FRAME.size, b"\0"))
            end = place.offset + HEADER_BYTES + size
            if not is_header(header) or not flags & IS_PACK or end > self.end.offset:
                return place
            place = Place(place.seq + count, chain, end)

    def copied(self, path: Path, end: Place) -> "StreamWriter":
        """Copy the stream up to `end` into another file, and return the writer that continues there."""
        make_way(path)
        with path.open("wb") as file:
            for at in range(0, end.offset, READ_BYTES):
                file.write(os.pread(self._fd, min(READ_BYTES, end.offset - at), at))
        return StreamWriter(path, end)

    def rename(self, path: Path) -> None:
        """Put the file in the place of another, once it is on the disk."""
        os.fsync(self._fd)
        self.path = self.path.replace(path)

    def is_as_written(self) -> bool:
        """Return True if the file is as this writer left it. Bytes that another program appended are cut off.

        One that another program has written is read as a whole.
        """
        try:
            here, there = os.fstat(self._fd), self.path.stat()
            if here.st_size > self.end.offset:
                os.ftruncate(self._fd, self.end.offset)
            if here.st_ino != there.st_ino or here.st_size < self.end.offset:
                return False
            if here.st_mtime_ns != self._written_ns:
                self._written_ns = self._changed_ns()
                return link_at(self.path, self.end.seq) == self.end.chain
        except (OSError, StreamDamaged, LedgerError):
            return False
        return True

    def _changed_ns(self) -> int:
        return os.fstat(self._fd).st_mtime_ns

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class StreamReader:
    """Reads the stream from a place on. Raises OSError if the file cannot be opened, LedgerError for a newer one."""

    def __init__(self, path: Path, place: Place = START) -> None:
        self.path = path
        self.place = place
        """The end of the last whole frame that was read."""
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe in its place would hold the reader up
        self._inflate: Decompressor | None = None
        found = os.pread(self._fd, len(MAGIC), 0)
        if found not in (MAGIC, OLD_MAGIC):
            self.close()
            if found.startswith(FAMILY) and found.endswith(b"\n"):
                raise LedgerError(f"{path} was written by a newer cockpit: upgrade to open it")
            raise StreamDamaged(path, 0)

    def frames(self) -> Iterator[list[bytes]]:
        """Yield the event bodies of each whole frame after `place`. A frame that is being written ends the iteration.

        Raises StreamDamaged at the first frame that does not fit the chain.
        """
        held, offset = b"", self.place.offset
        while chunk := os.pread(self._fd, READ_BYTES, offset + len(held)):
            held += chunk
            used = 0
            while (end := self._frame_end(held, used)) <= len(held):
                yield self._frame(held, used, end, offset + end)
                used = end
            held, offset = held[used:], offset + used

    def at_end(self) -> bool:
        """Return True if the file ends at `place`, without a part of a frame behind it."""
        return os.fstat(self._fd).st_size == self.place.offset

    def _frame_end(self, held: bytes, start: int) -> int:
        """Return where a frame ends, as far as its header is there."""
        body = start + HEADER_BYTES
        if body > len(held):
            return body
        if not is_header(held[start:body]):
            raise StreamDamaged(self.path, self.place.seq)
        return body + int(FRAME.unpack_from(held, start)[0])

    def _frame(self, held: bytes, start: int, end: int, end_offset: int) -> list[bytes]:
        _, crc, count, flags, chain = FRAME.unpack_from(held, start)
        payload = held[start + HEADER_BYTES : end]
        if zlib.crc32(payload) != crc:
            raise StreamDamaged(self.path, self.place.seq)
        try:
            bodies = split(self._text(payload, flags))
        except (zlib.error, ValueError):
            raise StreamDamaged(self.path, self.place.seq) from None
        if len(bodies) != count or chained(self.place.chain, bodies) != chain:
            raise StreamDamaged(self.path, self.place.seq)
        self.place = Place(self.place.seq + count, chain, end_offset)
        return bodies

    def _text(self, payload: bytes, flags: int) -> bytes:
        """Return the text of a frame. Raises zlib.error and ValueError."""
        if flags & IS_PACK:
            self._inflate = None
            return decompressed(payload)
        if flags & STARTS_SEGMENT or self._inflate is None:
            self._inflate = zlib.decompressobj()
        return self._inflate.decompress(payload)

    def replaced(self) -> bool:
        """Return True if another file has taken this one's place, or it was cut behind `place`."""
        try:
            here, there = os.fstat(self._fd), self.path.stat()
        except OSError:
            return True
        return here.st_ino != there.st_ino or there.st_size < self.place.offset

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def link_at(path: Path, seq: int) -> bytes:
    """Return the chain's link at event number `seq`; no bytes where the stream is shorter. Raises as StreamReader."""
    reader = StreamReader(path)
    try:
        before = reader.place
        for bodies in reader.frames():
            if reader.place.seq >= seq:
                return chained(before.chain, bodies[: seq - before.seq])
            before = reader.place
        return b""
    finally:
        reader.close()
