"""Turn fleet reports and printed lines into events; `cockpit.fleet.run_log` judges a run's output."""

import errno
import hashlib
import logging
import os
import stat
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from cockpit.core.cluster_events import (
    ClusterDown,
    ClusterFailed,
    ClusterGivenUp,
    ClusterUp,
    ClusterWaiting,
    LaunchStep,
)
from cockpit.core.events import Ended, Event, Held, Progressed, Started, Submitted, Trouble
from cockpit.core.metric import VAL_BPB, Metric
from cockpit.core.model import Attempt, AttemptStatus, Outcome
from cockpit.core.rescore import Rescore
from cockpit.core.state import State
from cockpit.core.task_events import TaskOffered, TaskTaken
from cockpit.decide.comparability import broken_rule, in_session_unit, other_data, restored_data
from cockpit.decide.not_submitted import not_submitted
from cockpit.decide.rescoring import base_of, baseline_of
from cockpit.fleet.base import (
    ClusterEnded,
    ClusterReady,
    ClusterStep,
    ClusterTrouble,
    ClusterWaits,
    FleetTrouble,
    JobEnded,
    JobRefused,
    JobStarted,
    JobSubmitted,
    Report,
    TaskSeen,
)
from cockpit.fleet.run_log import RunLog, RunRules, RunVerdict
from cockpit.read.costs import run_usd
from cockpit.read.wording import duration, money
from cockpit.scoring.judge import counted, judged
from cockpit.worker.shortage import is_shut, shortage

READ_BYTES = 1 << 20
"""Bytes read of one log in a tick."""
TICK_BYTES = 8 << 20
"""Bytes read of all logs in a tick, so that a flood of output does not delay a decision. Later ticks continue."""
LOG_BYTES_AT_MOST = 1 << 30
"""Bytes read of one log. No capped log has as many: another program wrote to it, a hole of a terabyte perhaps."""
PROGRESS_EVERY_S = 1.0
CPU_DECIMALS = 2
"""Decimals of a processor time in seconds that the ledger keeps."""
BACKOFF_S = 30.0
BACKOFF_AT_MOST_S = 600.0

log = logging.getLogger("cockpit.worker")


class LogReader:
    """Follows one log file from its start, so that a restarted worker reads the lines that it missed."""

    def __init__(self, path: Path, metric: Metric) -> None:
        self.path = path
        self.log = RunLog(metric)
        self.problem = ""
        """The reason why its output cannot be used; empty if it can."""
        self._offset = 0
        self._is_given_up = False

    def read(self, at: float, most_bytes: int = READ_BYTES) -> int:
        """Take in the next piece, of at most `most_bytes`. Returns its size; a smaller piece was the last one.

        Output that cannot be read now is tried again. Output that raises an unforeseen error is not read again. Raises
        OSError for want of open files, and while the folder of the logs is shut: an ended run would seem to have no
        output.
        """
        if self._is_given_up:
            return 0
        try:
            data = _piece(self.path, self._offset, min(most_bytes, LOG_BYTES_AT_MOST - self._offset))
        except OSError as error:
            if shortage(error) or is_shut(error, self.path.parent):
                raise
            self.problem = f"its log {self.path} cannot be read: {error.strerror}"
            return 0
        self.problem = ""
        self._offset += len(data)
        try:
            self.log.feed(data, at)
        except MemoryError:
            raise
        except Exception as error:  # a log is data, and no output may end the worker
            log.exception("the output in %s cannot be handled", self.path)
            self.problem = f"cockpit failed on its output ({type(error).__name__}): it is in {self.path}"
            self._is_given_up = True
            return 0
        return len(data)

    def finish(self, report: JobEnded) -> None:
        """Read a last line that has no line end. A log that was removed, cut or lengthened, before it was read or
        after, is a problem, unless the exit code tells of a crash. Raises OSError while the folder of the logs is
        shut."""
        self.log.finish(report.at)
        if report.exit_code:
            return
        try:
            size = self.path.stat().st_size
        except OSError as error:
            if is_shut(error, self.path.parent):
                raise
            size = -1
        is_short = size < self._offset or self._offset < report.log_bytes
        if is_short and not self.problem:
            self.problem = f"its log {self.path} was removed or cut by another program"
        if size > LOG_BYTES_AT_MOST and not self.problem:
            self.problem = f"its log {self.path} was lengthened by another program to {size / 1e9:.1f} GB"


