"""From `cockpit` to training: seconds until the first experiment's first step, and until its val_bpb.

    python -m benchmarks.first_run

Opens the cockpit as a newcomer does, in a terminal, on a fresh clone of this repository with the corpus prepared, and
reads the session's ledger and log beside it. Budgets on 2 quiet cores: 20 s and 90 s. Ends the session afterwards.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from cockpit.cli.demo import copy_of
from cockpit.core.model import Outcome
from cockpit.core.state import State
from cockpit.session import worker_process
from cockpit.session.corpus import data_folder, prepared_corpus
from cockpit.session.ledger_errors import LedgerError
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from tests.cli.shell import terminal

ROOT = Path(__file__).parents[1]
BUDGETS_S = {"first paint of the session": 20.0, "first step of the first run": 20.0, "first val_bpb": 90.0}
GIVE_UP_S = 600.0


def main() -> None:
    if prepared_corpus("stdlib") is None:
        subprocess.run([sys.executable, "prepare.py", "--corpus", "stdlib"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        repo = copy_of(ROOT, place / "repo")
        began = time.monotonic()
        with terminal(place, columns=120, rows=34, cwd=repo, COCKPIT_DATA_DIR=str(data_folder())) as screen:
            screen.until("worker running", GIVE_UP_S)
            report("first paint of the session", time.monotonic() - began)
            (ledger,) = (place / "sessions").glob("*/ledger.db")
            folder = SessionFolder(ledger.parent)
            try:
                report("first step of the first run", until(began, lambda: bool(steps(folder))))
                report("first val_bpb", until(began, lambda: measured(folder)))
            finally:
                screen.keys("q")
                screen.ended()
                worker_process.terminate(folder)
                end_runs(folder)


def until(began: float, true: Callable[[], bool]) -> float:
    while not true():
        if time.monotonic() - began > GIVE_UP_S:
            sys.exit(f"nothing in {GIVE_UP_S:.0f} s")
        time.sleep(0.1)
    return time.monotonic() - began


def steps(folder: SessionFolder) -> list[str]:
    path = folder.log("e0000.1")
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return [line for line in lines if line.startswith("step ")]


def measured(folder: SessionFolder) -> bool:
    state = state_of(folder)
    return state is not None and bool(state.outcome_counts.get(Outcome.VALID))


def state_of(folder: SessionFolder) -> State | None:
    try:
        ledger = LedgerReader(folder)
        try:
            return ledger.state()
        finally:
            ledger.close()
    except LedgerError:
        return None


def end_runs(folder: SessionFolder) -> None:
    """End the runners of runs that still train; else they would train on without their folder."""
    for runner in psutil.process_iter(["cmdline"]):
        if any(word.startswith(f"{folder.root}/runs/") for word in runner.info["cmdline"] or ()):
            runner.terminate()
            runner.wait(20)


def report(what: str, seconds: float) -> None:
    budget = BUDGETS_S[what]
    print(f"{what:<32} {seconds:7.1f} s   budget {budget:5.1f} s   ratio {seconds / budget:.2f}", flush=True)


if __name__ == "__main__":
    main()
