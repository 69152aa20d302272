"""A SkyPilot that fails on demand, in ways a real one cannot be made to on purpose: it stands in for SkyClient."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from cockpit.fleet.base import Job, Report
from cockpit.fleet.sky.client import Found, SkyError
from cockpit.fleet.sky.cluster import SkyCluster
from cockpit.fleet.sky.jobs import Row
from cockpit.fleet.sky.requests import LongRequests
from cockpit.fleet.sky.task import SETUP
from cockpit.session.clock import WallClock

R = TypeVar("R")


class FlakySky:
    """One cluster, gpu-01, that is up and set up. Jobs run until `finish`."""

    idle_minutes = 30

    def __init__(self) -> None:
        self.found: Found | None = Found("gpu-01", "UP", "night", "H100", 3.0, {"H100": 1}, "", asked_at=1.0)
        self.rows = [Row(1, SETUP, "SUCCEEDED", 1.0, 2.0)]
        self.others: list[Found] = []
        """Clusters that it has besides."""
        self.submitted: list[str] = []
        self.downs = 0
        self.cloud_fails: SkyError | None = None
        """What everything that goes to the cluster fails with; SkyPilot's records are had all the same."""
        self.server_fails: SkyError | None = None
        """What everything fails with."""
        self.refuses: SkyError | None = None
        """What a submission or a launch fails with."""
        self.arrives_first = False
        """Whether a job that is submitted arrives before that fails."""
        self.new_streams_hang = False
        """Whether a log that is opened now says nothing after its first line, for ever."""
        self.ends = threading.Event()
        self.score = ""

    def _reach(self, cluster_too: bool = True) -> None:
        if error := self.server_fails or (self.cloud_fails if cluster_too else None):
            raise error

    def clusters(self, names: list[str], refresh: bool = False) -> dict[str, Found]:
        self._reach(cluster_too=False)
        if self.found and refresh and self.cloud_fails is None:
            self.found = msgspec.structs.replace(self.found, asked_at=self.found.asked_at + 1)
        found = {one.name: one for one in (self.found, *self.others) if one}
        return {name: one for name, one in found.items() if name in names or not names}

    def jobs(self, cluster: str) -> list[Row]:
        self._reach()
        return list(self.rows)

    def pending(self, cluster: str) -> bool:
        self._reach(cluster_too=False)
        return False

    def launch(self, *what: object) -> int | None:
        if self.refuses:
            raise self.refuses
        self._reach()
        return None

    def withdraw(self, request: str) -> None:
        pass

    def submit(self, job: Job, workdir: Path, accelerators: dict[str, float]) -> int:
        if self.refuses:
            raise self.refuses
        if self.arrives_first:
            self._arrives(job)
        self._reach()
        self._arrives(job)
        return self.rows[-1].id

    def _arrives(self, job: Job) -> None:
        if job.name not in [row.name for row in self.rows]:
            self.rows.append(Row(len(self.rows) + 1, job.name, "RUNNING", time.time(), 0.0))
        self.submitted.append(job.name)

    def finish(self, score: str) -> None:
        """The last job ends."""
        self.score = score
        self.rows[-1] = msgspec.structs.replace(self.rows[-1], status="SUCCEEDED", ended_at=time.time())
        self.ends.set()

    def tail(self, cluster: str, job_id: int) -> Iterator[str]:
        self._reach()
        name, hangs = self.rows[job_id - 1].name, self.new_streams_hang
        yield f"({name}, pid=1) COCKPIT_START train_sha256=a prepare_sha256=b at={time.time()}\n"
        while hangs or not self.ends.wait(0.02):
            time.sleep(0.02)
            self._reach()
        yield f"({name}, pid=1) val_bpb: {self.score}\n"
        yield f"({name}, pid=1) COCKPIT_END train_sha256=a prepare_sha256=b exit=0 at={time.time()}\n"

    def cancel(self, cluster: str, job_id: int) -> None:
        self._reach()

    def down(self, cluster: str) -> None:
        self._reach()
        self.found, self.downs = None, self.downs + 1


class Watched:
    """A SkyCluster on a FlakySky, and what it reported."""

    def __init__(self, place: Path, sky: FlakySky) -> None:
        self.place, self.sky = place, sky
        self.reports: list[Report] = []
        (place / "setup").mkdir(exist_ok=True)
        self.cluster = SkyCluster(
            "gpu-01", "H100", sky, LongRequests(), place / "setup", place / "setup.log", 60.0, "night", WallClock(),
            self.reports.append,
        )  # type: ignore[arg-type]  # fmt: skip

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
