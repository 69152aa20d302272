"""The real worker on the simulated fleet, with the latencies measured on the lab: duty, throughput, cost of a decision.

    python -m benchmarks.sim_duty                                # 16 clusters, 8 hours; a minute or two
    python -m benchmarks.sim_duty --search
    python -m benchmarks.sim_duty --clusters 256 --hours 8
    python -m benchmarks.sim_duty --clusters 1000 --hours 1 --requests 64

Everything here is SIMULATED but the worker: its loop, plan, ledger, and variants are the real ones.
The bound is what the latencies allow a fleet that is never late: a run's length over that and the gap that SkyPilot
itself makes between two jobs a cluster holds. The published way, on the same fleet, is a loop: `sky exec` on every
cluster, poll until the wave is over, think, next. A local API server works on 4 requests at a time, which is enough for
some 300 clusters: more need a larger one, --requests.
"""

import argparse
import random
import tempfile
import threading
import time
from pathlib import Path
from statistics import mean, median

import msgspec

from cockpit.agent.proposer_api import ProposalRequest, Proposer, ProposerApi
from cockpit.agent.proposers.search import Search
from cockpit.cli.demo import copy_of
from cockpit.core.intents import Arm, Draft
from cockpit.core.model import Change, Outcome, WaveKind
from cockpit.core.state import State
from cockpit.create.new_session import SIM_EPOCH, create
from cockpit.create.plan import Plan
from cockpit.decide.budget import accounts
from cockpit.decide.decisions import decide
from cockpit.fleet.base import ClusterReady, ClusterTrouble, Job, JobEnded, JobRefused, JobStarted
from cockpit.fleet.sim.fleet import open_sim
from cockpit.fleet.sim.world import Latencies
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import EnvelopeSettings, NewSession, Settings
from cockpit.variant.store import VariantStore
from cockpit.worker import loop
from cockpit.worker.parts import WorkerParts

HERE = Path(__file__).resolve().parent

LAB = Latencies(
    launch_s=(40.0, 53.0), submit_s=(3.0, 5.0), start_s=(2.0, 4.0), gap_s=(4.0, 4.6), cancel_s=(3.0, 4.0),
    down_s=(38.0, 42.0),
)  # fmt: skip
"""As docs/skypilot.md has them: the real SkyPilot on the lab, idle."""
COMMAND_S = 3.0
"""A `sky` command before it does anything."""
POLL_S = 30.0
THINK_S = 60.0


class Rates:
    """Learning rates drawn around the baseline's: what is measured is the fleet, not what a search runs into."""

    name = "search"

    def __init__(self) -> None:
        self.dice = random.Random(1)

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        names = ("MATRIX_LR", "EMBEDDING_LR")
        drawn = ([2 ** self.dice.uniform(-0.5, 0.5) for _ in names] for _ in range(request.arms))
        arms = tuple(
            Arm(Change(constants={"MATRIX_LR": round(0.04 * m, 6), "EMBEDDING_LR": round(0.6 * x, 6)}))
            for m, x in drawn
        )
        api.propose(Draft("search", "which rates?", arms=arms, kind=WaveKind.FILLER))


class Decisions:
    """The real decisions, each call timed with how many attempts had ended."""

    def __init__(self) -> None:
        self.decide = decide
        self.took_us: list[tuple[int, float]] = []

    def __call__(self, state: State, now: float):  # type: ignore[no-untyped-def]
        began = time.perf_counter()
        events = self.decide(state, now)
        self.took_us.append((sum(state.outcome_counts.values()), (time.perf_counter() - began) * 1e6))
        return events

    def quarters(self) -> list[float]:
        """Return the median microseconds of a decision, by quarters of what had finished."""
        last = max(ended for ended, _ in self.took_us)
        return [
            median(us for ended, us in self.took_us if quarter * last <= 4 * ended < (quarter + 1) * last)
            for quarter in range(4)
        ]


def cockpit(
    place: Path, clusters: int, hours: float, proposer: Proposer, latencies: Latencies
) -> tuple[State, Decisions, float]:
    """Return a session until its hours are over; its end, its decisions, and the CPU-seconds it took."""
    repo = copy_of(HERE.parent, place / "repo")
    new = NewSession(fleet="sim", clusters=clusters, mode="autopilot", proposer="search", budget_hours=hours)
    folder = SessionFolder(place / "sessions" / "night")
    settings = Settings(session=new, envelope=EnvelopeSettings(usd=1e9))
    create(folder, Plan("night", repo, settings, speed=0), SIM_EPOCH)
    ledger = Ledger.open(folder.ledger)
    session = ledger.state().session
    fleet, clock = open_sim(session.fleet, folder.sim_world, session.created_at, latencies)
    decisions = Decisions()
    setattr(loop, "decide", decisions)  # noqa: B010  (mypy rejects the plain assignment)
    wake = threading.Event()
    store = VariantStore(repo, "night")
    parts = WorkerParts(
        folder=folder, ledger=ledger, fleet=fleet, store=store, clock=clock, wake=wake,
        proposers={"search": proposer}, inline=True,
    )  # fmt: skip
    worker = loop.Worker(parts)
    began = time.process_time()
    worker.start()
    worker.run(threading.Event())
    return worker.state, decisions, time.process_time() - began


