"""A thread that its owner watches, and restarts after it has died."""

import logging
import threading
import time
from collections.abc import Callable

RESTARTS_AT_MOST = 5
"""Restarts one after another. Then there is one every PAUSE_S, so that a thread that always dies takes little time."""
PAUSE_S = 600.0
"""Seconds that the work must last for earlier deaths to be forgotten, and between restarts above the limit."""

log = logging.getLogger("cockpit.threads")


class WatchedThread:
    """A daemon thread that does `work`. Its owner calls `mend` regularly.

    A thread dies of an exception in its work, including a MemoryError, or because the system cannot start it.
    """

    def __init__(self, name: str, work: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._work = work
        self._clock = clock
        self._thread: threading.Thread | None = None
        self._fault = ""
        self._is_done = False
        self._deaths = 0
        self._started_at = 0.0
        self._word_told = True
        self._start()

    @property
    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def join(self, seconds: float) -> None:
        if self._thread is not None:
            self._thread.join(seconds)

    def mend(self) -> str:
        """Start the thread again if it died. Returns a sentence about each death; empty for none."""
        if self._is_done or self.is_alive:
            return ""
        now = self._clock()
        said = ""
        if not self._word_told:
            self._word_told = True
            self._deaths = 1 if now - self._started_at > PAUSE_S else self._deaths + 1
            again = "starts again" if self._deaths <= RESTARTS_AT_MOST else f"starts again in {PAUSE_S / 60:g} min"
            said = f"the thread {self.name} of the worker failed ({self._fault or 'without a word'}) and {again}"
            log.error("%s", said)
        if self._deaths <= RESTARTS_AT_MOST or now - self._started_at > PAUSE_S:
            self._start()
        return said

    def _start(self) -> None:
        self._started_at, self._word_told, self._fault = self._clock(), False, ""
        self._thread = threading.Thread(target=self._run, daemon=True, name=self.name)
        try:
            self._thread.start()
        except (RuntimeError, MemoryError) as error:
            self._thread, self._fault = None, str(error) or type(error).__name__

    def _run(self) -> None:
        try:
            self._work()
            self._is_done = True
        except Exception as error:  # the owner reads the fault, and begins the thread again
            self._fault = f"{type(error).__name__}: {error}"[:200]
            log.exception("the thread %s failed", self.name)
