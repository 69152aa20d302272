"""Runs a session's worker, and starts it again from the ledger after an error."""

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cockpit.core.events import Trouble
from cockpit.fleet.base import FleetError
from cockpit.fleet.node.disk import lacks
from cockpit.read.wording import duration
from cockpit.session.ledger_errors import (
    LedgerBusy,
    LedgerDamaged,
    LedgerError,
    LedgerFull,
    full_sentence,
    is_full,
    no_files_sentence,
)
from cockpit.session.paths import SessionFolder
from cockpit.session.watched_thread import WatchedThread
from cockpit.worker.build import build
from cockpit.worker.loop import Worker, WorkerWasStopped
from cockpit.worker.pacemaker import Pacemaker
from cockpit.worker.shortage import is_closed, shortage

RETRY_FULL_S = 5.0
AWAY_S = 5.0
"""Seconds that a session's folder may be away."""
FAULTS_AT_MOST = 5
FAULT_FORGOTTEN_S = 600.0
"""Seconds without a fault after which earlier faults no longer count."""

log = logging.getLogger("cockpit.worker")


def run_session(
    folder: SessionFolder,
    stop: threading.Event,
    wake: threading.Event,
    on_beat: Callable[[], None] = lambda: None,
    troubles: Sequence[str] = (),
    threads: Sequence[WatchedThread] = (),
) -> str:
    """Run the session until it ends or is stopped. Returns why. `on_beat` is called with each heartbeat. The sentences
    of `troubles` are recorded.

    `threads` are threads of the process that are watched with the worker's.

    An error that may pass is waited out. After a fault of its own the worker starts again from the ledger, as after a
    kill. More than FAULTS_AT_MOST consecutive faults are raised.
    """
    return _Supervisor(folder, stop, wake, Pacemaker(folder, on_beat), troubles, threads).run()


class _Supervisor:
    """The workers of one session, one after the other."""

    def __init__(
        self,
        folder: SessionFolder,
        stop: threading.Event,
        wake: threading.Event,
        pacemaker: Pacemaker,
        troubles: Sequence[str],
        threads: Sequence[WatchedThread],
    ) -> None:
        self._folder = folder
        self._stop = stop
        self._wake = wake
        self._pacemaker = pacemaker
        self._threads = [WatchedThread("heartbeat", pacemaker.run), *threads]
        self._troubles = list(troubles)
        """Sentences that the next worker records."""
        self._worker: Worker | None = None
        self._has_run = False
        self._faults = 0
        self._lacks, self._lacks_since = "", 0.0
        """The resource that the machine has none of left, and since when; empty for none."""
        self._lack_told_at = -math.inf

    def run(self) -> str:
        while True:
            began = time.monotonic()
            try:
                return self._run_worker()
            except WorkerWasStopped as error:
                log.error("%s", error)
                self._troubles.append(str(error))
                if self._worker is not None:
                    self._worker.abandon()
            except Exception as error:  # after any fault a new worker is tried from the ledger
                self._handle(error, began)
                if self._worker is not None:
                    self._worker.abandon()
                    if self._worker.finished:
                        return self._worker.finished
                if self._stop.wait(RETRY_FULL_S):
                    return self._pacemaker.note

    def _run_worker(self) -> str:
        """Build a worker from the ledger and run it to its end. Returns why it ended."""
        self._worker = None
        self._troubles += [word for thread in self._threads if (word := thread.mend())]
        if problem := self._folder.folder_problem():
            raise LedgerError(problem)
        self._worker = worker = build(self._folder, self._stop, self._wake)
        self._has_run = True
        worker.threads += self._threads
        worker.start()
        self._tell_lack()
        worker.record(*(Trouble(at=worker.now(), text=text) for text in self._troubles))
        self._troubles = []
        self._pacemaker.follow(worker)
        reason = worker.run(self._stop)
        self._pacemaker.end()
        worker.close(reason)
        return reason

    def _tell_lack(self) -> None:
        """Tell a lack that is over: without open files the heartbeat could not. A lack that comes and goes is told once
        in a while."""
        now = time.monotonic()
        if self._lacks and now - self._lack_told_at > FAULT_FORGOTTEN_S:
            waited = duration(now - self._lacks_since)
            self._troubles.append(f"this machine had no {self._lacks} left: the worker waited {waited} and continues")
            self._lack_told_at = now
        self._lacks = ""

    def _handle(self, error: Exception, began: float) -> None:
        """Note an error after which another worker may start. Raises the others."""
        if self._has_run and self._folder.is_gone():
            if self._comes_back():
                log.error("%s was away for a moment: the worker starts again", self._folder.root)
                return
            if self._worker is not None:
                self._worker.abandon()
            raise LedgerError(
                f"{self._folder.root} was removed or moved while its session ran: the worker ends"
            ) from error
        if note := waits_for(error, self._has_run):
            log.error("%s", error)
            self._pacemaker.note = note
            if not self._lacks and (lacks := shortage(error)):
                self._lacks, self._lacks_since = lacks, time.monotonic()
            return
        lasted_s = self._worker.ticked_at - began if self._worker else 0.0
        self._faults = 1 if lasted_s > FAULT_FORGOTTEN_S else self._faults + 1
        if self._worker is None or isinstance(error, LedgerError | FleetError) or self._faults > FAULTS_AT_MOST:
            raise error
        log.exception("the worker failed and starts again")
        self._pacemaker.note = (
            f"the worker failed and starts again ({type(error).__name__}): see {self._folder.worker_log}"
        )

    def _comes_back(self) -> bool:
        """Wait for the session's folder, which another program may have renamed for a moment. Returns True if it is
        there again."""
        self._stop.wait(AWAY_S)
        return not self._folder.is_gone()


def waits_for(error: Exception, has_run: bool) -> str:
    """Return what the worker waits for after an error that may pass; empty for another error.

    Once a worker has run, an unusable file counts too, as on a disk that was made read-only.
    """
    if is_full(error):
        return full_disk_note(error)
    if isinstance(error, LedgerBusy):
        return str(error)
    if lacks := shortage(error):
        return f"this machine has no {lacks} left: the worker waits until it has"
    is_of_ledger = isinstance(error, LedgerError) and not isinstance(error, LedgerDamaged)
    if has_run and (is_of_ledger or is_closed(error)):
        return f"{error}: the worker waits until that is mended"
    return ""


def full_disk_note(error: Exception) -> str:
    """Return what to do about a full disk. The error, or one that caused it, names the disk."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError | LedgerFull):
        cause = cause.__cause__
    if isinstance(cause, LedgerFull):
        problem = cause.problem
    elif cause is not None and cause.filename and _takes_no_files(Path(cause.filename)):
        problem = no_files_sentence(cause.filename)
    else:
        problem = full_sentence(getattr(cause, "filename", None) or "", getattr(cause, "errno", None) or 0)
    return f"{problem}, and the session continues"


def _takes_no_files(path: Path) -> bool:
    """Return True if the disk of a file, which may not exist yet, has bytes left and no files."""
    try:
        found = next(parent for parent in path.absolute().parents if parent.exists())
        return lacks(os.statvfs(found), 1) == "files"
    except OSError:
        return False
