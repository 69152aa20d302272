"""A worker killed between an event and its effect: after a restart the effect happens once. For every such event."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cockpit.agent.proposer_api import ProposalRequest, ProposerApi
from cockpit.core.cluster_events import ClusterDown, ClusterFailed, ClusterGivenUp, ClusterStopping, Launching
from cockpit.core.event_codec import AnyEvent
from cockpit.core.events import (
    Asked,
    AskEnded,
    Cancelling,
    Ended,
    Event,
    IncumbentSet,
    Interrupted,
    Proposed,
    SessionEnded,
    Started,
    Submitting,
    WorkerStarted,
    WorkerStopped,
)
from cockpit.core.intents import Arm, Draft, End, Intent, Interrupt, Kill, encode_intent
from cockpit.core.model import Change, ClusterState, EndMode, Mode, Outcome
from cockpit.core.state import State
from cockpit.core.task_events import TaskTaken
from cockpit.decide.decisions import wake_at
from cockpit.fleet.local.fleet import LocalFleet
from cockpit.fleet.sim.fleet import SimFleet, open_sim
from cockpit.fleet.sim.records import ClusterIs
from cockpit.fleet.sim.run import Hazards
from cockpit.fleet.sky.fleet import SkyFleet
from cockpit.session import worker_process
from cockpit.session.clock import Clock
from cockpit.session.inbox import Inbox
from cockpit.session.ledger import Ledger
from cockpit.session.reader import LedgerReader
from cockpit.session.settings import Settings
from cockpit.variant.store import VariantStore
from cockpit.worker import build, loop
from cockpit.worker.loop import Worker
from cockpit.worker.notify import Notifier
from cockpit.worker.parts import WorkerParts
from cockpit.worker.react import REACTIONS, Reactor
from tests.worker.sessions import ROOT, git, local_session, sim_session, state_of, wait_for

TICKS = 400
CLUSTER = "gpu-01"


class Killed(BaseException):
    """Ends a worker as a kill would: only the test catches it."""


class Once:
    """A proposer that proposes one arm at its first turn; with `waits` its turns last until they are interrupted."""

    name = "search"

    def __init__(self) -> None:
        self.waits = False
        self.thinks = threading.Event()
        self.turns_interrupted: list[bool] = []

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        self.thinks.set()
        while self.waits and not api.interrupted():
            threading.Event().wait(0.01)
        self.turns_interrupted.append(api.interrupted())
        if not api.read(lambda state: len(state.waves) > 1) and not api.interrupted():
            api.propose(Draft(self.name, "which rate?", arms=(Arm(Change(constants={"MATRIX_LR": 0.05})),)))


class Night:
    """A simulated session on a real repository, and its worker, which can be killed before a reaction."""

    def __init__(self, place: Path, kills: type[Event]) -> None:
        self.place = place
        self.folder = sim_session(place, speed=0, clusters=1, mode=Mode.AUTOPILOT, proposer="search")
        self.proposer = Once()
        self.inline = True
        self.hazards = Hazards(launch_failure=0.0, losses_per_cluster_hour=0.0, fault=0.0, hang=0.0)
        self.killed: Event | None = None
        self._kills = kills
        self._armed = False
        self.fleet: SimFleet
        self.clock: Clock
        self.worker = self._build()

    def _build(self) -> Worker:
        ledger = Ledger.open(self.folder.ledger)
        session = ledger.state().session
        self.fleet, self.clock = open_sim(
            session.fleet, self.folder.sim_world, session.created_at, hazards=self.hazards
        )
        repo = Path(session.repo)
        return Worker(
            WorkerParts(
                folder=self.folder,
                ledger=ledger,
                fleet=self.fleet,
                store=VariantStore(repo, session.name),
                clock=self.clock,
                wake=threading.Event(),
                proposers={"search": self.proposer},
                inbox=Inbox(self.folder.inbox),
                notifier=Notifier("cat >> told.jsonl", repo, self.folder.root),
                inline=self.inline,
            )
        )

    @property
    def state(self) -> State:
        return self.worker.state

    def send(self, intent: Intent) -> None:
        inbox = Inbox(self.folder.inbox)
        inbox.put("ann", encode_intent(intent))
        inbox.close()

    def run_until(self, done: Callable[[], bool]) -> bool:
        """Tick until `done`. Returns False where it never was."""
        for _ in range(TICKS):
            self.worker.tick()
            due = min(wake_at(self.state, self.worker.now()), self.fleet.next_due())
            if done() or self.worker.finished or math.isinf(due):
                break
            self.clock.wait(threading.Event(), due)
        return done()

    def react(self, reactor: Reactor, state: State, event: Event) -> list[Event]:
        if self._armed and type(event) is self._kills:
            self.killed = event
            raise Killed
        return REACTIONS[type(event)](reactor, state, event)

    def kill_at_the_next(self) -> None:
        self._armed = True

    def restart(self) -> None:
        """Let the killed worker's files go, as the kernel would, and start another."""
        self._armed = False
        self.worker.abandon()
        self.worker = self._build()
        self.worker.start()

    def events(self) -> list[AnyEvent]:
        ledger = LedgerReader(self.folder)
        events = ledger.since(0)
        ledger.close()
        return events

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events())


