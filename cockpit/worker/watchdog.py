"""Starts a worker's process, and starts it again after a crash.

`python -m cockpit.worker.watchdog --session=FOLDER`, started by `cockpit.session.worker_process`. It imports little,
because it stays in memory beside the worker. It holds the API key as a worker does, to hand it to the next one.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from cockpit.fleet.node.disk import may_pass
from cockpit.fleet.node.signals import survive_unused_signals
from cockpit.session import api_key

CRASH_VARIABLE = "COCKPIT_AFTER_CRASH"
"""The variable that tells a worker how the one before it was ended."""
CRASHES = frozenset(
    (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGSYS, signal.SIGTRAP)
)
"""Signals by which the system ends a process that failed."""
CRASHES_AT_MOST = 5
CRASH_FORGOTTEN_S = 60.0
"""Seconds of work after which earlier crashes no longer count."""
RESTART_AFTER_S = 1.0
KERNEL_COUNTERS = Path("/proc/vmstat")


class Watchdog:
    """Runs the workers of one session, one after the other."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._worker: subprocess.Popen[bytes] | None = None
        self._asked_to_end = 0
        """The signal that asked for the end; 0 for none."""

    def run(self) -> int:
        """Run workers until one ends without a crash, or too many crash. Returns the last one's exit status."""
        crash, crashes = "", 0
        while True:
            began, kills = time.monotonic(), out_of_memory_kills()
            status = self._run_worker(crash)
            crash = crash_of(status, 0 <= kills < out_of_memory_kills())
            if not crash or self._is_ending():
                return status
            crashes = 1 if time.monotonic() - began > CRASH_FORGOTTEN_S else crashes + 1
            if crashes > CRASHES_AT_MOST:
                print(f"the worker was ended by {crash}, for the {crashes}th time: it is not started again", flush=True)
                return status
            print(f"the worker was ended by {crash}: it is started again", flush=True)
            time.sleep(RESTART_AFTER_S)
            if self._is_ending():
                return status

    def _is_ending(self) -> bool:
        return self._asked_to_end > 0

    def end(self, number: int, frame: object) -> None:
        """Pass a signal that asks for the end on to the worker, and start no other one."""
        self._asked_to_end = number
        if self._worker is not None and self._worker.returncode is None:
            self._worker.send_signal(number)

    def _run_worker(self, crash: str) -> int:
        """Run a worker to its end. It records the crash of the one before it. Returns its exit status."""
        self._worker = self._started(crash)
        if self._asked_to_end:  # before there was a worker that could be told
            self._worker.send_signal(self._asked_to_end)
        return self._worker.wait()

    def _started(self, crash: str) -> "subprocess.Popen[bytes]":
        """Start a worker. One after a crash waits until the machine has a process, memory and files for it."""
        told = False
        while True:
            try:
                return start_worker(self._folder, crash)
            except OSError as error:
                if not crash or not may_pass(error) or self._is_ending():
                    raise
                if not told:
                    print(f"the worker cannot be started yet: {error}", flush=True)
                told = True
            time.sleep(RESTART_AFTER_S)


def start_worker(folder: str, crash: str) -> "subprocess.Popen[bytes]":
    """Start the process of a worker, and hand it the key. Raises OSError."""
    key = api_key.pipe()
    try:
        return subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.main", folder],
            pass_fds=(key,),
            env=os.environ | {api_key.PIPE_VARIABLE: str(key), CRASH_VARIABLE: crash},
        )
    finally:
        os.close(key)


def crash_of(status: int, was_out_of_memory: bool) -> str:
    """Return the signal of a crash, in words; empty if the worker ended or a person killed it.

    `status` is negative for a signal. The kernel ends a process for want of memory with the signal of `kill -9`.
    """
    if -status in CRASHES:
        return signal.Signals(-status).name
    if -status == signal.SIGKILL and was_out_of_memory:
        return "SIGKILL for want of memory"
    return ""


def out_of_memory_kills() -> int:
    """Return how many processes the kernel has ended for want of memory; -1 where it does not tell."""
    try:
        lines = KERNEL_COUNTERS.read_text(encoding="ascii").splitlines()
    except OSError:
        return -1
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), -1)


def main() -> None:
    api_key.hide()
    api_key.receive()
    api_key.forbid_tracing()
    watchdog = Watchdog(sys.argv[1].removeprefix("--session="))
    survive_unused_signals(signal.SIGHUP)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, watchdog.end)
    status = watchdog.run()
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
