"""Builds the worker of a session from its ledger and its settings."""

import os
import socket
import threading
from functools import cache, partial
from pathlib import Path

from cockpit.core.session import Session
from cockpit.core.state import State
from cockpit.create.command import SHELLS
from cockpit.fleet.base import Fleet, FleetError
from cockpit.fleet.node.confinement import program_of
from cockpit.session import corpus, settings
from cockpit.session.clock import Clock, WallClock
from cockpit.session.inbox import WORKER_BUSY_TIMEOUT_S, Inbox
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder
from cockpit.session.user import user_name
from cockpit.variant.store import VariantStore
from cockpit.worker.loop import Worker
from cockpit.worker.notify import Notifier
from cockpit.worker.parts import WorkerParts
from cockpit.worker.proposers import agent_proposer, proposers

IDLE_MINUTES = 30
"""Minutes after which the cloud takes an idle cluster down, if it can. No worker is needed for that."""


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
    fleet, clock = fleet_and_clock(folder, state, store, wake, configured)
    parts = WorkerParts(
        folder=folder,
        ledger=ledger,
        fleet=fleet,
        store=store,
        clock=clock,
        wake=wake,
        proposers=made,
        make_agent=partial(agent_proposer, folder, configured),
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
    """Return the variables that give all runs of a uv command one environment: that of the person's own variable, the
    repository's, else the session's.

    Without them uv builds a new environment in the folder of every run. A shell may start uv too.
    """
    program = Path(program_of(session.run_command)).name
    if program not in ("uv", "uvx", *SHELLS):
        return {}
    own = Path(os.environ.get("UV_PROJECT_ENVIRONMENT") or ".venv")
    own = own if own.is_absolute() else Path(session.repo) / own
    if own.exists():
        return {"UV_PROJECT_ENVIRONMENT": str(own), "UV_NO_SYNC": "1"}
    return {"UV_PROJECT_ENVIRONMENT": str(folder.root.absolute() / "environment")}


def fleet_and_clock(
    folder: SessionFolder, state: State, store: VariantStore, wake: threading.Event, configured: settings.Settings
) -> tuple[Fleet, Clock]:
    """Open the fleet of the session and its clock. Imports only the fleet that is needed. Raises FleetError."""
    session = state.session
    if session.fleet.kind == "sim":
        from cockpit.fleet.sim.fleet import open_sim

        return open_sim(session.fleet, folder.sim_world, session.created_at)
    clock = WallClock(state.now, state.boot, state.clock_origin)
    if session.fleet.kind == "local":
        return local_fleet(folder, session, wake, clock), clock
    if session.fleet.kind == "sky":
        return sky_fleet(folder, state, store, wake, configured, clock), clock
    raise FleetError(f"this cockpit has no fleet {session.fleet.kind!r}: upgrade it")


def local_fleet(folder: SessionFolder, session: Session, wake: threading.Event, clock: Clock) -> Fleet:
    from cockpit.fleet.local.device_locks import DeviceLocks, Holder
    from cockpit.fleet.local.fleet import LocalFleet

    locks = DeviceLocks(Holder(str(folder.root.resolve()), user_name()))
    return LocalFleet(session.fleet.clusters, wake, session.access, locks, clock)


def sky_fleet(
    folder: SessionFolder,
    state: State,
    store: VariantStore,
    wake: threading.Event,
    configured: settings.Settings,
    clock: Clock,
) -> Fleet:
    """Open a fleet of SkyPilot clusters. Exports the baseline once, for the clusters' set-up. Raises FleetError."""
    from cockpit.fleet.sky.client import SkyClient
    from cockpit.fleet.sky.fleet import SkyFleet
    from cockpit.fleet.sky.parts import SessionIdentity, SkyParts
    from cockpit.fleet.sky.requests import LongRequests

    session = state.session
    setup = folder.source("setup")
    if not setup.exists():
        setup.parent.mkdir(parents=True, exist_ok=True)
        store.export(state.experiments[state.baseline].commit, setup)
    yaml = Path(session.repo) / "experiment.yaml"
    identity = SessionIdentity(session.name, session.id)
    sky = SkyClient(
        yaml, identity, session.fleet.infra, configured.usd_per_hour, IDLE_MINUTES, state.task, session.access
    )
    parts = SkyParts(
        sky=sky,
        requests=LongRequests(sky.long_requests()),
        session=identity,
        setup_source=setup / store.subfolder,
        logs=folder.logs,
        clock=clock,
    )
    return SkyFleet(session.fleet.clusters, parts, wake)


@cache
def _notifier(command: str, repo: Path, folder: Path) -> Notifier:
    """Make one notifier for the process, so that a worker that is built again does not repeat notifications."""
    return Notifier(command, repo, folder)
