"""Waits for a cluster's set-up, which is a job of its own, and ends it at a deadline."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable

from cockpit.fleet.sky.jobs import UNDER_WAY
from cockpit.fleet.sky.launch_log import LaunchLog
from cockpit.fleet.sky.log import JobLines
from cockpit.fleet.sky.parts import SkyCalls, SkyError
from cockpit.fleet.sky.probe import RETRY_S

SETUP_LIMIT_S = 3600.0
"""Seconds a set-up may take, printing or not."""
LOOK_EVERY_S = 1.0


class SetupWatch:
    """Follows one set-up. A thread reads its log: a stream may stay silent for ever."""

    def __init__(self, sky: SkyCalls, cluster: str, job_id: int, log: LaunchLog) -> None:
        self._sky, self._cluster, self._job_id, self._log = sky, cluster, job_id, log
        self._lines = 0
        self._remark = ""

    def wait(self, name: str, given_up: Callable[[], bool]) -> None:
        """Return once the set-up succeeded, or `given_up` is true. Raises SkyError: `setup` where it failed, `late`
        where it did not end in time and was cancelled."""
        deadline = time.monotonic() + SETUP_LIMIT_S
        tries = 0
        while not given_up():
            status = self._read(deadline, given_up)
            if status == "SUCCEEDED" or given_up():
                return
            if time.monotonic() > deadline:
                with contextlib.suppress(SkyError):  # the cluster is taken down before it is launched again
                    self._sky.cancel(self._cluster, self._job_id)
                said = f"the set-up of {name} did not end within {SETUP_LIMIT_S / 60:g} minutes"
                raise SkyError("late", f"{said}: {self._last()}; all of it is in {self._log.path}")
            if status and status not in UNDER_WAY:
                raise SkyError(
                    "setup", f"the set-up of {name} failed: {self._last()}; all of it is in {self._log.path}"
                )
            time.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
            tries += 1

    def _last(self) -> str:
        return self._log.last_line[:200] or self._remark[:200] or "it printed nothing"

    def _read(self, deadline: float, given_up: Callable[[], bool]) -> str:
        """Read one stream to its end, or to the deadline. Returns the set-up's status; empty if it is unknown."""
        lines = JobLines("setup", self._lines)
        pieces: queue.SimpleQueue[str | SkyError | None] = queue.SimpleQueue()
        threading.Thread(target=self._pump, args=(pieces,), daemon=True).start()
        while time.monotonic() < deadline and not given_up():
            try:
                piece = pieces.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                continue
            if piece is None or isinstance(piece, SkyError):
                break
            new = lines.feed(piece)
            self._lines += new.count(b"\n")
            self._log.append(new)
        else:
            return ""
        self._remark = lines.remark or self._remark
        if lines.status:
            return lines.status
        if isinstance(piece, SkyError) and piece.kind == "gone":
            raise piece
        with contextlib.suppress(SkyError):
            return next((row.status for row in self._sky.jobs(self._cluster) if row.id == self._job_id), "GONE")
        return ""

    def _pump(self, pieces: "queue.SimpleQueue[str | SkyError | None]") -> None:
        """Put the pieces of a stream. None ends it, also where this thread dies."""
        try:
            for piece in self._sky.tail(self._cluster, self._job_id):
                pieces.put(piece)
        except SkyError as error:
            pieces.put(error)
        finally:
            pieces.put(None)
