"""Cockpit against the published way of driving SkyPilot, on the lab: the same clusters, the same experiments, in turns.

    python -m benchmarks.lab_throughput                  # as root on Debian; about 40 minutes

The published way is a loop that calls the `sky` command: `sky exec` an experiment on every cluster, poll `sky queue`
until the wave is over, `sky logs` for each result, think, next. It is given a think time of --think seconds, and no
think time at all in the second figure. Cockpit's proposers think while clusters run; here its
arms are approved a block at a time.

The third way queues a whole block on the clusters behind a job that waits for the last of it to arrive, and leaves it
to SkyPilot's own queue. Research cannot work this way, because no experiment learns from another. It shows the time
that SkyPilot needs between two queued jobs, with the same clusters on the same machine.

Blocks alternate (one way after the other) on clusters that stay up; runs print a step line a second, and note
themselves when they begin and end. CPU is the client's: Cockpit's worker, and the `sky` commands; the API server serves
all. At the end the worker is measured while every cluster streams its log, and while none does. The figures so far
are printed after every block, so that an interrupted run shows something.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

import psutil

from cockpit.session import lock
from tests.lab.cluster import Lab, alone
from tests.lab.sessions import LabSession

RUN = """\
import os, time
MATRIX_LR = 0.04
SECONDS = {seconds}
began = time.time()
for step in range(SECONDS):
    print(f"step {{step:05d}} ({{step / SECONDS:.1%}}) | loss: {{5.0 - step / SECONDS:.6f}} | dt: 100ms", flush=True)
    time.sleep(1)
print("val_bpb:", 1 + abs(MATRIX_LR - 0.04))
with open({notes!r}, "a") as notes:
    notes.write(f"{{os.uname().nodename}} {{began}} {{time.time()}} {{os.environ['EXPERIMENT_ID']}}\\n")
"""
WAITS = """\
import os, time
open({gate!r} + "." + os.uname().nodename, "w").close()
while not os.path.exists({gate!r}):
    time.sleep(0.1)
"""
TASK = """\
name: {name}
workdir: {workdir}
resources:
  accelerators: H100:1
run: |
  python -u train.py
"""
POLL_S = 5.0
LOOK_S = 40.0


class Ran(NamedTuple):
    """A run, by the clock of this machine, which is the nodes' too."""

    node: str
    began: float
    ended: float
    name: str


class Way:
    """The measured figures of one way of driving the fleet."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.wall_s = self.cpu_s = self.thought_s = 0.0
        self.runs: list[Ran] = []
        self.gaps_s: list[float] = []

    def block(self, notes: Path, count: int) -> None:
        before = len(read(notes))
        began, cpu, thought = time.monotonic(), self._cpu_s(), self.thought_s
        self.drive(count)
        self.wall_s += time.monotonic() - began - (self.thought_s - thought)
        self.cpu_s += self._cpu_s() - cpu
        runs = read(notes)[before:]
        self.runs += runs
        self.gaps_s += self.gaps(runs)

    def drive(self, count: int) -> None:
        """Run `count` experiments to their end."""
        raise NotImplementedError

    def gaps(self, runs: list[Ran]) -> list[float]:
        """Return seconds between one run's end and the next one's begin, on each node."""
        return [then.began - run.ended for run, then in successive(runs)]

    def _cpu_s(self) -> float:
        raise NotImplementedError

    def per_hour(self, with_thought: bool) -> float:
        return len(self.runs) * 3600 / (self.wall_s + self.thought_s * with_thought)


class Cockpit(Way):
    def __init__(self, session: LabSession) -> None:
        super().__init__("Cockpit")
        self.session = session
        self.worker = psutil.Process(lock.worker_status(session.folder).pid)
        self.waves = 0
        self.rss_mib = 0.0

    def _cpu_s(self) -> float:
        return cpu_s(self.worker)

    def drive(self, count: int) -> None:
        session = self.session
        wanted = len(session.state.experiments) + count
        # None is the baseline's, and none is better: none is repeated.
        self.propose(MATRIX_LR=[round(0.001 * (self.waves + 1) + 0.01 * i, 4) for i in range(1, count + 1)])
        session.until(lambda: over(session, wanted), 900, "a block to end")
        self.rss_mib = max(self.rss_mib, self.worker.memory_info().rss / 2**20)

    def propose(self, **factors: list[object]) -> None:
        self.waves += 1
        self.session.wave(self.waves, **factors)

    def shares(self) -> tuple[float, float]:
        """Return the worker's share of a core while every cluster streams a log, and while none does."""
        session = self.session
        session.until(lambda: over(session, 1), 300, "nothing to run")
        none = self._share()
        # Worse than the baseline, so that none is repeated.
        self.propose(MATRIX_LR=[0.2], SECONDS=[int(1.5 * LOOK_S) + i for i in range(len(session.states()))])
        session.until(lambda: len(session.running()) == len(session.states()), 300, "every cluster to run")
        every = self._share()
        session.until(lambda: over(session, 1), 300, "the long runs to end")
        return every, none

    def _share(self) -> float:
        before = self._cpu_s()
        time.sleep(LOOK_S)
        return (self._cpu_s() - before) / LOOK_S


