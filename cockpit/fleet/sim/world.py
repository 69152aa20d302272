"""The simulated world: clusters, jobs, and a scheduler that takes requests; its file outlives the worker.

The next change is always known, so the world is a queue of due times, at most one for a cluster or job. Its decisions
depend on names and seeds only, not on when they are read: a world that is read after a kill continues as it would have.
"""

import heapq
import math
from collections import deque
from pathlib import Path

import msgspec

from cockpit.core.session import FleetSpec
from cockpit.fleet.base import (
    ClusterEnded,
    ClusterReady,
    ClusterStep,
    ClusterTrouble,
    Evidence,
    Job,
    JobEnded,
    JobRefused,
    JobStarted,
    JobSubmitted,
    Report,
)
from cockpit.fleet.sim.keyed_random import keyed_random
from cockpit.fleet.sim.records import (
    ClusterIs,
    JobIs,
    SimBaseline,
    SimCluster,
    SimJob,
    TimeOrigin,
    WorldFile,
)
from cockpit.fleet.sim.run import Hazards, plan_run
from cockpit.fleet.sim.source import SourceReader
from cockpit.fleet.sim.surface import predict

OVER = (JobIs.ENDED, JobIs.REFUSED)

Span = tuple[float, float]
"""A range of seconds; values are drawn evenly from it."""


LAUNCH_STEPS = (
    (0.0, "asks for a cluster"),
    (0.1, "provisioning {hardware}"),
    (0.6, "set-up begins"),
    (0.65, "set-up: installs torch"),
    (0.9, "set-up: prepares the data"),
)
"""The steps of a launch: the share of its time after which each begins, and its words."""


class Latencies(msgspec.Struct, frozen=True):
    """Times that jobs take beside their runs. The defaults were measured on a real SkyPilot."""

    launch_s: Span = (100.0, 140.0)
    failed_launch_s: Span = (20.0, 60.0)
    submit_s: Span = (5.5, 9.0)
    start_s: Span = (2.0, 4.0)
    """Time from a job's arrival on an idle cluster to its start."""
    gap_s: Span = (6.0, 13.0)
    """Time between two queued jobs of a cluster."""
    cancel_s: Span = (2.0, 4.0)
    down_s: Span = (20.0, 40.0)
    notice_s: Span = (30.0, 60.0)
    """Time until a lost cluster is noticed."""
    requests_at_once: int = 4
    """Launches and submissions that the scheduler's server handles at the same time; the rest wait."""
    launches_at_once: int = 3
    """Fewer than all, so that a submission never waits for a launch."""


