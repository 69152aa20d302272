"""A fleet of SkyPilot clusters: launched a few at a time, each put to work as soon as it is up.

`SkyCluster` does what happens on one cluster; here is the fleet, and the watch over silent runs and clusters.
"""

import threading
import time
from collections import deque

import msgspec

from cockpit.core.session import ClusterSpec
from cockpit.core.shares import whole_of
from cockpit.fleet.base import Expected, FleetTrouble, Job, JobRefused, Report, TaskSeen
from cockpit.fleet.sky.autostop import Autostops
from cockpit.fleet.sky.cluster import SkyCluster
from cockpit.fleet.sky.foreign_jobs import ForeignLaunches
from cockpit.fleet.sky.parts import SkyError, SkyParts
from cockpit.fleet.sky.shares import Shares, wholes
from cockpit.session.watched_thread import WatchedThread

WATCH_EVERY_S = 5.0
SILENT_S = 180.0
"""Seconds without output after which a run is checked on its cluster."""
SWEEP_EVERY_S = 60.0
"""Seconds between two readings of SkyPilot's records, for clusters that ended without a report."""
SWEEP_LAUNCHES_EVERY_S = 15.0
"""The same while a cluster is being launched, which may wait for a place."""
LIMIT_GRACE_S = 45.0
"""Seconds past its limit after which a run, which should end itself, is cancelled."""


class SkyFleet:
    """The Fleet protocol on SkyPilot."""

    simulated = False

    def __init__(self, clusters: tuple[ClusterSpec, ...], parts: SkyParts, wake: threading.Event) -> None:
        self._parts = parts
        self._wake = wake
        self._reports: deque[Report] = deque()
        self._closed = threading.Event()
        parts.logs.mkdir(parents=True, exist_ok=True)
        self._autostops = Autostops(parts.sky.idle_minutes)
        self._foreign_launches = ForeignLaunches()
        self._shares: dict[str, Shares] = {}
        self._clusters: dict[str, SkyCluster] = {}
        for whole, specs in wholes(clusters).items():
            self._add(whole, specs)
        self._watching = WatchedThread("sky-watch", self._watch)

    def _add(self, name: str, specs: list[ClusterSpec]) -> None:
        shares = self._shares[name] = Shares(specs)

        def take(report: Report) -> None:
            for one in shares.reports(report):
                self._take(one)

        # A new dict: the watch iterates over the old one.
        spec = msgspec.structs.replace(specs[0], name=name)
        self._clusters = {**self._clusters, name: SkyCluster(spec, self._parts, take, len(specs))}

    def _adopt(self, name: str) -> None:
        if name not in self._clusters:
            self._add(name, [ClusterSpec(name)])
        self._clusters[name].adopt()

    def recover(self, expected: Expected) -> None:
        for cluster in expected.adopted:
            self._adopt(cluster)
        jobs: dict[str, list[Job]] = {}
        for job in expected.jobs:
            if job.cluster in expected.clusters:
                jobs.setdefault(whole_of(job.cluster), []).append(job)
            else:
                self._take(JobRefused(self._parts.clock.now(), job.name, f"{job.cluster} was not up"))
        for name, shares in self._shares.items():
            if shares.expect(expected.clusters):
                self._clusters[name].recover(jobs.get(name, []))

    def launch(self, cluster: str, adopted: bool = False) -> None:
        if adopted:
            self._adopt(cluster)
        whole = whole_of(cluster)
        launches, report = self._shares[whole].launch(cluster)
        if report is not None:
            self._take(report)
        elif launches:
            self._clusters[whole].launch()

    def submit(self, job: Job) -> None:
        self._clusters[whole_of(job.cluster)].submit(job)

    def cancel(self, job: str) -> None:
        for cluster in self._clusters.values():
            if cluster.cancel(job):
                return

    def down(self, cluster: str) -> None:
        whole = whole_of(cluster)
        if self._shares[whole].down(cluster):
            self._clusters[whole].down()
        else:
            self._clusters[whole].cancel_on(cluster)

    def use_task(self, text: str) -> None:
        self._parts.sky.use_task(text)

    def poll(self) -> list[Report]:
        if not self._closed.is_set():
            self._mend()
        taken = []
        while self._reports:
            taken.append(self._reports.popleft())
        return taken

    def close(self) -> None:
        self._closed.set()
        for cluster in self._clusters.values():
            cluster.close()

    def _mend(self) -> None:
        """Restart the threads that died, and report each."""
        words = [self._watching.mend(), *(word for cluster in self._clusters.values() for word in cluster.mend())]
        self._reports.extend(FleetTrouble(self._parts.clock.now(), word) for word in words if word)

    def _take(self, report: Report) -> None:
        self._reports.append(report)
        self._wake.set()

    def _watch(self) -> None:
        swept = time.monotonic()
        while not self._closed.wait(WATCH_EVERY_S):
            now = self._parts.clock.now()
            for cluster in self._clusters.values():
                cluster.end_late(now, LIMIT_GRACE_S)
                if cluster.silent(now, SILENT_S):
                    cluster.check()
                cluster.retry()
            if (seen := self._parts.sky.look_at_task()) is not None:
                self._take(TaskSeen(now, seen.text, seen.problem, seen.fields))
            launching = any(cluster.is_launching for cluster in self._clusters.values())
            if time.monotonic() - swept > (SWEEP_LAUNCHES_EVERY_S if launching else SWEEP_EVERY_S):
                swept = time.monotonic()
                self._sweep()

    def _sweep(self) -> None:
        """Compare SkyPilot's records with the clusters that should be up or are being launched."""
        up = [cluster for cluster in self._clusters.values() if cluster.is_up]
        launching = [cluster for cluster in self._clusters.values() if cluster.is_launching]
        for cluster in self._clusters.values():
            if cluster.is_billed and not cluster.is_launching:
                cluster.look_for_the_rest()
        if not up and not launching:
            return
        try:
            records = self._parts.sky.clusters([cluster.remote_name for cluster in (*up, *launching)])
        except SkyError:
            return  # the next sweep compares
        for cluster in (*up, *launching):
            cluster.take_record(records.get(cluster.remote_name))
        known = [(one.name, records[one.remote_name]) for one in up if one.remote_name in records]
        for text in (*self._autostops.news(known), *self._foreign_launches.news(known)):
            self._take(FleetTrouble(self._parts.clock.now(), text))
