"""The worker as a daemon: one to a session, held by a lock; its heartbeat tells everyone else that it lives."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import msgspec

from cockpit.core.errors import CockpitError
from cockpit.session import api_key
from cockpit.session.paths import SessionFolder

BEAT_EVERY_S = 2.0
STALE_AFTER_S = 15.0
START_WITHIN_S = 30.0
HEARTBEAT_BYTES = 4096
NOTE_CHARACTERS = 500
LOOKED_AT_S = 1.0
"""The longest that others, looking whether the lock is held, keep a worker from taking it."""
UMASK = 0o027
"""Whoever made the session, its group may read what its worker writes; the inbox alone is for its owner."""


class DaemonError(CockpitError):
    """One sentence that says what to do."""


class Heartbeat(msgspec.Struct):
    pid: int
    host: str
    user: str
    at: float
    """Wall-clock seconds."""
    note: str = ""
    """What the worker has to say while it cannot write its ledger."""


class WorkerStatus(msgspec.Struct, frozen=True):
    """How a session's worker is."""

    state: str
    """`running`, `stopped` or `stale`: it holds the lock, and has not been heard of."""
    heartbeat_age_s: float | None
    pid: int = 0
    host: str = ""
    note: str = ""


class Lock:
    """The session's lock. Held for as long as the object lives, and let go by the kernel if the process dies."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    @classmethod
    def take(cls, folder: SessionFolder) -> "Lock":
        """Raises DaemonError when another worker holds it."""
        descriptor = os.open(folder.lock, os.O_CREAT | os.O_RDWR, 0o640)
        file = os.fdopen(descriptor, "r+b")
        until = time.monotonic() + LOOKED_AT_S
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
                raise DaemonError(
                    f"a worker runs session {folder.name} already{who}: `cockpit stop {folder.name}` ends it"
                ) from None
            return cls(file)

    def release(self) -> None:
        self._file.close()


def beat(folder: SessionFolder, note: str = "") -> None:
    """Say that the worker lives. A full disk is no reason to die, nor to fall silent: the file is written in place, at
    the size it was first given, which takes no new room.
    """
    found = Heartbeat(os.getpid(), socket.gethostname(), user_name(), time.time(), note[:NOTE_CHARACTERS])
    with contextlib.suppress(OSError):
        descriptor = os.open(folder.heartbeat, os.O_CREAT | os.O_WRONLY, 0o640)
        try:
            os.pwrite(descriptor, msgspec.json.encode(found).ljust(HEARTBEAT_BYTES), 0)
        finally:
            os.close(descriptor)


def read_heartbeat(folder: SessionFolder) -> Heartbeat | None:
    for _ in range(2):  # once more where it was being written
        try:
            return msgspec.json.decode(folder.heartbeat.read_bytes(), type=Heartbeat)
        except OSError:
            return None
        except msgspec.MsgspecError:
            continue
    return None


def worker_status(folder: SessionFolder) -> WorkerStatus:
    """How the session's worker is, for anyone who can read the session."""
    heartbeat = read_heartbeat(folder)
    if heartbeat is None:
        return WorkerStatus("running" if _locked(folder) else "stopped", None)
    age = max(0.0, time.time() - heartbeat.at)
    if not _locked(folder):
        return WorkerStatus("stopped", age, note=heartbeat.note)
    state = "stale" if age > STALE_AFTER_S else "running"
    return WorkerStatus(state, age, heartbeat.pid, heartbeat.host, heartbeat.note)


def start(folder: SessionFolder) -> WorkerStatus:
    """Start the session's worker if none runs, and wait until it holds the lock. Raises DaemonError.

    Of several who start it at once each waits for the one before: a second worker, slower than the first, would else
    find the lock free should the first be stopped by then.
    """
    now = worker_status(folder)
    if now.state != "stopped":
        return now
    # Nobody else's to open: whoever can read a file can lock it, and a watcher could keep the worker from its start.
    with os.fdopen(os.open(folder.starting, os.O_CREAT | os.O_RDWR, 0o600), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        now = worker_status(folder)
        return now if now.state != "stopped" else _start(folder)


def _start(folder: SessionFolder) -> WorkerStatus:
    began = time.time()
    descriptor = os.open(folder.worker_log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o640)
    os.fchmod(descriptor, 0o640)
    handed = api_key.pipe()
    environment = {name: value for name, value in os.environ.items() if name not in api_key.KEY_VARIABLES}
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "cockpit.worker.main", str(folder.root.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            cwd="/",
            pass_fds=(handed,),
            env=environment | {"PYTHONPATH": _import_path(), api_key.PIPE_VARIABLE: str(handed)},
        )
    except OSError as error:
        raise DaemonError(f"the worker cannot be started: {error}") from error
    finally:
        os.close(descriptor)
        os.close(handed)
    while time.time() - began < START_WITHIN_S:
        heartbeat = read_heartbeat(folder)
        if heartbeat is not None and heartbeat.at >= began and _locked(folder):
            return worker_status(folder)
        if child.poll() == 0:
            return worker_status(folder)  # there was nothing left for it to do: the session had ended
        if child.poll() is not None and not _locked(folder):  # else another was quicker, and is about to be heard of
            raise DaemonError(f"the worker ended as it started: {_last_line(folder.worker_log)}")
        time.sleep(0.02)
    raise DaemonError(f"the worker has not started in {START_WITHIN_S:.0f} s: see {folder.worker_log}")


def terminate(folder: SessionFolder, wait_s: float = 15.0) -> bool:
    """Ask the worker's process to stop, leaving what runs running. Returns whether it has stopped."""
    now = worker_status(folder)
    if now.state == "stopped":
        return True
    if now.host != socket.gethostname():
        raise DaemonError(f"the worker runs on {now.host}: stop it there")
    with contextlib.suppress(ProcessLookupError):
        os.kill(now.pid, signal.SIGTERM)
    until = time.time() + wait_s
    while time.time() < until:
        if not _locked(folder):
            return True
        time.sleep(0.05)
    return False


def user_name() -> str:
    """Who runs this process, for the ledger."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid{os.getuid()}"


def _locked(folder: SessionFolder) -> bool:
    try:
        with folder.lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def _import_path() -> str:
    """The worker imports the same cockpit as this process, wherever it is started from."""
    here = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH", "")
    return here if not inherited else f"{here}{os.pathsep}{inherited}"


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return "it left no log"
    return lines[-1] if lines else "it left no log"
