"""Fleet reports and printed lines become events; `cockpit.fleet.run_log` judges them."""

from collections.abc import Callable
from pathlib import Path

from cockpit.core.events import (
    ClusterDown,
    ClusterFailed,
    ClusterGivenUp,
    ClusterUp,
    ClusterWaiting,
    Ended,
    Event,
    Progressed,
    Started,
    Submitted,
    Unsubmitted,
)
from cockpit.core.model import Attempt, AttemptStatus, Outcome
from cockpit.core.state import State
from cockpit.fleet.base import (
    ClusterEnded,
    ClusterReady,
    ClusterTrouble,
    ClusterWaits,
    JobEnded,
    JobRefused,
    JobStarted,
    JobSubmitted,
    Report,
)
from cockpit.fleet.run_log import RunLog, RunVerdict

READ_BYTES = 1 << 20
"""Of one log in one go: a run that prints without end does not hold the others up."""
PROGRESS_EVERY_S = 1.0
BACKOFF_S = 30.0
BACKOFF_AT_MOST_S = 600.0


class LogReader:
    """Follows one log file from its start, so that a worker that comes back knows what it missed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = RunLog()
        self._offset = 0

    def read(self, at: float) -> bool:
        """Take in what is new. Returns whether there may be more at once."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(READ_BYTES)
        except FileNotFoundError:
            return False
        self._offset += len(data)
        self.log.feed(data, at)
        return len(data) == READ_BYTES

    def read_all(self, at: float) -> RunLog:
        while self.read(at):
            pass
        self.log.finish(at)
        return self.log


class Reports:
    """Turns reports and log lines into events; holds a reader for each attempt that runs.

    `log_of` gives the path of an attempt's log.
    """

    def __init__(self, log_of: Callable[[str], Path]) -> None:
        self._log_of = log_of
        self._readers: dict[str, LogReader] = {}
        self._told_at: dict[str, float] = {}

    def events(self, state: State, report: Report) -> list[Event]:
        """What a report means. Reports about what is over already mean nothing."""
        match report:
            case ClusterReady():
                return [
                    ClusterUp(
                        at=report.at,
                        cluster=report.cluster,
                        hardware=report.hardware,
                        usd_per_hour=report.usd_per_hour,
                    )
                ]
            case ClusterTrouble():
                return _trouble(state, report)
            case ClusterWaits():
                return [ClusterWaiting(at=report.at, cluster=report.cluster, message=report.message)]
            case ClusterEnded():
                return [ClusterDown(at=report.at, cluster=report.cluster, message=report.message)]
            case _:
                attempt = state.attempts.get(report.job)
                if attempt is None or attempt.id not in state.in_flight:
                    return []
                return self._job(state, attempt, report)

    def _job(
        self, state: State, attempt: Attempt, report: JobSubmitted | JobStarted | JobRefused | JobEnded
    ) -> list[Event]:
        match report:
            case JobSubmitted():
                waits = attempt.status is AttemptStatus.SUBMITTING
                return [Submitted(at=report.at, attempt=attempt.id)] if waits else []
            case JobStarted():
                if attempt.status is AttemptStatus.RUNNING:
                    return []
                return [Started(at=report.at, attempt=attempt.id, wall=report.wall)]
            case JobRefused():
                self._forget(attempt.id)
                return [Unsubmitted(at=report.at, attempt=attempt.id, reason=report.message)]
            case JobEnded():
                return self._ended(state, attempt, report)

    def progress(self, state: State, now: float) -> list[Event]:
        """The newest step line of each attempt that runs, at most once a second each."""
        events: list[Event] = []
        for name in state.in_flight:
            attempt = state.attempts[name]
            if attempt.status is not AttemptStatus.RUNNING or now - self._told_at.get(name, 0.0) < PROGRESS_EVERY_S:
                continue
            reader = self._reader(name)
            reader.read(now)
            newest = reader.log.progress
            if newest is not None and newest != attempt.progress:
                self._told_at[name] = now
                events.append(Progressed(at=now, attempt=name, progress=newest, curve=reader.log.curve()))
        return events

    def _ended(self, state: State, attempt: Attempt, report: JobEnded) -> list[Event]:
        log = self._reader(attempt.id).read_all(report.at)
        self._forget(attempt.id)
        events: list[Event] = []
        if attempt.status is not AttemptStatus.RUNNING and report.reason in ("exited", "timeout", "limit"):
            events.append(Started(at=min(report.at, attempt.submitted_at or report.at), attempt=attempt.id))
        verdict = _verdict(state, attempt, report, log)
        events.append(
            Ended(
                at=report.at,
                attempt=attempt.id,
                outcome=verdict.outcome,
                metrics=verdict.metrics,
                curve=log.curve(),
                message=verdict.message,
                corpus="" if state.corpus else log.corpus,
                preset="" if state.preset else log.preset,
            )
        )
        return events

    def _reader(self, name: str) -> LogReader:
        if name not in self._readers:
            self._readers[name] = LogReader(self._log_of(name))
        return self._readers[name]

    def _forget(self, name: str) -> None:
        self._readers.pop(name, None)
        self._told_at.pop(name, None)


def _verdict(state: State, attempt: Attempt, report: JobEnded, log: RunLog) -> RunVerdict:
    experiment = state.experiments[attempt.experiment]
    match report.reason:
        case "exited":
            hashes = experiment.train_hash, experiment.prepare_hash
            return log.verdict(report.exit_code, *hashes, state.corpus, state.preset, report.evidence)
        case "limit":
            return RunVerdict(Outcome.CRASH, None, report.message)
        case "timeout":
            minutes = state.session.time_limit_s / 60
            return RunVerdict(Outcome.TIMEOUT, None, f"it ran past its limit of {minutes:g} minutes")
        case "cancelled":
            outcome = attempt.cancel_outcome if attempt.cancelling else Outcome.CANCELLED
            return RunVerdict(outcome, None, attempt.cancelling or report.message or "cancelled on its cluster")
        case "setup":
            return RunVerdict(Outcome.LOST, None, report.message or "its cluster could not be set up")
        case _:
            return RunVerdict(Outcome.LOST, None, report.message or "its cluster stopped answering")


def _trouble(state: State, report: ClusterTrouble) -> list[Event]:
    cluster = state.clusters[report.cluster]
    if report.final:
        return [ClusterGivenUp(at=report.at, cluster=report.cluster, message=report.message)]
    wait_s = min(BACKOFF_AT_MOST_S, BACKOFF_S * 2 ** min(cluster.failures + cluster.refusals, 10))
    retry_at = report.at + wait_s
    return [
        ClusterFailed(
            at=report.at, cluster=report.cluster, message=report.message, retry_at=retry_at, refused=report.refused
        )
    ]
