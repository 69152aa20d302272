"""The log of a cluster's launch: the step it is at, and all that its set-up prints."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

SETUP_LOG_BYTES = 32 << 20
"""Bytes kept of what a set-up prints."""
LINE_EVERY_S = 10.0
"""Seconds between two lines of the set-up that are reported."""
REPORTED_CHARACTERS = 160


class LaunchLog:
    """A file that each launch appends to. `report` gets one sentence for each step, and now and then the newest
    line of the set-up."""

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        self.path, self._report = path, report
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._newest_step = ""
        self._line_reported_at = 0.0
        self.last_line = ""
        """The newest line that the set-up printed."""

    def begin(self) -> None:
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("ab", buffering=0)
        self._newest_step, self.last_line = "", ""

    def step(self, text: str) -> None:
        """Write and report a step, once."""
        with self._lock:
            if self._file is None or text == self._newest_step:
                return
            self._newest_step = text
            self._file.write(f"cockpit: {time.strftime('%H:%M:%S')} {text}\n".encode())
        self._report(text)

    def append(self, lines: bytes) -> None:
        """Add lines of the set-up."""
        with self._lock:
            if self._file is not None and self._file.tell() < SETUP_LOG_BYTES:
                self._file.write(lines)
        if newest := lines.strip().rpartition(b"\n")[2].strip():
            self.last_line = newest.decode("utf-8", "replace")
            if time.monotonic() - self._line_reported_at > LINE_EVERY_S:
                self._line_reported_at = time.monotonic()
                self._report(f"set-up: {self.last_line[:REPORTED_CHARACTERS]}")

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
