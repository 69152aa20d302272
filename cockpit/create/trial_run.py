"""Run the unchanged code briefly before a session is made, to see if the guessed command prints the guessed metric.

It runs like every run on this machine: in a folder of its own, confined, on one slot.
"""

import shutil
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from cockpit.core.errors import CockpitError
from cockpit.core.metric import Metric
from cockpit.core.session import ClusterSpec, RunAccess
from cockpit.create.links import find_links, link_inputs
from cockpit.fleet.base import ClusterReady, ClusterWaits, Job, JobEnded, JobRefused, Report
from cockpit.fleet.local.device_locks import DeviceLocks, Holder
from cockpit.fleet.local.fleet import LocalFleet
from cockpit.fleet.run_log import RunLog
from cockpit.session.user import user_name
from cockpit.variant.store import VariantStore

TRIAL_S = 60.0
"""Seconds after which the trial run is ended."""
AFTER_METRIC_S = 3.0
"""Seconds that it continues once it has printed the metric: it may be about to end, and to print another value."""
END_WITHIN_S = 20.0
LOOK_EVERY_S = 0.1
TAIL_LINES = 6
TAIL_BYTES, PART_BYTES = 1 << 14, 1 << 20
NAME = "trial.1"


class TrialError(CockpitError):
    """The trial run cannot start; the message is one sentence."""


class TrialJob(NamedTuple):
    """The code that is tried, and its place."""

    repo: Path
    command: tuple[str, ...]
    """Empty for the script with Cockpit's own Python."""
    script: str
    cluster: ClusterSpec
    access: RunAccess
    environment: dict[str, str]
    links: tuple[str, ...] = ()
    """Paths that git does not store, as the person names them."""


class Trial(NamedTuple):
    """The outcome of a trial run."""

    values: dict[str, str]
    """The last printed value of each name that was looked for and found."""
    reason: str
    """As in JobEnded: `exited`, `timeout`, `limit` …; `cancelled` once it had shown enough, or was interrupted."""
    exit_code: int | None
    seconds: float
    last_lines: tuple[str, ...]
    message: str = ""
    tail: str = ""
    """The end of its output."""
    question: str = ""
    """The sentence on a value that only a pattern reads; empty if there is none."""
    absent_submodules: tuple[str, ...] = ()
    """Submodules that are not checked out: the run got empty folders for them."""

    @property
    def failed(self) -> bool:
        """Return True if it failed without being cancelled."""
        return self.reason in ("limit", "lost", "refused") or (self.reason == "exited" and self.exit_code != 0)


def try_run(
    store: VariantStore, folder: Path, job: TrialJob, metrics: Iterable[Metric], heard: Callable[[float, int], None]
) -> Trial:
    """Run the last commit for TRIAL_S at most. `heard` gets the seconds and the lines so far. An interrupt ends it.

    `folder` is made for it and removed. Raises CockpitError or OSError if it cannot be started.
    """
    source = folder / "source" / NAME
    try:
        links = find_links(store, store.head(), job.repo, job.links, job.command)
        (folder / "source").mkdir(parents=True, mode=0o700)
        store.export(store.head(), source, links)
        link_inputs(source, links)
        access = msgspec.structs.replace(job.access, readable=(*job.access.readable, *links.values()), links=links)
        locks = DeviceLocks(Holder(str(folder.resolve()), user_name()))
        fleet = LocalFleet((job.cluster,), threading.Event(), access, locks)
        found = _follow(fleet, _placed(job, source, folder / "log", store.subfolder), metrics, heard)
        return found._replace(absent_submodules=tuple(store.absent_submodules(store.head())))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _placed(job: TrialJob, source: Path, log: Path, subfolder: str) -> Job:
    return Job(
        name=NAME, cluster=job.cluster.name, source=source, log_path=log, command=job.command, script=job.script,
        environment=job.environment | {"EXPERIMENT_ID": NAME}, time_limit_s=TRIAL_S, subfolder=subfolder,
    )  # fmt: skip


def _follow(fleet: LocalFleet, job: Job, metrics: Iterable[Metric], heard: Callable[[float, int], None]) -> Trial:
    output = _Output(job.log_path, metrics)
    began = time.monotonic()
    found_at = 0.0
    ended: JobEnded | JobRefused | None = None
    try:
        fleet.launch(job.cluster)
        _await_ready(fleet)
        fleet.submit(job)
        while ended is None:
            ended = _ended(fleet.poll())
            output.read()
            now = time.monotonic()
            if not found_at and output.values():
                found_at = now
            if found_at and now - found_at > AFTER_METRIC_S:
                fleet.cancel(job.name)
            heard(now - began, output.lines)
            time.sleep(LOOK_EVERY_S)
    except KeyboardInterrupt:
        ended = _cancelled(fleet, job)
    finally:
        fleet.close()
    output.finish()
    seconds = time.monotonic() - began
    if isinstance(ended, JobEnded):
        values, lines, tail = output.values(), output.last_lines(), output.tail()
        asked = output.question()
        return Trial(values, ended.reason, ended.exit_code, seconds, lines, ended.message, tail, asked)
    return Trial({}, "refused", None, seconds, (), ended.message)


def _cancelled(fleet: LocalFleet, job: Job) -> JobEnded | JobRefused:
    """End the run, and wait for its end."""
    fleet.cancel(job.name)
    until = time.monotonic() + END_WITHIN_S
    while time.monotonic() < until:
        if ended := _ended(fleet.poll()):
            return ended
        time.sleep(LOOK_EVERY_S)
    return JobEnded(0.0, job.name, "cancelled", None, "")


def _await_ready(fleet: LocalFleet) -> None:
    for report in fleet.poll():
        if isinstance(report, ClusterReady):
            return
        if isinstance(report, ClusterWaits):
            raise TrialError(f"the trial run cannot start: {report.message}")
    raise TrialError("the trial run cannot start: no device is free")


def _ended(reports: Iterable[Report]) -> JobEnded | JobRefused | None:
    return next((report for report in reports if isinstance(report, JobEnded | JobRefused)), None)


class _Output:
    """The growing output of the run, read for each metric."""

    def __init__(self, path: Path, metrics: Iterable[Metric]) -> None:
        self._path = path
        self._logs = {metric.name: RunLog(metric) for metric in metrics}
        self._at = 0
        self._tail = b""
        self.lines = 0

    def read(self) -> None:
        """Take in what is new, a part at a time."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read(PART_BYTES)
        except OSError:
            return
        self._at += len(data)
        self.lines += data.count(b"\n")
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        for log in self._logs.values():
            log.feed(data, 0.0)

    def finish(self) -> None:
        before = -1
        while before != self._at:
            before = self._at
            self.read()
        for log in self._logs.values():
            log.finish(0.0)

    def values(self) -> dict[str, str]:
        """Return the printed numbers by the metric's name, as they were printed."""
        return {name: log.values.word(name) for name, log in self._logs.items() if log.values.number(name) is not None}

    def question(self) -> str:
        """Return the sentence on values that only a pattern reads; empty if there is none."""
        return next(filter(None, (log.values.question(name) for name, log in self._logs.items())), "")

    def tail(self) -> str:
        return self._tail.decode("utf-8", "replace")

    def last_lines(self) -> tuple[str, ...]:
        lines = self.tail().replace("\r", "\n").split("\n")
        return tuple(line for line in lines if line.strip())[-TAIL_LINES:]
