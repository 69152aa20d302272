"""Sessions for a real worker: a repository whose script keeps the contract, on this machine or simulated."""

import subprocess
import time
from pathlib import Path
from typing import Any

from cockpit.cli.demo import copy_of
from cockpit.core.session import Session
from cockpit.core.state import State
from cockpit.create.new_session import SIM_EPOCH, create
from cockpit.create.plan import Plan
from cockpit.session import lock, worker_process
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.settings import EnvelopeSettings, NamedAgent, NewSession, Settings

ROOT = Path(__file__).parents[2]

SCRIPT = """
import os
import time

DEPTH = 4
MATRIX_LR = 0.04
SECONDS = 0.6

with open(RUNS_FILE, "a") as runs:
    runs.write(os.environ["EXPERIMENT_ID"] + "\\n")
for step in range(4):
    loss = 5.0 - step + abs(MATRIX_LR - 0.05) * 10
    print(f"step {step:05d} ({step * 25:.1f}%) | loss: {loss:.6f} | dt: 100ms | remaining: 1s", flush=True)
    time.sleep(SECONDS / 4)
print("---")
print(f"val_bpb: {1.0 + abs(MATRIX_LR - 0.05) + int(os.environ['SEED']) % 7 * 1e-5:.6f}")
print("num_steps: 4")
print("peak_vram_mb: 1.0")
"""
"""A training script that prints autoresearch's lines, and notes in a file that it ran."""


def repository(folder: Path, script: str = SCRIPT, prepare: str = "TIME_BUDGET = 5\n") -> Path:
    """Make a git repository with this train.py and prepare.py."""
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(script)
    (folder / "prepare.py").write_text(prepare)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    return folder


def simulated_plan(place: Path) -> Plan:
    """Return a plan of a simulated session on a repository of its own."""
    settings = Settings(session=NewSession(fleet="sim", clusters=2))
    return Plan("night", repository(place / "repo"), settings, speed=1.0)


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def local_session(
    place: Path,
    clusters: int = 2,
    script: str = SCRIPT,
    confine: bool = True,
    research: ResearchSettings | None = None,
    filler: bool = True,
    agents: dict[str, NamedAgent] | None = None,
    **new: Any,
) -> SessionFolder:
    """Make a session on this machine. Every run that is not confined notes itself in `place/runs.txt`."""
    script = script.replace("RUNS_FILE", repr(str(place / "runs.txt")))
    repo = repository(place / "repo", script)
    settings = NewSession(fleet="local", clusters=clusters, **new)
    return make(place, repo, settings, time.time(), confine=confine, research=research, filler=filler, agents=agents)


def sim_session(place: Path, speed: float, clusters: int = 16, **new: Any) -> SessionFolder:
    """Make a simulated session on the repository's own train.py."""
    repo = copy_of(ROOT, place / "repo")
    settings = NewSession(fleet="sim", clusters=clusters, **new)
    return make(place, repo, settings, SIM_EPOCH, speed)


def make(
    place: Path,
    repo: Path,
    new: NewSession,
    at: float,
    speed: float = 1.0,
    confine: bool = True,
    filler: bool = True,
    research: ResearchSettings | None = None,
    agents: dict[str, NamedAgent] | None = None,
) -> SessionFolder:
    folder = SessionFolder(place / "sessions" / "night")
    settings = Settings(
        session=new,
        research=research or ResearchSettings(confine=confine),
        envelope=EnvelopeSettings(usd=1e6, wave_size=64, filler=filler),
        agents=agents or {},
    )
    create(folder, Plan("night", repo, settings, speed=speed), at)
    return folder


def end_baseline(folder: SessionFolder) -> SessionFolder:
    """Run a session's worker until its baseline has ended, with any outcome."""
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).outcome_counts, 30, "the baseline to end")
    finally:
        worker_process.terminate(folder)
    return folder


def state_of(folder: SessionFolder) -> State:
    ledger = LedgerReader(folder)
    try:
        return ledger.state()
    finally:
        ledger.close()


def session_of(folder: SessionFolder) -> Session:
    return state_of(folder).session


def wait_for(true: object, seconds: float, what: str) -> None:
    """Wait until `true()` holds. Fails with `what` after `seconds`."""
    assert callable(true)
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def kill(folder: SessionFolder) -> None:
    """Kill the session's worker with SIGKILL, and wait until its lock is free."""
    import os
    import signal

    standing = lock.worker_status(folder)
    if standing.pid:
        os.kill(standing.pid, signal.SIGKILL)
    wait_for(lambda: lock.worker_status(folder).state == "stopped", 10, "the killed worker's lock")
