"""Run experiments on this machine.

Each job has a folder of its own. A runner (`runner.py`) runs it and outlives the worker. The status of the job is read
from that folder, so a restarted worker finds the runs that continue and those that have ended.
"""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import psutil

import cockpit
from cockpit.core.rescore import Scoring
from cockpit.core.session import ClusterSpec, RunAccess
from cockpit.fleet.base import (
    ClusterEnded,
    ClusterReady,
    ClusterTrouble,
    ClusterWaits,
    Expected,
    FleetTrouble,
    Job,
    JobEnded,
    JobRefused,
    JobStarted,
    JobSubmitted,
    Report,
)
from cockpit.fleet.local.device_locks import DeviceLocks, Holder
from cockpit.fleet.local.devices import cores, is_exclusive, lock_names, visibility_variables
from cockpit.fleet.node import confinement
from cockpit.fleet.node.confinement import Sandbox, Wall, confined, environment_paths
from cockpit.fleet.node.disk import may_pass
from cockpit.fleet.node.environment import data_folders, passed_on
from cockpit.fleet.node.job import CommandJob, ResourceLimits, RunJob, ScorerJob
from cockpit.fleet.node.job_setup import (
    EXPORT,
    SCORING_LIMIT_S,
    export_model,
    limits,
    make_read_only,
    scorer,
    sealed_folders,
    set_temporary_folder,
)
from cockpit.fleet.node.system_calls import Confinement
from cockpit.fleet.notes import EndNote, Note, StartNote, job_ended, longest_s, read_note
from cockpit.scoring.contract import leaves_model
from cockpit.session.clock import Clock, WallClock, boot_id, steady_s
from cockpit.session.plain_file import open_plain
from cockpit.session.user import user_name

RUNNER = "import sys; sys.path.insert(0, sys.argv.pop(1)); from cockpit.fleet.node.runner import main; main()"
PACKAGES = str(Path(cockpit.__file__).parents[1])
START_GRACE_S = 20.0
"""Seconds after which a job whose runner has not started counts as lost."""
TRIAL_BYTES = 4096
RUNNER_GRACE_S = 30.0
"""Seconds past a run's limit after which its runner counts as hung."""
NOTE_BYTES = 1 << 22
"""Bytes read of a runner's note."""
UNCONFINED = RunAccess()
JOB_VARIABLE = "COCKPIT_JOB"
"""The variable that all processes of a run inherit. It identifies them."""