def _piece(path: Path, offset: int, most_bytes: int) -> bytes:
    """Return the next bytes of a log; none if there is no log yet. Raises OSError.

    The file is opened without waiting: a pipe in its place would wait for a writer.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a file")
        return os.pread(descriptor, most_bytes, offset)
    finally:
        os.close(descriptor)


class Reports:
    """Turns reports and log lines into events; holds a reader for each attempt that runs.

    The verdict on a run comes when its log is read, a bounded piece a tick. Later reports about its cluster wait for
    it, so that they keep their order. `log_of` gives the path of an attempt's log, `metric` is the session's.
    """

    def __init__(self, log_of: Callable[[str], Path], metric: Metric = VAL_BPB) -> None:
        self._log_of = log_of
        self._metric = metric
        self._readers: dict[str, LogReader] = {}
        self._progress_at: dict[str, float] = {}
        self._held: dict[str, deque[Report]] = {}
        """Cluster to its reports that wait; the first is the end of a run whose log is being read."""
        self._problems: dict[str, str] = {}
        """Attempt to the last reported problem of its output."""
        self._read_out: set[str] = set()
        """Ended runs whose log is read to its end."""
        self._told: set[str] = set()
        """Sentences on the session's patterns, each of which is told once."""
        self._left_bytes = TICK_BYTES
        self._turn = 0

    @property
    def has_work(self) -> bool:
        """True while an ended run has output that is not read."""
        return bool(self._held)

    def due(self) -> list[Report]:
        """Begin a tick: continue with the logs of ended runs. Returns the reports that no longer wait, in order."""
        self._left_bytes = TICK_BYTES
        found: list[Report] = []
        for cluster, held in list(self._held.items()):
            ended = held[0]
            assert isinstance(ended, JobEnded)
            if self._read(self._reader(ended.job), ended.at):
                self._read_out.add(ended.job)
                found += self._held.pop(cluster)
            else:
                self._held[cluster] = self._held.pop(cluster)  # the others are first in the next tick
        return found

    def events(self, state: State, report: Report) -> list[Event]:
        """Return the events that a report means; none for a report about something that has ended."""
        if isinstance(report, FleetTrouble):
            is_known = report.once and any(message.text == report.text for message in state.messages)
            return [] if is_known else [Trouble(at=report.at, text=report.text)]
        if isinstance(report, TaskSeen):
            return _task_seen(state, report)
        cluster = _cluster_of(state, report)
        if cluster in self._held:
            self._held[cluster].append(report)
            return []
        if isinstance(report, JobEnded) and report.job in state.in_flight and not self._is_read(report):
            self._held[cluster] = deque([report])
            return []
        match report:
            case ClusterReady():
                return [
                    ClusterUp(
                        at=report.at,
                        cluster=report.cluster,
                        hardware=report.hardware,
                        usd_per_hour=report.usd_per_hour,
                        gpus=report.gpus,
                        spot=report.spot,
                    )
                ]
            case ClusterTrouble():
                return _trouble(state, report)
            case ClusterWaits():
                return [ClusterWaiting(at=report.at, cluster=report.cluster, message=report.message)]
            case ClusterStep():
                return [LaunchStep(at=report.at, cluster=report.cluster, message=report.message)]
            case ClusterEnded():
                if report.of_lost and not state.clusters[report.cluster].billed:
                    return []  # it is launched again meanwhile
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
                if attempt.status is AttemptStatus.RUNNING and (attempt.wall or not report.wall):
                    return []
                return [Started(at=report.at, attempt=attempt.id, wall=report.wall)]
            case JobRefused():
                self.forget(attempt.id)
                return [not_submitted(attempt, report.at, report.message)]
            case JobEnded():
                return self._ended(state, attempt, report)

    def progress(self, state: State, now: float) -> list[Event]:
        """Return the newest step line of each attempt that runs, at most once a second each."""
        events: list[Event] = []
        running = [name for name in state.in_flight if state.attempts[name].status is AttemptStatus.RUNNING]
        for name in running[self._turn :] + running[: self._turn]:
            attempt = state.attempts[name]
            if attempt.cluster in self._held or now - self._progress_at.get(name, 0.0) < PROGRESS_EVERY_S:
                continue
            reader = self._reader(name)
            self._read(reader, now)
            if reader.problem and reader.problem != self._problems.get(name):
                self._problems[name] = reader.problem
                events.append(Trouble(at=now, text=f"{name}: {reader.problem}", about=name))
            events += self._on_patterns(state, reader.log, now)
            newest = reader.log.progress
            if newest is not None and newest != attempt.progress:
                self._progress_at[name] = now
                events.append(Progressed(at=now, attempt=name, progress=newest, curve=reader.log.curve()))
        # Where one tick cannot read all of them, another is first in the next.
        self._turn = (self._turn + 1) % max(1, len(running)) if self._left_bytes <= 0 else 0
        return events

    def _read(self, reader: LogReader, at: float) -> bool:
        """Read a piece, if this tick may still read. Returns True if it was the last one there is."""
        most_bytes = min(READ_BYTES, self._left_bytes)
        size = reader.read(at, most_bytes)
        self._left_bytes -= size
        return size < most_bytes

    def _is_read(self, report: JobEnded) -> bool:
        return report.job in self._read_out or self._read(self._reader(report.job), report.at)

    def _ended(self, state: State, attempt: Attempt, report: JobEnded) -> list[Event]:
        reader = self._reader(attempt.id)
        log = reader.log
        reader.finish(report)
        self.forget(attempt.id)
        events = self._on_patterns(state, log, report.at)
        if attempt.status is not AttemptStatus.RUNNING and report.reason in ("exited", "timeout", "limit"):
            events.append(Started(at=min(report.at, attempt.submitted_at or report.at), attempt=attempt.id))
        verdict = _verdict(state, attempt, report, log)
        if reader.problem and verdict.outcome in (Outcome.VALID, Outcome.CRASH, Outcome.MISMATCH):
            verdict = RunVerdict(Outcome.LOST, None, reader.problem)
        rescore = _rescore(state, attempt, report, verdict)
        events.append(
            Ended(
                at=report.at,
                attempt=attempt.id,
                outcome=verdict.outcome,
                metrics=counted(verdict.metrics, rescore) if verdict.metrics else None,
                curve=log.curve(),
                message=verdict.message,
                preempted=report.reason == "preempted",
                corpus="" if state.corpus else log.corpus,
                preset="" if state.preset else log.preset,
                rescore=rescore,
                data={} if state.data or report.evidence is None else report.evidence.data_after,
                data_restored=_restored_by_baseline(state, attempt, report),
            )
        )
        other = _other_data(state, attempt, report) if report.reason == "exited" else ""
        if other and not state.held:
            what_to_do = f"{other}: put those back and resume, or make another session"
            events.append(Held(at=report.at, author="cockpit", reason=what_to_do))
            events.append(Trouble(at=report.at, text=what_to_do, about=attempt.id))
        return events

    def _on_patterns(self, state: State, log: RunLog, at: float) -> list[Event]:
        """Tell of each pattern that takes too long, once in a session."""
        new = [text for text in log.steps.problems if text not in self._told]
        self._told.update(new)
        told = {message.text for message in state.messages} if new else set()
        return [Trouble(at=at, text=text) for text in new if text not in told]

    def _reader(self, name: str) -> LogReader:
        if name not in self._readers:
            self._readers[name] = LogReader(self._log_of(name), self._metric)
        return self._readers[name]

    def forget(self, name: str) -> None:
        """Read no more of the output of an attempt that has ended."""
        self._readers.pop(name, None)
        self._progress_at.pop(name, None)
        self._problems.pop(name, None)
        self._read_out.discard(name)


