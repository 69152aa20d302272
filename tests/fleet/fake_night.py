"""A SkyFleet on a FakeCloud, through the real SkyClient, with short waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from cockpit.core.session import ClusterSpec
from cockpit.fleet.base import ClusterReady, Expected, Job, JobStarted, JobSubmitted, Report
from cockpit.fleet.sky import cluster as sky_cluster
from cockpit.fleet.sky import failures, follow, launch, launch_log, probe, setup
from cockpit.fleet.sky import fleet as sky_fleet
from cockpit.fleet.sky.client import SkyClient
from cockpit.fleet.sky.fleet import SkyFleet
from cockpit.fleet.sky.parts import SessionIdentity, SkyParts
from cockpit.fleet.sky.requests import LongRequests
from cockpit.session.clock import WallClock
from tests.fleet.fake_cloud import FakeCloud

R = TypeVar("R")

NIGHT = SessionIdentity("night", "s1")
TASK = """\
resources:
  accelerators: {H100: 1, H200: 1}
setup: python prepare.py
run: python train.py
"""


def quick(patch: pytest.MonkeyPatch) -> None:
    """Shorten the fleet's waits, none of which is what a test is about."""
    for module in (probe, follow, setup):
        patch.setattr(module, "RETRY_S", (0.02,))
    patch.setattr(sky_cluster, "RETRY_S", (0.02,) * 4)
    patch.setattr(failures, "BLIPS_S", (0.01,) * 3)
    patch.setattr(setup, "LOOK_EVERY_S", 0.02)
    patch.setattr(launch, "QUEUE_REPORTED_S", 0.3)
    patch.setattr(launch_log, "LINE_EVERY_S", 0.0)
    for name in ("WATCH_EVERY_S", "SWEEP_EVERY_S", "SWEEP_LAUNCHES_EVERY_S"):
        patch.setattr(sky_fleet, name, 0.05)


def client_of(
    root: Path,
    cloud: FakeCloud,
    task: str = TASK,
    session: SessionIdentity = NIGHT,
    prices: dict[str, float] | None = None,
) -> SkyClient:
    """Return SkyPilot's real client for a task, with the fake cloud in place of its SDK."""
    (root / "experiment.yaml").write_text(task)
    client = SkyClient(root / "experiment.yaml", session, "", prices or {}, 30)
    client._sdk = cloud
    return client


class FakeNight:
    def __init__(
        self,
        root: Path,
        cloud: FakeCloud,
        *clusters: ClusterSpec,
        task: str = TASK,
        session: SessionIdentity = NIGHT,
        places: int = 16,
        prices: dict[str, float] | None = None,
    ) -> None:
        self.root, self.cloud, self.session = root, cloud, session
        (root / "setup").mkdir(exist_ok=True)
        client = client_of(root, cloud, task, session, prices)
        self.wake = threading.Event()
        parts = SkyParts(
            sky=client, requests=LongRequests(places), session=session, setup_source=root / "setup", logs=root / "logs",
            clock=WallClock(),
        )  # fmt: skip
        self.fleet = SkyFleet(clusters or (ClusterSpec("gpu-01"),), parts, self.wake)
        self.seen: list[Report] = []

    def up(self, *clusters: str) -> None:
        """Launch these clusters and wait until they are up."""
        for name in clusters:
            self.fleet.launch(name)
        self.until(lambda: set(clusters) <= {report.cluster for report in self.of(ClusterReady)})

    def recovered(self, cluster: str) -> None:
        """Find a cluster up that an earlier fleet launched."""
        self.fleet.recover(Expected((cluster,), ()))
        self.until(lambda: self.of(ClusterReady))

    def run(self, name: str, cluster: str = "gpu-01", waits_for_start: bool = True) -> None:
        """Submit a job and wait for its start, or only until the cluster has it."""
        self.submit(name, cluster)
        if waits_for_start:
            self.until(lambda: any(report.job == name for report in self.of(JobStarted)))
        else:
            self.until(lambda: any(report.job == name for report in self.of(JobSubmitted)))

    def submit(self, name: str, cluster: str = "gpu-01") -> None:
        """Submit a job."""
        source = self.root / "runs" / name
        source.mkdir(parents=True, exist_ok=True)
        (source / "train.py").write_text("")
        log = self.root / "logs" / f"{name}.log"
        self.fleet.submit(Job(name, cluster, source, log, {"EXPERIMENT_ID": name}, (), 600.0))

    def of(self, kind: type[R]) -> list[R]:
        return [report for report in self.seen if isinstance(report, kind)]

    def until(self, done: Callable[[], object], within_s: float = 30.0) -> None:
        deadline = time.monotonic() + within_s
        while not done():
            assert time.monotonic() < deadline, self.seen
            self.wake.wait(0.05)
            self.wake.clear()
            self.seen += self.fleet.poll()

    def close(self) -> None:
        self.fleet.close()
        for cluster in self.cloud.clusters.values():
            for job in cluster.jobs:
                job.over.set()
