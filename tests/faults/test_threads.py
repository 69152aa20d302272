"""Threads of the worker that die are reported and restarted, up to a limit."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest

from cockpit.agent.acp.tools_socket import ToolsSocket
from cockpit.agent.proposer_api import ProposalRequest, ProposerApi, ProposerTrouble, Receipt
from cockpit.core.events import AskEnded, Event
from cockpit.core.hosted_agents import HostedAgent
from cockpit.core.intents import Draft
from cockpit.core.model import ClusterState
from cockpit.core.state import State
from cockpit.fleet.base import ClusterEnded, ClusterReady, ClusterTrouble, FleetTrouble, JobEnded
from cockpit.fleet.sky.fleet import SkyFleet
from cockpit.fleet.sky.launch_log import LaunchLog
from cockpit.fleet.sky.setup import SetupWatch
from cockpit.session.watched_thread import PAUSE_S, RESTARTS_AT_MOST, WatchedThread
from cockpit.worker.notify import Notifier
from cockpit.worker.pacemaker import Pacemaker
from cockpit.worker.parts import no_agents
from cockpit.worker.proposer_host import ProposerHost
from cockpit.worker.reports import Reports
from cockpit.worker.supervisor import run_session
from tests.decide.world import World
from tests.faults.checks import numbered_bodies
from tests.fleet.flaky import FlakySky, Watched
from tests.worker.sessions import ROOT, local_session, sim_session, state_of, wait_for

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


class Dies:
    """Work that fails its first `times` runs, and then waits to be ended."""

    def __init__(self, times: int) -> None:
        self.left, self.runs = times, 0
        self.end = threading.Event()

    def __call__(self) -> None:
        self.runs += 1
        if self.runs <= self.left:
            raise MemoryError("no memory is left")
        self.end.wait(60)


def fails_once(call: Callable[P, R]) -> Callable[P, R]:
    """Return the call, whose first use fails as where no memory is left."""
    left = [1]

    def used(*arguments: P.args, **named: P.kwargs) -> R:
        if left[0]:
            left[0] -= 1
            raise MemoryError
        return call(*arguments, **named)

    return used


def gathered(found: list[T], more: list[T]) -> list[T]:
    found.extend(more)
    return found


def dead(thread: WatchedThread) -> None:
    wait_for(lambda: not thread.is_alive, 20, "the thread to die")


def test_a_thread_that_dies_starts_again_and_reports_it() -> None:
    work = Dies(1)
    thread = WatchedThread("sky-watch", work)
    dead(thread)
    assert (
        thread.mend() == "the thread sky-watch of the worker failed (MemoryError: no memory is left) and starts again"
    )
    assert thread.mend() == ""
    assert thread.is_alive and work.runs == 2
    work.end.set()
    thread.join(20)
    assert thread.mend() == "", "work that is done does not begin again"


def test_a_thread_that_always_dies_is_started_a_limited_number_of_times() -> None:
    now = [0.0]
    work = Dies(1_000)
    thread = WatchedThread("on_event", work, lambda: now[0])
    words = []
    for _ in range(50):
        dead(thread)
        words += [word] if (word := thread.mend()) else []
    assert work.runs == RESTARTS_AT_MOST + 1
    assert len(words) == RESTARTS_AT_MOST + 1 and words[-1].endswith("starts again in 10 min")
    now[0] += PAUSE_S + 1
    thread.mend()
    dead(thread)
    assert work.runs == RESTARTS_AT_MOST + 2


def test_a_thread_that_cannot_be_started_is_started_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    work = Dies(0)
    thread = WatchedThread("heartbeat", work)
    assert [thread.is_alive, work.runs] == [False, 0]
    monkeypatch.undo()
    assert "can't start new thread" in thread.mend()
    wait_for(lambda: work.runs, 20, "the work to begin")
    work.end.set()


def no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


class Host:
    """The part of a worker that its proposer host needs."""

    store: Any = None
    folder: Any = None

    def __init__(self) -> None:
        self.state: State = World(lambda constants, attempt: 1.0).state

    def now(self) -> float:
        return 1_000.0

    def apply(self, *events: Event) -> None:
        raise AssertionError("nothing is recorded here")

    def ingest(self, draft: Draft, ask: int) -> Receipt:
        raise AssertionError("nothing is proposed here")


class Quits:
    """A proposer whose thread ends without a word, as one does that has no memory for a word."""

    name = "search"

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        raise SystemExit


def ended(host: ProposerHost) -> AskEnded:
    found: list[AskEnded] = []
    wait_for(lambda: gathered(found, host.finished()), 20, "the end of the ask")
    assert len(found) == 1 and host.finished() == [], "it ends once"
    return found[0]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("starts", [True, False])
def test_a_proposer_whose_thread_died_is_asked_again_later(starts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Host()
    host = ProposerHost(worker, {"search": Quits()}, no_agents, threading.Event(), inline=False)
    if not starts:
        monkeypatch.setattr(threading.Thread, "start", no_thread)
    waits = []
    for ask in range(1, 9):
        host.start("search", ProposalRequest(ask, 4, "dry"))
        one = ended(host)
        assert (one.ask, one.trouble) == (ask, "the thread of search died without an answer")
        waits.append(one.retry_at - worker.now())
        worker.state.ask_failures["search"] = ask
    assert waits[:4] == [60.0, 120.0, 240.0, 480.0]
    assert waits[-1] == 900.0


class Hangs:
    """A proposer that never ends its turn, and tries to propose once it is let go."""

    name = "search"

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.error = ""

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        self.let_go.wait(60)
        try:
            api.record()
        except ProposerTrouble as error:
            self.error = str(error)
            raise


def test_a_proposer_that_hangs_is_given_up_and_its_later_calls_are_refused() -> None:
    worker, hangs = Host(), Hangs()
    host = ProposerHost(worker, {"search": hangs}, no_agents, threading.Event(), inline=False, hang_s=0.2)
    host.start("search", ProposalRequest(1, 4, "dry"))
    one = ended(host)
    assert one.trouble == "the thread of search has hung: no sign of it for 0.00333 min"
    assert one.retry_at - worker.now() == 60.0
    hangs.let_go.set()
    wait_for(lambda: hangs.error, 20, "the end of the thread that was left behind")
    assert hangs.error == "the turn counts as hung and was given up"
    assert host.finished() == [], "its end is not told twice"


def test_notifications_continue_after_their_thread_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = state_of(sim_session(tmp_path, speed=1.0))
    monkeypatch.setattr(Notifier, "_run", fails_once(Notifier._run))
    notifier = Notifier("cat >> told", tmp_path, tmp_path)
    for name in ("gpu-01", "gpu-02"):
        state.clusters[name].state = ClusterState.GIVEN_UP
    notifier.notify_needs(state, 10.0)
    troubles: list[str] = []
    wait_for(lambda: gathered(troubles, notifier.troubles()), 20, "the word about the thread")
    assert "the thread on_event of the worker failed" in troubles[0]
    wait_for(lambda: (tmp_path / "told").exists(), 20, "the second notification")
    notifier.close()


def test_the_log_of_a_run_is_read_on_after_its_reader_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sky = FlakySky()
    monkeypatch.setattr(sky, "tail", fails_once(sky.tail))
    watched = Watched(tmp_path, sky)
    watched.cluster.recover([])
    watched.until(lambda: watched.of(ClusterReady))
    watched.cluster.submit(watched.job())
    words: list[str] = []
    watched.until(lambda: gathered(words, watched.cluster.mend()))
    assert "the thread log-e0001.1 of the worker failed" in words[0]
    sky.finish("0.97")
    watched.until(lambda: watched.of(JobEnded))
    assert watched.of(JobEnded)[0].reason == "exited"
    watched.cluster.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_cluster_whose_thread_died_is_lost_and_takes_requests_again(tmp_path: Path) -> None:
    watched = Watched(tmp_path, FlakySky())
    watched.cluster.recover([])
    watched.until(lambda: watched.of(ClusterReady))

    def quits() -> None:
        raise SystemExit

    watched.cluster._requests.put(quits)
    words: list[str] = []
    watched.until(lambda: gathered(words, watched.cluster.mend()))
    watched.until(lambda: watched.of(ClusterTrouble))
    assert "the thread sky-gpu-01 of the worker failed" in watched.of(ClusterTrouble)[0].message
    assert watched.of(ClusterTrouble)[0].lost
    watched.cluster.down()
    watched.until(lambda: watched.of(ClusterEnded))
    watched.cluster.close()


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_set_up_whose_reader_died_is_judged_by_its_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sky = FlakySky()
    monkeypatch.setattr(sky, "tail", fails_once(sky.tail))
    watch = SetupWatch(sky, "gpu-01", 1, LaunchLog(tmp_path / "log", print))
    watch.wait("gpu-01", lambda: False)


def test_the_watch_of_a_fleet_starts_again_and_the_ledger_reports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cockpit.fleet.sky.fleet.WATCH_EVERY_S", 0.02)
    watched = Watched(tmp_path, FlakySky())
    fleet = SkyFleet((), watched.parts, threading.Event())
    try:
        monkeypatch.setattr(fleet, "_clusters", None)  # a fault of the watch
        wait_for(lambda: not fleet._watching.is_alive, 20, "the watch to die")
        monkeypatch.setattr(fleet, "_clusters", {})
        (report,) = fleet.poll()
        assert isinstance(report, FleetTrouble) and "the thread sky-watch of the worker failed" in report.text
        assert fleet._watching.is_alive
        (event,) = Reports(Path).events(Host().state, report)
        assert getattr(event, "text", "") == report.text
    finally:
        fleet.close()


def test_a_running_worker_mends_its_threads(tmp_path: Path) -> None:
    """End the heartbeat's thread of a real worker: the next tick starts it again and writes that down."""
    folder = local_session(tmp_path, clusters=1, mode="manual")
    stop, wake = threading.Event(), threading.Event()
    patch = pytest.MonkeyPatch()
    patch.setattr(Pacemaker, "run", fails_once(Pacemaker.run))
    thread = threading.Thread(target=run_session, args=(folder, stop, wake))
    thread.start()
    try:
        said = "the thread heartbeat of the worker failed"
        wait_for(lambda: any(said in one.text for one in state_of(folder).messages), 30, "the word in the ledger")
        wait_for(lambda: any(one.name == "heartbeat" for one in threading.enumerate()), 20, "the heartbeat")
    finally:
        stop.set()
        wake.set()
        thread.join(20)
        patch.undo()
    assert not thread.is_alive()


