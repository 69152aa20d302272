"""How fast the ledger is: appends, and the state of long sessions with and without a snapshot.

    python -m benchmarks.ledger            10,000 and 100,000 experiments (about two minutes)
    python -m benchmarks.ledger 10000      one size

The budget: 10,000 appends in 2 s; opening 100,000 experiments from the last snapshot leaves room for first paint in
0.7 s. Each append is a transaction of its own, as the worker makes them; the long sessions are written in bulk, every
experiment with one attempt that was submitted, started and ended, and a verdict.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cockpit.core.cluster_events import ClusterUp, Launching
from cockpit.core.events import (
    Approved,
    Decided,
    Ended,
    Event,
    Proposed,
    SessionCreated,
    Started,
    Submitted,
    Submitting,
)
from cockpit.core.fold import fold_all
from cockpit.core.model import (
    Attempt,
    AttemptKind,
    Change,
    Envelope,
    Experiment,
    ExperimentStatus,
    Metrics,
    Mode,
    Outcome,
    Value,
    Wave,
    WaveKind,
)
from cockpit.core.session import Session
from cockpit.fleet.sim.fleet import sim_spec
from cockpit.session.ledger import Ledger

START = 1_772_000_000.0
ARMS = 16
RUN_S = 330.0
APPENDS = 10_000
EVENTS_A_TICK = 100
AFTER_SNAPSHOT = 2_000
"""Events since the last snapshot: the worker makes one at least that often."""

OPEN = """
import sys, time
from pathlib import Path
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
start = time.process_time()
state = LedgerReader(SessionFolder(Path(sys.argv[1]))).state()
print(time.process_time() - start)
assert len(state.experiments) == int(sys.argv[2])
"""


def night(experiments: int) -> Iterator[Event]:
    """Yield the events of a session on 16 clusters with this number of experiments."""
    spec = sim_spec()
    names = [cluster.name for cluster in spec.clusters]
    session = Session("bench", "/repo", "c0", spec, START, "bench", constants={"DEPTH": 8, "ASPECT_RATIO": 64})
    yield SessionCreated(at=START, session=session, mode=Mode.AUTOPILOT, envelope=Envelope())
    for cluster in spec.clusters:
        yield Launching(at=START, cluster=cluster.name)
        yield ClusterUp(at=START + 120, cluster=cluster.name, hardware=cluster.hardware, usd_per_hour=2.0)
    at = START + 120
    for number in range(0, experiments, ARMS):
        yield from _wave(number, min(ARMS, experiments - number), at, names)
        at += RUN_S


def _wave(first: int, arms: int, at: float, clusters: list[str]) -> Iterator[Event]:
    wave = f"w{first // ARMS:03d}"
    ids = [f"e{number:04d}" for number in range(first, first + arms)]
    kind = WaveKind.WAVE if first else WaveKind.BASELINE
    yield Proposed(
        at=at, wave=Wave(wave, "grid", "how wide?", kind=kind, arms=ids), experiments=[_arm(x, wave) for x in ids]
    )
    attempts = [Attempt(f"{name}.1", name, AttemptKind.ARM, seed=1337) for name in ids]
    yield Approved(at=at, wave=wave, author="plan", rule="envelope", attempts=attempts)
    for attempt, cluster in zip(attempts, clusters, strict=False):
        hardware = "H200" if cluster in clusters[-3:] else "H100"
        yield Submitting(at=at, attempt=attempt.id, cluster=cluster, hardware=hardware, reserved_usd=0.2)
        yield Submitted(at=at + 6, attempt=attempt.id)
        yield Started(at=at + 8, attempt=attempt.id)
    for number, attempt in enumerate(attempts, first):
        score = 1.0 - (number % 997) / 40_000
        curve = [(step / 20, 9.0 - step / 4) for step in range(20)]
        metrics = Metrics(score, 300.0, 324.0, 43_652.0, 39.8, 498.6, 951, 50.3, 8)
        yield Ended(at=at + 325, attempt=attempt.id, outcome=Outcome.VALID, metrics=metrics, curve=curve)
        yield Decided(at=at + 325, experiment=attempt.experiment, status=ExperimentStatus.DISCARDED, reason="worse")


def _arm(name: str, wave: str) -> Experiment:
    overrides: dict[str, Value] = {"ASPECT_RATIO": 64 + int(name[1:]) % 64, "MATRIX_LR": int(name[1:]) / 1e5}
    return Experiment(
        id=name, wave=wave, base="" if name == "e0000" else "e0000", change=Change(constants=overrides),
        commit=f"{name:0>40}", train_hash=f"{name:0>64}", prepare_hash="0" * 64, fingerprint=f"{name:0>64}",
        overrides=overrides, why="a cell of the grid",
    )  # fmt: skip


def opened(path: Path, experiments: int) -> float:
    """Return seconds of a processor to open the ledger and have its state, in a fresh process; the best of three."""
    best = float("inf")
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", OPEN, str(path.parent), str(experiments)], capture_output=True, text=True, check=True
        )
        best = min(best, float(done.stdout))
    return best


def appends(folder: Path) -> None:
    ledger = Ledger.create(folder / "appends" / "ledger.db")
    events = [Started(at=START + number, attempt=f"e{number:04d}.1") for number in range(APPENDS)]
    start = time.perf_counter()
    for event in events:
        ledger.append([event])
    alone = time.perf_counter() - start
    start = time.perf_counter()
    ledger.append(events)
    together = time.perf_counter() - start
    ledger.close()
    print(f"{APPENDS:,} appends: {alone:.2f} s one by one ({alone / 2:.0%} of 2 s), {together:.2f} s at once")


def states(folder: Path, experiments: int) -> None:
    path = folder / str(experiments) / "ledger.db"
    ledger = Ledger.create(path)
    events = list(night(experiments))
    for first in range(0, len(events) - AFTER_SNAPSHOT, EVENTS_A_TICK):
        ledger.append(events[first : min(first + EVENTS_A_TICK, len(events) - AFTER_SNAPSHOT)])
    state = fold_all(events[:-AFTER_SNAPSHOT])
    start = time.perf_counter()
    ledger.snapshot(state)
    snapshot_s = time.perf_counter() - start
    ledger.append(events[-AFTER_SNAPSHOT:])
    ledger.close()
    with_s = opened(path, experiments)
    disk_bytes = sum(file.stat().st_size for file in path.parent.iterdir())
    path.with_name("snapshot").unlink()
    without_s = opened(path, experiments)
    size = f"{disk_bytes / experiments:,.0f} bytes an experiment on disk"
    print(
        f"{experiments:,} experiments ({len(events):,} events, {size}): state in "
        f"{without_s:.2f} s from the start, {with_s:.2f} s from a snapshot and {AFTER_SNAPSHOT:,} events "
        f"({without_s / with_s:.1f}x faster), of a processor; making the snapshot {snapshot_s:.2f} s"
    )
    at_rest(path, experiments)


def at_rest(path: Path, experiments: int) -> None:
    """Compact the session as a worker does that ends, and print its files, and the fold of its packs."""
    ledger = Ledger.open(path)
    state = ledger.state()
    passed, worked = time.perf_counter(), time.process_time()
    ledger.compact(state)
    ledger.close()
    passed, worked = time.perf_counter() - passed, time.process_time() - worked
    sizes = {file.name: file.stat().st_size / experiments for file in path.parent.iterdir()}
    listed = ", ".join(f"{name} {size:,.0f}" for name, size in sorted(sizes.items()) if round(size))
    path.with_name("snapshot").unlink()
    print(
        f"  at rest {sum(sizes.values()):,.0f} bytes an experiment: {listed}; it took {passed:.1f} s and {worked:.1f} s"
        f" of a processor; state in {opened(path, experiments):.2f} s from the start"
    )


def main() -> None:
    sizes = [int(word) for word in sys.argv[1:]] or [10_000, 100_000]
    with tempfile.TemporaryDirectory() as folder:
        appends(Path(folder))
        for size in sizes:
            states(Path(folder), size)


if __name__ == "__main__":
    main()
