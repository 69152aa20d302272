"""Kill a worker before and after its n-th write or effect, for n by count, and check the session after each kill.

    python -m tests.faults.kills                                 1,000 kills simulated, 50 on real local runs
    python -m tests.faults.kills --simulated 25 --local 0        a short set

A kill is SIGKILL to a real process: a fork of this one, which has everything imported. Writes are the ledger's inserts,
packs, stream, snapshot and progress, and renames, removals and flushes of files; effects are calls to the fleet, the
repository and new processes. Each process is killed at a later point than the one before, before and after in turn.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cockpit.core.intents import Approve, Draft, Propose, encode_intent
from cockpit.core.model import Outcome
from cockpit.fleet.local.fleet import LocalFleet
from cockpit.fleet.sim.fleet import SimFleet, open_sim
from cockpit.session import ledger, worker_process
from cockpit.session.event_stream import StreamWriter
from cockpit.session.event_table import EventTable
from cockpit.session.inbox import Inbox
from cockpit.session.lock import WorkerLock
from cockpit.session.paths import SessionFolder
from cockpit.session.progress_file import ProgressFile
from cockpit.variant.store import VariantStore
from cockpit.worker.supervisor import run_session
from tests.faults.checks import (
    a_fold_from_nothing_is_the_state,
    commits_within_its_cap,
    every_start_has_one_end,
    nothing_counted_twice,
)
from tests.worker.sessions import local_session, sim_session, state_of

POINTS: list[tuple[Any, str]] = [
    (EventTable, "insert"), (EventTable, "pack"), (StreamWriter, "append"), (StreamWriter, "start_segment"),
    (ledger, "write_snapshot"), (ProgressFile, "write"), (Inbox, "after"),
    (SimFleet, "recover"), (SimFleet, "launch"), (SimFleet, "submit"), (SimFleet, "cancel"), (SimFleet, "down"),
    (LocalFleet, "recover"), (LocalFleet, "launch"), (LocalFleet, "submit"), (LocalFleet, "cancel"),
    (VariantStore, "put"), (VariantStore, "export"), (VariantStore, "advance"), (VariantStore, "restore"),
    (Path, "replace"), (Path, "rename"), (Path, "unlink"), (os, "fdatasync"), (shutil, "rmtree"),
    (subprocess, "Popen"),
]  # fmt: skip
"""Each call of one of these is a point, with a kill before it and a kill after it."""
POINTS_AT_MOST = 240
"""The farthest point of a process."""
STRIDE = 13
"""Points from one kill to the next. It shares no divisor with POINTS_AT_MOST, so every point comes in turn."""
LOCAL_POINTS_AT_MOST = 60
"""The same on real runs, which pass few points a second."""
SEARCHED_EVERY = 8
"""Nights to one that has a proposer, which takes most of the time. The others run a wave."""
CAPPED_EVERY = 3
"""Nights to one that has a cap, which its runs reach."""
CAP_USD = 4.0
STALLED_S = 60.0


class Killer:
    """Counts the points that a process passes, and kills it at one of them."""

    def __init__(self, at: int, before: bool) -> None:
        self.at, self.before, self.passed = at, before, 0

    def arm(self) -> None:
        for owner, name in POINTS:
            setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def point(*given: Any, **named: Any) -> Any:
            self.passed += 1
            number = self.passed
            if self.before and number == self.at:
                os.kill(os.getpid(), signal.SIGKILL)
            done = real(*given, **named)
            if not self.before and number == self.at:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return point


def print_to_worker_log(folder: SessionFolder) -> None:
    """Send what this process prints to the log of the session's worker."""
    log = os.open(folder.worker_log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)


