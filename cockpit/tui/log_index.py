"""An index of a run's log on disk: sparse offsets and the blocks last read, so that the log is not held in memory."""

import re
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from cockpit.session.plain_file import open_plain

STRIDE = 128
"""Lines between two entries of the index."""
BLOCKS_HELD = 64
CHUNK = 1 << 20
AT_ONCE = 8 * CHUNK
TAIL = 8_192
LONGEST = 4_096
"""Bytes shown of a line. A longer line is cut, and says so."""

_ENDS = re.compile(rb"\r\n|\n|\r")
"""Line ends. A carriage return alone ends a progress line."""


class LogIndex:
    """The lines of a growing file. A missing file has none. Takes 8 bytes of memory for each 128 lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begin()

    def _begin(self) -> None:
        """Index the file from its start."""
        self.lines = 0
        """The number of lines: those indexed so far and an unfinished last one, or a share of them."""
        self.size = 0
        """Bytes indexed."""
        self._starts = array("Q", [0])
        self._whole = 0
        self._last_end = 0
        self._return_at_end = False
        self._blocks: OrderedDict[int, list[bytes]] = OrderedDict()
        self.marks = array("d")
        """(line, wall-clock time) pairs, flat: lines from that number on arrived at that time or later."""

    def grow(self, share: float = 1.0) -> bool:
        """Index what was appended. With a `share` below 1 the file has that share of its lines only.

        Returns True if the number of lines changed.
        """
        grew = self._read_on()
        lines = self._whole + (1 if self._last_end < self.size else 0)
        lines = lines if share >= 1 else int(lines * share)
        grew, self.lines = grew or lines != self.lines, lines
        return grew

    def _read_on(self) -> bool:
        """Index the appended bytes, some megabytes at a time. Returns True if there were any."""
        try:
            size = self.path.stat().st_size
        except OSError:
            return False
        if size < self.size:
            self._begin()  # the file was replaced
        if size <= self.size:
            return False
        with open_plain(self.path) as file:
            file.seek(self.size)
            left = min(size - self.size, AT_ONCE)
            while left > 0 and (data := file.read(min(CHUNK, left))):
                self._index(data)
                left -= len(data)
        self._blocks.pop((self._whole // STRIDE), None)
        self._blocks.pop(((max(1, self.lines) - 1) // STRIDE), None)
        return True

    def _index(self, data: bytes) -> None:
        base, whole, starts = self.size, self._whole, self._starts
        for match in _ENDS.finditer(data):
            end = base + match.end()
            if self._return_at_end and match.start() == 0 and match.group() == b"\n":
                # The second half of a line end that the last read cut in two.
                if whole % STRIDE == 0:
                    starts[-1] = end
                self._last_end = end
                continue
            whole += 1
            if whole % STRIDE == 0:
                starts.append(end)
            self._last_end = end
        self._return_at_end = data.endswith(b"\r")
        self._whole = whole
        self.size = base + len(data)

    def line(self, number: int) -> str:
        """Return line `number`, from 0; an empty one past the end."""
        block = self._block(number // STRIDE)
        within = number % STRIDE
        return _text(block[within]) if within < len(block) else ""

    def _block(self, index: int) -> list[bytes]:
        if index in self._blocks:
            self._blocks.move_to_end(index)
            return self._blocks[index]
        if index >= len(self._starts):
            return []
        start = self._starts[index]
        stop = self._starts[index + 1] if index + 1 < len(self._starts) else self.size
        try:
            with open_plain(self.path) as file:
                file.seek(start)
                data = file.read(stop - start)
        except OSError:
            return []
        lines = [line[: LONGEST + 1] for line in _ENDS.split(data)]
        if lines and not lines[-1]:
            lines.pop()
        self._blocks[index] = lines
        while len(self._blocks) > BLOCKS_HELD:
            self._blocks.popitem(last=False)
        return lines

    def matching(self, needle: str, start: int, stop: int) -> Iterator[int]:
        """Yield the lines of [start, stop) that contain `needle`, ignoring case."""
        want = needle.casefold()
        for number in range(start, stop):
            if want in self.line(number).casefold():
                yield number

    def mark(self, at: float) -> None:
        """Note that the lines so far had arrived by `at`."""
        if not self.marks or self.marks[-2] != self.lines:
            self.marks.extend((float(self.lines), at))
            if len(self.marks) > 20_000:
                del self.marks[: len(self.marks) // 2 // 2 * 2]

    def came_at(self, number: int) -> float | None:
        """Return the time at which a line arrived; None for a line that was there before."""
        low, high = 0, len(self.marks) // 2
        while low < high:
            middle = (low + high) // 2
            if self.marks[2 * middle] > number:
                high = middle
            else:
                low = middle + 1
        return self.marks[2 * low + 1] if 0 < low < len(self.marks) // 2 else None


def last_lines(path: Path, most: int, share: float = 1.0) -> list[str]:
    """Return the last lines of a share of a log: at most `most`, from its last kilobytes; none for a missing log."""
    try:
        with open_plain(path) as file:
            size = int(file.seek(0, 2) * min(1.0, share))
            file.seek(max(0, size - TAIL))
            data = file.read(min(TAIL, size))
    except OSError:
        return []
    lines = _ENDS.split(data)
    if size > TAIL:
        del lines[0]  # the first line is cut
    return [_text(line) for line in lines if line][-most:]


def _text(line: bytes) -> str:
    if len(line) > LONGEST:
        return line[:LONGEST].decode("utf-8", "replace") + " … (cut)"
    return line.decode("utf-8", "replace")
