"""Follows the log of the job that runs on a cluster: its start, its lines, its end."""

import time
from collections.abc import Callable
from contextlib import closing
from typing import Protocol

import msgspec

from cockpit.fleet.base import Job, JobEnded
from cockpit.fleet.sky.jobs import UNDER_WAY, ended, plausible_time
from cockpit.fleet.sky.log import JobLines, RunLogFile
from cockpit.fleet.sky.parts import SessionIdentity, SkyCalls, SkyError
from cockpit.fleet.sky.probe import RETRY_S
from cockpit.fleet.sky.task import key_of


class SkyRun(msgspec.Struct, eq=False):
    """A job on its way through a cluster."""

    job: Job
    id: int = 0
    sent_at: float = 0.0
    """The time exec was called, before which it does not start; or the time that a worker found it again."""
    due_at: float = 0.0
    """The time since which no other run of its share is before it on its cluster, or when that was last checked."""
    started_at: float = 0.0
    wall: str = ""
    """The wall around it, once its runner has said so."""
    heard_at: float = 0.0
    cancelled: str = ""
    """Why it is being cancelled: `cancelled` or `timeout`."""
    readers: int = 0
    """Number of readers its log has had; the last one follows it."""
    is_read: bool = False
    """True while a reader follows its log."""
    over: bool = False
    ended_at: float = 0.0
    """By the cluster's clock, for a job that ended while no worker looked."""


class FollowedCluster(Protocol):
    """The cluster that a follower reports to. Its methods may be called from any thread."""

    name: str

    @property
    def remote_name(self) -> str: ...

    @property
    def is_closed(self) -> bool: ...

    def check(self) -> None: ...

    def report_start(self, run: SkyRun) -> None: ...

    def report_log_trouble(self, message: str) -> None: ...

    def end(self, run: SkyRun, report: JobEnded) -> None: ...


class LogFollower:
    """Reads one job's log after another; each on a thread of its own."""

    def __init__(
        self, sky: SkyCalls, session: SessionIdentity, now: Callable[[], float], cluster: FollowedCluster
    ) -> None:
        self._sky, self._session, self._now, self._cluster = sky, session, now, cluster
        self._ended_at: dict[str, float] = {}
        """The time the last job of each share ended: the next starts after it."""

    def follow(self, run: SkyRun, reader: int) -> None:
        """Append the run's lines to its log as they come, and report its end. Stops once there is another reader.

        Where the log cannot be written, as on a full disk, that is reported once, and the stream is read until it can
        be.
        """
        is_reported = False
        while not self._is_replaced(run, reader):
            try:
                self._follow(run, reader)
                return
            except OSError as error:
                if not is_reported:
                    why = error.strerror or str(error)
                    self._cluster.report_log_trouble(f"the log of {run.job.name} cannot be written: {why}")
                is_reported = True
                time.sleep(RETRY_S[-1])

    def _follow(self, run: SkyRun, reader: int) -> None:
        file = RunLogFile(run.job.log_path)
        tries = 0
        try:
            while not self._is_replaced(run, reader):
                before = file.lines
                name = self._session.remote_name(run.job.name)
                lines = JobLines(name, before, key_of(run.job, name))
                status = self._read_stream(run, reader, lines, file)
                if status is None:
                    return
                if status and status not in UNDER_WAY:
                    file.flush()
                    self._report_end(run, status, lines, file.size_bytes)
                    return
                tries = 0 if file.lines > before else tries
                time.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
                tries += 1
        finally:
            file.close()

    def _read_stream(self, run: SkyRun, reader: int, lines: JobLines, file: RunLogFile) -> str | None:
        """Read one stream to its end. Returns how the job stands, empty if that is unknown; None once there is another
        reader."""
        try:
            with closing(self._sky.tail(self._cluster.remote_name, run.id)) as pieces:
                for piece in pieces:
                    if self._is_replaced(run, reader):
                        return None
                    if new := self._take(run, lines, piece):
                        file.append(new)
                    if lines.end is not None:
                        return "EXITED"  # its last line: SkyPilot ends the stream seconds later
            return lines.status or self._status(run)
        except SkyError as error:
            if error.kind != "server":
                self._cluster.check()
            return ""

    def _is_replaced(self, run: SkyRun, reader: int) -> bool:
        return run.over or self._cluster.is_closed or reader != run.readers

    def _take(self, run: SkyRun, lines: JobLines, piece: str) -> bytes:
        """Take in a piece of the stream, and report the start. Returns the run's new lines."""
        if piece:
            run.heard_at = self._now()
        new = lines.feed(piece)
        if lines.start and not run.wall:
            # The log comes seconds after the run began: its runner says when that was.
            since = max(run.sent_at, self._ended_at.get(run.job.cluster, 0.0))
            run.started_at = run.started_at or plausible_time(lines.start.at, run.heard_at, since)
            run.wall = lines.start.wall
            self._cluster.report_start(run)
        return new

    def _status(self, run: SkyRun) -> str:
        row = next((row for row in self._sky.jobs(self._cluster.remote_name) if row.id == run.id), None)
        return row.status if row else "GONE"

    def _report_end(self, run: SkyRun, status: str, lines: JobLines, log_bytes: int) -> None:
        since = run.started_at or run.sent_at
        noted_at = lines.end.at if lines.end else run.ended_at
        if lines.start and lines.end and run.started_at:
            # The node's clock may be an hour off: only the time between two of its notes is right.
            noted_at = run.started_at + lines.end.at - lines.start.at
        at = plausible_time(noted_at, self._now(), since)
        self._ended_at[run.job.cluster] = at
        report = ended(run.job, status, at, lines.start is not None, lines.end, run.cancelled, lines.remark)
        self._cluster.end(run, msgspec.structs.replace(report, log_bytes=log_bytes))
