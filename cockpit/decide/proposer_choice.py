"""Choose a proposer, alone or beside the others with a share of the arms, and answer a hosted agent's request."""

from cockpit.core.agent_events import AgentHosted, PermissionAnswered
from cockpit.core.events import Event, ProposerSet
from cockpit.core.hosted_agents import AgentError, agent_of, with_share
from cockpit.core.intents import Permit
from cockpit.core.model import PROPOSERS
from cockpit.core.state import State, open_permissions


def choose_proposer(words: str, author: str, at: float, beside: bool, command: tuple[str, ...] = ()) -> Event:
    """Return the event that chooses a proposer: alone, or beside the others with its share.

    `command` is that of an agent which the settings name. Raises AgentError.
    """
    name, share = with_share(words)
    part = share if beside else 0.0
    if name in PROPOSERS and beside:
        return ProposerSet(at=at, proposer=name, author=author, share=part)
    agent = agent_of(name, command)
    return AgentHosted(at=at, agent=agent.name, command=list(agent.command), author=author, share=part)


def permission_answer(state: State, intent: Permit, author: str, at: float) -> Event:
    """Return the event that answers an agent's request. Raises AgentError for one that waits for no answer."""
    asked = open_permissions(state).get(intent.request)
    if asked is None:
        waiting = ", ".join(open_permissions(state)) or "none"
        raise AgentError(f"no request {intent.request!r} waits for an answer; waiting: {waiting}")
    rule = f"person:{author}"
    return PermissionAnswered(
        at=at, agent=asked.agent, what=asked.what, allowed=intent.allowed, rule=rule, request=intent.request
    )