def published(place: Path, clusters: int, hours: float) -> tuple[float, float]:
    """Return (duty, valid runs an hour) of the loop on the same fleet."""
    repo = copy_of(HERE.parent, place / "published")
    from cockpit.create.fleet_spec import sim_fleet

    fleet, clock = open_sim(sim_fleet(clusters, 1337, 0), place / "published.db", SIM_EPOCH, LAB)
    names = [spec.name for spec in sim_fleet(clusters, 1337, 0).clusters]
    up_at: dict[str, float] = {}
    started: dict[str, float] = {}
    running: set[str] = set()
    training_s, valid, number = 0.0, 0, 0
    end = SIM_EPOCH + hours * 3600

    def take() -> None:
        nonlocal training_s, valid
        for report in fleet.poll():
            match report:
                case ClusterReady():
                    up_at.setdefault(report.cluster, report.at)
                case ClusterTrouble():
                    fleet.launch(report.cluster)
                case JobStarted():
                    started[report.job] = report.at
                case JobEnded():
                    running.discard(report.job)
                    training_s += report.at - started.get(report.job, report.at)
                    valid += report.reason == "exited" and report.exit_code == 0
                case JobRefused():
                    running.discard(report.job)

    def wait(seconds: float) -> None:
        until = clock.now() + seconds
        while clock.now() < until:
            clock.wait(threading.Event(), until)
            take()

    for name in names:
        fleet.launch(name)
    while len(up_at) < clusters:
        wait(POLL_S)
    while clock.now() < end:
        for name in names:
            number += 1
            job = f"e{number:05d}.1"
            log = place / "logs" / f"{job}.log"
            log.parent.mkdir(exist_ok=True)
            running.add(job)
            fleet.submit(Job(job, name, repo, log, {"EXPERIMENT_ID": job, "SEED": str(number)}, (), 600.0))
            wait(COMMAND_S + mean(LAB.submit_s))
        while running:
            wait(POLL_S)
        wait(THINK_S)
    up_s = sum(clock.now() - at for at in up_at.values())
    return training_s / up_s, valid / ((clock.now() - SIM_EPOCH) / 3600)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clusters", type=int, default=16)
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--search", action="store_true", help="let the built-in proposer choose, crashes and all")
    parser.add_argument("--requests", type=int, default=LAB.requests_at_once, help="the API server works on at a time")
    given = parser.parse_args()
    latencies = msgspec.structs.replace(LAB, requests_at_once=given.requests, launches_at_once=given.requests - 1)
    with tempfile.TemporaryDirectory() as scratch:
        state, decisions, cpu_s = cockpit(
            Path(scratch), given.clusters, given.hours, Search() if given.search else Rates(), latencies
        )
        ended = [attempt for attempt in state.attempts.values() if attempt.started_at and attempt.ended_at]
        run_s = mean(attempt.ended_at - attempt.started_at for attempt in ended)
        bound = run_s / (run_s + mean(LAB.gap_s))
        duty = accounts(state, state.now).duty
        valid = state.outcome_counts[Outcome.VALID] / ((state.now - SIM_EPOCH) / 3600)
        print(f"{given.clusters} clusters, {given.hours:g} h, {len(ended)} runs of {run_s:.0f} s (SIMULATED)")
        print(f"Cockpit        duty {duty:.1%}, {duty / bound:.3f} of the bound {bound:.1%} (aim 0.97);"
              f" {valid:.0f} valid an hour (aim {10 * given.clusters})")  # fmt: skip
        if given.clusters <= 64:
            other, other_valid = published(Path(scratch), given.clusters, given.hours)
            print(f"published way  duty {other:.1%}; {other_valid:.0f} valid an hour (the published run: 46%, 88)")
            print(f"ratio          duty {duty / other:.2f}x, valid {valid / other_valid:.2f}x")
        first, *_, last = quarters = decisions.quarters()
        print(f"a decision     {', '.join(f'{us:.0f}' for us in quarters)} µs in each quarter of the night:"
              f" {last / first:.2f}x from first to last, {len(decisions.took_us)} of them")  # fmt: skip
        print(f"CPU            {1000 * cpu_s / len(ended):.1f} ms a run, everything and the simulation included")
        losses = [name for name, cluster in state.clusters.items() if cluster.failures]
        print(f"events         {state.seq} in the ledger; clusters failing at the end: {len(losses)}")


if __name__ == "__main__":
    main()