def _cluster_of(state: State, report: Report) -> str:
    """Return the cluster that a report is about; empty for a job that is not known."""
    if isinstance(report, JobSubmitted | JobStarted | JobRefused | JobEnded):
        attempt = state.attempts.get(report.job)
        return attempt.cluster if attempt else ""
    return "" if isinstance(report, FleetTrouble | TaskSeen) else report.cluster


def _verdict(state: State, attempt: Attempt, report: JobEnded, log: RunLog) -> RunVerdict:
    experiment = state.experiments[attempt.experiment]
    match report.reason:
        case "exited":
            baseline, session = state.experiments[state.baseline or experiment.id], state.session
            others = experiment.file_hashes | baseline.protected_hashes
            rules = RunRules(state.corpus, state.preset, session.time_budget_s, session.script, others)
            hashes, evidence = (experiment.train_hash, experiment.prepare_hash), report.evidence
            verdict = log.verdict(report.exit_code, *hashes, evidence, rules)
            if other := _other_data(state, attempt, report):
                return RunVerdict(Outcome.MISMATCH, None, f"{other}: its result does not count")
            if restored := restored_data(state, attempt, evidence.data_restored if evidence is not None else ()):
                return RunVerdict(Outcome.MISMATCH, None, restored)
            return _if_comparable(state, attempt, report, verdict)
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