class LocalFleet:
    """The Fleet protocol on this machine."""

    simulated = False

    def __init__(
        self,
        clusters: tuple[ClusterSpec, ...],
        wake: threading.Event,
        access: RunAccess = UNCONFINED,
        locks: DeviceLocks | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._specs = {spec.name: spec for spec in clusters}
        self._wake = wake
        self._now = (clock or WallClock()).now
        self._access = access
        self._locks = locks or DeviceLocks(Holder("", user_name()))
        self._waiting: dict[str, str] = {}
        """The clusters whose devices another session holds, each with the sentence that was reported."""
        self._shares_cores = False
        """True once it was reported that another session uses this machine's cores."""
        self._down: set[str] = set()
        self._wall = confinement.available().wall if access.confine else Wall.NONE
        self._running: dict[str, Job] = {}
        self._submitted_at: dict[str, float] = {}
        self._started: dict[str, float] = {}
        """The time at which this worker first saw each job run, on the monotonic clock."""
        self._cancelled: set[str] = set()
        """Jobs to be ended, also those whose runner has not started yet."""
        self._reports: list[Report] = []
        self._unwatched: list[subprocess.Popen[bytes]] = []
        """Runners that no thread waits for."""

    def recover(self, expected: Expected) -> None:
        for cluster in expected.clusters:
            self.launch(cluster)
        for job in expected.jobs:
            if (_folder(job) / "job.json").exists():
                self.submit(job)  # a runner may be starting: of two, the one that creates `started` runs the job
            else:
                self._reports.append(JobRefused(self._now(), job.name, "the worker stopped before it was started"))

    def launch(self, cluster: str, adopted: bool = False) -> None:
        self._down.discard(cluster)
        self._waiting.setdefault(cluster, "")
        self._take_devices(cluster)
        self._wake.set()

    def _take_devices(self, cluster: str) -> None:
        """Report a cluster as ready if its devices are this session's. Else it waits for them, and `poll` retries.

        Sessions share cores. It is reported once that another session uses them too.
        """
        spec = self._specs[cluster]
        try:
            busy = self._locks.take(lock_names(spec))
        except OSError as error:
            if may_pass(error):
                raise
            busy = ""
            self._reports.append(
                FleetTrouble(self._now(), f"devices cannot be locked: {error}; two sessions may share one", once=True)
            )
        if busy and not is_exclusive(spec):
            if not self._shares_cores:
                text = f"{busy} too: each session slows the other's runs"
                self._reports.append(FleetTrouble(self._now(), text, once=True))
            self._shares_cores = True
            busy = ""
        if not busy:
            del self._waiting[cluster]
            self._reports.append(ClusterReady(self._now(), cluster, spec.hardware, spec.usd_per_hour, spec.gpus))
        elif busy != self._waiting[cluster]:
            self._waiting[cluster] = busy
            self._reports.append(ClusterWaits(self._now(), cluster, f"{busy}: it starts when that session ends"))

    def submit(self, job: Job) -> None:
        folder = _folder(job)
        at = self._now()
        if not (folder / "started").exists():
            self._locks.take(lock_names(self._specs[job.cluster]))  # a runner of an earlier worker may have ended
            work = self._work(job)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "job.json.new").write_text(json.dumps(work), encoding="utf-8")
                (folder / "job.json.new").replace(folder / "job.json")
                runner = subprocess.Popen(
                    [sys.executable, "-I", "-c", RUNNER, PACKAGES, str(folder.absolute())],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    start_new_session=True, env={"PATH": os.environ.get("PATH", os.defpath)},
                    pass_fds=self._locks.descriptors(lock_names(self._specs[job.cluster])),
                )  # fmt: skip
            except OSError as error:
                if may_pass(error):
                    raise
                sentence = f"this machine cannot start it: {error}"
                self._reports.append(JobRefused(at, job.name, sentence))
                self._reports.append(ClusterTrouble(at, job.cluster, sentence))
                return
            try:
                threading.Thread(target=self._wait, args=(runner,), daemon=True).start()
            except RuntimeError:  # no thread can be started: `poll` notices its end instead
                self._unwatched.append(runner)
        self._running[job.name] = job
        self._submitted_at[job.name] = at
        self._reports.append(JobSubmitted(at, job.name))

    def _work(self, job: Job) -> RunJob:
        """Return the job for its runner, with its command behind the wall."""
        command = list(job.command) or [sys.executable, "-u", job.script]
        source, start = job.source.absolute(), job.folder.absolute()
        environment = self._environment(job)
        python = command[0]
        if job.environment.get("COCKPIT_MODEL") and not leaves_model(start):
            export_model(environment)
        set_temporary_folder(self._wall, source, environment)
        readable = *environment_paths(command), EXPORT, *self._data(job), *data_folders(environment)
        fixed = tuple(start / path for path in job.protected)
        make_read_only(fixed)
        sandbox = Sandbox(
            source,
            readable,
            self._access.network,
            start=start,
            hidden=(*_hidden(source, environment), *_labels(job)),
            fixed=fixed,
        )
        return {
            "name": job.name,
            "source": str(start),
            "script": job.script,
            "hashed": list(job.hashed),
            "data": job.data,
            "writable": str(source),
            "log_path": str(job.log_path.absolute()),
            "environment": environment,
            "command": confined(command, sandbox, self._wall),
            "time_limit_s": job.time_limit_s,
            "confinement": Confinement(self._wall, self._access.network),
            "limits": self._limits(job, self._access.confine),
            "scorer": self._scorer(job, python, environment) if job.rescore else None,
            "score_command": self._score_command(job, python, environment) if job.score_command else None,
        }

    def _limits(self, job: Job, limited: bool) -> ResourceLimits:
        return limits(len(self._specs), cores() // len(self._specs), limited, job.source)

    def _scorer(self, job: Job, python: str, environment: dict[str, str]) -> ScorerJob:
        """Return the scorer of the run for its runner."""
        folder = _folder(job).absolute()
        return scorer(folder, python, environment, self._limits(job, True), sealed=job.rescore is Scoring.WHOLE)

    def _score_command(self, job: Job, python: str, environment: dict[str, str]) -> CommandJob:
        """Return the score command of the run for its runner: in a folder of its own, without the network."""
        words = list(job.score_command)
        words[0] = python if words[0] in ("python", "python3") and "python" in Path(python).name else words[0]
        room = _folder(job).absolute() / "scored"
        start = room / job.subfolder
        own = dict(environment)
        if self._access.import_roots:
            own["PYTHONPATH"] = self._import_path(room, passed_on(self._access.environment).get("PYTHONPATH", ""))
        if self._wall is Wall.LANDLOCK:
            own["TMPDIR"] = str(room)
        readable = *environment_paths(words), *self._data(job), *data_folders(environment), *_labels(job)
        return {
            "command": confined(words, Sandbox(room, readable, start=start), self._wall),
            "source": str(start),
            "writable": str(room),
            "environment": own,
            "time_limit_s": SCORING_LIMIT_S,
            "confinement": Confinement(self._wall),
            "limits": self._limits(job, self._access.confine),
        }

    def _data(self, job: Job) -> list[Path]:
        """List the prepared data and the paths that the session names."""
        named = [*self._access.readable, job.environment.get("COCKPIT_DATA_DIR", "")]
        return [Path(name) for name in named if name and Path(name).exists()]

    def cancel(self, job: str) -> None:
        if job in self._running:
            self._cancelled.add(job)
            _terminate(self._running[job])

    def down(self, cluster: str) -> None:
        for job in [job for job in self._running.values() if job.cluster == cluster]:
            self.cancel(job.name)
        self._waiting.pop(cluster, None)
        self._down.add(cluster)
        up = [spec for name, spec in self._specs.items() if name not in self._down]
        in_use = {name for spec in up for name in lock_names(spec)}
        self._locks.release(name for name in lock_names(self._specs[cluster]) if name not in in_use)
        self._reports.append(ClusterEnded(self._now(), cluster))
        self._wake.set()

    def use_task(self, text: str) -> None:
        """Change nothing: there is no task file here."""

    def poll(self) -> list[Report]:
        for job in list(self._running.values()):
            self._follow(job)
        for cluster in list(self._waiting):
            self._take_devices(cluster)
        self._unwatched = [runner for runner in self._unwatched if runner.poll() is None]
        reports, self._reports = self._reports, []
        return reports

    def close(self) -> None:
        self._running.clear()
        self._locks.close()

    def _follow(self, job: Job) -> None:
        """Read a job's notes from its folder, and report the news."""
        folder = _folder(job)
        started = _read(folder / "started", StartNote)
        if started and job.name not in self._started:
            self._started[job.name] = time.monotonic()
            self._reports.append(JobStarted(_time_of(started, self._now()), job.name, started.wall))
            if job.name in self._cancelled:
                _terminate(job)
        if ended := _read(folder / "ended.json", EndNote):
            report = job_ended(job, ended, _time_of(ended, self._now()))
            self._end(msgspec.structs.replace(report, log_bytes=ended.log_bytes))
        elif not started:
            if self._now() - self._submitted_at[job.name] <= START_GRACE_S:
                return
            if _has_room(folder):
                self._end_lost(job, "its runner did not start")
            else:
                self._submitted_at[job.name] = self._now()  # its runner waits for room
        elif not _is_held(folder / "started") and not _read(folder / "ended.json", EndNote):
            self._end_lost(job, "its runner was killed")
        elif time.monotonic() - self._started[job.name] > longest_s(job) + RUNNER_GRACE_S:
            self._end_hung(job)

    def _end_lost(self, job: Job, message: str) -> None:
        _kill_run(job)
        self._end(JobEnded(self._now(), job.name, "lost", None, message))

    def _end_hung(self, job: Job) -> None:
        """End a run whose runner is suspended or hangs, and did not end it at its limit."""
        if runner := _runner(job):
            runner.kill()
        _kill_run(job)
        self._end(JobEnded(self._now(), job.name, "timeout", None, "its runner did not answer at its time limit"))

    def _end(self, report: JobEnded) -> None:
        self._reports.append(report)
        self._running.pop(report.job, None)
        self._submitted_at.pop(report.job, None)
        self._started.pop(report.job, None)
        self._cancelled.discard(report.job)

    def _wait(self, runner: "subprocess.Popen[bytes]") -> None:
        runner.wait()
        self._wake.set()

    def _environment(self, job: Job) -> dict[str, str]:
        threads = max(1, cores() // len(self._specs))
        environment = {"OMP_NUM_THREADS": str(threads)} | passed_on(self._access.environment)
        environment |= {"PYTHONUNBUFFERED": "1"} | dict(visibility_variables(self._specs[job.cluster]))
        if self._access.import_roots:
            environment["PYTHONPATH"] = self._import_path(job.source.absolute(), environment.get("PYTHONPATH", ""))
        return environment | job.environment | {JOB_VARIABLE: _mark(job)}

    def _import_path(self, tree: Path, inherited: str) -> str:
        """Return the PYTHONPATH of a run in `tree`. An editable install would import the person's code."""
        return os.pathsep.join([*(str(tree / root) for root in self._access.import_roots), *filter(None, [inherited])])


def _hidden(source: Path, environment: dict[str, str]) -> tuple[Path, ...]:
    """Return the folders that a run must not see: its session, and the sealed shards beside the data."""
    return tuple(path.resolve() for path in (source.parent.parent, *sealed_folders(environment)) if path.is_absolute())


def _labels(job: Job) -> list[Path]:
    """Return the files and folders that the score command names by absolute paths. Only the score command sees them."""
    return [Path(word).resolve() for word in job.score_command[1:] if Path(word).is_absolute() and Path(word).exists()]


def _folder(job: Job) -> Path:
    return job.source.parent / f"{job.source.name}.run"


def _time_of(note: StartNote | EndNote, now: float) -> float:
    """Return the time of a note on the session's clock, whose time is `now`; never in the future.

    Until the system restarts, the steady clock gives its age, even if the wall clock was set since.
    """
    at = now - (steady_s() - note.steady) if note.boot == boot_id() else note.at
    return min(max(at, 0.0), now)


def _read(path: Path, kind: type[Note]) -> Note | None:
    """Return the note in a file; None if there is none. Raises OSError where this process may open no file now."""
    try:
        with open_plain(path) as file:
            return read_note(file.read(NOTE_BYTES), kind)
    except OSError as error:
        if may_pass(error):
            raise
        return None


def _runner(job: Job) -> psutil.Process | None:
    """Return the live runner of a job; None if the process of its number is another one."""
    note = _read(_folder(job) / "started", StartNote)
    if note is None or not _is_held(_folder(job) / "started"):
        return None
    try:
        process = psutil.Process(note.pid)
        return process if _mark(job) in process.cmdline() else None
    except (psutil.Error, ValueError, OverflowError):
        return None


def _terminate(job: Job) -> None:
    """End a run by a signal to its runner, if the runner lives."""
    if runner := _runner(job):
        with contextlib.suppress(psutil.Error):
            runner.terminate()


def processes_of(job: Job) -> list[psutil.Process]:
    """List the live processes of a run, by a variable that all of them inherit. A note could be forged by the run."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(JOB_VARIABLE) == _mark(job) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _mark(job: Job) -> str:
    return str(_folder(job).absolute())


def _kill_run(job: Job) -> None:
    """Kill the processes of a run whose runner is gone."""
    for process in processes_of(job):
        try:
            process.kill()
        except psutil.Error:
            continue


def _has_room(folder: Path) -> bool:
    """Return True if a runner can write a file there. It is tried, since nothing else shows a quota."""
    trial = folder / "room"
    try:
        trial.write_bytes(bytes(TRIAL_BYTES))
    except OSError as error:
        return not may_pass(error)
    finally:
        with contextlib.suppress(OSError):
            trial.unlink(missing_ok=True)
    return True


def _is_held(started: Path) -> bool:
    """Return True while the job's runner lives, by its lock. A process number may be reused, and a clock may be set.

    Raises OSError where this process may open no file now.
    """
    try:
        with open_plain(started) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError as error:
        if may_pass(error):
            raise
        return False
