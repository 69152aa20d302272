"""A run's own lines out of SkyPilot's log stream, and the file they go to. Whatever a line holds is data.

The stream begins at the beginning each time it is opened, has SkyPilot's own lines between the run's, prefixes the
run's with `(NAME, pid=N) ` in colour, and comes in pieces that may end anywhere. A carriage return ends a line, since
upstream's train.py ends its step lines with nothing else; whether a prefix comes after one depends on the cloud.
"""

import os
import re
from pathlib import Path

LINE_BYTES = 65_536
"""Of a longer line only this much is kept."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_PREFIX = re.compile(r"(?:\x1b\[[0-9;]*m)*\(([^\s,()]+),? (?:[^()]*, )?pid=\d+\)(?:\x1b\[[0-9;]*m)* ?")
_FINISHED = re.compile(r"Job finished \(status: ([A-Z_]+)\)")
_MARK = re.compile(rb"COCKPIT_(?:START|END) [^ ]* [^ ]*(?: exit=(\d+))? at=(\d+(?:\.\d+)?)")
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]")


class JobLines:
    """Feed it the stream's pieces; it gives back the job's own lines that were not given before."""

    def __init__(self, job: str, known: int) -> None:
        """`known` lines were had from an earlier stream."""
        self._job = job
        self._skip = known
        self._text = ""
        self._goes_on = False
        """Whether the last line was the run's and ended with a carriage return: what follows is the run's too."""
        self.status = ""
        """How the job ended, in SkyPilot's word, once the stream has said it."""
        self.exit_code: int | None = None
        """What the run itself printed at its end."""
        self.started_at = 0.0
        self.ended_at = 0.0
        """By the cluster's clock; 0 for not yet."""
        self.remark = ""
        """The last other line of SkyPilot's own."""

    def feed(self, piece: str) -> bytes:
        """The lines that `piece` completes, each ending in a newline; usually one, or none."""
        return b"".join(self._take(part) for part in _LINE.findall(piece) if part)

    def _take(self, part: str) -> bytes:
        """A line or part of one: the line, if that completes it and it is the run's."""
        if len(self._text) < LINE_BYTES:
            self._text += part[: LINE_BYTES + 200]
        if not part.endswith(("\n", "\r")):
            return b""
        text, self._text = self._text, ""
        prefix = _PREFIX.match(text)
        if prefix is not None and prefix[1] == self._job:
            text = text[prefix.end() :]
        elif not self._goes_on:
            self._note(_ESCAPES.sub("", text).strip())
            return b""
        went_on, self._goes_on = self._goes_on, part.endswith("\r")
        line = _ESCAPES.sub("", text).rstrip("\r\n").encode("utf-8", "replace")[:LINE_BYTES]
        if not line and (went_on or part.endswith(("\r", "\r\n"))):
            return b""  # what stands between a carriage return and the newline or the line that belongs to it
        if mark := _MARK.match(line):
            self._marked(mark)
        if self._skip:
            self._skip -= 1
            return b""
        return line + b"\n"

    def _marked(self, mark: re.Match[bytes]) -> None:
        if mark[1] is None:
            self.started_at = self.started_at or float(mark[2])
        else:
            self.exit_code, self.ended_at = int(mark[1]), float(mark[2])

    def _note(self, own: str) -> None:
        if finished := _FINISHED.search(own):
            self.status = finished[1]
        elif own:
            self.remark = own


class LogFile:
    """The local file of a run's output, appended to line by line. `lines` says how many whole lines it has."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
        self.lines = 0
        self._torn = b""
        while data := os.read(self._file, 1 << 20):
            self.lines += data.count(b"\n")
            self._torn = data.rpartition(b"\n")[2] if b"\n" in data else self._torn + data

    def append(self, lines: bytes) -> None:
        """Add whole lines. The first completes a line that an earlier writer was killed in the middle of."""
        self.lines += lines.count(b"\n")
        if self._torn:
            lines = lines[len(self._torn) :] if lines.startswith(self._torn) else b"\n" + lines
            self._torn = b""
        while lines:
            lines = lines[os.write(self._file, lines) :]

    def close(self) -> None:
        os.close(self._file)