# A scenario for each event with an effect: it kills the worker before the effect, and returns the check of the effect.

Check = Callable[[], None]


def starts(night: Night) -> Check:
    """Return a worker starts while a run is in flight, and is killed before it has looked for the run."""
    night.worker.start()
    assert night.run_until(lambda: night.count(Started) > 0)
    night.worker.abandon()
    night.worker = night._build()
    night.kill_at_the_next()
    with pytest.raises(Killed):
        night.worker.start()

    def check() -> None:
        assert night.run_until(lambda: bool(night.state.incumbent)), "the run was not found again"
        assert night.fleet.starts()["e0000.1"] == 1

    return check


def submits(night: Night) -> Check:
    killed_in_a_tick(night)

    def check() -> None:
        assert night.run_until(lambda: bool(night.state.incumbent)), "the baseline never ran"
        assert night.fleet.starts()["e0000.1"] == 1
        assert Counter(event.attempt for event in night.events() if isinstance(event, Ended))["e0000.1"] == 1

    return check


def cancels(night: Night) -> Check:
    night.worker.start()
    assert night.run_until(lambda: night.count(Started) > 0)
    night.send(Kill("e0000.1"))
    killed_in_a_tick(night, started=True)

    def check() -> None:
        assert night.run_until(lambda: night.count(Ended) > 0)
        ended = [event for event in night.events() if isinstance(event, Ended)]
        assert [event.outcome for event in ended] == [Outcome.CANCELLED], "the run was not cancelled"

    return check


def cleans(night: Night) -> Check:
    killed_in_a_tick(night)
    assert night.folder.source("e0000.1").exists()

    def check() -> None:
        assert not night.folder.source("e0000.1").exists(), "the files of the run are left"

    return check


def launches(night: Night) -> Check:
    killed_in_a_tick(night)

    def check() -> None:
        assert night.run_until(lambda: bool(night.state.incumbent)), "the cluster never came up"
        assert night.fleet._world.clusters[CLUSTER].launches == 1

    return check


def takes_a_cluster_down(night: Night) -> Check:
    night.worker.start()
    assert night.run_until(lambda: night.count(Started) > 0)
    night.send(End(EndMode.CANCEL, clusters_down=True))
    killed_in_a_tick(night, started=True)

    def check() -> None:
        assert night.run_until(lambda: bool(night.worker.finished)), "the cluster was never taken down"
        assert night.fleet._world.clusters[CLUSTER].is_ is ClusterIs.DOWN
        assert (night.count(ClusterStopping), night.count(ClusterDown)) == (1, 1)

    return check