def opened(door: ToolsSocket) -> bytes:
    """Return the answer to a client that has the key."""
    asked = subprocess.run(door.entrance, input=b"hello", capture_output=True, timeout=20, check=True)
    return asked.stdout


def test_the_door_to_the_tools_opens_again_after_its_thread_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ToolsSocket, "_serve", fails_once(ToolsSocket._serve))
    door = ToolsSocket(["cat"], tmp_path / "log")
    try:
        words: list[str] = []
        wait_for(lambda: gathered(words, list(filter(None, [door.mend()]))), 20, "the word about the thread")
        assert words == ["the thread tools-socket of the worker failed (MemoryError: ) and starts again"]
        assert opened(door) == b"hello"
    finally:
        door.close()
    assert door.mend() == "", "a door that was closed stays shut"


class Agent:
    """An agent one of whose threads dies once."""

    name = "claude-code"

    def __init__(self, hosted: HostedAgent) -> None:
        self.words = [f"the thread tools-socket of the worker failed ({hosted.name}) and starts again"]

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        raise AssertionError("it is not asked")

    def mend(self) -> str:
        return self.words.pop() if self.words else ""

    def close(self) -> None: ...


def test_the_threads_of_a_hosted_agent_are_watched_by_the_worker() -> None:
    host = ProposerHost(Host(), {}, Agent, threading.Event(), inline=False)
    host.host(HostedAgent("claude-code", ("claude-code-acp",)))
    assert host.mend() == ["the thread tools-socket of the worker failed (claude-code) and starts again"]
    assert host.mend() == []


