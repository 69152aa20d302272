"""Start the worker's process in the background, and stop it."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cockpit.session import api_key
from cockpit.session.clock import steady_s
from cockpit.session.heartbeat import ENDING_WITHIN_S, WorkerStatus, is_ending, read_heartbeat
from cockpit.session.lock import WorkerError, is_locked, worker_status
from cockpit.session.paths import SessionFolder
from cockpit.session.small_files import end_of_file

SILENT_S, LOOK_EVERY_S = 30.0, 1.0
"""Seconds without work of a worker's process after which its start is not awaited any more, and between two looks."""
UMASK = 0o027
"""The worker's umask: the session's group may read the files that it writes."""
LOG_MODE = 0o640
LAST_LINE_BYTES = 1 << 16
RESTARTED_WITHIN_S = 30.0
"""Seconds after the last heartbeat of a crashed worker within which its watchdog may still start another."""
WATCHDOG, WORKER = "cockpit.worker.watchdog", "cockpit.worker.main"
"""The modules of the process that starts a worker, again after a crash, and of the worker's own."""


def start(folder: SessionFolder) -> WorkerStatus:
    """Start the session's worker if none runs, and wait until it holds the lock. Raises WorkerError.

    Several starters at once wait for one another: a second worker, slower than the first, would otherwise find the lock
    free if the first had stopped by then.
    """
    now = worker_status(folder)
    if now.state != "stopped" and not is_ending(folder):
        return now
    # Mode 600: a file that a watcher can read is a file that a watcher can lock, which would block the start.
    with os.fdopen(os.open(folder.starting, os.O_CREAT | os.O_RDWR, 0o600), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        began = steady_s()
        while is_locked(folder) and is_ending(folder) and steady_s() - began < ENDING_WITHIN_S:
            time.sleep(0.02)  # it takes nothing more, so another one has to
        now = worker_status(folder)
        return now if now.state != "stopped" else _start(folder)


def _start(folder: SessionFolder) -> WorkerStatus:
    began = steady_s()
    descriptor = os.open(folder.worker_log, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK, 0o640)
    os.fchmod(descriptor, 0o640)
    handed = api_key.pipe()
    environment = {name: value for name, value in os.environ.items() if name not in api_key.KEY_VARIABLES}
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", WATCHDOG, f"--session={folder.root.absolute()}"],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            cwd="/",
            pass_fds=(handed,),
            env=environment | {"PYTHONPATH": _import_path(), api_key.PIPE_VARIABLE: str(handed)},
        )
    except OSError as error:
        raise WorkerError(f"the worker cannot be started: {error}") from error
    finally:
        os.close(descriptor)
        os.close(handed)
    work = SignsOfWork(began)
    while not work.is_silent(steady_s(), lambda: processor_s(child.pid)):
        heartbeat = read_heartbeat(folder)
        if heartbeat is not None and heartbeat.age_s() <= steady_s() - began and is_locked(folder):
            return worker_status(folder)
        if child.poll() == 0:
            return worker_status(folder)  # the session had ended
        if child.poll() is not None and not is_locked(folder):  # otherwise another worker was faster
            raise WorkerError(f"the worker ended as it started: {_last_line(folder.worker_log)}")
        time.sleep(0.02)
    raise WorkerError(
        f"the worker (process {child.pid}) has done no work for {SILENT_S:.0f} s, and its start is not over:"
        f" see {folder.worker_log}"
    )


class SignsOfWork:
    """Tells a process that starts slowly, as on a busy machine, from one that hangs: its processor time grows."""

    def __init__(self, began: float, silent_s: float = SILENT_S) -> None:
        self._silent_s = silent_s
        self._looked_at = self._worked_at = began
        self._processor_s = 0.0

    def is_silent(self, now: float, processor_s: Callable[[], float]) -> bool:
        """Return True if the process has done nothing for `silent_s`. Asks for its processor time once in a while."""
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            if (used := processor_s()) != self._processor_s:
                self._processor_s, self._worked_at = used, now
        return now - self._worked_at > self._silent_s


def processor_s(pid: int) -> float:
    """Return the processor time of a process and of what it started; 0 if it is gone."""
    import psutil  # it would delay each start

    used = 0.0
    try:
        started = psutil.Process(pid)
        for one in (started, *started.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                used += sum(one.cpu_times())
    except psutil.Error:
        return used
    return used


def terminate(folder: SessionFolder, wait_s: float = 15.0) -> bool:
    """Ask the worker's process to stop, leaving the runs running. Returns True if it has stopped.

    A worker that has written that it ends gets ENDING_WITHIN_S.
    """
    now = worker_status(folder)
    if now.state == "stopped":
        return _end_restart(folder)
    if now.host not in ("", socket.gethostname()):
        raise WorkerError(f"the worker runs on {now.host}: stop it there")
    pid = _worker_of(folder, now.pid)
    if not pid:
        raise WorkerError(f"no process here is the worker of {folder.name}, and another one locks {folder.lock}")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    began = time.monotonic()
    while time.monotonic() - began < (max(wait_s, ENDING_WITHIN_S) if is_ending(folder) else wait_s):
        if not is_locked(folder):
            return True
        time.sleep(0.05)
    return False


def _end_restart(folder: SessionFolder) -> bool:
    """End the watchdog of a worker that has crashed a moment ago, before it starts another. Returns True if none
    runs."""
    heartbeat = read_heartbeat(folder)
    if heartbeat is None or heartbeat.stopped or heartbeat.age_s() > RESTARTED_WITHIN_S:
        return True
    import psutil  # it would delay each command, and few end a worker that has crashed

    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if WATCHDOG in words and _is_same(words[-1].removeprefix("--session="), folder):
            with contextlib.suppress(psutil.Error):
                process.terminate()
                process.wait(RESTARTED_WITHIN_S)
    return not is_locked(folder)


def _worker_of(folder: SessionFolder, likely: int) -> int:
    """Return the process of the session's worker; 0 if none is found. `likely` is the number in the heartbeat, which
    any program of its owner may have written."""
    import psutil  # it would delay each command, and few end a worker

    pids: list[int] = [likely, *psutil.pids()]
    for pid in pids:
        try:
            words = psutil.Process(pid).cmdline() if pid > 0 else []
        except psutil.AccessDenied:
            if pid == likely:
                return pid  # another user's: the signal is refused
            continue
        except psutil.Error:
            continue
        if WORKER in words and _is_same(words[-1], folder):
            return pid
    return 0


def _is_same(path: str, folder: SessionFolder) -> bool:
    try:
        return folder.root.samefile(path)
    except (OSError, ValueError):
        return False


def _import_path() -> str:
    """Return the import path of this process's cockpit, so that the worker uses the same one."""
    here = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH", "")
    return here if not inherited else f"{here}{os.pathsep}{inherited}"


def _last_line(path: Path) -> str:
    lines = end_of_file(path, LAST_LINE_BYTES).strip().splitlines()
    return lines[-1] if lines else "it wrote no log"
