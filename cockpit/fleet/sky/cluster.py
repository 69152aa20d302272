"""One cluster of a fleet on SkyPilot: a thread that carries out requests in order, and a reader of the running job's
log.

The requests are a short list: bring it up, submit, cancel, tear down, check that it is still there. A failure is
reported, never raised, so that the other clusters continue. One outage is one failure: once a cluster is lost nothing
is submitted to it, and nothing counts as another failure, until it is brought up again.
"""

import queue
import shutil
import threading
import time
from collections.abc import Callable
from functools import partial

from cockpit.core.session import ClusterSpec
from cockpit.fleet.base import (
    ClusterEnded,
    ClusterReady,
    ClusterStep,
    ClusterTrouble,
    ClusterWaits,
    FleetTrouble,
    Job,
    JobEnded,
    JobRefused,
    JobStarted,
    JobSubmitted,
    Report,
)
from cockpit.fleet.sky.deadlines import UNBEGUN_AT_MOST, end_of, row_of, unbegun, unended
from cockpit.fleet.sky.delivery import Deliveries
from cockpit.fleet.sky.disk import LeftFolders
from cockpit.fleet.sky.follow import LogFollower, SkyRun
from cockpit.fleet.sky.foreign_jobs import ForeignJobs
from cockpit.fleet.sky.jobs import JobRow, first_by_name, plausible_time, was_set_up
from cockpit.fleet.sky.launch import SkyLaunch
from cockpit.fleet.sky.parts import ClusterRecord, SkyError, SkyParts
from cockpit.fleet.sky.probe import RETRY_S, ClusterLost, ClusterProbe
from cockpit.fleet.sky.remains import ClusterRemains
from cockpit.fleet.sky.shares import accelerators_of_run
from cockpit.fleet.sky.submissions import Submissions
from cockpit.fleet.sky.task import stage_folder
from cockpit.session.watched_thread import WatchedThread

STUCK_AFTER_S = 60.0
"""Seconds of silence after which the reader of a job that has ended is taken to wait on a dead connection."""
IDLE_SLACK_S = 120.0
"""Seconds by which SkyPilot's own count of idle minutes may be off."""


