"""Measure how busy two slots of this machine are with real training runs.

    python -m benchmarks.duty              four minutes
    python -m benchmarks.duty 600          600 seconds

A session of two slots in autopilot on this repository's train.py, with proposals by `search`. A slot is
busy from the start of a run's process to its end. The count begins at the first start. Budget: 95%.
The gaps between two runs of a slot are printed too.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.first_run import ROOT, end_runs, state_of
from cockpit.cli.corpora import ready_corpus
from cockpit.cli.demo import copy_of
from cockpit.create.new_session import create
from cockpit.create.plan import Plan
from cockpit.session import worker_process
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import EnvelopeSettings, NewSession, Settings

BUDGET = 0.95
SLOTS = 2


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 240.0
    new = NewSession(fleet="local", clusters=SLOTS, mode="autopilot", proposer="search")
    settings = Settings(session=new, envelope=EnvelopeSettings(wave_size=16))
    with tempfile.TemporaryDirectory() as scratch:
        repo = copy_of(ROOT, Path(scratch) / "repo")
        folder = SessionFolder(Path(scratch) / "sessions" / "duty")
        label = ready_corpus(repo, settings, cpu=True)
        create(folder, Plan("duty", repo, settings, corpus=label), time.time())
        worker_process.start(folder)
        try:
            time.sleep(seconds)
        finally:
            worker_process.terminate(folder)
        report(folder, time.time())
        end_runs(folder)


def report(folder: SessionFolder, now: float) -> None:
    state = state_of(folder)
    assert state is not None
    started = [attempt for attempt in state.attempts.values() if attempt.started_at]
    began = min(attempt.started_at for attempt in started)
    busy_s = sum((attempt.ended_at or now) - attempt.started_at for attempt in started)
    share = busy_s / (SLOTS * (now - began))
    print(f"{len(started)} runs in {now - began:.0f} s on {SLOTS} slots: {state.outcome_counts}")
    if state.gap_s:
        middle, longest = statistics.median(state.gap_s), max(state.gap_s)
        print(f"gap between two runs of a slot: median {middle:.2f} s, longest {longest:.2f} s")
    print(f"busy {share:.1%}   budget {BUDGET:.0%}   ratio {BUDGET / share:.2f}")


if __name__ == "__main__":
    main()
