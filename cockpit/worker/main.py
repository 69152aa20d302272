"""The worker's process: `python -m cockpit.worker.main SESSION_FOLDER`. Started by `cockpit.session.worker_process`."""

import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from cockpit.agent.proposer_api import ProposalRequest, Proposer, ProposerApi, SeatedProposer
from cockpit.core.events import Trouble
from cockpit.core.model import Session
from cockpit.core.seats import Seat
from cockpit.core.state import State
from cockpit.fleet.base import Fleet, FleetError
from cockpit.fleet.node.signals import survive_unused_signals
from cockpit.session import api_key, corpus, heartbeat, settings, worker_process
from cockpit.session.api_key import KeyHolder
from cockpit.session.clock import Clock, WallClock
from cockpit.session.inbox import WORKER_BUSY_TIMEOUT_S, Inbox
from cockpit.session.ledger import Ledger
from cockpit.session.ledger_errors import LedgerBusy, LedgerDamaged, LedgerError, LedgerFull, is_full
from cockpit.session.lock import WorkerError, WorkerLock
from cockpit.session.paths import SessionFolder
from cockpit.session.setting_types import SettingsError
from cockpit.session.user import user_name
from cockpit.session.watched_thread import WatchedThread
from cockpit.variant.errors import VariantError
from cockpit.variant.store import VariantStore
from cockpit.worker.loop import Worker
from cockpit.worker.notify import Notifier
from cockpit.worker.parts import WorkerParts
from cockpit.worker.seat_environment import seat_environment
from cockpit.worker.seat_wall import SeatWall
from cockpit.worker.shortage import is_closed, shortage

RETRY_FULL_S = 5.0
ASK_TO_END = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT))
FULL_BELOW_BYTES, FULL_BELOW_FILES = 1 << 20, 4
"""Free bytes below which a disk counts as full: the last blocks come and go."""
FAULTS_AT_MOST = 5
FAULT_FORGOTTEN_S = 600.0
"""Seconds without a fault after which earlier faults no longer count."""
IDLE_MINUTES = 30
"""Minutes after which the cloud takes an idle cluster down, where it can. No worker is needed for that."""

TRACE_FRAMES = 100

log = logging.getLogger("cockpit.worker")


class WholeTraces(logging.Formatter):
    """Formats full traces. SkyPilot sets `sys.tracebacklimit` to 0 while it raises, in threads that race for it."""

    def formatException(self, ei: Any) -> str:
        return "".join(traceback.format_exception(ei[1], limit=TRACE_FRAMES)).rstrip()


