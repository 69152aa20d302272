"""The current turn of a proposer, for the screen: one small file, replaced as a whole, at most four times a second.

It is not in the ledger: a message is recorded when it is complete. The file holds one JSON object,
{"at", "proposer", "doing", "text"}. `doing` is empty when no turn is under way.
"""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from cockpit.agent.views.quoting import clip_start, plain
from cockpit.session.plain_file import NOTE_BYTES, read_plain
from cockpit.session.small_files import replace_file

FILE_MODE = 0o640
WRITE_INTERVAL_S = 0.25
TEXT_CHARS = 6_000


class TurnStatus(msgspec.Struct, frozen=True):
    at: float
    """Seconds on the session's clock."""
    proposer: str
    doing: str
    """A few words: `thinks`, `writes`, `calls compare`, `waits 8 s: rate limited`; empty without a turn."""
    text: str
    """The end of the text under way; plain."""


class TurnStatusFile:
    def __init__(self, path: Path, proposer: str, clock: Callable[[], float]) -> None:
        self._path = path
        self._proposer = proposer
        self._clock = clock
        self._written_at = -WRITE_INTERVAL_S
        self._last_doing = ""
        self._text = ""

    def show(self, doing: str, more_text: str = "") -> None:
        """Add `more_text` to the turn's text. Write at once if `doing` has changed, otherwise once per interval."""
        self._text = (self._text + more_text)[-2 * TEXT_CHARS :]
        moment = time.monotonic()
        if doing != self._last_doing or moment - self._written_at >= WRITE_INTERVAL_S:
            self._written_at, self._last_doing = moment, doing
            self._write(doing)

    def forget(self) -> None:
        """Drop the text so far: it is complete, and stored elsewhere."""
        self._text = ""

    def clear(self) -> None:
        """Write that no turn is under way."""
        self._text = ""
        self.show("")

    def _write(self, doing: str) -> None:
        status = TurnStatus(self._clock(), self._proposer, doing, clip_start(plain(self._text), TEXT_CHARS))
        replace_file(self._path, msgspec.json.encode(status), FILE_MODE)


def written_at(path: Path) -> float:
    """Return the file's last write on the disk's clock; 0 without a file. Cheaper than to read it."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def read(path: Path) -> TurnStatus | None:
    """Return the turn under way, or None."""
    try:
        status = msgspec.json.decode(read_plain(path, NOTE_BYTES), type=TurnStatus)
    except (OSError, msgspec.MsgspecError):
        return None
    return status if status.doing else None
