"""Runs sessions of the real worker on the lab, by the command line; their runs take seconds and note their start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from cockpit.core.cluster_events import ClusterFailed, ClusterStopping
from cockpit.core.events import Ended
from cockpit.core.intents import Approve, Draft, Intent, Propose, encode_intent
from cockpit.core.model import ClusterState
from cockpit.core.state import State
from cockpit.session import lock
from cockpit.session.inbox import Inbox
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from tests.lab.fleets import TASK
from tests.lab.processes import PATIENCE
from tests.lab.sky_side import SkySide
from tests.worker.sessions import ROOT, git

SCRIPT = """\
import os
import time

DEPTH = 4
MATRIX_LR = 0.04
SECONDS = {seconds}

if {runs!r}:
    with open({runs!r}, "a") as runs:
        runs.write(os.environ["EXPERIMENT_ID"] + "\\n")
seconds = SECONDS if os.environ["EXPERIMENT_ID"].endswith(".1") else min(SECONDS, {again})
for step in range(seconds):
    print(f"step {{step:05d}} ({{step / seconds:.1%}}) | loss: {{5.0 - step / seconds:.6f}} | dt: 100ms", flush=True)
    time.sleep(1)
print(f"val_bpb: {{1.0 + abs(MATRIX_LR - 0.05) + int(os.environ['SEED']) % 7 * 1e-5:.6f}}")
print(f"num_steps: {{seconds}}")
"""


class LabSession:
    """A session's folder, the repository it researches, and the file in which every run notes its start."""

    def __init__(
        self,
        lab: SkySide,
        place: Path,
        name: str,
        seconds: int = 12,
        script: str = "",
        infra: str = "slurm/lab",
        again: int = 3600,
        confine: bool = False,
    ) -> None:
        """Make a session at `infra`. `script` replaces the usual train.py, whose runs take `seconds`; an experiment's
        later runs at most `again`. With `confine` they cannot note their start, which is outside their folders."""
        self.lab, self.place, self.name, self._infra, self._confine = lab, place, name, infra, confine
        self.folder = SessionFolder(place / "sessions" / name)
        self.runs = lab.root / "runs" / name
        repo = place / "repo"
        repo.mkdir(parents=True)
        usual = SCRIPT.format(seconds=seconds, again=again, runs="" if confine else str(self.runs))
        (repo / "train.py").write_text(script or usual)
        (repo / "prepare.py").write_text(f"TIME_BUDGET = {seconds}\n")
        (repo / "experiment.yaml").write_text(TASK.replace("slurm", infra.partition("/")[0]))
        git(repo, "init", "-q")
        git(repo, "add", ".")
        git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
        self.repo = repo

    def cockpit(self, *words: str, timeout_s: float = 900 * PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run `cockpit WORDS` in the repository, as a person types it."""
        own = {"PYTHONPATH": str(ROOT), "COCKPIT_SESSIONS": str(self.place / "sessions")}
        return subprocess.run(
            [sys.executable, "-m", "cockpit", *words],
            cwd=self.repo, env=os.environ | self.lab.env() | own, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout_s,
        )  # fmt: skip

    def new(self, *flags: str) -> None:
        """Make the session, in manual mode, and start its worker."""
        words = ("new", self.name, "--fleet", "sky", "--infra", self._infra, "--mode", "manual", "--proposer", "grid")
        done = self.cockpit(*words, "--confine" if self._confine else "--no-confine", *flags)
        assert done.returncode == 0, done.stderr

    def ask(self, *intents: Intent) -> None:
        """Leave intents for the worker, which may be stopped."""
        inbox = Inbox(self.folder.inbox)
        for intent in intents:
            inbox.put("tester", encode_intent(intent))
        inbox.close()

    def wave(self, number: int, **factors: list[object]) -> None:
        """Propose a wave of the full grid of these levels, and approve it."""
        self.ask(Propose(Draft("human", "which?", factors=factors)), Approve(f"w{number:03d}"))  # type: ignore[arg-type]

    @property
    def state(self) -> State:
        ledger = LedgerReader(self.folder)
        try:
            return ledger.state()
        finally:
            ledger.close()

    def kill(self) -> None:
        """Kill the worker with SIGKILL."""
        now = lock.worker_status(self.folder)
        if now.state != "stopped":
            os.kill(now.pid, signal.SIGKILL)
        self.until(lambda: lock.worker_status(self.folder).state == "stopped", 15, "the killed worker's lock")

    def began(self) -> Counter[str]:
        """Return the number of starts of each attempt, from the notes of the runs."""
        return Counter(self.runs.read_text().split()) if self.runs.exists() else Counter()

    def ended(self) -> Counter[str]:
        """Return the number of ends of each attempt in the ledger."""
        ledger = LedgerReader(self.folder)
        try:
            return Counter(event.attempt for event in ledger.since(0) if isinstance(event, Ended))
        finally:
            ledger.close()

    def running(self) -> list[str]:
        """Return the running attempts, by the ledger."""
        return [cluster.running for cluster in self.state.clusters.values() if cluster.running]

    def outages(self) -> list[ClusterFailed]:
        """Return the failures of clusters in the ledger, in order; those of launches included."""
        ledger = LedgerReader(self.folder)
        try:
            return [event for event in ledger.since(0) if isinstance(event, ClusterFailed)]
        finally:
            ledger.close()

    def stopped_because(self) -> list[str]:
        """Return the reasons clusters were taken down, in order."""
        ledger = LedgerReader(self.folder)
        try:
            return [event.reason for event in ledger.since(0) if isinstance(event, ClusterStopping)]
        finally:
            ledger.close()

    def states(self) -> dict[str, ClusterState]:
        return {name: cluster.state for name, cluster in self.state.clusters.items()}

    def up(self) -> set[str]:
        """Return the clusters that take jobs."""
        return {name for name, state in self.states().items() if state in (ClusterState.IDLE, ClusterState.BUSY)}

    def until(self, true: Callable[[], object], within_s: float, what: str) -> None:
        """Wait. Fails with what was waited for, the session's state and the end of the worker's log."""
        within_s *= PATIENCE
        deadline = time.monotonic() + within_s
        while not true():
            if time.monotonic() > deadline:
                said = self.folder.worker_log.read_text()[-1500:] if self.folder.worker_log.exists() else ""
                raise TimeoutError(f"waited {within_s:g} s for {what}; {self.states()}, {self.began()}: {said}")
            time.sleep(0.3)

    def close(self) -> None:
        """Kill the worker; the lab takes its clusters down."""
        if self.folder.lock.exists():
            self.kill()