class SkyCluster:
    """Its public methods return at once and may be called from any thread."""

    def __init__(self, spec: ClusterSpec, parts: SkyParts, report: Callable[[Report], None], shares: int = 1) -> None:
        """Prepare a cluster for `shares` runs at a time, each with `spec.gpus` if there are several."""
        self.name, self._shares, self._gpus_of_run = spec.name, shares, spec.gpus
        self._parts, self._sky, self._report = parts, parts.sky, report
        self._now = parts.clock.now
        self._requests: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self.is_up = False
        self.runs: list[SkyRun] = []  # in the order they were submitted; the first of each share runs, or will
        self._uncancelled: list[SkyRun] = []  # their cancellation failed, and is tried again
        self._worked_at = 0.0  # the time it last came up or had a job
        self._foreign_jobs = ForeignJobs(self.name, parts.session)
        self._left = LeftFolders()
        self._unbegun = 0  # consecutive jobs that it took and did not begin
        self._lost = False
        self._known: ClusterRecord | None = None  # its record when it last came up
        self._ending = self._closed = self._checking = False
        self._launch = SkyLaunch(spec, parts, self._is_over, self._report_step)
        self._rest = ClusterRemains(self._launch, parts.requests)
        self._probe = ClusterProbe(
            self.name, self._launch.remote_name, self._sky, parts.requests, self._launch.is_ours,
            lambda: self._known, lambda: self._launch.adopted, self._is_over, self.report_wait,
        )  # fmt: skip
        self._deliveries = Deliveries(parts, self._probe, lambda: {run.id for run in self._copy_of_runs()}, self._left)
        self._submissions = Submissions(self, self._deliveries, self._probe, self._now)
        self._follower = LogFollower(self._sky, parts.session, self._now, self)
        self._readers: dict[str, WatchedThread] = {}
        self._thread = WatchedThread(f"sky-{self.name}", self._work)

    def _is_over(self) -> bool:
        """Return True once no caller waits for the cluster."""
        return self._ending or self._closed

    # Requests

    def launch(self) -> None:
        """Bring it up. A launch that is under way is asked for again, of another class if there is one."""
        if self._launch.is_asking:
            self._launch.start_over()
        else:
            self._requests.put(self._bring_up)

    def adopt(self) -> None:
        """Use it as it is, from now on, though it was not launched for this session."""
        self._launch.adopted = True

    @property
    def is_launching(self) -> bool:
        return self._launch.under_way

    @property
    def is_billed(self) -> bool:
        """True while it is lost and something of it may be up."""
        return self._rest.billed

    @property
    def remote_name(self) -> str:
        """Its name in SkyPilot."""
        return self._launch.remote_name()

    def take_record(self, record: ClusterRecord | None) -> None:
        """Take in how its launch stands by SkyPilot's records, or that it may have gone down."""
        if not self.is_launching:
            as_it_came_up = record is not None and record.status == "UP" and self._launch.is_ours(record)
            if record is None or not as_it_came_up or self._probe.is_another(record):
                self.check()
        elif record and (news := self._launch.news(record)) is not None:
            self.report_wait(news)

    def recover(self, jobs: list[Job]) -> None:
        runs = [SkyRun(job) for job in jobs]
        with self._lock:
            self.runs = list(runs)  # before anything can be submitted behind them
        self._requests.put(lambda: self._recover(runs))

    def submit(self, job: Job) -> None:
        run = SkyRun(job)
        with self._lock:
            self.runs.append(run)
        self._requests.put(lambda: self._submissions.submit(run))

    def cancel(self, job: str, why: str = "cancelled") -> bool:
        """Cancel the job. Returns False if it is not here."""
        with self._lock:
            run = next((run for run in self.runs if run.job.name == job), None)
        if run is None:
            return False
        run.cancelled = run.cancelled or why
        self._requests.put(lambda: self._cancel(run))
        return True

    def cancel_on(self, share: str) -> None:
        """Cancel the jobs of a share, which is not wanted any more."""
        for run in self._copy_of_runs():
            if run.job.cluster == share:
                self.cancel(run.job.name)

    def down(self) -> None:
        self._ending = True
        self._launch.withdraw()  # one that waits for capacity would keep the tear-down waiting
        self._requests.put(self._down)

    def check(self) -> None:
        """Check that the cluster is still there, unless that is being done."""
        if not self._checking:
            self._checking = True
            self._requests.put(self._check)

    def look_for_the_rest(self) -> None:
        """Tell once that a lost cluster is down."""
        self._requests.put(self._look_for_remains)

    def retry(self) -> None:
        """Try again what failed for now: submissions that wait for a task file, and cancellations."""
        if self._submissions.are_held:
            self._requests.put(self._submissions.submit_held)
        if self._uncancelled:
            self._requests.put(self._cancel_again)
        if self._deliveries.strays.is_due():
            self.check()

    def end_late(self, now: float, grace_s: float) -> None:
        """End the runs that should have ended themselves by now, and those that should have begun."""
        for name in unended(self._copy_of_runs(), now, grace_s):
            self.cancel(name, "timeout")
        for run in unbegun(self._copy_of_runs(), now):
            self._requests.put(partial(self._end_unbegun, run))

    def silent(self, now: float, after_s: float) -> bool:
        """Return True if the job that runs, or should run by now, has printed nothing for `after_s`."""
        with self._lock:
            return any(run.is_read and now > run.heard_at + after_s for run in self.runs[: self._shares])

    def close(self) -> None:
        self._closed = True
        self._requests.put(None)

    def mend(self) -> list[str]:
        """Start its threads again that died. Returns a sentence about each.

        The request in hand is unknown where the thread died: the cluster counts as lost, and is found again.
        """
        words = []
        if word := self._thread.mend():
            self._checking = False
            self._requests.put(lambda: self._lose(f"{self.name}: {word}", billed=True))
            words.append(word)
        return words + [word for reader in list(self._readers.values()) if (word := reader.mend())]

    @property
    def is_closed(self) -> bool:
        return self._closed

    def report_start(self, run: SkyRun) -> None:
        self._unbegun = 0
        self._report(JobStarted(run.started_at, run.job.name, run.wall))

    def report_submitted(self, run: SkyRun) -> None:
        self._report(JobSubmitted(run.heard_at, run.job.name))
        self._read_next()

    def report_wait(self, sentence: str) -> None:
        self._report(ClusterWaits(self._now(), self.name, sentence))

    def report_log_trouble(self, message: str) -> None:
        self._report(FleetTrouble(self._now(), message))

    # The thread

    def _work(self) -> None:
        while (task := self._requests.get()) is not None and not self._closed:
            try:
                task()
            except ClusterLost as lost:
                self._lose(str(lost), lost.billed, gone=not lost.hangs, preempted=lost.preempted)
            except SkyError as error:
                self._lose(f"{self.name}: {error}", billed=True)
            except Exception as error:  # the fleet must outlive any fault of one cluster
                self._lose(f"{self.name} failed in Cockpit: {type(error).__name__}: {error}", billed=True)

    def _bring_up(self) -> None:
        self._ending = self._lost = False
        try:
            if record := self._launch.bring_up():
                self._ready(record)
        except SkyError as error:
            if not self._ending:
                # A server that is away, no room or a task file being edited is not a failure of the cluster.
                later = error.kind in ("refused", "server", "task")
                there = self._rest.is_there()
                self._trouble(str(error), lost=False, billed=there, final=error.kind == "invalid", refused=later)

    def _look_for_remains(self) -> None:
        if not self.is_up and self._rest.has_gone():
            self._report(ClusterEnded(self._now(), self.name, "SkyPilot finds it down", of_lost=True))

    def _ready(self, record: ClusterRecord) -> None:
        self._submissions.accelerators = accelerators_of_run(record, self._shares, self._gpus_of_run)
        self._known = record
        self.is_up, self._lost, self._rest.billed, self._worked_at = True, False, False, self._now()
        usd, gpus, spot = record.usd_per_hour, record.gpus, record.spot
        self._report(ClusterReady(self._worked_at, self.name, record.hardware, usd, gpus, spot))

    def _cancel(self, run: SkyRun) -> None:
        if run.over:
            return
        if self._submissions.take_back(run):
            self.end(run, JobEnded(self._now(), run.job.name, run.cancelled))
        if not run.id:
            return
        try:
            self._sky.cancel(self.remote_name, run.id)
            if not run.is_read:
                self._deliveries.was_cancelled(self._name_there(run), self._now() - run.heard_at)
                self.end(run, JobEnded(self._now(), run.job.name, run.cancelled))
        except SkyError:
            self._uncancelled.append(run)
            self.check()

    def _cancel_again(self) -> None:
        runs, self._uncancelled = self._uncancelled, []
        for run in runs:
            self._cancel(run)

    def _down(self, why: str = "") -> None:
        self.is_up = False
        self._end_all("cancelled")
        for wait_s in (*RETRY_S, None):
            try:
                record = self._launch.record()
                if record is not None and not self._launch.is_ours(record):
                    self._report(ClusterEnded(self._now(), self.name, "it is not this session's, and was left alone"))
                    return
                with self._parts.requests.work():
                    self._sky.down(self.remote_name)
                if self._launch.record() is None:
                    self._parts.full.clear(record.hardware if record is not None else "")
                    self._report(ClusterEnded(self._now(), self.name, why))
                    return
                message = f"SkyPilot still lists {self.name} after it was torn down"
            except SkyError as error:
                message = f"{self.name} could not be torn down: {error}"
            if wait_s is not None:
                time.sleep(wait_s)
        self._trouble(f"{message}; it may still be billing", lost=True, billed=True)

    def _recover(self, runs: list[SkyRun]) -> None:
        record: ClusterRecord | None = None
        rows: list[JobRow] = []
        gone, reason = f"{self.name} is gone", "lost"
        try:
            if (answered := self._probe.ask(trust_records=True)) is None:
                return
            record, rows = answered
        except ClusterLost as lost:
            self._launch.stale, gone = lost.hangs, str(lost)
            reason = "preempted" if lost.preempted else "lost"
        now, named = self._now(), first_by_name(rows)
        known = {self._name_there(run) for run in runs}
        for run in runs:
            row = named.get(self._name_there(run))
            if row is not None and not row.never_ran:
                self._take_up(run, row, now)
            elif record:
                self.refuse(run, f"{run.job.name} never reached {self.name}")
            else:
                self.end(run, JobEnded(now, run.job.name, reason, None, gone))
        if record and (self._launch.adopted or was_set_up(rows)):
            owns = self._parts.session.owns
            others = [row for row in rows if row.name not in known and owns(row.name)]
            self._left.add(row.name for row in others if row.has_ended)
            self._deliveries.strays.add(row.name for row in others if not row.has_ended)
            self._deliveries.end_strays(rows)
            self._ready(record)
            self._read_next()
        else:
            self._bring_up()

    def _take_up(self, run: SkyRun, row: JobRow, now: float) -> None:
        run.id, run.sent_at, run.heard_at = row.id, now, now
        self._report(JobSubmitted(now, run.job.name))
        if row.has_ended:
            run.ended_at = row.ended_at
        if row.started_at:
            run.started_at = plausible_time(row.started_at, now, run.job.since)
            self._report(JobStarted(run.started_at, run.job.name))

    def _check(self) -> None:
        try:
            if self.is_up and (answered := self._probe.ask()):
                self._compare(answered[1])
        finally:
            self._checking = False

    def _compare(self, rows: list[JobRow]) -> None:
        now = self._now()
        for text in self._foreign_jobs.news(rows, self.remote_name):
            self._report(FleetTrouble(now, text))
        self._deliveries.end_strays(rows)
        for run in self._copy_of_runs():
            if not run.id:
                continue
            row = row_of(run, self._name_there(run), rows)
            if row is None:
                self.end(run, JobEnded(now, run.job.name, "lost", None, f"{self.name} was restarted without it"))
            elif row.has_ended and now > run.heard_at + STUCK_AFTER_S:
                run.is_read = False
            run.heard_at = now
        self._read_next()

    def _end_unbegun(self, run: SkyRun) -> None:
        """End a job that the cluster took and does not begin."""
        if run.over or run.started_at or (answered := self._probe.ask()) is None:
            return
        rows, own, name = answered[1], {one.id for one in self._copy_of_runs()}, self._name_there(run)
        report = end_of(run, row_of(run, name, rows), rows, own, self.name, self._now())
        if report is None:
            self._compare(rows)
            return
        self.end(run, report)
        self._deliveries.strays.add([name])
        self._deliveries.end_strays(rows)
        self._unbegun += 1
        if self._unbegun >= UNBEGUN_AT_MOST:
            self._lose(f"{self.name} began none of {self._unbegun} jobs", billed=True)

    # The log

    def _read_next(self) -> None:
        """Start reading the jobs that run, or run next, if they are not being read."""
        with self._lock:
            due = [run for run in self.runs[: self._shares] if run.id and not run.is_read and not self._ending]
            for run in due:
                run.is_read = True
                run.due_at = run.due_at or self._now()
                run.readers += 1
                follow = partial(self._follower.follow, run, run.readers)
                self._readers[run.job.cluster] = WatchedThread(f"log-{run.job.name}", follow)

    def _name_there(self, run: SkyRun) -> str:
        return self._parts.session.remote_name(run.job.name)

    def _copy_of_runs(self) -> list[SkyRun]:
        with self._lock:
            return list(self.runs)

    def end(self, run: SkyRun, report: JobEnded | JobRefused) -> None:
        """Report how a run ended, once, and start reading the next."""
        with self._lock:
            if run.over:
                return
            run.over = True
            self.runs.remove(run)
            self._worked_at = self._now()
            self._report(report)  # before another reader can say that the next one has started
        if run.id:
            self._left.add([self._name_there(run)])
        shutil.rmtree(stage_folder(run.job), ignore_errors=True)
        self._read_next()

    def _end_all(self, reason: str, message: str = "", is_gone: bool = False) -> None:
        self._submissions.drop()
        for run in self._copy_of_runs():
            if is_gone and not run.id:
                self.refuse(run, message)  # its exec failed, and nothing is left that could run it
            else:
                self.end(run, JobEnded(self._now(), run.job.name, reason, None, message))

    def refuse(self, run: SkyRun, message: str) -> None:
        """Report that a run was not submitted, or not begun."""
        self.end(run, JobRefused(self._now(), run.job.name, message))

    def _lose(self, message: str, billed: bool, gone: bool = False, preempted: bool = False) -> None:
        """Report the cluster as lost, once, and end its runs. `billed`: something of it may be up. `gone`: it may have
        ended itself, for want of work. `preempted`: its cloud took it back, which is not its failure."""
        idle_min = self._sky.idle_minutes
        idle_s = self._now() - self._worked_at + IDLE_SLACK_S
        if gone and self.is_up and not self.runs and not self._launch.adopted and idle_s > 60 * idle_min:
            self._down(f"it ended itself: nothing ran on it for {idle_min} min")
            return
        self._launch.stale, self.is_up, self._unbegun = True, False, 0
        self._submissions.forgive()
        self._deliveries.strays.clear()
        if not self._lost:
            self._lost = True
            # Before its runs end, or it would be given new ones.
            self._trouble(message, lost=True, billed=billed, refused=preempted)
        self._end_all("preempted" if preempted else "lost", message, gone and not billed)

    def _trouble(self, message: str, lost: bool, billed: bool, final: bool = False, refused: bool = False) -> None:
        self._rest.billed = billed
        self._report(ClusterTrouble(self._now(), self.name, message, lost, final, refused, billed))

    def _report_step(self, text: str) -> None:
        self._report(ClusterStep(self._now(), self.name, text))
