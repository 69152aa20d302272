"""The dependencies of a worker."""

import threading
from collections.abc import Callable

import msgspec

from cockpit.agent.proposer_api import AgentProposer, Proposer
from cockpit.core.hosted_agents import HostedAgent
from cockpit.fleet.base import Fleet
from cockpit.session.clock import Clock
from cockpit.session.inbox import Inbox
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder
from cockpit.variant.store import VariantStore
from cockpit.worker.notify import Notifier


def no_agents(agent: HostedAgent) -> AgentProposer:
    raise ValueError(f"this worker starts no agents, so not {agent.name}")


class WorkerParts(msgspec.Struct, frozen=True, kw_only=True):
    folder: SessionFolder
    ledger: Ledger
    fleet: Fleet
    store: VariantStore
    clock: Clock
    wake: threading.Event
    """Set to wake the worker for something that should not wait."""
    proposers: dict[str, Proposer]
    make_agent: Callable[[HostedAgent], AgentProposer] = no_agents
    """Makes the proposer of a hosted agent."""
    commands: dict[str, tuple[str, ...]] = {}
    """The commands of the agents that the settings name."""
    inbox: Inbox | None = None
    notifier: Notifier | None = None
    environment: dict[str, str] = {}
    """Environment variables of every run, beside those of its own."""
    corpus: str = ""
    """The label of the corpus that runs on this machine train on; empty if none is here."""
    inline: bool = False
    """True if proposers answer in the worker's own thread, as a clock that jumps requires."""
    host: str = ""
    user: str = ""
    pid: int = 0