class Commands(Way):
    """By the `sky` command."""

    def __init__(self, name: str, lab: Lab, clusters: list[str], folder: Path, script: str) -> None:
        super().__init__(name)
        self.lab, self.clusters, self.folder, self.script = lab, clusters, folder, script
        self.submitted_at: dict[str, float] = {}

    def _cpu_s(self) -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def submit(self, cluster: str, script: str = "") -> str:
        """Queue the next experiment there, or another script; its job's name."""
        number = len(self.submitted_at) + 1
        name = f"{self.name.split()[0]}-{number:03d}"
        workdir = self.folder / name
        workdir.mkdir(parents=True)
        (workdir / "train.py").write_text(script or self.script.replace("LR = 0.04", f"LR = 0.04{number:03d}"))
        task = self.folder / f"{name}.yaml"
        task.write_text(TASK.format(name=name, workdir=workdir))
        self.lab.sky("exec", "--detach-run", cluster, str(task), "--env", f"EXPERIMENT_ID={name}")
        self.submitted_at[name] = time.time()
        return name

    def over(self, clusters: list[str], names: list[str]) -> bool:
        lines = self.lab.sky("queue", *clusters).splitlines()
        rows = [next((line for line in lines if f" {name} " in line), "") for name in names]
        return all("SUCCEEDED" in row or "FAILED" in row for row in rows)


class Published(Commands):
    think_s = 6.0

    def drive(self, count: int) -> None:
        for start in range(0, count, len(self.clusters)):
            jobs = [(cluster, self.submit(cluster)) for cluster in self.clusters[: count - start]]
            while not self.over([cluster for cluster, _ in jobs], [job for _, job in jobs]):
                time.sleep(POLL_S)
            for cluster, _ in jobs:
                self.lab.sky("logs", "--no-follow", cluster)
            time.sleep(self.think_s)
            self.thought_s += self.think_s


class Queue(Commands):
    def drive(self, count: int) -> None:
        gate = self.lab.root / f"gate-{len(self.submitted_at)}"
        for cluster in self.clusters:
            self.submit(cluster, WAITS.format(gate=str(gate)))
        # The next submission replaces the files in the cluster's one workdir.
        while len(list(gate.parent.glob(f"{gate.name}.*"))) < len(self.clusters):
            time.sleep(0.5)
        names = [self.submit(self.clusters[number % len(self.clusters)]) for number in range(count)]
        gate.touch()
        while not self.over(self.clusters, names):
            time.sleep(POLL_S)


