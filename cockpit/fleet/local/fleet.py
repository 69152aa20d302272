"""This machine as a fleet: a slot per CUDA device, else per two cores; an experiment is a process group.

Each job has a folder of its own. A runner (`runner.py`) runs it and outlives the worker; what became of it is
read from that folder, so a worker that comes back takes up what runs, and what ended while it was away.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil

from cockpit.core.model import ClusterSpec, RunAccess
from cockpit.fleet.base import (
    ClusterEnded,
    ClusterReady,
    ClusterTrouble,
    Evidence,
    Expected,
    Job,
    JobEnded,
    JobRefused,
    JobStarted,
    JobSubmitted,
    Report,
)
from cockpit.fleet.local import confinement
from cockpit.fleet.local.confinement import Rooms, Wall, confined, environment_paths
from cockpit.session.sqlite_file import is_full

CORES_PER_SLOT = 2
RUNNER = Path(__file__).with_name("runner.py")
PASSED_ON = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_HOME", "SSL_CERT_FILE")
"""All that a run inherits: no key, no token, no agent socket."""
START_GRACE_S = 20.0
RUNNER_GRACE_S = 30.0
"""Past a run's limit, before its runner counts as hung."""
MEMORY_SHARE = 0.95
"""Of the machine's memory, that one confined run may use."""
PROCESSES_AT_MOST = 2_000
DISK_MB_AT_MOST = 200_000
UNCONFINED = RunAccess()
JOB_VARIABLE = "COCKPIT_JOB"
"""Tells the processes of a run, in the environment that all of them inherit."""
OWN_TEMPORARY = ".tmp"
USUAL_DATA = ("autoresearch", "huggingface", "torch")
"""Folders below ~/.cache that hold data and no secret of a run's owner; a token file among them stays hidden."""


class Device(NamedTuple):
    id: str
    """As CUDA_VISIBLE_DEVICES takes it."""
    hardware: str
    """Its class, such as H100."""


