"""The simulated fleet: the Fleet protocol on a virtual clock, over a world that outlives the worker.

All its results are SIMULATED; `simulated` is True so that screens and exports say so.
"""

import heapq
import os
from pathlib import Path

from cockpit.core.session import ClusterSpec, FleetSpec
from cockpit.fleet.base import (
    ClusterEnded,
    ClusterTrouble,
    Expected,
    FleetError,
    Job,
    JobRefused,
    Report,
)
from cockpit.fleet.sim.records import ClusterIs, SimJob, TimeOrigin
from cockpit.fleet.sim.run import Hazards, log_lines
from cockpit.fleet.sim.world import Latencies, World
from cockpit.session.clock import Clock, JumpClock, ScaledClock, WallClock, boot_id

USD_PER_HOUR = {"H100": 2.0, "H200": 2.3}
LOG_MODE = 0o640
STEP_LINES = 100
STEP_LINES_JUMPING = 20
"""Step lines that a run prints; fewer if time jumps, since no person reads along."""


def sim_spec(h100: int = 13, h200: int = 3, speed: float = 1.0, seed: int = 0) -> FleetSpec:
    """Make a fleet of H100s, then H200s; `speed` in virtual seconds a second, 0 for as fast as possible."""
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
    """Open the fleet whose world is kept at `path`, and the clock it runs on.

    A new world begins at `start`, seconds since the epoch. A world that exists continues: at its own speed, also
    through the time it was closed, or from where it stood if its time jumps. Raises FleetError if the file cannot be
    used.
    """
    lines = STEP_LINES if spec.speed else STEP_LINES_JUMPING
    world = World(path, spec, start, latencies or Latencies(), hazards or Hazards(), lines)
    clock: Clock
    clock = _scaled_clock(world, spec.speed) if spec.speed else JumpClock(world.now, world.next_due)
    return SimFleet(world, clock), clock


def _scaled_clock(world: World, speed: float) -> ScaledClock:
    """Return the clock of a world: the earlier one continued, or a new one if that would go back in time."""
    if (origin := world.origin) is not None and origin.speed == speed:
        wall = WallClock(boot=origin.boot, origin=origin.clock_origin)
        clock = ScaledClock(origin.start, speed, origin.real_s, world.next_due, wall)
        if clock.now() >= world.now:
            return clock
    wall = WallClock()
    world.keep_origin(TimeOrigin(world.now, speed, wall.now(), boot_id(), wall.origin))
    assert world.origin is not None
    return ScaledClock(world.now, speed, world.origin.real_s, world.next_due, wall)


class SimFleet:
    """The Fleet protocol on a simulated world."""

    simulated = True

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._logs: dict[str, _SimLog] = {}
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
                found.append(ClusterTrouble(world.now, name, "it is gone", lost=True))
            elif cluster.is_ in (ClusterIs.UP, ClusterIs.LOSING):
                found.append(world.ready(cluster))
            elif cluster.is_ is ClusterIs.DOWN and cluster.launches == 0:
                found.append(ClusterTrouble(world.now, name, "the worker stopped before it was launched"))
            elif cluster.is_ is ClusterIs.DOWN:
                message = cluster.message
                found.append(ClusterTrouble(world.now, name, message) if message else ClusterEnded(world.now, name))
        for job in expected.jobs:
            known = world.job(job.name)
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

    def use_task(self, text: str) -> None:
        """Change nothing: there is no task file here."""

    def poll(self) -> list[Report]:
        self._advance()
        self._write_logs()
        self._world.commit()
        reports, self._world.reports = self._world.reports, []
        return reports

    def close(self) -> None:
        self._world.close()

    def next_due(self) -> float:
        """Return the virtual time of this world's next change."""
        return self._world.next_due()

    def starts(self) -> dict[str, int]:
        """Return the number of starts of each job, which proves that none ran twice."""
        return {job.name: job.starts for job in self._world.all_jobs()}

    def _advance(self) -> None:
        self._world.advance(self._clock.now())

    def _write_logs(self) -> None:
        """Append the running jobs' output up to now.

        The world is saved afterwards, so a job that has ended in the saved world has its whole log.
        """
        for name in self._world.started:
            job = self._world.job(name)
            assert job is not None
            self._logs[name] = log = _SimLog(job)
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


class _SimLog:
    """A job's log file. All its lines are known from the start, so a line torn by a kill is completed later."""

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
        """Append what is printed by `now`. Raises FleetError if the file cannot be written."""
        now = min(now, self._job.silent_at)
        while self._next < len(self._moments) and self._moments[self._next][0] <= now:
            self._next += 1
        end = self._moments[self._next - 1][1] if self._next else 0
        if end <= self._written:
            return
        try:
            self._path.parent.mkdir(exist_ok=True)  # another program may have removed it
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, LOG_MODE)
            try:
                self._written += os.write(file, self._text[self._written : end])
            finally:
                os.close(file)
        except OSError as error:
            raise FleetError(f"{self._path} cannot be written: {error.strerror}") from error