def gives_a_cluster_up(night: Night) -> Check:
    night.hazards = Hazards(launch_failure=1.0)
    night.worker.abandon()
    night.worker = night._build()
    killed_in_a_tick(night)
    assert night.count(ClusterFailed) == 3

    def check() -> None:
        cluster = night.state.clusters[CLUSTER]
        assert night.run_until(lambda: not night.state.clusters[CLUSTER].unverified), "it may be billing"
        assert cluster.state is ClusterState.GIVEN_UP
        assert night.count(ClusterDown) == 1

    return check


def moves_the_branch(night: Night) -> Check:
    killed_in_a_tick(night)

    def check() -> None:
        tip = git(night.place / "repo", "rev-parse", "--verify", "cockpit/night").strip()
        assert tip == night.state.experiments[night.state.incumbent].commit
        assert night.count(IncumbentSet) == 1

    return check


def asks(night: Night) -> Check:
    killed_in_a_tick(night)

    def check() -> None:
        assert night.run_until(lambda: night.count(AskEnded) > 0), "the proposer was not asked"
        assert sum(isinstance(event, Proposed) and event.ask > 0 for event in night.events()) == 1

    return check


def interrupts(night: Night) -> Check:
    """Return the turn ends with its worker; the next turn is not interrupted."""
    night.worker.abandon()
    night.inline, night.proposer.waits = False, True
    night.worker = night._build()
    night.worker.start()
    assert night.run_until(night.proposer.thinks.is_set)
    night.send(Interrupt())
    killed_in_a_tick(night, started=True)
    night.inline = True

    def check() -> None:
        wait_for(lambda: night.proposer.turns_interrupted == [True], 5, "the turn to end")
        night.proposer.waits = False
        assert night.run_until(lambda: len(night.proposer.turns_interrupted) > 1), "the proposer was not asked again"
        assert night.proposer.turns_interrupted[1:2] == [False]
        assert night.count(Interrupted) == 1

    return check


def ends(night: Night) -> Check:
    night.send(End(EndMode.DRAIN))
    killed_in_a_tick(night)

    def check() -> None:
        assert night.worker.run(threading.Event()) == "ann ends it"
        night.worker.close("ann ends it")
        told = [json.loads(line) for line in (night.place / "repo" / "told.jsonl").read_text().splitlines()]
        assert [one["text"] for one in told if one["event"] == "ended"] == ["the session has ended: ann ends it"]
        assert (night.count(SessionEnded), night.count(WorkerStopped)) == (1, 1)
        night.worker = night._build()
        night.worker.start()
        assert (night.state.ended_at, night.state.ending) == (0.0, None), "a session that is opened again is reopened"

    return check


def killed_in_a_tick(night: Night, started: bool = False) -> None:
    if not started:
        night.worker.start()
    night.kill_at_the_next()
    with pytest.raises(Killed):
        night.run_until(lambda: False)


def takes_a_task(night: Night) -> Check:
    """Return a changed experiment.yaml is taken, and the worker is killed before its fleet uses it."""
    text = "resources:\n  accelerators: H100:1\nrun: python train.py\n"
    night.worker.start()
    assert night.run_until(lambda: bool(night.state.incumbent))
    night.kill_at_the_next()
    with pytest.raises(Killed):
        night.worker.apply(TaskTaken(at=night.worker.now(), text=text, sha256="", author="ann"))

    def check() -> None:
        assert night.state.task == text and night.count(TaskTaken) == 1
        pytest.importorskip("sky")
        fleet = msgspec.structs.replace(night.state.session.fleet, kind="sky", simulated=False, infra="")
        session = msgspec.structs.replace(night.state.session, fleet=fleet)
        store = VariantStore(Path(session.repo), session.name)
        state = msgspec.structs.replace(night.state, session=session)
        made, _ = build.fleet_and_clock(night.folder, state, store, threading.Event(), Settings())
        store.close()
        assert isinstance(made, SkyFleet)
        assert made._parts.sky.classes() == {"H100"}
        made.close()

    return check