def slots(count: int = 0) -> tuple[ClusterSpec, ...]:
    """This machine's slots: `count` of them, or as many as it has CUDA devices or pairs of cores. More slots than
    devices share these in turn."""
    devices = cuda_devices()
    if devices:
        given = [devices[i % len(devices)] for i in range(count or len(devices))]
        return tuple(ClusterSpec(f"gpu-{i + 1:02d}", to.hardware, device=to.id) for i, to in enumerate(given))
    count = count or max(1, cores() // CORES_PER_SLOT)
    return tuple(ClusterSpec(f"cpu-{i + 1:02d}", "CPU") for i in range(count))


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cuda_devices() -> list[Device]:
    """The CUDA devices that may be used: all, or those that CUDA_VISIBLE_DEVICES names, in its order."""
    try:
        asked = subprocess.run(
            ["nvidia-smi", "--query-gpu=index,uuid,name", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[part.strip() for part in line.split(",", 2)] for line in asked.stdout.splitlines() if line.count(",") > 1]
    found = [(index, Device(uuid, gpu_class(name))) for index, uuid, name in rows]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [device for _, device in found]
    named = [part.strip() for part in visible.split(",")]
    return [
        device for name in named for index, device in found if name and (name == index or device.id.startswith(name))
    ]


def gpu_class(name: str) -> str:
    """`NVIDIA H100 80GB HBM3` is an H100."""
    words = [word for word in name.replace("-", " ").split() if word.upper() not in ("NVIDIA", "TESLA", "GEFORCE")]
    return words[0] if words else "GPU"


class LocalFleet:
    """The Fleet protocol on this machine."""

    simulated = False

    def __init__(
        self, clusters: tuple[ClusterSpec, ...], wake: threading.Event, access: RunAccess = UNCONFINED
    ) -> None:
        self._specs = {spec.name: spec for spec in clusters}
        self._wake = wake
        self._access = access
        self._wall = confinement.available().wall if access.confine else Wall.NONE
        self._running: dict[str, Job] = {}
        self._submitted_at: dict[str, float] = {}
        self._started: dict[str, float] = {}
        """Job to when this worker first saw it run, on the monotonic clock."""
        self._cancelled: set[str] = set()
        """Jobs that are to end, be it that their runner is still on its way."""
        self._reports: list[Report] = []

    def recover(self, expected: Expected) -> None:
        for cluster in expected.clusters:
            self.launch(cluster)
        for job in expected.jobs:
            if (_folder(job) / "job.json").exists():
                self.submit(job)  # a runner may be on its way: of two, the one that takes `started` runs it
            else:
                self._reports.append(JobRefused(time.time(), job.name, "the worker stopped before it was started"))

    def launch(self, cluster: str, adopted: bool = False) -> None:
        spec = self._specs[cluster]
        self._reports.append(ClusterReady(time.time(), cluster, spec.hardware, spec.usd_per_hour))
        self._wake.set()

    def submit(self, job: Job) -> None:
        folder = _folder(job)
        at = time.time()
        if not (folder / "started").exists():
            work = self._work(job)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "job.json.new").write_text(json.dumps(work), encoding="utf-8")
                (folder / "job.json.new").replace(folder / "job.json")
                runner = subprocess.Popen(
                    [sys.executable, "-I", str(RUNNER), str(folder.absolute())],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    start_new_session=True, env={"PATH": os.environ.get("PATH", os.defpath)},
                )  # fmt: skip
            except OSError as error:
                if is_full(error):
                    raise
                sentence = f"this machine cannot start it: {error}"
                self._reports.append(JobRefused(at, job.name, sentence))
                self._reports.append(ClusterTrouble(at, job.cluster, sentence))
                return
            threading.Thread(target=self._wait, args=(runner,), daemon=True).start()
        self._running[job.name] = job
        self._submitted_at[job.name] = at
        self._reports.append(JobSubmitted(at, job.name))

    def _work(self, job: Job) -> dict[str, object]:
        """The job as its runner takes it, its command behind the wall."""
        command = list(job.command) or [sys.executable, "-u", "train.py"]
        source = job.source.absolute()
        environment = self._environment(job)
        if self._wall is Wall.LANDLOCK:
            (source / OWN_TEMPORARY).mkdir(exist_ok=True)
            environment["TMPDIR"] = str(source / OWN_TEMPORARY)
        elif self._wall is Wall.BUBBLEWRAP:
            environment.pop("TMPDIR", None)
        rooms = Rooms(source, (*environment_paths(command), *self._data(job)), self._access.network)
        return {
            "name": job.name,
            "source": str(source),
            "log_path": str(job.log_path.absolute()),
            "environment": environment,
            "command": confined(command, rooms, self._wall),
            "time_limit_s": job.time_limit_s,
            "wall": self._wall,
            "limits": {
                "memory_mb": MEMORY_SHARE * psutil.virtual_memory().total / 2**20 if self._access.confine else 0,
                "processes": PROCESSES_AT_MOST if self._access.confine else 0,
                "disk_mb": DISK_MB_AT_MOST if self._access.confine else 0,
            },
        }

    def _data(self, job: Job) -> list[Path]:
        """What a confined run may read besides its environment: the prepared data, and what the session names."""
        named = [*self._access.readable, job.environment.get("COCKPIT_DATA_DIR", "")]
        usual = [Path.home() / ".cache" / name for name in USUAL_DATA]
        return [path for path in (*(Path(name) for name in named if name), *usual) if path.exists()]

    def cancel(self, job: str) -> None:
        if job in self._running:
            self._cancelled.add(job)
            _terminate(_folder(self._running[job]) / "started")

    def down(self, cluster: str) -> None:
        for job in [job for job in self._running.values() if job.cluster == cluster]:
            self.cancel(job.name)
        self._reports.append(ClusterEnded(time.time(), cluster))
        self._wake.set()

    def poll(self) -> list[Report]:
        for job in list(self._running.values()):
            self._look(job)
        reports, self._reports = self._reports, []
        return reports

    def close(self) -> None:
        self._running.clear()

    def _look(self, job: Job) -> None:
        folder = _folder(job)
        started = _read(folder / "started")
        if started and job.name not in self._started:
            self._started[job.name] = time.monotonic()
            self._reports.append(JobStarted(float(started["at"]), job.name, str(started.get("wall", ""))))
            if job.name in self._cancelled:
                _terminate(folder / "started")
        ended = _read(folder / "ended.json")
        if ended:
            self._end(_report(job, ended))
        elif not started:
            if time.time() - self._submitted_at[job.name] > START_GRACE_S:
                self._end(JobEnded(time.time(), job.name, "lost", None, "its runner did not start"))
        elif not _is_held(folder / "started") and not _read(folder / "ended.json"):
            _kill_run(job)
            self._end(JobEnded(time.time(), job.name, "lost", None, "its runner was killed"))
        elif started and time.monotonic() - self._started[job.name] > job.time_limit_s + RUNNER_GRACE_S:
            self._kill_runner(job, started)

    def _kill_runner(self, job: Job, started: dict[str, Any]) -> None:
        """End a run whose runner did not end it at its limit: it was stopped, or it hangs."""
        runner = _live(started.get("pid"))
        if runner is not None and _mark(job) in runner.cmdline():
            runner.kill()
        _kill_run(job)
        self._end(JobEnded(time.time(), job.name, "timeout", None, "its runner did not answer at its time limit"))

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
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        device = self._specs[job.cluster].device
        environment |= {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": device}
        return environment | job.environment | {JOB_VARIABLE: _mark(job)}


def _folder(job: Job) -> Path:
    return job.source.parent / f"{job.source.name}.run"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _report(job: Job, ended: dict[str, Any]) -> JobEnded:
    evidence = ended.get("evidence")
    return JobEnded(
        float(ended["at"]),
        job.name,
        str(ended["reason"]),
        ended["exit_code"],
        str(ended["message"]),
        msgspec.convert(evidence, Evidence) if evidence else None,
    )


def _live(pid: object) -> psutil.Process | None:
    """The live process of that number."""
    try:
        process = psutil.Process(int(str(pid)))
        return process if process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, ValueError):
        return None


def processes_of(job: Job) -> list[psutil.Process]:
    """The live processes of a run, found by a variable that all of them inherit; no note that a run could write."""
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
    """Kill what a run whose runner is gone has left."""
    for process in processes_of(job):
        try:
            process.kill()
        except psutil.Error:
            continue


def _is_held(started: Path) -> bool:
    """Whether the runner that took it lives. Neither a number that another process took over nor a wall clock that was
    set can tell otherwise."""
    try:
        with started.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def _terminate(started: Path) -> None:
    """End a run by its runner, where one has taken it and lives."""
    note = _read(started)
    if note and _is_held(started):
        _signal(int(note["pid"]), signal.SIGTERM)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
