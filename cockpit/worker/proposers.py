"""Makes the proposers that a worker can ask. Each is loaded when it is first asked."""

import os
from collections.abc import Callable
from functools import cache

from cockpit.agent.proposer_api import AgentProposer, ProposalRequest, Proposer, ProposerApi
from cockpit.core.hosted_agents import HostedAgent
from cockpit.session import settings
from cockpit.session.api_key import KeyHolder
from cockpit.session.paths import SessionFolder
from cockpit.worker.agent_environment import agent_environment
from cockpit.worker.agent_wall import HostedAgentWall


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


class LazyAgent:
    """A hosted agent that is loaded when it is first asked."""

    def __init__(self, agent: HostedAgent, folder: SessionFolder, configured: settings.Settings) -> None:
        self.name = agent.name
        self._agent = agent
        self._folder = folder
        self._configured = configured.agent
        self._agents = configured.agents
        self._made: AgentProposer | None = None

    def propose(self, api: ProposerApi, request: ProposalRequest) -> None:
        if self._made is None:
            from cockpit.agent.acp.proposer import AcpProposer, AgentLimits

            ask_s = self._configured.permission_s if self._configured.permissions == "ask" else 0.0
            limits = AgentLimits(self._configured.silence_s, self._configured.turn_s, ask_s)
            own = self._agents.get(self.name, settings.NamedAgent())
            wall = HostedAgentWall(self._agent, (*self._configured.folders, *own.folders), self._configured.confined)
            environment = agent_environment(self._agent, (*self._configured.env, *own.env), os.environ)
            self._made = AcpProposer(self._agent, self._folder, wall, environment, limits)
        self._made.propose(api, request)

    def mend(self) -> str:
        return self._made.mend() if self._made is not None else ""

    def close(self) -> None:
        if self._made is not None:
            self._made.close()


def agent_proposer(folder: SessionFolder, configured: settings.Settings, agent: HostedAgent) -> AgentProposer:
    """Return the proposer of a hosted agent."""
    return LazyAgent(agent, folder, configured)


def proposers(folder: SessionFolder, configured: settings.Settings) -> dict[str, Proposer]:
    """Make every proposer that can be asked, by name. The key leaves this process's environment here."""
    holder = _key(configured.agent.key_file)

    def claude(asked_as: str = "") -> Proposer:
        from cockpit.agent.claude.researcher import Claude

        return Claude(configured.agent, folder, holder, asked_as=asked_as)

    def hybrid() -> Proposer:
        from cockpit.agent.proposers.hybrid import Hybrid

        return Hybrid(claude("hybrid"), makers[configured.agent.numeric](), configured.agent.share)

    makers = {"claude": claude, "hybrid": hybrid, **WITHOUT_MODEL}
    return {name: LazyProposer(name, make) for name, make in makers.items()}


def _search() -> Proposer:
    from cockpit.agent.proposers.search import Search

    return Search()


def _tpe() -> Proposer:
    from cockpit.agent.proposers.tpe import Tpe

    return Tpe()


def _grid() -> Proposer:
    from cockpit.agent.proposers.grid import Grid

    return Grid()


def _ablate() -> Proposer:
    from cockpit.agent.proposers import planned

    return planned.ablate()


def _rebase() -> Proposer:
    from cockpit.agent.proposers import planned

    return planned.rebase()


WITHOUT_MODEL: dict[str, Callable[[], Proposer]] = {
    "search": _search, "tpe": _tpe, "grid": _grid, "ablate": _ablate, "rebase": _rebase,
}  # fmt: skip
"""Makers of the proposers that need no settings, no session and no model."""