def run_killed(folder: SessionFolder, killer: Killer | None) -> bool:
    """Run the session in a process of its own until it is killed or ends. Returns True if it was killed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            print_to_worker_log(folder)
            held = WorkerLock.take(folder)
            if killer is not None:
                killer.arm()
            run_session(folder, threading.Event(), threading.Event())
            held.release()
            status = 0
        finally:
            sys.stdout.flush()
            os._exit(status)
    until = time.monotonic() + STALLED_S
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError(f"the worker stalled: see {folder.worker_log}")
        time.sleep(0.002)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, f"the worker failed:\n{folder.worker_log.read_text()[-3_000:]}"
    return False


class Count:
    def __init__(self, wanted: int) -> None:
        self.wanted, self.kills, self.sessions, self.events = wanted, 0, 0, 0
        self.turn = 0

    def next_killer(self) -> Killer | None:
        if self.kills >= self.wanted:
            return None
        self.turn += 1
        at, after = divmod(self.turn, 2)
        return Killer(at * STRIDE % POINTS_AT_MOST + 1, not after)


def simulated(place: Path, count: Count) -> None:
    """Kill simulated nights, each until it ends, until all kills are done."""
    while count.kills < count.wanted:
        count.sessions += 1
        here = place / f"sim-{count.sessions}"
        here.mkdir(parents=True)
        folder = night(here, seed=count.sessions, proposer=count.sessions % SEARCHED_EVERY == 1)
        while run_killed(folder, count.next_killer()):
            count.kills += 1
            nothing_counted_twice(folder)
            commits_within_its_cap(folder)
        every_start_has_one_end(folder)
        a_fold_from_nothing_is_the_state(folder)
        state = commits_within_its_cap(folder)
        world, _ = open_sim(state.session.fleet, folder.sim_world, state.session.created_at)
        starts = world.starts()
        world.close()
        assert max(starts.values(), default=0) <= 1, f"a job was started twice: {starts}"
        assert {name for name, started in starts.items() if started} <= set(state.attempts), "an unknown job ran"
        count.events += state.seq
        shutil.rmtree(here)


def night(place: Path, seed: int, proposer: bool) -> SessionFolder:
    """Make a simulated night of two hours: a proposer searches, or a wave that a person approved runs."""
    limits: dict[str, Any] = {"budget_hours": 2.0, "budget_usd": 0.0 if seed % CAPPED_EVERY else CAP_USD}
    if proposer:
        return sim_session(place, speed=0, clusters=3, mode="autopilot", proposer="search", seed=seed, **limits)
    folder = sim_session(place, speed=0, clusters=3, mode="manual", seed=seed, **limits)
    approved(folder, Draft("human", "how wide?", factors={"ASPECT_RATIO": [*range(40, 88, 2)], "DEPTH": [7, 8, 9]}))
    return folder


def approved(folder: SessionFolder, draft: Draft) -> None:
    """Leave a wave and its approval in the inbox."""
    inbox = Inbox(folder.inbox)
    inbox.put("tester", encode_intent(Propose(draft)))
    inbox.put("tester", encode_intent(Approve("w001")))
    inbox.close()


def local(place: Path, count: Count) -> None:
    """Kill a session of real runs on this machine until all kills are done, then let it finish."""
    here = place / "local"
    here.mkdir(parents=True)
    levels = [round(0.01 + 0.001 * number, 4) for number in range(max(2, count.wanted // 3))]
    folder = local_session(here, clusters=2, confine=False, mode="manual")
    approved(folder, Draft("human", "does it matter?", factors={"MATRIX_LR": list(levels)}))
    dice = random.Random(5)
    while count.kills < count.wanted:
        killer = Killer(dice.randrange(1, LOCAL_POINTS_AT_MOST), dice.random() < 0.5)
        assert run_killed(folder, killer)
        count.kills += 1
        nothing_counted_twice(folder)
    worker_process.start(folder)
    try:
        until = time.monotonic() + 60 + 2 * len(levels)
        while (state := state_of(folder)).waiting or state.in_flight or len(state.waves) < 2:
            assert time.monotonic() < until, "the runs did not end"
            time.sleep(0.2)
    finally:
        worker_process.terminate(folder)
    count.sessions, count.events = 1, state.seq
    nothing_counted_twice(folder)
    a_fold_from_nothing_is_the_state(folder)
    runs = Counter((here / "runs.txt").read_text().split())
    assert set(runs.values()) == {1}, f"an attempt ran twice: {runs}"
    valid = {name for name, attempt in state.attempts.items() if attempt.outcome is Outcome.VALID}
    assert valid <= set(runs) <= set(state.attempts), "the ledger and the runs differ"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulated", type=int, default=1_000, help="kills on the simulated fleet")
    parser.add_argument("--local", type=int, default=50, help="kills on real local runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cockpit-kills-") as place:
        for name, wanted, kill in (("simulated", options.simulated, simulated), ("local", options.local, local)):
            if wanted:
                began, count = time.monotonic(), Count(wanted)
                kill(Path(place), count)
                print(
                    f"{name}: {count.kills} kills in {count.sessions} sessions of {count.events} events,"
                    f" {time.monotonic() - began:.0f} s: nothing lost, nothing twice",
                    flush=True,
                )


if __name__ == "__main__":
    main()
