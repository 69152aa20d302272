"""One cluster of a fleet on SkyPilot: a thread that carries out what is asked of it, in order, and a reader of the
log of the job that runs.

What is asked is a short list: bring it up, submit, cancel, tear down, look whether it is still there. A failure is
reported, never raised: the other clusters go on.
"""

import queue
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from cockpit.fleet.base import (
    ClusterEnded,
    ClusterReady,
    ClusterTrouble,
    ClusterWaits,
    Job,
    JobEnded,
    JobRefused,
    JobStarted,
    JobSubmitted,
    Report,
)
from cockpit.fleet.sky import jobs as sky_jobs
from cockpit.fleet.sky.answer import RETRY_S, Lost, answer
from cockpit.fleet.sky.client import Found, SkyClient, SkyError
from cockpit.fleet.sky.launch import SkyLaunch
from cockpit.fleet.sky.log import JobLines, LogFile
from cockpit.fleet.sky.requests import LongRequests
from cockpit.fleet.sky.task import stage, stage_folder
from cockpit.session.clock import Clock

STUCK_AFTER_S = 60.0
"""A reader that says nothing for so long of a job that has ended waits on a connection that is dead."""
REFUSED_AT_MOST = 3
"""A cluster that takes no jobs, so many in a row, has failed: they would be submitted to it for ever."""
IDLE_SLACK_S = 120.0
"""SkyPilot counts a cluster's idle minutes by itself, now and then."""


class Run(msgspec.Struct, eq=False):
    """A job on its way through a cluster."""

    job: Job
    id: int = 0
    submitted_at: float = 0.0
    started_at: float = 0.0
    heard_at: float = 0.0
    cancelled: str = ""
    """Why it is being cancelled: `cancelled` or `timeout`."""
    readers: int = 0
    """How many readers its log has had; the last one follows it."""
    read: bool = False
    """Whether a reader follows its log."""
    over: bool = False
    ended_at: float = 0.0
    """By the cluster's clock, for a job that ended while nobody looked."""


