"""The worker's process: `python -m cockpit.worker.main SESSION_FOLDER`. Started by its watchdog."""

import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cockpit.fleet.base import FleetError
from cockpit.fleet.node.signals import survive_unused_signals
from cockpit.session import api_key, heartbeat, worker_process
from cockpit.session.ledger_errors import LedgerError
from cockpit.session.lock import WorkerError, WorkerLock
from cockpit.session.paths import SessionFolder
from cockpit.session.setting_types import SettingsError
from cockpit.session.watched_thread import WatchedThread
from cockpit.variant.errors import VariantError
from cockpit.worker.supervisor import run_session
from cockpit.worker.watchdog import CRASH_VARIABLE

ASK_TO_END = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT))
TRACE_FRAMES = 100
MMAP_THRESHOLD, ARENA_MAX = -3, -8
"""Names of glibc, from malloc.h."""
MAPPED_FROM_BYTES = 256 << 10
"""Bytes of a block from which it has a mapping of its own. Once set, glibc no longer raises it."""

log = logging.getLogger("cockpit.worker")


class WholeTraces(logging.Formatter):
    """Formats full traces. SkyPilot sets `sys.tracebacklimit` to 0 while it raises, in threads that race for it."""

    def formatException(self, ei: Any) -> str:
        return "".join(traceback.format_exception(ei[1], limit=TRACE_FRAMES)).rstrip()


def main() -> None:
    api_key.hide()
    api_key.receive()
    api_key.forbid_tracing()
    os.umask(worker_process.UMASK)
    give_freed_memory_back()
    folder = SessionFolder(Path(sys.argv[1]))
    lines = logging.StreamHandler(sys.stdout)
    lines.setFormatter(WholeTraces("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[lines])
    try:
        held = WorkerLock.take(folder)
        refuse_copy(folder)
    except WorkerError as error:
        sys.exit(str(error))
    stop, wake = threading.Event(), threading.Event()
    signals = set_when_asked_to_end(stop, wake)
    survive_unused_signals()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        crash = os.environ.pop(CRASH_VARIABLE, "")
        troubles = [f"the worker was ended by {crash} and started again from the ledger"] if crash else []
        reason = run_session(folder, stop, wake, held.renew, troubles, [signals])
    except (FleetError, VariantError, SettingsError, LedgerError) as error:
        log.error("%s", error)
        held.release()
        heartbeat.write_heartbeat(folder, str(error), stopped=True)
        sys.exit(str(error))
    log.info("ends: %s", reason)
    heartbeat.write_heartbeat(folder, stopped=True)
    held.release()


def give_freed_memory_back() -> None:
    """Have glibc give memory back to the system once it is freed.

    It keeps as much as the largest block that was ever freed, such as a snapshot's, and a heap for each
    thread. Other C libraries lack these switches.
    """
    with contextlib.suppress(OSError, AttributeError):
        tune = ctypes.CDLL("libc.so.6").mallopt
        tune(MMAP_THRESHOLD, MAPPED_FROM_BYTES)
        tune(ARENA_MAX, 1)


def set_when_asked_to_end(*events: threading.Event) -> WatchedThread:
    """Have the events set once a signal asks this process to end. Returns the thread that sets them.

    A signal handler may interrupt the main thread while that holds the event's lock, and would then deadlock.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in ASK_TO_END:
        signal.signal(number, lambda received, frame: None)
    return WatchedThread("signals", lambda: listen(reader, events))


def listen(reader: int, events: Sequence[threading.Event]) -> None:
    """Set the events at each number of such a signal that comes through a pipe."""
    while True:
        if not ASK_TO_END.isdisjoint(os.read(reader, 512)):
            for event in events:
                event.set()


def refuse_copy(folder: SessionFolder) -> None:
    """Raise WorkerError for a copy of a session whose worker runs: both would move one branch and use one fleet."""
    beat = heartbeat.read_heartbeat(folder)
    if beat is not None and heartbeat.is_of_live_process(beat):
        raise WorkerError(
            f"{folder.root} is a copy of a session that process {beat.pid} runs: end that first, or watch the copy"
        )


if __name__ == "__main__":
    main()