def main() -> None:
    api_key.hide()
    api_key.receive()
    api_key.seclude()
    os.umask(worker_process.UMASK)
    folder = SessionFolder(Path(sys.argv[1]))
    lines = logging.StreamHandler(sys.stdout)
    lines.setFormatter(WholeTraces("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[lines])
    try:
        held = WorkerLock.take(folder)
        refuse_copy(folder)
    except WorkerError as error:
        sys.exit(str(error))
    stop, wake = threading.Event(), threading.Event()
    set_when_asked_to_end(stop, wake)
    survive_unused_signals()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        reason = run_session(folder, stop, wake)
    except (FleetError, VariantError, SettingsError, LedgerError) as error:
        log.error("%s", error)
        held.release()
        heartbeat.write_heartbeat(folder, str(error), stopped=True)
        sys.exit(str(error))
    log.info("ends: %s", reason)
    heartbeat.write_heartbeat(folder, stopped=True)
    held.release()


def set_when_asked_to_end(*events: threading.Event) -> None:
    """Set the events once a signal asks this process to end.

    A thread sets them: a handler interrupts the main thread anywhere, also where that holds the lock of an event, and
    would wait for the lock for ever.
    """
    heard, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    for number in ASK_TO_END:
        signal.signal(number, lambda received, frame: None)

    def listen() -> None:
        while True:
            if not ASK_TO_END.isdisjoint(os.read(heard, 512)):
                for event in events:
                    event.set()

    threading.Thread(target=listen, daemon=True, name="signals").start()


def refuse_copy(folder: SessionFolder) -> None:
    """Raise WorkerError for a copy of a session whose worker runs: both would move one branch and use one fleet."""
    beat = heartbeat.read_heartbeat(folder)
    if beat is not None and heartbeat.is_of_live_process(beat):
        raise WorkerError(
            f"{folder.root} is a copy of a session that process {beat.pid} runs: end that first, or watch the copy"
        )


def run_session(folder: SessionFolder, stop: threading.Event, wake: threading.Event) -> str:
    """Run the session until it ends or is stopped. Returns why.

    An error that may pass is waited out. After a fault of its own the worker starts again from the ledger, as after a
    kill. More than FAULTS_AT_MOST consecutive faults are raised.
    """
    pacemaker = Pacemaker(folder)
    faults, has_run = 0, False
    words: list[str] = []
    beats = WatchedThread("heartbeat", pacemaker.run)
    while True:
        worker: Worker | None = None
        began = time.monotonic()
        try:
            words = [word for word in (*words, beats.mend()) if word]
            worker = build(folder, stop, wake)
            has_run = True
            worker.threads.append(beats)
            worker.start()
            worker.record(*(Trouble(at=worker.now(), text=word) for word in words))
            words = []
            pacemaker.follow(worker)
            reason = worker.run(stop)
            pacemaker.end()
            worker.close(reason)
            return reason
        except Exception as error:
            if has_run and folder.is_gone():
                if worker is not None:
                    worker.abandon()
                raise LedgerError(
                    f"{folder.root} was removed or moved while its session ran: the worker ends"
                ) from error
            if note := waits_for(error, has_run):
                log.error("%s", error)
                pacemaker.note = note
            else:
                lasted_s = worker.ticked_at - began if worker else 0.0
                faults = 1 if lasted_s > FAULT_FORGOTTEN_S else faults + 1
                if worker is None or isinstance(error, LedgerError | FleetError) or faults > FAULTS_AT_MOST:
                    raise
                log.exception("the worker failed and starts again")
                pacemaker.note = f"the worker failed and starts again ({type(error).__name__}): see {folder.worker_log}"
            if worker is not None:
                worker.abandon()
                if worker.finished:
                    return worker.finished
            if stop.wait(RETRY_FULL_S):
                return pacemaker.note


def waits_for(error: Exception, has_run: bool) -> str:
    """Return what the worker waits for after an error that may pass; empty for another error.

    Once it has run, that may be a file that cannot be used now: a disk that was made read-only, or a right taken away.
    """
    if is_full(error):
        return full_disk_note(error)
    if isinstance(error, LedgerBusy):
        return str(error)
    if lacks := shortage(error):
        return f"this machine has no {lacks} left: the worker waits until it has"
    is_of_ledger = isinstance(error, LedgerError) and not isinstance(error, LedgerDamaged)
    if has_run and (is_of_ledger or is_closed(error)):
        return f"{error}: the worker waits until that is mended"
    return ""


def full_disk_note(error: Exception) -> str:
    """Return what to do about a full disk. The error, or one that caused it, names the disk."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError | LedgerFull):
        cause = cause.__cause__
    where = f" that holds {cause.filename}" if cause is not None and cause.filename else ""
    return f"the disk{where} is full: free some space, and the session continues"


class Pacemaker:
    """Beats while there is a worker that ticks. The heartbeat of a worker that hangs goes stale."""

    def __init__(self, folder: SessionFolder) -> None:
        self.note = ""
        self.worker: Worker | None = None
        self._folder = folder

    def follow(self, worker: Worker) -> None:
        self.worker, self.note = worker, ""
        heartbeat.write_heartbeat(self._folder)

    def end(self) -> None:
        """Tell that the worker ends, before its last event does: a person who reads that may start another."""
        self.worker, self.note = None, ""
        heartbeat.write_heartbeat(self._folder, stopped=True)

    def run(self) -> None:
        while True:
            worker = self.worker
            note = self.note or (worker.waits_for if worker else "")
            if note or (worker and time.monotonic() - worker.ticked_at < heartbeat.STALE_AFTER_S):
                heartbeat.write_heartbeat(self._folder, note or self._disk())
            time.sleep(heartbeat.BEAT_EVERY_S)

    def _disk(self) -> str:
        """Tell of a full disk. Runs that cannot write their logs are silent, so nothing else would tell."""
        try:
            disk = os.statvfs(self._folder.root)
        except OSError:
            return ""
        bytes_free, files_free = (disk.f_bavail, disk.f_favail) if os.geteuid() else (disk.f_bfree, disk.f_ffree)
        if bytes_free * disk.f_frsize < FULL_BELOW_BYTES:
            return f"the disk that holds {self._folder.root} is full: free some space, and it continues"
        if disk.f_files and files_free < FULL_BELOW_FILES:
            return f"the disk that holds {self._folder.root} takes no more files: remove some, and it continues"
        return ""


def build(folder: SessionFolder, stop: threading.Event, wake: threading.Event) -> Worker:
    """Build the session's worker, on the fleet that the session was created with."""
    ledger = Ledger.open(folder.ledger, stop)
    state = ledger.state()
    session = state.session
    configured = settings.read_settings(Path(session.repo))
    environment, label = uv_environment(session, folder), ""
    if session.fleet.kind == "local" and corpus.takes_corpus(Path(session.repo)):
        label = session.corpus
        environment |= {"COCKPIT_DATA_DIR": str(corpus.data_folder()), "COCKPIT_CORPUS": label.partition(" ")[0]}
    store = VariantStore.of(session)
    made = proposers(folder, configured)  # before any process is started that would inherit the key
    fleet, clock = fleet_and_clock(folder, session, state, store, wake, configured)
    parts = WorkerParts(
        folder=folder,
        ledger=ledger,
        fleet=fleet,
        store=store,
        clock=clock,
        wake=wake,
        proposers=made,
        make_seat=partial(seated, folder, configured),
        commands=configured.commands,
        inbox=Inbox(folder.inbox, WORKER_BUSY_TIMEOUT_S),
        environment=environment,
        corpus=label,
        notifier=_notifier(configured.on_event, Path(session.repo), folder.root) if configured.on_event else None,
        inline=session.fleet.simulated and session.fleet.speed == 0,
        host=socket.gethostname(),
        user=user_name(),
        pid=os.getpid(),
    )
    return Worker(parts)


def uv_environment(session: Session, folder: SessionFolder) -> dict[str, str]:
    """Return the variables that give all runs of a uv command one environment: the repository's, else the session's.

    Without them uv builds a new environment in the folder of every run.
    """
    if not session.run_command or Path(session.run_command[0]).name not in ("uv", "uvx"):
        return {}
    own = Path(session.repo) / ".venv"
    if own.exists():
        return {"UV_PROJECT_ENVIRONMENT": str(own), "UV_NO_SYNC": "1"}
    return {"UV_PROJECT_ENVIRONMENT": str(folder.root.absolute() / "environment")}


def fleet_and_clock(
    folder: SessionFolder,
    session: Session,
    state: State,
    store: VariantStore,
    wake: threading.Event,
    configured: settings.Settings,
) -> tuple[Fleet, Clock]:
    """Open the fleet of the session and its clock. Imports only the fleet that is needed. Raises FleetError."""
    if session.fleet.kind == "local":
        from cockpit.fleet.local.device_locks import DeviceLocks, Holder
        from cockpit.fleet.local.fleet import LocalFleet

        locks = DeviceLocks(Holder(str(folder.root.resolve()), user_name()))
        clock = WallClock(state.now, state.boot, state.clock_origin)
        return LocalFleet(session.fleet.clusters, wake, session.access, locks, clock), clock
    if session.fleet.kind == "sim":
        from cockpit.fleet.sim.fleet import open_sim

        return open_sim(session.fleet, folder.sim_world, session.created_at)
    if session.fleet.kind == "sky":
        from cockpit.fleet.sky.client import SkyClient
        from cockpit.fleet.sky.fleet import SkyFleet
        from cockpit.fleet.sky.parts import SessionIdentity, SkyParts
        from cockpit.fleet.sky.requests import LongRequests

        setup = folder.source("setup")
        if not setup.exists():
            setup.parent.mkdir(parents=True, exist_ok=True)
            store.export(state.experiments[state.baseline].commit, setup)
        yaml = Path(session.repo) / "experiment.yaml"
        identity = SessionIdentity(session.name, session.id)
        sky = SkyClient(
            yaml, identity, session.fleet.infra, configured.usd_per_hour, IDLE_MINUTES, state.task, session.access
        )
        clock = WallClock(state.now, state.boot, state.clock_origin)
        parts = SkyParts(
            sky=sky,
            requests=LongRequests(sky.long_requests()),
            session=identity,
            setup_source=setup / store.subfolder,
            logs=folder.root / "logs",
            clock=clock,
        )
        return SkyFleet(session.fleet.clusters, parts, wake), clock
    raise FleetError(f"this cockpit has no fleet {session.fleet.kind!r}: upgrade it")


@cache
def _notifier(command: str, repo: Path, folder: Path) -> Notifier:
    """Make one notifier for the process, so that a worker that is built again does not repeat notifications."""
    return Notifier(command, repo, folder)


@cache
def _key(key_file: str) -> KeyHolder:
    """Take the key once: it leaves the environment, and a worker may be built again in the same process."""
    return KeyHolder(key_file)


class LazyProposer:
    """A proposer that is loaded when it is first asked, so that the fleet does not wait for a model's SDK."""

    def __init__(self, name: str, make: Callable[[], Proposer]) -> None:
        self.name = name
        self._make = make
        self._made: Proposer | None = None

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        if self._made is None:
            self._made = self._make()
        self._made.propose(api, request)


class LazySeat:
    """An agent that is loaded when it is first asked."""

    def __init__(self, seat: Seat, folder: SessionFolder, configured: settings.Settings) -> None:
        self.name = seat.name
        self._seat = seat
        self._folder = folder
        self._configured = configured.agent
        self._agents = configured.agents
        self._made: SeatedProposer | None = None

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        if self._made is None:
            from cockpit.agent.acp.proposer import AcpProposer, SeatLimits

            ask_s = self._configured.permission_s if self._configured.permissions == "ask" else 0.0
            limits = SeatLimits(self._configured.silence_s, self._configured.turn_s, ask_s)
            own = self._agents.get(self.name, settings.NamedAgent())
            wall = SeatWall(self._seat, (*self._configured.folders, *own.folders), self._configured.confined)
            environment = seat_environment(self._seat, (*self._configured.env, *own.env), os.environ)
            self._made = AcpProposer(self._seat, self._folder, wall, environment, limits)
        self._made.propose(api, request)

    def close(self) -> None:
        if self._made is not None:
            self._made.close()


def seated(folder: SessionFolder, configured: settings.Settings, seat: Seat) -> SeatedProposer:
    """Return the proposer of an agent that the worker starts."""
    return LazySeat(seat, folder, configured)


def proposers(folder: SessionFolder, configured: settings.Settings) -> dict[str, Proposer]:
    """Make every proposer that can be asked, by name. The key leaves this process's environment here."""
    holder = _key(configured.agent.key_file)

    def claude(asked_as: str = "") -> Proposer:
        from cockpit.agent.claude.researcher import Claude

        return Claude(configured.agent, folder, holder, asked_as=asked_as)

    def search() -> Proposer:
        from cockpit.agent.proposers.search import Search

        return Search()

    def hybrid() -> Proposer:
        from cockpit.agent.proposers.hybrid import Hybrid

        return Hybrid(claude("hybrid"), makers[configured.agent.numeric](), configured.agent.share)

    def tpe() -> Proposer:
        from cockpit.agent.proposers.tpe import Tpe

        return Tpe()

    def grid() -> Proposer:
        from cockpit.agent.proposers.grid import Grid

        return Grid()

    def ablate() -> Proposer:
        from cockpit.agent.proposers import planned

        return planned.ablate()

    def rebase() -> Proposer:
        from cockpit.agent.proposers import planned

        return planned.rebase()

    makers = {
        "claude": claude, "hybrid": hybrid, "search": search, "tpe": tpe, "grid": grid, "ablate": ablate,
        "rebase": rebase,
    }  # fmt: skip
    return {name: LazyProposer(name, make) for name, make in makers.items()}


if __name__ == "__main__":
    main()
