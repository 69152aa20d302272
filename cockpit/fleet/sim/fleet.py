"""The simulated fleet: the Fleet protocol on a virtual clock, over a world that outlives the worker.

Whatever it says is SIMULATED; `simulated` is True so that screens and exports can say so.
"""

import heapq
import os
import time
from pathlib import Path

from cockpit.core.model import ClusterSpec, FleetSpec
from cockpit.fleet.base import (
    ClusterEnded,
    ClusterTrouble,
    Expected,
    FleetError,
    Job,
    JobRefused,
    Report,
)
from cockpit.fleet.sim.records import ClusterIs, Origin, SimJob
from cockpit.fleet.sim.run import Hazards, log_lines
from cockpit.fleet.sim.world import Latencies, World
from cockpit.session.clock import Clock, JumpClock, ScaledClock

USD_PER_HOUR = {"H100": 2.0, "H200": 2.3}
LOG_MODE = 0o640
STEP_LINES = 100
STEP_LINES_JUMPING = 20
"""How many step lines a run prints; nobody reads along where time jumps."""


def sim_spec(h100: int = 13, h200: int = 3, speed: float = 1.0, seed: int = 0) -> FleetSpec:
    """A fleet of H100s, then H200s; `speed` in virtual seconds a second, 0 for as fast as it goes."""
    classes = ["H100"] * h100 + ["H200"] * h200
    return FleetSpec(
        kind="sim",
        clusters=tuple(
            ClusterSpec(f"gpu-{number:02d}", name, USD_PER_HOUR[name]) for number, name in enumerate(classes, 1)
        ),
        depth=2,
        simulated=True,
        screen_hardware="H100" if h100 else "H200",
        validate_hardware="H200" if h200 else "H100",
        infra="sim",
        speed=speed,
        seed=seed,
    )


def open_sim(
    spec: FleetSpec,
    path: Path | str,
    start: float,
    latencies: Latencies | None = None,
    hazards: Hazards | None = None,
) -> tuple["SimFleet", Clock]:
    """The fleet whose world is kept at `path` (':memory:' for one that dies with it), and the clock it runs on.

    A new world begins at `start`, seconds since the epoch; one that is there goes on: at its own speed also while
    nobody looked, or from where it stood if it jumps. Raises FleetError where the file cannot be used.
    """
    lines = STEP_LINES if spec.speed else STEP_LINES_JUMPING
    world = World(path, spec, start, latencies or Latencies(), hazards or Hazards(), lines)
    clock: Clock
    if spec.speed:
        if world.origin is None or world.origin.speed != spec.speed:
            world.keep_origin(Origin(world.now, spec.speed, time.time()))
        assert world.origin is not None
        clock = ScaledClock(world.origin.start, world.origin.speed, world.origin.real_s, world.next_due)
    else:
        clock = JumpClock(world.now, world.next_due)
    return SimFleet(world, clock), clock


class SimFleet:
    simulated = True

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._logs: dict[str, _Log] = {}
        self._lines_due: list[tuple[float, str]] = []
        self._advance()

    def recover(self, expected: Expected) -> None:
        world = self._world
        self._advance()
        world.reports.clear()
        found: list[Report] = []
        for name in expected.clusters:
            cluster = world.clusters.get(name)
            if cluster is None or cluster.is_ is ClusterIs.LOST:
                found.append(ClusterTrouble(world.now, name, "it is not there any more", lost=True))
            elif cluster.is_ in (ClusterIs.UP, ClusterIs.LOSING):
                found.append(world.ready(cluster))
            elif cluster.is_ is ClusterIs.DOWN and cluster.launches == 0:
                found.append(ClusterTrouble(world.now, name, "the worker stopped before it was launched"))
            elif cluster.is_ is ClusterIs.DOWN:
                message = cluster.message
                found.append(ClusterTrouble(world.now, name, message) if message else ClusterEnded(world.now, name))
        for job in expected.jobs:
            known = world.jobs.get(job.name)
            if known is None:
                found.append(JobRefused(world.now, job.name, "the worker stopped before it was submitted"))
            else:
                found.extend(world.history(known))
        world.reports.extend(sorted(found, key=lambda report: report.at))
        world.commit()

    def launch(self, cluster: str, adopted: bool = False) -> None:
        self._advance()
        self._world.launch(cluster)
        self._world.commit()

    def submit(self, job: Job) -> None:
        self._advance()
        try:
            self._world.submit(job)
        except OSError as error:
            refusal = f"its code cannot be read: {error.strerror} ({error.filename})"
            self._world.reports.append(JobRefused(self._world.now, job.name, refusal))
        self._world.commit()

    def cancel(self, job: str) -> None:
        self._advance()
        self._world.cancel(job)
        self._world.commit()

    def down(self, cluster: str) -> None:
        self._advance()
        self._world.down(cluster)
        self._world.commit()

    def poll(self) -> list[Report]:
        self._advance()
        self._write_logs()
        self._world.commit()
        reports, self._world.reports = self._world.reports, []
        return reports

    def close(self) -> None:
        self._world.close()

    def next_due(self) -> float:
        """When, on the virtual clock, this world next changes by itself."""
        return self._world.next_due()

    def starts(self) -> dict[str, int]:
        """Job to how often it was started: what proves that nothing ran twice."""
        return {name: job.starts for name, job in self._world.jobs.items()}

    def _advance(self) -> None:
        self._world.advance(self._clock.now())

    def _write_logs(self) -> None:
        """Append what the running jobs have printed by now. Comes before the world is kept, so that a job which is
        known to have ended has its whole log."""
        for name in self._world.started:
            self._logs[name] = log = _Log(self._world.jobs[name])
            heapq.heappush(self._lines_due, (log.due(), name))
        self._world.started.clear()
        while self._lines_due and self._lines_due[0][0] <= self._world.now:
            _, name = heapq.heappop(self._lines_due)
            log = self._logs[name]
            log.write(self._world.now)
            if log.is_complete():
                del self._logs[name]
            else:
                heapq.heappush(self._lines_due, (log.due(), name))


class _Log:
    """A job's log file. What it will hold is known from its start, so a torn line is completed after a kill."""

    def __init__(self, job: SimJob) -> None:
        self._job = job
        self._path = Path(job.log_path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._written = self._path.stat().st_size if self._path.exists() else 0
        self._next = 0
        self._moments: list[tuple[float, int]] = []
        pieces = []
        end = 0
        for after_s, text in log_lines(job.run):
            piece = text.encode()
            end += len(piece)
            pieces.append(piece)
            self._moments.append((job.started_at + after_s, end))
        self._text = b"".join(pieces)

    def due(self) -> float:
        return self._moments[self._next][0]

    def is_complete(self) -> bool:
        return self._next == len(self._moments) or self._moments[self._next][0] > self._job.silent_at

    def write(self, now: float) -> None:
        """Append what is printed by `now`. Raises FleetError where the file cannot be written."""
        now = min(now, self._job.silent_at)
        while self._next < len(self._moments) and self._moments[self._next][0] <= now:
            self._next += 1
        end = self._moments[self._next - 1][1] if self._next else 0
        if end <= self._written:
            return
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, LOG_MODE)
            try:
                self._written += os.write(file, self._text[self._written : end])
            finally:
                os.close(file)
        except OSError as error:
            raise FleetError(f"{self._path} cannot be written ({error.strerror}): free some space") from error