class World:
    """The whole world at virtual time `now`. `commit` saves changes; `reports` holds reports until they are taken."""

    def __init__(
        self, path: Path | str, spec: FleetSpec, start: float, latencies: Latencies, hazards: Hazards, lines: int
    ) -> None:
        self._latencies, self._hazards, self._seed, self._lines = latencies, hazards, spec.seed, lines
        self._sources = SourceReader()
        self._file = WorldFile(path)
        self.now = max(start, self._file.now)
        self.clusters = {c.name: SimCluster(c.name, c.hardware or "H100", c.usd_per_hour) for c in spec.clusters}
        self.clusters.update({c.name: c for c in self._file.clusters if c.name in self.clusters})
        self.jobs = {j.name: j for j in self._file.jobs()}
        """The jobs that are not over, and those that are over and not saved yet: a night has tens of thousands."""
        self.baseline = self._file.baseline
        self.reports: list[Report] = []
        self.started: list[str] = []
        """Jobs that started, or were found running, since the list was last emptied."""
        self._due: list[tuple[float, int, bool, str]] = []
        self._ordered = 0
        self._serving: set[str] = set()
        self._submissions: deque[str] = deque()
        self._launches: deque[str] = deque()
        self._changed: dict[str, SimCluster | SimJob] = {}
        self._restore()

    def next_due(self) -> float:
        """Return the time of the next change; infinite if there is none."""
        while self._due and not self._is_due(*self._due[0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else math.inf

    def advance(self, to: float) -> None:
        """Carry out every change that is due by `to`."""
        while self.next_due() <= to:
            at, _, is_job, name = heapq.heappop(self._due)
            self.now = max(self.now, at)
            if is_job:
                self._job_due(self.jobs[name])
            else:
                self._cluster_due(self.clusters[name])
        self.now = max(self.now, to)

    def commit(self) -> None:
        """Save what changed since the last time, all of it or nothing."""
        if self._changed:
            self._file.save(self.now, list(self._changed.values()), self.baseline)
            self._forget_saved()

    def job(self, name: str) -> SimJob | None:
        """Return a job, over or not; None if it was never submitted."""
        return self.jobs.get(name) or self._file.job(name)

    def all_jobs(self) -> list[SimJob]:
        """Return every job that was saved, the oldest first."""
        return self._file.jobs()

    def _forget_saved(self) -> None:
        for name, record in self._changed.items():
            if isinstance(record, SimJob) and record.is_ in OVER:
                del self.jobs[name]
        self._changed.clear()

    @property
    def origin(self) -> TimeOrigin | None:
        return self._file.origin

    def keep_origin(self, origin: TimeOrigin) -> None:
        self._file.save_origin(origin)

    def close(self) -> None:
        self._file.close()

    # Requests

    def launch(self, name: str) -> None:
        cluster = self.clusters[name]
        match cluster.is_:
            case ClusterIs.UP | ClusterIs.LOSING:
                self.reports.append(self.ready(cluster))
            case ClusterIs.DOWN | ClusterIs.LOST:
                cluster.is_, cluster.launches, cluster.due_at = ClusterIs.LAUNCHING, cluster.launches + 1, math.inf
                cluster.requested, cluster.message = self._order(), ""
                self._touch(cluster)
                self._launches.append(name)
                self._serve()
                if name in self._launches:
                    self.reports.append(ClusterStep(self.now, name, "waits for a place among the launches under way"))
            case ClusterIs.STOPPING:
                self.reports.append(ClusterTrouble(self.now, name, "it is still being torn down"))
            case ClusterIs.LAUNCHING:
                pass

    def submit(self, job: Job) -> None:
        """Take a job. Raises OSError if its folder cannot be read."""
        known = self.job(job.name)
        if known is not None and known.is_ is not JobIs.REFUSED:
            self.reports.extend(self.history(known))
            return
        cluster = self.clusters[job.cluster]
        source = self._sources.read(job)
        if self.baseline is None and not source.broken:
            self.baseline = SimBaseline(source.constants, source.code)
        baseline = self.baseline or SimBaseline({}, "")
        prediction = predict(source.constants, baseline.constants, cluster.hardware, source.code, baseline.code)
        run = plan_run(
            self._seed, job.name, cluster.name, job.environment, source, prediction, self._hazards, self._lines
        )
        sim = SimJob(job.name, cluster.name, str(job.log_path), run, job.time_limit_s, requested=self._order())
        self.jobs[job.name] = sim
        self._touch(sim)
        self._submissions.append(job.name)
        self._serve()

    def cancel(self, name: str) -> None:
        job = self.job(name)
        if job is None or job.is_ is JobIs.REFUSED:
            self.reports.append(JobRefused(self.now, name, "it never reached the cluster"))
        elif job.is_ is JobIs.ENDED:
            self.reports.extend(self.history(job)[-1:])
        elif job.is_ is JobIs.RUNNING:
            job.is_, job.reason = JobIs.ENDING, "cancelled"
            self._set_due(job, min(job.due_at, self.now + self._span(self._latencies.cancel_s, "cancel", name)))
        elif job.is_ is not JobIs.ENDING:
            self._end(job, "cancelled")
            self._next(self.clusters[job.cluster])

    def down(self, name: str) -> None:
        cluster = self.clusters[name]
        if cluster.is_ is ClusterIs.DOWN:
            self.reports.append(ClusterEnded(self.now, name))
        elif cluster.is_ is not ClusterIs.STOPPING:
            self._release(name)
            cluster.is_ = ClusterIs.STOPPING
            self._end_all(cluster, "cancelled")
            self._set_due(cluster, self.now + self._span(self._latencies.down_s, "down", name, cluster.launches))

    # Facts

    def ready(self, cluster: SimCluster) -> ClusterReady:
        return ClusterReady(self.now, cluster.name, cluster.hardware, cluster.usd_per_hour)

    def history(self, job: SimJob) -> list[Report]:
        """Return every report about a job, those that a stopped worker missed included."""
        if job.is_ is JobIs.REFUSED:
            return [JobRefused(job.ended_at, job.name, job.message)]
        found: list[Report] = []
        if job.arrived_at:
            found.append(JobSubmitted(job.arrived_at, job.name))
        if job.started_at:
            found.append(JobStarted(job.started_at, job.name))
        if job.is_ is JobIs.ENDED:
            found.append(_ended(job))
        return found

    # Changes

    def _cluster_due(self, cluster: SimCluster) -> None:
        match cluster.is_:
            case ClusterIs.LAUNCHING if self.now < cluster.up_at:
                self._step(cluster)
            case ClusterIs.LAUNCHING:
                self._launched(cluster)
            case ClusterIs.UP:
                cluster.is_ = ClusterIs.LOSING
                for name in self._jobs_of(cluster):
                    self.jobs[name].silent_at = self.now
                    self._set_due(self.jobs[name], math.inf)
                self._set_due(cluster, self.now + self._span(self._latencies.notice_s, "notice", cluster.name))
            case ClusterIs.LOSING:
                cluster.is_, cluster.message = (
                    ClusterIs.LOST,
                    "it does not answer: preempted, or its node died",
                )
                self._set_due(cluster, math.inf)
                self._end_all(cluster, "lost")
                self.reports.append(ClusterTrouble(self.now, cluster.name, cluster.message, lost=True))
            case ClusterIs.STOPPING:
                cluster.is_ = ClusterIs.DOWN
                self._set_due(cluster, math.inf)
                self.reports.append(ClusterEnded(self.now, cluster.name))
            case ClusterIs.DOWN | ClusterIs.LOST:
                raise AssertionError(f"no change is due for a cluster that is {cluster.is_}")

    def _step(self, cluster: SimCluster) -> None:
        """Report the current step of the launch, and wait for the next one."""
        whole_s = cluster.up_at - cluster.launch_began
        begins = [cluster.launch_began + share * whole_s for share, _ in LAUNCH_STEPS]
        at = sum(began <= self.now for began in begins) - 1
        text = LAUNCH_STEPS[at][1].format(hardware=cluster.hardware)
        self.reports.append(ClusterStep(self.now, cluster.name, text))
        # A launch that fails never reaches its set-up.
        later = [] if cluster.message and at else [began for began in begins if began > self.now]
        self._set_due(cluster, min([*later, cluster.up_at]))

    def _launched(self, cluster: SimCluster) -> None:
        self._release(cluster.name)
        if cluster.message:
            cluster.is_ = ClusterIs.DOWN
            self._set_due(cluster, math.inf)
            self.reports.append(ClusterTrouble(self.now, cluster.name, cluster.message))
            return
        cluster.is_, cluster.free_at = ClusterIs.UP, -math.inf
        rate = self._hazards.losses_per_cluster_hour / 3600
        lasts_s = (
            keyed_random(self._seed, "loss", cluster.name, cluster.launches).expovariate(rate) if rate else math.inf
        )
        self._set_due(cluster, self.now + lasts_s)
        self.reports.append(self.ready(cluster))

    def _job_due(self, job: SimJob) -> None:
        cluster = self.clusters[job.cluster]
        match job.is_:
            case JobIs.SENDING:
                self._release(job.name)
                self._arrive(job, cluster)
            case JobIs.STARTING:
                job.is_, job.started_at, job.starts = JobIs.RUNNING, self.now, job.starts + 1
                limit_s = min(job.run.stops_s, job.time_limit_s)
                self._set_due(job, self.now + limit_s)
                self.started.append(job.name)
                self.reports.append(JobStarted(self.now, job.name))
            case JobIs.RUNNING:
                if job.run.stops_s > job.time_limit_s:
                    self._end(job, "timeout")
                else:
                    self._end(job, "exited", 1 if job.run.crash else 0)
                self._next(cluster)
            case JobIs.ENDING:
                self._end(job, job.reason)
                self._next(cluster)
            case JobIs.QUEUED | JobIs.ENDED | JobIs.REFUSED:
                raise AssertionError(f"no change is due for a job that is {job.is_}")

    def _arrive(self, job: SimJob, cluster: SimCluster) -> None:
        if cluster.is_ not in (ClusterIs.UP, ClusterIs.LOSING):
            job.is_, job.ended_at, job.message = JobIs.REFUSED, self.now, f"{cluster.name} is not up"
            self._set_due(job, math.inf)
            self.reports.append(JobRefused(self.now, job.name, job.message))
            return
        job.is_, job.arrived_at = JobIs.QUEUED, self.now
        self._set_due(job, math.inf)
        cluster.queue.append(job.name)
        self._touch(cluster)
        self.reports.append(JobSubmitted(self.now, job.name))
        self._next(cluster)

    def _next(self, cluster: SimCluster) -> None:
        """Start the cluster's next job, if the cluster is free."""
        if cluster.occupant or not cluster.queue or cluster.is_ is not ClusterIs.UP:
            return
        job = self.jobs[cluster.queue.pop(0)]
        cluster.occupant = job.name
        self._touch(cluster)
        job.is_ = JobIs.STARTING
        start_s = self._span(self._latencies.start_s, "start", job.name)
        gap_s = self._span(self._latencies.gap_s, "gap", job.name)
        self._set_due(job, max(self.now + start_s, cluster.free_at + gap_s))

    def _end(self, job: SimJob, reason: str, exit_code: int | None = None) -> None:
        cluster = self.clusters[job.cluster]
        self._release(job.name)
        if cluster.occupant == job.name:
            cluster.occupant, cluster.free_at = "", self.now
        elif job.name in cluster.queue:
            cluster.queue.remove(job.name)
        self._touch(cluster)
        job.is_, job.ended_at, job.reason, job.exit_code = JobIs.ENDED, self.now, reason, exit_code
        job.silent_at = min(job.silent_at, self.now)
        self._set_due(job, math.inf)
        self.reports.append(_ended(job))

    def _end_all(self, cluster: SimCluster, reason: str) -> None:
        for name in self._jobs_of(cluster):
            self._end(self.jobs[name], reason)

    def _jobs_of(self, cluster: SimCluster) -> list[str]:
        return ([cluster.occupant] if cluster.occupant else []) + list(cluster.queue)

    # The scheduler: submissions go before launches, which leave a place free for them

    def _serve(self) -> None:
        while len(self._serving) < self._latencies.requests_at_once:
            launching = sum(name in self.clusters for name in self._serving)
            submission = self._next_submission()
            if submission:
                self._submissions.remove(submission)
                self._serve_submission(self.jobs[submission])
            elif self._launches and launching < self._latencies.launches_at_once:
                self._serve_launch(self.clusters[self._launches.popleft()])
            else:
                return

    def _next_submission(self) -> str:
        """Return the oldest submission to a cluster without one under way, so that each gets its jobs in order."""
        taken = {self.jobs[name].cluster for name in self._serving if name in self.jobs}
        return next((name for name in self._submissions if self.jobs[name].cluster not in taken), "")

    def _serve_submission(self, job: SimJob) -> None:
        self._serving.add(job.name)
        self._set_due(job, self.now + self._span(self._latencies.submit_s, "submit", job.name))

    def _serve_launch(self, cluster: SimCluster) -> None:
        self._serving.add(cluster.name)
        roll = keyed_random(self._seed, "launch", cluster.name, cluster.launches)
        failed = roll.random() < self._hazards.launch_failure
        cluster.message = f"no capacity for {cluster.hardware} right now" if failed else ""
        span = self._latencies.failed_launch_s if failed else self._latencies.launch_s
        cluster.launch_began, cluster.up_at = self.now, self.now + roll.uniform(*span)
        self._step(cluster)

    def _release(self, name: str) -> None:
        """Remove a request that is done or withdrawn."""
        for waiting in (self._submissions, self._launches):
            if name in waiting:
                waiting.remove(name)
        if name in self._serving:
            self._serving.discard(name)
            self._serve()

    # Bookkeeping

    def _restore(self) -> None:
        """Rebuild the queues from the records: the due times, and the requests that wait for the scheduler."""
        waiting: list[SimCluster | SimJob] = []
        records: list[SimCluster | SimJob] = [*self.clusters.values(), *self.jobs.values()]
        for record in records:
            self._ordered = max(self._ordered, record.requested)
            if math.isfinite(record.due_at):
                self._set_due(record, record.due_at)
            if record.is_ in (ClusterIs.LAUNCHING, JobIs.SENDING):
                if math.isfinite(record.due_at):
                    self._serving.add(record.name)
                else:
                    waiting.append(record)
            if record.is_ in (JobIs.RUNNING, JobIs.ENDING):
                self.started.append(record.name)
        for record in sorted(waiting, key=lambda record: record.requested):
            (self._submissions if isinstance(record, SimJob) else self._launches).append(record.name)
        self._changed = {name: job for name, job in self.jobs.items() if job.is_ in OVER}
        self._forget_saved()

    def _set_due(self, record: SimCluster | SimJob, at: float) -> None:
        record.due_at = at
        self._touch(record)
        if math.isfinite(at):
            heapq.heappush(self._due, (at, self._order(), isinstance(record, SimJob), record.name))

    def _is_due(self, at: float, _: int, is_job: bool, name: str) -> bool:
        record = self.jobs.get(name) if is_job else self.clusters[name]
        return record is not None and record.due_at == at

    def _touch(self, record: SimCluster | SimJob) -> None:
        self._changed[record.name] = record

    def _order(self) -> int:
        self._ordered += 1
        return self._ordered

    def _span(self, span: Span, *key: object) -> float:
        return keyed_random(self._seed, *key).uniform(*span)


def _ended(job: SimJob) -> JobEnded:
    evidence = Evidence(job.run.hashes, job.run.hashes, [])
    return JobEnded(job.ended_at, job.name, job.reason, job.exit_code, job.message, evidence)
