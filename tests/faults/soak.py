"""Run a simulated session fast and long, with a screen on it, and see if memory and file descriptors grow.

    python -m tests.faults.soak                              2 hours at 600 times the wall clock
    python -m tests.faults.soak --minutes 60 --speed 100     a gentler one

The worker and the screen are real processes. The state holds a record of every run, so memory grows with the runs; it
is told in bytes a run. File descriptors and threads must not grow at all after the first tenth of the time.
"""

import argparse
import os
import pty
import select
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from cockpit.session import worker_process
from cockpit.session.paths import SessionFolder
from tests.worker.sessions import sim_session, state_of

SAMPLE_EVERY_S = 10.0
WARM_UP_SHARE = 0.1
RUN_BYTES_AT_MOST = 16_384
"""Resident bytes a run may add to a process: about three times what its records take."""


class Sample(NamedTuple):
    runs: int
    rss_bytes: int
    descriptors: int
    threads: int


def sample(process: psutil.Process, runs: int) -> Sample:
    with process.oneshot():
        return Sample(runs, process.memory_info().rss, process.num_fds(), process.num_threads())


def screen_on(folder: SessionFolder) -> tuple[subprocess.Popen[bytes], threading.Thread]:
    """Start a screen in a terminal of its own, whose output a thread reads and drops."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "cockpit", "watch", str(folder.root)]
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "200", "LINES": "50"}
    screen = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)

    def drop() -> None:
        while screen.poll() is None:
            ready, _, _ = select.select([ours], [], [], 1.0)
            if ready:
                try:
                    os.read(ours, 1 << 16)
                except OSError:
                    return

    reader = threading.Thread(target=drop, daemon=True)
    reader.start()
    return screen, reader


def soak(folder: SessionFolder, minutes: float) -> dict[str, list[Sample]]:
    """Return the samples of the worker and the screen."""
    worker = psutil.Process(worker_process.start(folder).pid)
    screen, reader = screen_on(folder)
    watched = {"worker": worker, "screen": psutil.Process(screen.pid)}
    found: dict[str, list[Sample]] = {name: [] for name in watched}
    until = time.monotonic() + 60 * minutes
    try:
        while time.monotonic() < until:
            time.sleep(SAMPLE_EVERY_S)
            runs = sum(state_of(folder).outcome_counts.values())
            for name, process in watched.items():
                found[name].append(sample(process, runs))
    finally:
        screen.terminate()
        screen.wait(20)
        reader.join(5)
        worker_process.terminate(folder)
    return found


def told(name: str, samples: list[Sample]) -> tuple[str, bool]:
    """Return a line on one process, and whether it stayed flat after its first tenth."""
    warm = samples[int(len(samples) * WARM_UP_SHARE) :]
    half = len(warm) // 2
    early, late = warm[:half], warm[half:]
    runs = max(1, warm[-1].runs - warm[0].runs)
    a_run = (warm[-1].rss_bytes - warm[0].rss_bytes) / runs
    descriptors = max(one.descriptors for one in early), max(one.descriptors for one in late)
    threads = max(one.threads for one in early), max(one.threads for one in late)
    flat = descriptors[1] <= descriptors[0] and threads[1] <= threads[0] and a_run <= RUN_BYTES_AT_MOST
    rss = f"{warm[0].rss_bytes / 2**20:.0f} to {warm[-1].rss_bytes / 2**20:.0f} MiB over {runs:,} runs"
    return (
        f"{name}: {rss} ({a_run:,.0f} bytes a run), at most {descriptors[0]} then {descriptors[1]} descriptors,"
        f" {threads[0]} then {threads[1]} threads"
    ), flat


def main() -> int:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--minutes", type=float, default=120.0)
    given.add_argument("--speed", type=float, default=600.0)
    words = given.parse_args()
    with tempfile.TemporaryDirectory() as place:
        hours = 2 * words.minutes / 60 * words.speed
        folder = sim_session(
            Path(place), words.speed, mode="autopilot", proposer="search", budget_hours=hours, budget_usd=1e6
        )
        lines = [told(name, found) for name, found in soak(folder, words.minutes).items()]
        for line, flat in lines:
            print(line if flat else f"{line}: GROWS", flush=True)
    return 0 if all(flat for _, flat in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
