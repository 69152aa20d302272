"""Drives a SkyFleet by hand: a task file, jobs made of a few lines of Python, and waiting for their reports."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cockpit.core.rescore import Scoring
from cockpit.core.session import ClusterSpec, RunAccess
from cockpit.fleet.base import (
    ClusterEnded,
    ClusterReady,
    ClusterTrouble,
    Expected,
    Job,
    JobEnded,
    JobRefused,
    JobStarted,
    Report,
)
from cockpit.fleet.run_log import RunLog
from cockpit.fleet.sky.client import SkyClient
from cockpit.fleet.sky.fleet import SkyFleet
from cockpit.fleet.sky.parts import SessionIdentity, SkyParts
from cockpit.fleet.sky.requests import LongRequests
from cockpit.session.clock import WallClock
from tests.lab.processes import PATIENCE

R = TypeVar("R")

TASK = """\
resources:
  infra: slurm
  accelerators: {H100: 1, H200: 1}
setup: |
  python prepare.py
run: |
  "${COCKPIT_PYTHON:-python}" -u train.py
"""
PRINTS_A_SCORE = """\
import time
for step in range({seconds}):
    print('step', step)
    time.sleep(1)
print('val_bpb: {score}')
"""


class LabNight:
    """A session's folder and a fleet on it, which may be closed and opened again like a worker's."""

    infra = "slurm"
    """The place of every task: that of the lab."""

    def __init__(
        self,
        root: Path,
        clusters: tuple[ClusterSpec, ...],
        task: str = TASK,
        prepare: str = "",
        launch_limit_s: float = 500 * PATIENCE,
        idle_minutes: int = 30,
    ) -> None:
        self.root, self.clusters = root, clusters
        self.session = SessionIdentity(root.name, f"s{zlib.crc32(str(root).encode()):08x}")
        self._launch_limit_s, self._idle_minutes = launch_limit_s, idle_minutes
        self.setup = root / "setup"
        self.setup.mkdir(parents=True)
        (self.setup / "prepare.py").write_text(prepare)
        (self.setup / "train.py").write_text("")
        (root / "experiment.yaml").write_text(task.replace("infra: slurm", f"infra: {self.infra}"))
        self.seen: list[Report] = []
        self.jobs: dict[str, Job] = {}
        self.open()

    def open(self) -> None:
        """Open the fleet, as a new worker does."""
        access = RunAccess(confine=True)
        sky = SkyClient(self.root / "experiment.yaml", self.session, "", {}, self._idle_minutes, access=access)
        self.wake = threading.Event()
        parts = SkyParts(
            sky=sky,
            requests=LongRequests(),
            session=self.session,
            setup_source=self.setup,
            logs=self.root / "logs",
            clock=WallClock(),
            launch_limit_s=self._launch_limit_s,
        )
        self.fleet = SkyFleet(self.clusters, parts, self.wake)

    def reopen(self) -> None:
        """Open the fleet again, as after a kill of the worker; expects what had not ended."""
        self.fleet.close()
        over = {report.job for report in self.of(JobEnded)}
        up = self.up
        self.open()
        self.fleet.recover(
            Expected(
                tuple(up),
                tuple(job for name, job in self.jobs.items() if name not in over),
            )
        )

    def ready(self, *clusters: str) -> None:
        """Bring these clusters up. Fails with the sentence of a launch that failed."""
        down = set(clusters) - self.up
        before = len(self.of(ClusterTrouble))
        for cluster in down:
            self.fleet.launch(cluster)

        def are_up() -> bool:
            failed = [one for one in self.of(ClusterTrouble)[before:] if one.cluster in down]
            assert not any(not (one.lost or one.refused) for one in failed), failed
            return down <= self.up

        self.until(are_up)

    @property
    def up(self) -> set[str]:
        """The clusters that are up, by the reports so far."""
        up: set[str] = set()
        for report in self.seen:
            match report:
                case ClusterReady():
                    up.add(report.cluster)
                case ClusterTrouble() | ClusterEnded():
                    up.discard(report.cluster)
        return up

    def came_up_again(self, before: int) -> None:
        """Wait until more than `before` clusters were reported up."""
        self.until(lambda: len(self.of(ClusterReady)) > before)

    def started(self, name: str) -> None:
        """Wait for a job to start."""
        self.until(lambda: any(report.job == name for report in self.of(JobStarted)))

    def job(
        self,
        name: str,
        cluster: str,
        train: str,
        limit_s: float = 120.0,
        prepare: str = "",
        environment: dict[str, str] | None = None,
        rescore: Scoring = Scoring.NONE,
        more: dict[str, str] | None = None,
    ) -> Job:
        """Submit `train` as an attempt's train.py, with `more` files beside it."""
        source = self.root / "runs" / name
        source.mkdir(parents=True)
        (source / "train.py").write_text(train)
        for name_of, text in ({"prepare.py": prepare} | (more or {})).items():
            (source / name_of).write_text(text)
        own = {"EXPERIMENT_ID": name, "SEED": "1"} | (environment or {})
        log = self.root / "logs" / f"{name}.log"
        job = Job(name, cluster, source, log, own, (), limit_s, rescore=rescore)
        self.jobs[name] = job
        self.fleet.submit(job)
        return job

    def of(self, kind: type[R]) -> list[R]:
        """Return the reports of a kind so far."""
        return [report for report in self.seen if isinstance(report, kind)]

    def until(self, done: Callable[[], object], within_s: float = 600) -> None:
        """Take reports until `done`. A job that was refused, as on a busy machine, is submitted again, as by a worker.
        Raises TimeoutError, with the reports, after `within_s`."""
        deadline = time.monotonic() + within_s * PATIENCE
        while not done():
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {within_s * PATIENCE:g} s: {self.seen}")
            self.wake.wait(0.5)
            self.wake.clear()
            new = self.fleet.poll()
            self.seen += new
            for refused in (report for report in new if isinstance(report, JobRefused)):
                if refused.job in self.jobs and self.jobs[refused.job].cluster in self.up:
                    self.fleet.submit(self.jobs[refused.job])

    def let(self, seconds: float) -> None:
        """Take reports for a while."""
        over = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > over, within_s=seconds + 60)

    def ended(self, *names: str) -> dict[str, JobEnded]:
        """Wait for these jobs to end. Returns the ends of all jobs so far."""
        self.until(lambda: set(names) <= {report.job for report in self.of(JobEnded)})
        return {report.job: report for report in self.of(JobEnded)}

    def log(self, name: str) -> RunLog:
        """Read the run's output as the worker does."""
        log = RunLog()
        log.feed(self.jobs[name].log_path.read_bytes(), 0.0)
        return log

    def steps(self, name: str) -> list[int]:
        """Return the steps in a run's log, in its order."""
        lines = self.jobs[name].log_path.read_text().splitlines()
        return [int(line.split()[1]) for line in lines if line.startswith("step ")]

    def tear_down(self) -> None:
        """Tear all clusters down, and wait until that is verified."""
        before = len(self.seen)
        for spec in self.clusters:
            self.fleet.down(spec.name)

        def gone() -> bool:
            ends = (report.cluster for report in self.seen[before:] if isinstance(report, ClusterEnded))
            return set(ends) == {spec.name for spec in self.clusters}

        self.until(gone)

    def close(self) -> None:
        """Tear all clusters down, and close the fleet."""
        self.tear_down()
        self.fleet.close()
