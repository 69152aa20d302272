"""Submits the runs of one cluster in order, and holds them while the task file cannot be used."""

from collections.abc import Callable
from typing import Protocol

from cockpit.fleet.base import JobEnded
from cockpit.fleet.sky.delivery import Deliveries
from cockpit.fleet.sky.follow import SkyRun
from cockpit.fleet.sky.parts import SkyError
from cockpit.fleet.sky.probe import ClusterLost, ClusterProbe

REFUSED_AT_MOST = 3
"""Consecutive rejected jobs before a cluster counts as failed."""
NOT_THE_CLUSTERS = frozenset({"cancelled", "server"})
"""The kinds of error that say nothing against the cluster: a person's `sky api cancel`, an API server that fails."""


class SubmittingCluster(Protocol):
    """The cluster whose runs are submitted."""

    name: str
    is_up: bool

    def report_submitted(self, run: SkyRun) -> None: ...

    def report_wait(self, sentence: str) -> None: ...

    def refuse(self, run: SkyRun, message: str) -> None: ...

    def end(self, run: SkyRun, report: JobEnded) -> None: ...


class Submissions:
    """Its methods block, and run on the cluster's thread. They raise ClusterLost."""

    def __init__(
        self, cluster: SubmittingCluster, deliveries: Deliveries, probe: ClusterProbe, now: Callable[[], float]
    ) -> None:
        self._cluster, self._deliveries, self._probe, self._now = cluster, deliveries, probe, now
        self._held: list[SkyRun] = []
        self._hold_is_reported = False
        self._refused = 0
        self.accelerators: dict[str, float] = {}
        """Those of each run."""

    @property
    def are_held(self) -> bool:
        """True while runs are held, or it is still reported that they are."""
        return bool(self._held) or self._hold_is_reported

    def submit(self, run: SkyRun) -> None:
        """Submit a run, or hold it behind those that are held."""
        if run.over:
            return
        if run.cancelled:
            self._cluster.end(run, JobEnded(self._now(), run.job.name, run.cancelled))
        elif not self._cluster.is_up:
            self._cluster.refuse(run, f"{self._cluster.name} is not up")
        elif self._held:
            self._held.append(run)
        else:
            self._send(run)

    def submit_held(self) -> None:
        """Submit the runs that are held, in their order."""
        held, self._held = self._held, []
        for number, run in enumerate(held):
            self.submit(run)
            if self._held:
                self._held = held[number:]
                return
        if self._hold_is_reported:
            self._hold_is_reported = False
            self._cluster.report_wait("")

    def take_back(self, run: SkyRun) -> bool:
        """Hold a run no longer. Returns True if it was held."""
        if run not in self._held:
            return False
        self._held.remove(run)
        return True

    def drop(self) -> None:
        """Hold no runs: all of them are ended."""
        self._held = []

    def forgive(self) -> None:
        """Count no earlier rejection: the cluster is lost, and another may come up."""
        self._refused = 0

    def _send(self, run: SkyRun) -> None:
        job = run.job
        run.sent_at = self._now()
        try:
            run.id = self._deliveries.deliver(job, self.accelerators)
        except OSError as error:
            self._cluster.refuse(run, f"the files of {job.name} cannot be copied: {error}")
            return
        except SkyError as error:
            self._not_sent(run, error)
            return
        if run.id:
            self._refused = 0
            run.heard_at = self._now()
            self._cluster.report_submitted(run)

    def _not_sent(self, run: SkyRun, error: SkyError) -> None:
        name = self._cluster.name
        if error.kind == "task":
            if not self._hold_is_reported:
                self._hold_is_reported = True
                self._cluster.report_wait(f"{name} gets no new runs: {error}")
            self._held.append(run)
            return
        self._cluster.refuse(run, f"{name} did not take {run.job.name}: {error}")
        self._refused += error.kind not in NOT_THE_CLUSTERS
        if error.kind == "gone":
            self._probe.ask()  # tells an eviction from a failure
        elif self._refused >= REFUSED_AT_MOST:
            raise ClusterLost(f"{name} took none of {self._refused} jobs: {error}", hangs=True)