SCENARIOS: dict[type[Event], Callable[[Night], Check]] = {
    WorkerStarted: starts,
    Submitting: submits,
    Cancelling: cancels,
    Ended: cleans,
    Launching: launches,
    ClusterStopping: takes_a_cluster_down,
    ClusterGivenUp: gives_a_cluster_up,
    IncumbentSet: moves_the_branch,
    Asked: asks,
    Interrupted: interrupts,
    SessionEnded: ends,
    TaskTaken: takes_a_task,
}

REDONE = (Cancelling, Ended, ClusterStopping, ClusterGivenUp, IncumbentSet, SessionEnded)
"""The effects that a start repeats. The others follow from reports of the fleet, or from a new ask."""


@pytest.fixture
def night(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    night = Night(tmp_path, request.param)
    monkeypatch.setattr(Reactor, "react", lambda reactor, state, event: night.react(reactor, state, event))
    yield night
    night.worker.abandon()


def by_name(kind: type[Event]) -> str:
    return kind.__name__


def test_every_event_with_an_effect_has_a_scenario() -> None:
    assert SCENARIOS.keys() == REACTIONS.keys()


@pytest.mark.parametrize("night", REACTIONS, indirect=True, ids=by_name)
def test_an_effect_prevented_by_a_kill_happens_once_after_a_restart(night: Night) -> None:
    check = SCENARIOS[night._kills](night)
    assert type(night.killed) is night._kills
    night.restart()
    check()


@pytest.mark.parametrize("night", REDONE, indirect=True, ids=by_name)
def test_the_check_fails_where_a_start_repeats_nothing(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "unfinished", lambda state: [])
    check = SCENARIOS[night._kills](night)
    night.restart()
    with pytest.raises((AssertionError, subprocess.CalledProcessError, FileNotFoundError)):
        check()


KILLED_AT = """
import os, signal, sys
from cockpit.worker import main
from cockpit.worker.react import Reactor

react = Reactor.react

def killed(reactor, state, event):
    if type(event).__name__ == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
    return react(reactor, state, event)

Reactor.react = killed
main.main()
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", [Submitting, Ended, IncumbentSet], ids=by_name)
def test_the_next_process_carries_out_the_effect_of_a_killed_one(tmp_path: Path, kind: type[Event]) -> None:
    folder = local_session(tmp_path, clusters=1, confine=False, mode="manual")
    words = [sys.executable, "-c", KILLED_AT, str(folder.root), kind.__name__]
    killed = subprocess.run(words, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    worker_process.start(folder)
    repo = tmp_path / "repo"
    try:
        wait_for(lambda: bool(git(repo, "branch", "--list", "cockpit/night")), 60, "the branch to be made")
    finally:
        worker_process.terminate(folder)
    state = state_of(folder)
    assert git(repo, "rev-parse", "cockpit/night").strip() == state.experiments["e0000"].commit
    assert (tmp_path / "runs.txt").read_text().split().count("e0000.1") == 1
    assert not folder.source("e0000.1").exists()


@pytest.mark.timeout(60)
def test_a_persons_kill_reaches_the_fleet_after_the_ledger_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = local_session(tmp_path, clusters=1, confine=False, mode="manual")
    log: list[str] = []

    def noted(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def call(*words: Any) -> Any:
            log.append(name)
            return real(*words)

        monkeypatch.setattr(owner, name, call)

    worker = build.build(folder, threading.Event(), threading.Event())
    worker.start()
    while not worker.state.in_flight:
        worker.tick()
    noted(Ledger, "append")
    noted(Ledger, "sync")
    noted(LocalFleet, "cancel")
    inbox = Inbox(folder.inbox)
    inbox.put("ann", encode_intent(Kill("e0000.1")))
    inbox.close()
    worker.tick()
    at = log.index("cancel")
    assert log[at - 2 : at] == ["append", "sync"]
    worker.close("enough")