def cpu_s(process: psutil.Process) -> float:
    """Return its own and that of the children it has waited for."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def over(session: LabSession, experiments: int) -> bool:
    """Return True if this number of experiments had a run, and none waits or runs. A proposed wave had none."""
    state = session.state
    had_a_run = sum(bool(one.attempts) for one in state.experiments.values())
    return had_a_run >= experiments and not state.waiting and not state.in_flight


def read(notes: Path) -> list[Ran]:
    """Return each run that has ended, in the order they did."""
    lines = notes.read_text().splitlines() if notes.exists() else []
    return [Ran(node, float(began), float(ended), name) for node, began, ended, name in map(str.split, lines)]


def successive(runs: list[Ran]) -> list[tuple[Ran, Ran]]:
    """Return each run with the one that followed it on its node."""
    nodes = {run.node for run in runs}
    return [pair for node in nodes for pair in pairwise(sorted(run for run in runs if run.node == node))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=24, help="of each way")
    parser.add_argument("--blocks", type=int, default=2, help="of each way")
    parser.add_argument("--seconds", type=int, default=20, help="of a run")
    parser.add_argument("--think", type=float, default=6.0, help="seconds after each wave of the published way")
    given = parser.parse_args()
    before = dict(os.environ)
    with alone(), Lab(h100=3, h200=0) as lab, tempfile.TemporaryDirectory(dir="/var/tmp") as scratch:
        os.environ.update(lab.env())
        place = Path(scratch)
        notes = lab.root / "throughput.notes"
        script = RUN.format(seconds=given.seconds, notes=str(notes))
        session = LabSession(lab, place, "bench", seconds=given.seconds, script=script)
        try:
            session.new("--hardware", "H100:3")
            session.until(lambda: len(session.up()) == 3, 600, "the clusters")
            session.until(lambda: over(session, 1), 300, "the baseline")
            identity = session.state.session.id
            clusters = sorted(f"{name}-{identity}" for name in session.states())
            cockpit = Cockpit(session)
            published = Published("published way", lab, clusters, place / "published", script)
            published.think_s = given.think
            queue = Queue("queue", lab, clusters, place / "queue", script)
            for _ in range(given.blocks):
                for way in (cockpit, queue, published):
                    way.block(notes, given.experiments // given.blocks)
                    print(figures(way), file=sys.stderr, flush=True)
            shares = cockpit.shares()
        finally:
            session.close()
            os.environ.clear()
            os.environ.update(before)
    show(cockpit, published, queue, given.think)
    every, none = shares
    at_16 = none + (every - none) / len(clusters) * 16
    print(f"looked at      {every:.1%} of a core while {len(clusters)} clusters stream, {none:.1%} while none;"
          f" {at_16:.1%} at 16 if each costs as much (aim 5%)")  # fmt: skip


def figures(way: Way) -> str:
    """Return its figures so far, in a line."""
    gap = (
        f"gap {median(way.gaps_s):5.1f} s (mean {mean(way.gaps_s):5.1f} s, {len(way.gaps_s)})"
        if way.gaps_s
        else "no gap"
    )
    cpu = f"{way.cpu_s / len(way.runs):6.2f} CPU-s a run"
    return f"{way.name:14} {len(way.runs):3} runs  {way.per_hour(True):6.0f} an hour  {gap}  {cpu}"


def show(cockpit: Cockpit, published: Published, queue: Queue, think_s: float) -> None:
    for way in (cockpit, published, queue):
        print(figures(way))
    rate = cockpit.per_hour(True)
    print(f"throughput     {rate / published.per_hour(True):.2f}x with {think_s:g} s of thought a wave"
          f" (aim 2), {rate / published.per_hour(False):.2f}x with none")  # fmt: skip
    cpu = (cockpit.cpu_s / len(cockpit.runs)) / (published.cpu_s / len(published.runs))
    print(f"client CPU     {cpu:.3f}x a run (aim 0.1)")
    if queue.gaps_s:
        gap, own = median(cockpit.gaps_s), median(queue.gaps_s)
        print(f"gap            {gap / own:.2f}x SkyPilot's own queue, of {len(queue.gaps_s)} gaps (aim 1.2)")
    print(f"worker         {100 * cockpit.cpu_s / cockpit.wall_s:.1f}% of a core, {cockpit.rss_mib:.0f} MiB")


if __name__ == "__main__":
    main()
