"""Write and read the worker's heartbeat, a small file that shows every reader the worker's status."""

import contextlib
import os
import stat
import time
from pathlib import Path
from typing import Annotated

import msgspec

from cockpit.core.plausible import holds_plausible
from cockpit.session.clock import boot_id, steady_s
from cockpit.session.paths import SessionFolder
from cockpit.session.plain_file import read_plain
from cockpit.session.user import user_name

BEAT_EVERY_S = 2.0
STALE_AFTER_S = 15.0
ENDING_WITHIN_S = 60.0
"""The longest wait for a worker that has written that it ends: it compacts its files first."""
HEARTBEAT_BYTES = 4096
HEARTBEAT_MODE = 0o640
NOTE_CHARACTERS = 500


class Heartbeat(msgspec.Struct):
    pid: Annotated[int, msgspec.Meta(ge=1, le=(1 << 31) - 1)]
    host: str
    user: str
    at: float
    """Wall-clock seconds since the epoch."""
    note: str = ""
    """The worker's message while it cannot write its ledger."""
    began: str = ""
    """The start time of the worker's process: a later process may have its number."""
    stopped: bool = False
    """Written by a worker that ends."""
    boot: str = ""
    """The start of the worker's system."""
    steady: float = 0.0
    """Seconds on that start's steady clock."""

    def age_s(self) -> float:
        """Return how long ago it was written. On the worker's machine that is known however the clock was set."""
        if self.boot and self.boot == boot_id():
            return max(0.0, steady_s() - self.steady)
        return max(0.0, time.time() - self.at)


class WorkerStatus(msgspec.Struct, frozen=True):
    """The state of a session's worker."""

    state: str
    """`running`, `stopped` or `stale`. A stale worker holds the lock and has not written a heartbeat for
    STALE_AFTER_S."""
    heartbeat_age_s: float | None
    pid: int = 0
    host: str = ""
    note: str = ""


def write_heartbeat(folder: SessionFolder, note: str = "", stopped: bool = False) -> None:
    """Write that the worker is alive, or that it stops, with a note.

    The file is overwritten in place at its first size, which needs no new disk space: a full disk neither ends the
    worker nor hides its note.
    """
    pid = os.getpid()
    found = Heartbeat(
        pid, os.uname().nodename, user_name(), time.time(), note[:NOTE_CHARACTERS], _began(pid), stopped, boot_id(),
        steady_s(),
    )  # fmt: skip
    with contextlib.suppress(OSError):
        if not stat.S_ISREG(folder.heartbeat.lstat().st_mode):
            # A pipe, a link or a folder, which another program has put there.
            folder.heartbeat.rename(folder.heartbeat.with_name(f"{folder.heartbeat.name}.moved-{time.time_ns()}"))
    with contextlib.suppress(OSError):
        descriptor = os.open(folder.heartbeat, os.O_CREAT | os.O_WRONLY | os.O_NONBLOCK, HEARTBEAT_MODE)
        try:
            os.pwrite(descriptor, msgspec.json.encode(found).ljust(HEARTBEAT_BYTES), 0)
            os.ftruncate(descriptor, HEARTBEAT_BYTES)
        finally:
            os.close(descriptor)


def read_heartbeat(folder: SessionFolder) -> Heartbeat | None:
    """Return the last heartbeat; None if there is none that can be read."""
    for _ in range(2):  # the second time in case it was being written
        try:
            found = msgspec.json.decode(read_plain(folder.heartbeat, 2 * HEARTBEAT_BYTES), type=Heartbeat)
            return found if holds_plausible(found) else None
        except OSError:
            return None
        except (msgspec.MsgspecError, RecursionError):
            continue
    return None


def is_ending(folder: SessionFolder) -> bool:
    """Return True if the worker wrote that it ends. It holds the lock until it has released everything else."""
    heartbeat = read_heartbeat(folder)
    return heartbeat is not None and heartbeat.stopped


def is_alive(beat: Heartbeat) -> bool:
    """Return True if the worker of a heartbeat seems to run, to another user. On another host: if it was not
    stopped."""
    if beat.stopped or beat.host != os.uname().nodename:
        return not beat.stopped
    try:
        os.kill(beat.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not beat.began or _began(beat.pid) in ("", beat.began)


def is_of_live_process(beat: Heartbeat) -> bool:
    """Return True if the process of a heartbeat certainly runs on this machine."""
    return not beat.stopped and beat.began != "" and beat.boot == boot_id() and _began(beat.pid) == beat.began


def _began(pid: int) -> str:
    """Return the start time of a process, in clock ticks since boot; empty if it has ended or the system does not
    report it."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = status.rpartition(")")[2].split()
    return fields[19] if fields[0] != "Z" else ""
