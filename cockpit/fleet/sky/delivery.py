"""Brings a job to its cluster, once, and leaves none there that no run waits for.

An exec that fails or is cancelled may still reach its cluster, whole or in half: SkyPilot reserves a row of the job
table (INIT), and queues the job in it later (PENDING).
"""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterable

from cockpit.fleet.base import Job
from cockpit.fleet.sky.disk import LeftFolders
from cockpit.fleet.sky.jobs import JobRow, first_by_name
from cockpit.fleet.sky.parts import SkyError, SkyParts
from cockpit.fleet.sky.probe import RETRY_S, ClusterProbe
from cockpit.fleet.sky.task import stage

QUEUED_WITHIN_S = 60.0
"""Seconds in which a reserved job is queued; SkyPilot gives it as long."""
STRAY_WITHIN_S = 180.0
"""Seconds after a failed exec in which its job may still appear."""
LOOK_AGAIN_S = 20.0
LONGER_AT_MOST = 4
"""The factor to which an exec's time grows, twofold after each that was late: on a busy node none may end in time."""


class Strays:
    """The jobs of one cluster that failed deliveries may have left, by name. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: dict[str, float] = {}
        self._looked_at = 0.0

    def add(self, names: Iterable[str]) -> None:
        with self._lock:
            self._since.update(dict.fromkeys(names, time.monotonic()))
            self._looked_at = time.monotonic()

    def discard(self, name: str) -> None:
        with self._lock:
            self._since.pop(name, None)

    def clear(self) -> None:
        """Forget all: their cluster is gone."""
        with self._lock:
            self._since.clear()

    def __contains__(self, name: str) -> bool:
        with self._lock:
            return name in self._since

    def is_due(self) -> bool:
        """Return True if the cluster's table is to be read for them."""
        with self._lock:
            return bool(self._since) and time.monotonic() > self._looked_at + LOOK_AGAIN_S

    def among(self, rows: Iterable[JobRow], wanted: Collection[int]) -> list[int]:
        """Return the ids of those in the table that are under way; `wanted` are the ids of jobs that runs wait for.
        Forgets those that did not appear in time, or are over by then."""
        with self._lock:
            self._looked_at = time.monotonic()
            found = [row for row in rows if row.name in self._since and row.id not in wanted and not row.has_ended]
            names = {row.name for row in found}
            for name, since in list(self._since.items()):
                if name not in names and self._looked_at > since + STRAY_WITHIN_S:
                    del self._since[name]
            return [row.id for row in found]


class Deliveries:
    """Those of one cluster. Its methods block, and run on the cluster's thread."""

    def __init__(
        self, parts: SkyParts, probe: ClusterProbe, wanted: Callable[[], Collection[int]], left: LeftFolders
    ) -> None:
        """Prepare. `wanted` gives the ids of jobs that runs wait for, `left` the folders that the next run removes."""
        self._parts, self._sky, self._probe = parts, parts.sky, probe
        self._wanted, self._left = wanted, left
        self.strays = Strays()
        self._longer = 1  # the factor of the time that the next exec may take

    def deliver(self, job: Job, accelerators: dict[str, float]) -> int:
        """Submit a job. Returns its id there; 0 if no caller waits any more. Raises SkyError, ClusterLost, OSError."""
        name = self._parts.session.remote_name(job.name)
        if name in self.strays and (answered := self._probe.ask(trust_records=True)):
            self.end_strays(answered[1])
        workdir = stage(job, name)
        self._left.discard([name])  # a job that is sent again uses its folder again
        for wait_s in (*RETRY_S, None):
            try:
                over = self._left.next()
                with self._parts.requests.work():
                    number = self._sky.submit(job, self._probe.remote_name(), workdir, accelerators, over, self._longer)
                self._left.discard(over)
                self._longer = 1
                return number
            except SkyError as error:
                if error.kind == "late":
                    self._longer = min(2 * self._longer, LONGER_AT_MOST)
                if error.kind in ("gone", "task"):
                    raise
                if error.kind != "invalid":
                    # It may have arrived all the same: the cluster's table decides.
                    arrived = self._arrived(name)
                    if arrived is not None:
                        return arrived
                if error.kind != "server" or wait_s is None:
                    raise
            time.sleep(wait_s)
        raise AssertionError("the last try returns or raises")

    def _arrived(self, name: str) -> int | None:
        """Return the id of a job that is queued, runs or ran though its exec failed; None if there is none, 0 if no
        caller waits any more. Raises ClusterLost."""
        self.strays.add([name])
        deadline = time.monotonic() + QUEUED_WITHIN_S
        while True:
            if (answered := self._probe.ask()) is None:
                return 0
            row = first_by_name(answered[1]).get(name)
            if row is None or row.never_ran:
                return None
            if row.status != "INIT":
                self.strays.discard(name)
                return row.id
            if time.monotonic() > deadline:
                return None
            time.sleep(RETRY_S[0])

    def was_cancelled(self, name: str, age_s: float) -> None:
        """Take in that a job was cancelled that is `age_s` old: SkyPilot cancels none that is not queued yet."""
        if age_s < QUEUED_WITHIN_S:
            self.strays.add([name])

    def end_strays(self, rows: Iterable[JobRow]) -> None:
        """Cancel the jobs in the cluster's table that failed deliveries left there."""
        for number in self.strays.among(rows, self._wanted()):
            with contextlib.suppress(SkyError):  # the next look finds it again
                self._sky.cancel(self._probe.remote_name(), number)
