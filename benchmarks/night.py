"""A simulated night: 16 clusters for 8 hours, as fast as it goes, by the whole worker.

    python -m benchmarks.night                       the night, proposals by `grid` and `search`
    python -m benchmarks.night --profile             where the time goes
    python -m benchmarks.night --proposer tpe --hours 2

The worker is the one a session has: ledger, git objects, logs, plan and proposers included; only the runs are
simulated. Budget: 20 s on 2 quiet cores. Time on the processor is printed beside the time that passed: on a busy
machine the first is the one to read.
"""

import argparse
import cProfile
import pstats
import tempfile
import threading
import time
from pathlib import Path

from cockpit.cli.demo import copy_of
from cockpit.create.new_session import SIM_EPOCH, create
from cockpit.create.plan import Plan
from cockpit.decide.budget import accounts
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import EnvelopeSettings, NewSession, Settings
from cockpit.worker.build import build

ROOT = Path(__file__).parents[1]
BUDGET_S = 20.0


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--hours", type=float, default=8.0)
    given.add_argument("--clusters", type=int, default=16)
    given.add_argument("--proposer", default="grid")
    given.add_argument("--profile", action="store_true")
    words = given.parse_args()
    new = NewSession(
        fleet="sim", clusters=words.clusters, mode="autopilot", proposer=words.proposer, budget_hours=words.hours
    )
    settings = Settings(session=new, envelope=EnvelopeSettings(usd=1e6))
    with tempfile.TemporaryDirectory() as scratch:
        repo = copy_of(ROOT, Path(scratch) / "repo")
        folder = SessionFolder(Path(scratch) / "sessions" / "night")
        create(folder, Plan("night", repo, settings, speed=0.0), SIM_EPOCH)
        worker = build(folder, threading.Event(), threading.Event())
        profile = cProfile.Profile()
        wall, cpu = time.perf_counter(), time.process_time()
        if words.profile:
            profile.enable()
        worker.start()
        reason = worker.run(threading.Event())
        worker.close(reason)
        profile.disable()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        state = worker.state
        books = accounts(state, state.now)
        ended = sum(state.outcome_counts.values())
        print(f"SIMULATED: {reason}; {ended} runs, {len(state.experiments)} experiments, {state.seq} events")
        print(f"duty {books.duty:.1%}, ${books.gpu_usd:.0f}, incumbent {state.incumbent} of {len(state.incumbencies)}")
        files = folder.ledger, folder.events, folder.snapshot
        sizes = ", ".join(f"{file.name} {file.stat().st_size / len(state.experiments):,.0f}" for file in files)
        print(f"bytes an experiment once it has ended: {sizes}")
        budget = BUDGET_S * words.hours / 8
        print(
            f"passed {wall:6.1f} s   on the processor {cpu:6.1f} s   budget {budget:.1f} s   ratio {wall / budget:.2f}"
        )
        if words.profile:
            pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


if __name__ == "__main__":
    main()