def _task_seen(state: State, report: TaskSeen) -> list[Event]:
    """Offer a changed task file to the person. A session of an older cockpit, which has none recorded, takes it."""
    if not state.task and not report.problem:
        digest = hashlib.sha256(report.text.encode()).hexdigest()
        return [TaskTaken(at=report.at, text=report.text, sha256=digest, author="cockpit")]
    if report.problem:
        return [TaskOffered(at=report.at, problem=report.problem)]
    offered = "" if report.text == state.task else report.text
    if offered == state.task_offered:
        return []
    return [TaskOffered(at=report.at, text=offered, fields=report.fields)]


def _if_comparable(state: State, attempt: Attempt, report: JobEnded, verdict: RunVerdict) -> RunVerdict:
    """Add the run's length by the outside clock. A run that is not comparable with the baseline is a mismatch."""
    if verdict.metrics is None:
        return verdict
    run_s, cpu_s = (report.evidence.wall_s, report.evidence.cpu_s) if report.evidence is not None else (0.0, 0.0)
    measured = in_session_unit(
        state, msgspec.structs.replace(verdict.metrics, run_s=run_s, cpu_s=round(cpu_s, CPU_DECIMALS))
    )
    if isinstance(measured, str):
        return RunVerdict(Outcome.MISMATCH, None, measured)
    metrics = measured
    broken = broken_rule(state, attempt, metrics)
    return RunVerdict(Outcome.MISMATCH, None, broken) if broken else RunVerdict(verdict.outcome, metrics, "")


def _restored_by_baseline(state: State, attempt: Attempt, report: JobEnded) -> list[str]:
    is_of_baseline = attempt.experiment == (state.baseline or attempt.experiment)
    return report.evidence.data_restored if report.evidence is not None and is_of_baseline else []


def _other_data(state: State, attempt: Attempt, report: JobEnded) -> str:
    evidence = report.evidence
    return other_data(state, attempt, evidence.data_before, evidence.data_after) if evidence is not None else ""


def _rescore(state: State, attempt: Attempt, report: JobEnded, verdict: RunVerdict) -> Rescore | None:
    """Return the score from outside the run, judged against the run's words and the incumbent's score."""
    evidence = report.evidence
    if evidence is None or evidence.rescore is None or verdict.metrics is None:
        return None
    found = msgspec.structs.replace(evidence.rescore, run_s=evidence.wall_s, cpu_s=evidence.cpu_s)
    base, baseline = base_of(state, attempt), baseline_of(state, attempt)
    on_cpu, budget_s = attempt.hardware == "CPU", state.session.time_budget_s
    return judged(found, verdict.metrics, base, on_cpu, baseline, budget_s)


def _loss(state: State, report: ClusterTrouble) -> str:
    """Return the cost of the run on a lost cluster, as the end of a sentence."""
    cluster = state.clusters[report.cluster]
    if not report.lost or not cluster.running:
        return ""
    attempt = state.attempts[cluster.running]
    trained_s, usd = max(0.0, report.at - attempt.started_at), run_usd(state, attempt, report.at)
    return f"; {cluster.running} loses {duration(trained_s)}" + (f", {money(usd)}" if usd else "")


def _trouble(state: State, report: ClusterTrouble) -> list[Event]:
    cluster = state.clusters[report.cluster]
    if report.final:
        return [ClusterGivenUp(at=report.at, cluster=report.cluster, message=report.message)]
    wait_s = min(BACKOFF_AT_MOST_S, BACKOFF_S * 2 ** min(cluster.failures + cluster.refusals, 10))
    retry_at = report.at + wait_s
    return [
        ClusterFailed(
            at=report.at,
            cluster=report.cluster,
            message=report.message + _loss(state, report),
            retry_at=retry_at,
            refused=report.refused,
            billed=report.billed,
        )
    ]
