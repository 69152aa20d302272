"""A fleet of SkyPilot clusters: launched a few at a time, each put to work as soon as it is up, and never waited for
together. What happens on one cluster is `sky_cluster`'s; here is the fleet, and the watch over runs that say nothing.
"""

import threading
import time
from collections import deque
from pathlib import Path

from cockpit.core.model import ClusterSpec
from cockpit.fleet.base import Expected, Job, JobRefused, Report
from cockpit.fleet.sky.client import SkyClient, SkyError
from cockpit.fleet.sky.cluster import SkyCluster
from cockpit.fleet.sky.requests import LongRequests
from cockpit.session.clock import Clock

WATCH_EVERY_S = 5.0
SILENT_S = 180.0
"""A run that printed nothing for so long is looked at on its cluster."""
SWEEP_EVERY_S = 60.0
"""How often SkyPilot's records are read, for clusters that ended without a word."""
SWEEP_LAUNCHES_EVERY_S = 15.0
"""How often while a cluster is being launched, which may wait for a place."""
LIMIT_GRACE_S = 45.0
"""A run ends itself at its limit; one that has not by then is cancelled."""
LAUNCH_LIMIT_S = 1200.0


class SkyFleet:
    """The Fleet protocol on SkyPilot."""

    simulated = False

    def __init__(
        self,
        clusters: tuple[ClusterSpec, ...],
        sky: SkyClient,
        session: str,
        setup_source: Path,
        logs: Path,
        wake: threading.Event,
        clock: Clock,
        launch_limit_s: float = LAUNCH_LIMIT_S,
    ) -> None:
        """`setup_source` is the folder a cluster's set-up runs in; `logs` gets what set-ups print; a launch is given up
        after `launch_limit_s`."""
        self._sky = sky
        self._session, self._clock = session, clock
        self._setup_source, self._logs, self._launch_limit_s = setup_source, logs, launch_limit_s
        self._long_requests = LongRequests()
        self._wake = wake
        self._reports: deque[Report] = deque()
        self._closed = threading.Event()
        logs.mkdir(parents=True, exist_ok=True)
        self._clusters = {spec.name: self._cluster(spec) for spec in clusters}
        threading.Thread(target=self._watch, name="sky-watch", daemon=True).start()

    def _cluster(self, spec: ClusterSpec) -> SkyCluster:
        return SkyCluster(
            name=spec.name,
            hardware=spec.hardware,
            sky=self._sky,
            long_requests=self._long_requests,
            setup_source=self._setup_source,
            setup_log=self._logs / f"{spec.name}.setup.log",
            launch_limit_s=self._launch_limit_s,
            session=self._session,
            clock=self._clock,
            report=self._take,
        )

    def _adopt(self, name: str) -> None:
        if name not in self._clusters:
            # A new dict: the watch goes through the one there is.
            self._clusters = {**self._clusters, name: self._cluster(ClusterSpec(name))}
        self._clusters[name].adopt()

    def recover(self, expected: Expected) -> None:
        for cluster in expected.adopted:
            self._adopt(cluster)
        for cluster in expected.clusters:
            self._clusters[cluster].recover([job for job in expected.jobs if job.cluster == cluster])
        for job in expected.jobs:
            if job.cluster not in expected.clusters:
                self._take(JobRefused(self._clock.now(), job.name, f"{job.cluster} was not up"))

    def launch(self, cluster: str, adopted: bool = False) -> None:
        if adopted:
            self._adopt(cluster)
        self._clusters[cluster].launch()

    def submit(self, job: Job) -> None:
        self._clusters[job.cluster].submit(job)

    def cancel(self, job: str) -> None:
        for cluster in self._clusters.values():
            if cluster.cancel(job):
                return

    def down(self, cluster: str) -> None:
        self._clusters[cluster].down()

    def poll(self) -> list[Report]:
        taken = []
        while self._reports:
            taken.append(self._reports.popleft())
        return taken

    def close(self) -> None:
        self._closed.set()
        for cluster in self._clusters.values():
            cluster.close()

    def _take(self, report: Report) -> None:
        self._reports.append(report)
        self._wake.set()

    def _watch(self) -> None:
        swept = time.monotonic()
        while not self._closed.wait(WATCH_EVERY_S):
            now = self._clock.now()
            for cluster in self._clusters.values():
                for run in cluster.overdue(now, LIMIT_GRACE_S):
                    cluster.cancel(run, "timeout")
                if cluster.silent(now, SILENT_S):
                    cluster.check()
            launching = any(cluster.is_launching for cluster in self._clusters.values())
            if time.monotonic() - swept > (SWEEP_LAUNCHES_EVERY_S if launching else SWEEP_EVERY_S):
                swept = time.monotonic()
                self._sweep()

    def _sweep(self) -> None:
        up = [name for name, cluster in self._clusters.items() if cluster.is_up]
        launching = [name for name, cluster in self._clusters.items() if cluster.is_launching]
        if not up and not launching:
            return
        try:
            found = self._sky.clusters([*up, *launching])
        except SkyError:
            return  # the next sweep sees
        for name in up:
            if name not in found or found[name].status != "UP":
                self._clusters[name].check()
        for name in launching:
            if name in found:
                self._clusters[name].look_at_launch(found[name])