class SkyCluster:
    """Its public methods return at once and may be called from any thread."""

    def __init__(
        self,
        name: str,
        hardware: str,
        sky: SkyClient,
        long_requests: LongRequests,
        setup_source: Path,
        setup_log: Path,
        launch_limit_s: float,
        session: str,
        clock: Clock,
        report: Callable[[Report], None],
    ) -> None:
        self.name = name
        self._now = clock.now
        self._sky, self._long = sky, long_requests
        self._report = report
        self._asked: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self.is_up = False
        self.runs: list[Run] = []
        """In the order they were submitted; the first one runs, or will."""
        self._ended_at = 0.0
        """When the last job ended: the next starts after it."""
        self._worked_at = 0.0
        """When it last came up or had a job."""
        self._refused = 0
        """How many jobs in a row it did not take."""
        self._accelerators: dict[str, float] = {}
        self._ending = False
        self._closed = False
        self._checking = False
        self._launch = SkyLaunch(
            name, hardware, sky, long_requests, session, setup_source, setup_log, launch_limit_s, self._over
        )  # fmt: skip
        threading.Thread(target=self._work, name=f"sky-{name}", daemon=True).start()

    def _over(self) -> bool:
        """Whether nobody waits for the cluster any more."""
        return self._ending or self._closed

    # What is asked

    def launch(self) -> None:
        self._asked.put(self._bring_up)

    def adopt(self) -> None:
        """Take it as it is, from now on, though nobody launched it for this session."""
        self._launch.adopted = True

    @property
    def is_launching(self) -> bool:
        return self._launch.under_way

    def look_at_launch(self, found: Found) -> None:
        """Take in how its launch stands, by SkyPilot's records."""
        if (sentence := self._launch.look(found)) is not None:
            self._waits(sentence)

    def recover(self, jobs: list[Job]) -> None:
        runs = [Run(job) for job in jobs]
        with self._lock:
            self.runs = list(runs)  # before anything can be submitted behind them
        self._asked.put(lambda: self._recover(runs))

    def submit(self, job: Job) -> None:
        run = Run(job)
        with self._lock:
            self.runs.append(run)
        self._asked.put(lambda: self._submit(run))

    def _run(self, job: str) -> Run | None:
        with self._lock:
            return next((run for run in self.runs if run.job.name == job), None)

    def cancel(self, job: str, why: str = "cancelled") -> bool:
        """Whether the job is here to be cancelled."""
        run = self._run(job)
        if run is None:
            return False
        run.cancelled = run.cancelled or why
        self._asked.put(lambda: self._cancel(run))
        return True

    def down(self) -> None:
        self._ending = True
        self._launch.withdraw()  # one that waits for capacity would keep the tear-down waiting
        self._asked.put(self._down)

    def check(self) -> None:
        """Look whether the cluster is still there, unless that is being done."""
        if not self._checking:
            self._checking = True
            self._asked.put(self._check)

    def overdue(self, now: float, grace_s: float) -> list[str]:
        """The runs that should have ended themselves by now, and are not being cancelled."""
        return [
            run.job.name
            for run in list(self.runs)
            if run.started_at and not run.cancelled and now > run.started_at + run.job.time_limit_s + grace_s
        ]

    def silent(self, now: float, after_s: float) -> bool:
        """Whether the job that runs, or should run by now, has said nothing for `after_s`."""
        with self._lock:
            return bool(self.runs) and self.runs[0].read and now > self.runs[0].heard_at + after_s

    def close(self) -> None:
        self._closed = True
        self._asked.put(None)

    # The thread

    def _work(self) -> None:
        while (task := self._asked.get()) is not None and not self._closed:
            try:
                task()
            except Lost as lost:
                self._lose(str(lost), itself=not lost.hangs)
            except SkyError as error:
                self._lose(f"{self.name}: {error}")
            except Exception as error:  # the fleet must outlive whatever a cluster does
                self._lose(f"{self.name} could not be looked after: {type(error).__name__}: {error}")

    def _bring_up(self) -> None:
        self._ending = False
        try:
            if found := self._launch.up():
                self._ready(found)
        except SkyError as error:
            if not self._ending:
                # Where nobody can be asked nothing is wrong with the cluster.
                later = error.kind in ("refused", "server")
                self._trouble(str(error), lost=False, final=error.kind == "invalid", refused=later)

    def _ready(self, found: Found) -> None:
        self._accelerators = found.accelerators
        self.is_up, self._worked_at = True, self._now()
        self._report(ClusterReady(self._now(), self.name, found.hardware, found.usd_per_hour))

    def _submit(self, run: Run) -> None:
        job = run.job
        if run.cancelled:
            self._end(run, JobEnded(self._now(), job.name, "cancelled"))
            return
        try:
            workdir = stage(job)
        except OSError as error:
            self._refuse(run, f"the files of {job.name} cannot be copied: {error}")
            return
        for wait_s in (*RETRY_S, None):
            try:
                with self._long.work():
                    run.id = self._sky.submit(job, workdir, self._accelerators)
                break
            except SkyError as error:
                if error.kind == "gone":
                    self._refuse(run, f"{self.name} did not take {job.name}: {error}")
                    self._lose(f"{self.name} is gone: {error}")
                    return
                if error.kind != "invalid":
                    # It may have arrived all the same: what the table says decides.
                    answered = self._answer()
                    if answered is None:
                        return
                    if row := sky_jobs.by_name(answered[1]).get(job.name):
                        run.id = row.id
                        break
                if error.kind not in ("server", "late") or wait_s is None:
                    self._refuse(run, f"{self.name} did not take {job.name}: {error}")
                    self._refused += 1
                    if self._refused >= REFUSED_AT_MOST:
                        self._lose(f"{self.name} took none of {self._refused} jobs: {error}")
                    return
                time.sleep(wait_s)
        self._refused = 0
        run.submitted_at = run.heard_at = self._now()
        self._report(JobSubmitted(run.submitted_at, job.name))
        self._read_next()

    def _cancel(self, run: Run) -> None:
        if run.over or not run.id:
            return
        try:
            self._sky.cancel(self.name, run.id)
            if not run.read:
                self._end(run, JobEnded(self._now(), run.job.name, run.cancelled))
        except SkyError:
            self.check()

    def _down(self, why: str = "") -> None:
        self.is_up = False
        for run in list(self.runs):
            self._end(run, JobEnded(self._now(), run.job.name, "cancelled"))
        for wait_s in (*RETRY_S, None):
            try:
                found = self._sky.clusters([self.name]).get(self.name)
                if found is not None and not self._launch.is_ours(found):
                    self._report(ClusterEnded(self._now(), self.name, "it is not this session's, and was left alone"))
                    return
                with self._long.work():
                    self._sky.down(self.name)
                if self.name not in self._sky.clusters([self.name]):
                    self._report(ClusterEnded(self._now(), self.name, why))
                    return
                message = f"SkyPilot still lists {self.name} after it was torn down"
            except SkyError as error:
                message = f"{self.name} could not be torn down: {error}"
            if wait_s is not None:
                time.sleep(wait_s)
        self._trouble(f"{message}; it may still be billing", lost=True, final=False)

    def _recover(self, runs: list[Run]) -> None:
        found: Found | None = None
        rows: list[sky_jobs.Row] = []
        try:
            if (answered := self._answer(trust_records=True)) is None:
                return
            found, rows = answered
        except Lost as lost:
            self._launch.stale = lost.hangs
        now = self._now()
        named = sky_jobs.by_name(rows)
        for run in runs:
            row = named.get(run.job.name)
            if row is not None:
                self._take_up(run, row, now)
            elif found:
                self._refuse(run, f"{run.job.name} never reached {self.name}")
            else:
                self._end(run, JobEnded(now, run.job.name, "lost", None, f"{self.name} is gone"))
        if found and (self._launch.adopted or sky_jobs.was_set_up(rows)):
            self._ready(found)
            self._read_next()
        else:
            self._bring_up()

    def _answer(self, trust_records: bool = False) -> tuple[Found, list[sky_jobs.Row]] | None:
        """What it answers, as `sky_answer.answer` says. Raises Lost."""
        return answer(self.name, self._sky, self._long, self._launch.is_ours, self._over, trust_records, self._waits)

    def _waits(self, sentence: str) -> None:
        self._report(ClusterWaits(self._now(), self.name, sentence))

    def _take_up(self, run: Run, row: sky_jobs.Row, now: float) -> None:
        run.id, run.submitted_at, run.heard_at = row.id, now, now
        self._report(JobSubmitted(now, run.job.name))
        if row.ended:
            run.ended_at = row.ended_at
        if row.started_at:
            run.started_at = sky_jobs.believable(row.started_at, now, 0.0)
            self._report(JobStarted(run.started_at, run.job.name))

    def _check(self) -> None:
        try:
            if answered := self._answer():
                self._compare(sky_jobs.by_name(answered[1]))
        finally:
            self._checking = False

    def _compare(self, rows: dict[str, sky_jobs.Row]) -> None:
        now = self._now()
        for run in list(self.runs):
            if not run.id:
                continue
            row = rows.get(run.job.name)
            if row is None:
                self._end(run, JobEnded(now, run.job.name, "lost", None, f"{self.name} was restarted without it"))
            elif row.ended and now > run.heard_at + STUCK_AFTER_S:
                run.read = False
            run.heard_at = now
        self._read_next()

    # The log

    def _read_next(self) -> None:
        """Start reading the job that runs, or runs next, if it is not being read."""
        with self._lock:
            head = self.runs[0] if self.runs else None
            if head is None or not head.id or head.read or self._ending:
                return
            head.read = True
            head.readers += 1
            reader = head.readers
        threading.Thread(target=self._read, args=(head, reader), name=f"log-{head.job.name}", daemon=True).start()

    def _read(self, run: Run, reader: int) -> None:
        """Append the run's lines to its log as they come; at its end say how it ended. It lets go once there is
        another reader."""
        file = LogFile(run.job.log_path)
        tries = 0
        try:
            while not self._let_go(run, reader):
                lines = JobLines(run.job.name, file.lines)
                try:
                    with closing(self._sky.tail(self.name, run.id)) as pieces:
                        for piece in pieces:
                            if self._let_go(run, reader):
                                return
                            if new := self._take(run, lines, piece):
                                file.append(new)
                                tries = 0
                            if lines.exit_code is not None:
                                break  # its last line: SkyPilot ends the stream seconds later
                    said = lines.exit_code is not None
                    status = lines.status if lines.status or said else self._status(run)
                except SkyError as error:
                    status, said = "", False
                    if error.kind != "server":
                        self.check()
                if said or (status and status not in sky_jobs.UNDER_WAY):
                    self._ended_at = at = sky_jobs.believable(
                        lines.ended_at or run.ended_at, self._now(), run.started_at or run.submitted_at
                    )
                    began = lines.started_at > 0
                    self._end(
                        run,
                        sky_jobs.ended(run.job, status, at, began, lines.exit_code, run.cancelled, lines.remark),
                    )
                    return
                time.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
                tries += 1
        except OSError as error:
            self._trouble(f"the log of {run.job.name} cannot be written: {error}", lost=False, final=False)
        finally:
            file.close()

    def _let_go(self, run: Run, reader: int) -> bool:
        return run.over or self._closed or reader != run.readers

    def _take(self, run: Run, lines: JobLines, piece: str) -> bytes:
        if piece:
            run.heard_at = self._now()
        new = lines.feed(piece)
        if new and not run.started_at:
            # The log comes seconds after the run began: the run says itself when that was.
            run.started_at = sky_jobs.believable(lines.started_at, run.heard_at, max(run.submitted_at, self._ended_at))
            self._report(JobStarted(run.started_at, run.job.name))
        return new

    def _status(self, run: Run) -> str:
        row = next((row for row in self._sky.jobs(self.name) if row.id == run.id), None)
        return row.status if row else "GONE"

    # Ends

    def _end(self, run: Run, report: JobEnded | JobRefused) -> None:
        with self._lock:
            if run.over:
                return
            run.over = True
            self.runs.remove(run)
            self._worked_at = self._now()
            self._report(report)  # before another reader can say that the next one has started
        shutil.rmtree(stage_folder(run.job), ignore_errors=True)
        self._read_next()

    def _refuse(self, run: Run, message: str) -> None:
        self._end(run, JobRefused(self._now(), run.job.name, message))

    def _lose(self, message: str, itself: bool = False) -> None:
        """`itself` says that it may have ended by itself, for want of work."""
        idle_min = self._sky.idle_minutes
        idle_s = self._now() - self._worked_at + IDLE_SLACK_S
        if itself and not self.runs and not self._launch.adopted and idle_s > 60 * idle_min:
            self._down(f"it ended by itself: nothing ran on it for {idle_min} min")
            return
        self._launch.stale, self.is_up, self._refused = True, False, 0
        self._trouble(message, lost=True, final=False)  # first, or it would be given what its lost runs leave room for
        for run in list(self.runs):
            self._end(run, JobEnded(self._now(), run.job.name, "lost", None, message))

    def _trouble(self, message: str, lost: bool, final: bool, refused: bool = False) -> None:
        self._report(ClusterTrouble(self._now(), self.name, message, lost, final, refused))