LISTENER_DIES = """
from cockpit.worker import main
from tests.faults.test_threads import fails_once

main.listen = fails_once(main.listen)
main.main()
"""


def test_a_worker_whose_listener_for_signals_died_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    folder = local_session(tmp_path, clusters=1, mode="manual")
    worker = subprocess.Popen(
        [sys.executable, "-c", LISTENER_DIES, str(folder.root)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        said = "the thread signals of the worker failed"
        wait_for(lambda: any(said in one.text for one in state_of(folder).messages), 30, "the word in the ledger")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
    finally:
        worker.kill()
        worker.wait()
    assert numbered_bodies(folder.ledger)[-1][1]["kind"] == "WorkerStopped"


def test_the_door_to_the_tools_stays_open_after_a_server_that_could_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [1]
    popen = subprocess.Popen

    def starts(*given: Any, **named: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return popen(*given, **named)

    monkeypatch.setattr(subprocess, "Popen", starts)
    door = ToolsSocket(["cat"], tmp_path / "log")
    try:
        answers: list[bytes] = []
        for _ in range(2):
            # The first client is turned away.
            with suppress(ConnectionError), socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20)
                client.connect(door.entrance[-1])
                client.sendall((door.folder / "key").read_bytes() + b"hello")
                client.shutdown(socket.SHUT_WR)
                answers.append(client.recv(100))
        assert answers[-1:] == [b"hello"]
    finally:
        door.close()


@pytest.mark.parametrize("key", [b"", b"wrong", b"x" * 32])
def test_the_door_to_the_tools_stays_shut_without_its_key(tmp_path: Path, key: bytes) -> None:
    door = ToolsSocket(["cat"], tmp_path / "log")
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(door.entrance[-1])
            client.sendall(key)
            client.shutdown(socket.SHUT_WR)
            assert client.recv(100) == b""
        assert opened(door) == b"hello", "the relay has the key"
    finally:
        door.close()
