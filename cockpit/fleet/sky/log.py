"""Takes a run's own lines out of SkyPilot's log stream, and keeps them in a file. Everything in a line is data.

The stream begins at the beginning each time it is opened, has SkyPilot's own lines between the run's, prefixes the
run's in colour, and comes in pieces that may end anywhere. The prefix is `(NAME, pid=N) ` on one node, `(head, rank=0,
pid=N) ` on the first of several; lines of the other nodes are left out, since each of them prints the same summary. A
carriage return ends a line, since upstream's train.py ends its step lines with nothing else; whether a prefix comes
after one depends on the cloud.
"""

import os
import re
import time
from collections import deque
from pathlib import Path

from cockpit.fleet.node.signed import END, START, read_line
from cockpit.fleet.notes import EndNote, StartNote, read_note

LINE_BYTES = 65_536
"""Bytes kept of a line."""
HEAD_BYTES = 32 << 20
"""Output kept as it comes; what follows is kept in part."""
TAIL_BYTES = 1 << 20
"""The last output, always kept: the summary is there."""
SAMPLE_EVERY_S, SAMPLE_BYTES = 5.0, 1 << 16
"""Output kept of what is between head and tail, so that a run's progress still shows."""
SLOWER_AFTER_BYTES = 32 << 20
"""Sampled output after which samples become rarer."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_PREFIX = re.compile(
    r"(?:\x1b\[[0-9;]*m)*\(([^\s,()]+),? (?:rank=(\d{1,6}), )?(?:[^()]*, )?pid=\d+[^()]*\)(?:\x1b\[[0-9;]*m)* ?"
)
_FINISHED = re.compile(r"Job finished \(status: ([A-Z_]+)\)")
_CUT = re.compile(rb"\[cockpit cut \d{1,15} bytes, (\d{1,12}) lines of output here\]\n")
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]")


class JobLines:
    """Feed it the stream's pieces; it gives back the job's own lines that were not given before."""

    def __init__(self, job: str, known: int, key: str = "") -> None:
        """Prepare to parse a stream. `known` is the number of lines that an earlier stream gave; `key` that of the
        job's runner."""
        self._job, self._key = job, key
        self._skip = known
        self._text = ""
        self._continues = False
        """True if the last line was the run's and ended with a carriage return: what follows is the run's too."""
        self.status = ""
        """How the job ended, in SkyPilot's word, once the stream has said it."""
        self.start: StartNote | None = None
        self.end: EndNote | None = None
        """The notes of the job's runner, by the cluster's clock."""
        self.remark = ""
        """The last other line of SkyPilot's own."""

    def feed(self, piece: str) -> bytes:
        """Return the lines that `piece` completes, each ending in a newline; usually one, or none."""
        return b"".join(self._take(part) for part in _LINE.findall(piece) if part)

    def _take(self, part: str) -> bytes:
        """Add a line or part of one. Returns the line if that completes it and it is the run's."""
        if len(self._text) < LINE_BYTES:
            self._text += part[: LINE_BYTES + 200]
        if not part.endswith(("\n", "\r")):
            return b""
        text, self._text = self._text, ""
        prefix = _PREFIX.match(text)
        if prefix is not None and self._is_own(prefix):
            text = text[prefix.end() :]
        elif not self._continues:
            self._note(_ESCAPES.sub("", text).strip())
            return b""
        continued, self._continues = self._continues, part.endswith("\r")
        line = _ESCAPES.sub("", text).rstrip("\r\n").encode("utf-8", "replace")[:LINE_BYTES]
        if not line and (continued or part.endswith(("\r", "\r\n"))):
            return b""  # what stands between a carriage return and the newline or the line that belongs to it
        if noted := read_line(self._key, line):
            self._noted(*noted)
        if self._skip:
            self._skip -= 1
            return b""
        return line + b"\n"

    def _is_own(self, prefix: re.Match[str]) -> bool:
        if prefix[2] is not None:
            return int(prefix[2]) == 0
        return prefix[1] == self._job

    def _noted(self, kind: str, body: bytes) -> None:
        if kind == START:
            self.start = self.start or read_note(body, StartNote)
        elif kind == END:
            self.end = self.end or read_note(body, EndNote)
        if (self.start if kind == START else self.end) is None:  # of a later cockpit
            self.remark = "its runner's notes cannot be read"

    def _note(self, own: str) -> None:
        if finished := _FINISHED.search(own):
            self.status = finished[1]
        elif own:
            self.remark = own[:LINE_BYTES]


class RunLogFile:
    """The local file of a run's output, appended to line by line, and capped.

    Past HEAD_BYTES lines are held back; `flush` writes the last of them after a line that says how much was cut.
    `lines` counts the lines in the file and those that it says were cut, so that a stream read again continues there.
    `size_bytes` are the bytes that were written.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
        self.lines = 0
        self._torn = b""
        self.size_bytes = 0
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._cut_bytes = self._cut_lines = 0
        self._sampled_at = 0.0
        self._sampled = 0
        while data := os.read(self._file, 1 << 20):
            self.size_bytes += len(data)
            whole, newline, rest = (self._torn + data).rpartition(b"\n")
            self._torn = rest[-LINE_BYTES:]
            self.lines += whole.count(b"\n") + len(newline)
            self.lines += sum(int(cut) - 1 for cut in _CUT.findall(whole + newline))

    def append(self, lines: bytes) -> None:
        """Add whole lines. The first completes a line that an earlier writer was killed in the middle of."""
        self.lines += lines.count(b"\n")
        if self.size_bytes < HEAD_BYTES:
            self._write(lines)
            return
        self._held.append(lines)
        self._held_bytes += len(lines)
        self._cut(TAIL_BYTES)
        if time.monotonic() - self._sampled_at > SAMPLE_EVERY_S * max(1.0, self._sampled / SLOWER_AFTER_BYTES):
            self._sampled_at = time.monotonic()
            self._sampled += SAMPLE_BYTES
            self._cut(SAMPLE_BYTES)
            self.flush()

    def flush(self) -> None:
        """Write what is held back, and say what was left out before it."""
        if self._cut_lines:
            self._write(f"[cockpit cut {self._cut_bytes} bytes, {self._cut_lines} lines of output here]\n".encode())
        self._write(b"".join(self._held))
        self._held.clear()
        self._held_bytes = self._cut_bytes = self._cut_lines = 0

    def close(self) -> None:
        os.close(self._file)

    def _cut(self, most_bytes: int) -> None:
        """Drop the oldest of what is held back."""
        while self._held_bytes > most_bytes and len(self._held) > 1:
            oldest = self._held.popleft()
            self._held_bytes -= len(oldest)
            self._cut_bytes += len(oldest)
            self._cut_lines += oldest.count(b"\n")

    def _write(self, lines: bytes) -> None:
        if lines and self._torn:
            lines = lines[len(self._torn) :] if lines.startswith(self._torn) else b"\n" + lines
            self._torn = b""
        self.size_bytes += len(lines)
        while lines:
            lines = lines[os.write(self._file, lines) :]
