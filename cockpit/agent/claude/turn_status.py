"""What a proposer is saying right now, for the screen: one small file, replaced whole, at most four times a second.

It is not in the ledger: what was said is recorded when it is complete. The file holds one JSON object,
{"at", "proposer", "doing", "text"}; `doing` is empty when nothing is going on.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from cockpit.agent.tools.quoting import clip_start, plain

LIVE_MODE = 0o640
EVERY_S = 0.25
TEXT_CHARS = 6_000


class TurnStatus(msgspec.Struct, frozen=True):
    at: float
    """On the session's clock."""
    proposer: str
    doing: str
    """In a few words: `thinks`, `writes`, `calls compare`, `waits 8 s: rate limited`; empty for nothing."""
    text: str
    """The end of what it has said in this turn so far; plain."""


class TurnStatusFile:
    def __init__(self, path: Path, proposer: str, clock: Callable[[], float]) -> None:
        self._path = path
        self._proposer = proposer
        self._clock = clock
        self._written_at = -EVERY_S
        self._last = ""

    def show(self, doing: str, text: str = "") -> None:
        """At once when `doing` changes, else when the last time is long enough ago."""
        moment = time.monotonic()
        if doing == self._last and moment - self._written_at < EVERY_S:
            return
        self._written_at, self._last = moment, doing
        now = TurnStatus(self._clock(), self._proposer, doing, clip_start(plain(text[-2 * TEXT_CHARS :]), TEXT_CHARS))
        beside = self._path.with_name(self._path.name + ".new")
        descriptor = os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, LIVE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(now))
        beside.replace(self._path)

    def done(self) -> None:
        self.show("")


def written_at(path: Path) -> float:
    """When the file was last written, by the disk's clock; 0 where there is none. Cheaper than to read it."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def read(path: Path) -> TurnStatus | None:
    """What is being said, or None where nothing is."""
    try:
        now = msgspec.json.decode(path.read_bytes(), type=TurnStatus)
    except (OSError, msgspec.MsgspecError):
        return None
    return now if now.doing else None
