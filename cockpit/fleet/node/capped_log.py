"""Write the log of a run up to a cap, so that a flood of output does not fill the disk.

Only the standard library is imported: it runs on nodes that have no cockpit.
"""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING

from cockpit.fleet.node.disk import lacks, may_pass

if TYPE_CHECKING:
    from cockpit.fleet.node.disk import RetryForRoom

FULL_BELOW_BYTES = 1 << 16
HEAD_BYTES = 32 << 20
"""Output that is kept in full. Output after it is sampled."""
SAMPLE_BYTES = 1 << 16
"""Output kept of each second after the head, and of longer times the more was sampled."""
SLOWER_AFTER_BYTES = 32 << 20
"""Sampled output after which samples become rarer, so that a flood of a day takes as much as twenty heads."""
TAIL_BYTES = 1 << 20
"""Output at the end that is always kept, since it holds the summary."""
WAITING_BYTES = 4 << 20
"""Output that waits in memory for room on the disk."""
FULL = "the disk that holds its log was full while it ran"
CHANGED = "its log was removed, replaced or cut by another program while it ran"


class Log:
    """A run's capped log: its head, samples of the middle, its tail, and a line at each cut."""

    def __init__(self, path: str) -> None:
        """Open the log. An empty path is this process's own output, whose lines all end with newlines: SkyPilot's
        stream from Kubernetes loses lines that end with a carriage return."""
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640) if path else os.dup(1)
        self.cut_bytes = 0
        self.problem = ""
        """The reason why lines are missing; empty if none are known to be."""
        self.had_room = True
        self.at_line_start = True
        self._path = path
        self._after_return = False
        self.size_bytes = os.fstat(self.descriptor).st_size
        """Bytes of the file, as far as they are written."""
        self._written = self.size_bytes
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._dropped = 0
        self._sampled_at = 0.0
        self._sampled = 0
        self._newest = b"\n"
        self._waiting = b""
        """Output that the disk has not taken yet."""

    def write(self, data: bytes) -> None:
        if not self._path:
            data = self._in_lines(data)
        self.at_line_start = data[-1:] in (b"\n", b"\r") if data else self.at_line_start
        if self._written < HEAD_BYTES:
            self._put(data)
            self._written += len(data)
            return
        self._hold(data)
        now = time.monotonic()
        if now - self._sampled_at >= max(1.0, self._sampled / SLOWER_AFTER_BYTES):
            self._sampled_at = now
            self._sampled += SAMPLE_BYTES
            self.flush(SAMPLE_BYTES)

    def flush(self, most_bytes: int = TAIL_BYTES) -> None:
        """Write the newest of the held output, and a line with the number of bytes left out before it."""
        held = b"".join(self._held)
        kept = held[-most_bytes:]
        cut = self._dropped + len(held) - len(kept)
        self._held.clear()
        self._held_bytes = self._dropped = 0
        if cut:
            self.cut_bytes += cut
            self._put(f"\n[cockpit cut {cut:,} bytes of output here]\n".encode())
        self._put(kept)

    def _in_lines(self, data: bytes) -> bytes:
        """Return the output with a newline for each carriage return, and for each pair of both."""
        rest = data[1:] if self._after_return and data[:1] == b"\n" else data
        self._after_return = data[-1:] == b"\r" if data else self._after_return
        return rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def has_room(self) -> bool:
        return not lacks(os.fstatvfs(self.descriptor), FULL_BELOW_BYTES)

    def close(self, retry: RetryForRoom | None = None) -> None:
        """Close the log. Its last line gets a line end, so that later output starts on its own line.

        `retry` waits for room for the output that the disk has not taken.
        """
        self.flush()
        if self._newest != b"\n":
            self._put(b"\n")
        if self._waiting:
            try:
                retry.call(self._write_waiting) if retry else self._write_waiting()
            except OSError:
                self.problem = FULL
        if self._path and not self.problem and not self._is_as_written():
            self.problem = CHANGED
        os.close(self.descriptor)

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._held_bytes += len(data)
        while self._held_bytes - len(self._held[0]) >= TAIL_BYTES:
            oldest = self._held.popleft()
            self._held_bytes -= len(oldest)
            self._dropped += len(oldest)

    def _put(self, data: bytes) -> None:
        """Write output. A full disk gets it later; more than WAITING_BYTES of it is lost."""
        self._newest = data[-1:] or self._newest
        self._waiting += data
        try:
            self._write_waiting()
        except OSError as error:
            if not may_pass(error) or len(self._waiting) > WAITING_BYTES:
                self.problem, self._waiting = FULL, b""

    def _write_waiting(self) -> None:
        while self._waiting:
            written = os.write(self.descriptor, self._waiting)
            self.size_bytes, self._waiting = self.size_bytes + written, self._waiting[written:]

    def _is_as_written(self) -> bool:
        """Return True if the path still leads to this file, and the file holds all that was written."""
        try:
            here, there = os.fstat(self.descriptor), os.stat(self._path)
        except OSError:
            return False
        return (here.st_ino, here.st_dev) == (there.st_ino, there.st_dev) and here.st_size >= self.size_bytes
