"""A SkyPilot that fails on demand, in ways a real one cannot be made to on purpose: it stands in for SkyClient."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

import msgspec

from cockpit.core.session import ClusterSpec, RunAccess
from cockpit.fleet.base import Job, Report
from cockpit.fleet.sky.cluster import SkyCluster
from cockpit.fleet.sky.jobs import JobRow
from cockpit.fleet.sky.parts import ClusterRecord, LaunchOrder, SessionIdentity, SkyError, SkyParts, TaskNews
from cockpit.fleet.sky.requests import LongRequests
from cockpit.fleet.sky.task import SETUP, key_of, write_order
from cockpit.session.clock import WallClock
from tests.fleet.runner_lines import end_line, start_line

R = TypeVar("R")

NIGHT = SessionIdentity("night")


class FlakySky:
    """One cluster, gpu-01, that is up and set up. Jobs run until `finish`."""

    idle_minutes = 30

    def __init__(self, session: SessionIdentity = NIGHT) -> None:
        self.session = session
        self.found: ClusterRecord | None = ClusterRecord(
            session.remote_name("gpu-01"), "UP", session.name, "H100", 3.0, {"H100": 1}, "", 1.0, session.id
        )
        self.rows = [JobRow(1, SETUP, "SUCCEEDED", 1.0, 2.0)]
        self.others: list[ClusterRecord] = []
        """Clusters that it has besides."""
        self.task_classes = frozenset({"H100"})
        self.submitted: list[str] = []
        self.launched: list[LaunchOrder] = []
        self.downs: list[str] = []
        self.cancelled: list[int] = []
        self.cloud_fails: SkyError | None = None
        """The error of every call that goes to the cluster; SkyPilot's records are read all the same."""
        self.server_fails: SkyError | None = None
        """The error of every call."""
        self.refuses: SkyError | None = None
        """The error of a submission or a launch."""
        self.arrives_first = False
        """True if a submitted job arrives before the call fails."""
        self.new_streams_hang = False
        """True if a log that is opened now says nothing after its first line, for ever."""
        self.submit_takes_s = 0.0
        self.prefix = ""
        """The log's prefix; empty for one node's."""
        self.keys: dict[str, str] = {}
        self.ends = threading.Event()
        self.score = ""

    def _reach(self, cluster_too: bool = True) -> None:
        if error := self.server_fails or (self.cloud_fails if cluster_too else None):
            raise error

    def clusters(self, names: list[str], refresh: bool = False) -> dict[str, ClusterRecord]:
        self._reach(cluster_too=False)
        if self.found and refresh and self.cloud_fails is None:
            self.found = msgspec.structs.replace(self.found, asked_at=self.found.asked_at + 1)
        found = {one.name: one for one in (self.found, *self.others) if one}
        return {name: one for name, one in found.items() if name in names or not names}

    def jobs(self, cluster: str) -> list[JobRow]:
        self._reach()
        return list(self.rows)

    def pending(self, cluster: str) -> bool:
        self._reach(cluster_too=False)
        return False

    def classes(self) -> frozenset[str]:
        return self.task_classes

    def look_at_task(self) -> TaskNews | None:
        return None

    def use_task(self, text: str) -> None:
        pass

    def launch(self, order: LaunchOrder, on_request: Callable[[str], None]) -> int | None:
        if self.refuses:
            raise self.refuses
        self._reach()
        self.launched.append(order)
        return None

    def launch_times(self) -> list[float]:
        return []

    def withdraw(self, request_id: str) -> None:
        pass

    def submit(
        self,
        job: Job,
        cluster: str,
        workdir: Path,
        accelerators: dict[str, float],
        over: tuple[str, ...] = (),
        longer: int = 1,
    ) -> int:
        if self.refuses:
            raise self.refuses
        write_order(job, self.session.remote_name(job.name), "python train.py", (), RunAccess())
        if self.arrives_first and (error := self.server_fails or self.cloud_fails):
            self._arrives(job)
            raise error
        self._reach()
        self._arrives(job)
        time.sleep(self.submit_takes_s)
        return self.rows[-1].id

    def _arrives(self, job: Job) -> None:
        name = self.session.remote_name(job.name)
        if name not in [row.name for row in self.rows]:
            self.keys[name] = key_of(job, name)
            self.rows.append(JobRow(len(self.rows) + 1, name, "RUNNING", time.time(), 0.0))
        self.submitted.append(job.name)

    def finish(self, score: str) -> None:
        """End the last job."""
        self.score = score
        self.rows[-1] = msgspec.structs.replace(self.rows[-1], status="SUCCEEDED", ended_at=time.time())
        self.ends.set()

    def tail(self, cluster: str, job_id: int) -> Generator[str, None, None]:
        self._reach()
        row, hangs = self.rows[job_id - 1], self.new_streams_hang
        prefix = self.prefix or f"({row.name}, pid=1)"
        key = self.keys.get(row.name, "")
        yield f"{prefix} {start_line(key, at=row.started_at)}\n"
        while hangs or not self.ends.wait(0.02):
            time.sleep(0.02)
            self._reach()
        yield f"{prefix} val_bpb: {self.score}\n"
        yield f"{prefix} {end_line(key)}\n"

    def cancel(self, cluster: str, job_id: int) -> None:
        self._reach()
        self.cancelled.append(job_id)

    def down(self, cluster: str) -> None:
        self._reach()
        self.downs.append(cluster)
        if self.found and self.found.name == cluster:
            self.found = None


class Watched:
    """A SkyCluster on a FlakySky, and its reports."""

    def __init__(self, place: Path, sky: FlakySky) -> None:
        self.place, self.sky = place, sky
        self.reports: list[Report] = []
        (place / "setup").mkdir(exist_ok=True)
        self.parts = SkyParts(
            sky=sky, requests=LongRequests(), session=sky.session, setup_source=place / "setup", logs=place,
            clock=WallClock(), launch_limit_s=60.0,
        )  # fmt: skip
        self.cluster = SkyCluster(ClusterSpec("gpu-01", "H100"), self.parts, self.reports.append)

    def job(self, name: str = "e0001.1") -> Job:
        source = self.place / "runs" / name
        if not source.exists():
            source.mkdir(parents=True)
            (source / "train.py").write_text("")
        return Job(name, "gpu-01", source, self.place / f"{name}.log", {}, (), 600.0)

    def of(self, kind: type[R]) -> list[R]:
        return [report for report in self.reports if isinstance(report, kind)]

    def until(self, done: Callable[[], object], within_s: float = 20.0) -> None:
        deadline = time.monotonic() + within_s
        while not done():
            assert time.monotonic() < deadline, self.reports
            time.sleep(0.01)
