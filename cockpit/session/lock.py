"""The session's lock, which prevents two workers on one session."""

import fcntl
import os
import time
from contextlib import suppress
from typing import IO

from cockpit.core.errors import CockpitError
from cockpit.session.heartbeat import STALE_AFTER_S, WorkerStatus, is_alive, read_heartbeat
from cockpit.session.paths import SessionFolder
from cockpit.session.plain_file import open_plain

PROBE_S = 1.0
"""A worker retries this long for its lock: another process may hold a shared lock for a moment to test it."""
LOCK_MODE = 0o600


class WorkerError(CockpitError):
    """The worker cannot be started, stopped or locked; the message is one sentence that says what to do."""


class WorkerLock:
    """The session's lock. The kernel releases it when the process dies."""

    def __init__(self, folder: SessionFolder, file: IO[bytes]) -> None:
        self._folder = folder
        self._file = file

    @classmethod
    def take(cls, folder: SessionFolder) -> "WorkerLock":
        """Take the lock. Raises WorkerError if another worker holds it."""
        descriptor = os.open(folder.lock, os.O_CREAT | os.O_RDWR, LOCK_MODE)
        os.fchmod(descriptor, LOCK_MODE)  # an older cockpit let the group read it, and so lock it
        file = os.fdopen(descriptor, "r+b")
        until = time.monotonic() + PROBE_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < until:
                    time.sleep(0.02)
                    continue
                file.close()
                beat = read_heartbeat(folder)
                who = f" (process {beat.pid} on {beat.host})" if beat else ""
                raise WorkerError(
                    f"a worker already runs session {folder.name}{who}: `cockpit stop {folder.name}` ends it"
                ) from None
            return cls(folder, file)

    def renew(self) -> None:
        """Take the lock again if its file was removed or replaced: another worker could take the one of a new file."""
        try:
            there = self._folder.lock.stat().st_ino
        except OSError:
            there = 0
        if there != os.fstat(self._file.fileno()).st_ino:
            with suppress(OSError, WorkerError):
                again = WorkerLock.take(self._folder)
                self._file.close()
                self._file = again._file

    def release(self) -> None:
        self._file.close()


def is_locked(folder: SessionFolder) -> bool:
    """Return True if a worker holds the session's lock. Raises PermissionError for any user but its owner."""
    try:
        with open_plain(folder.lock) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def worker_status(folder: SessionFolder) -> WorkerStatus:
    """Return the state of the session's worker, for every reader of the session.

    The lock shows it to its owner. Other users cannot open the lock, and so cannot hold it: the heartbeat shows it to
    them.
    """
    heartbeat = read_heartbeat(folder)
    try:
        runs = is_locked(folder)
    except PermissionError:
        runs = heartbeat is not None and is_alive(heartbeat)
    if heartbeat is None:
        return WorkerStatus("running" if runs else "stopped", None)
    age = heartbeat.age_s()
    if not runs:
        return WorkerStatus("stopped", age, note=heartbeat.note)
    state = "stale" if age > STALE_AFTER_S else "running"
    return WorkerStatus(state, age, heartbeat.pid, heartbeat.host, heartbeat.note)
