"""The proposers of a new session: hosted agents, and those that propose beside them."""

import shutil
from collections.abc import Mapping

import msgspec

from cockpit.core.agent_events import AgentHosted
from cockpit.core.events import Event
from cockpit.core.hosted_agents import KNOWN_AGENTS, AgentError, HostedAgent, install_hint, name_of, with_share
from cockpit.core.intents import HostAgent
from cockpit.core.model import PROPOSERS
from cockpit.create.error import CreateError
from cockpit.decide.outside_proposer import outside_proposer_note
from cockpit.decide.proposer_choice import choose_proposer
from cockpit.session.settings import Settings
from cockpit.session.user import user_name


def proposer_events(settings: Settings, session: str, at: float) -> list[Event]:
    """Return the events that choose the proposers of the settings. Raises CreateError."""
    words = _words(settings)
    if not words:
        new = settings.session
        return outside_proposer_note(new.proposer, session, at) if new.proposer else []
    try:
        events = [_event(settings, each, at, beside=number > 0) for number, each in enumerate(words)]
        share = with_share(words[0])[1]
        if share != 1.0:
            events.append(_event(settings, words[0], at, beside=True))
    except AgentError as error:
        raise CreateError(str(error)) from None
    return events


def first_agent(settings: Settings) -> str:
    """Return the name of the first agent; empty for a built-in proposer. Raises CreateError."""
    return next((agent.name for agent in agents_of(settings)), "")


def agents_of(settings: Settings) -> list[HostedAgent]:
    """Return the hosted agents of the settings. Raises CreateError."""
    found = proposer_events(settings, "", 0.0)[: len(_words(settings))]
    return [HostedAgent(event.agent, tuple(event.command)) for event in found if isinstance(event, AgentHosted)]


def check_agents(settings: Settings) -> None:
    """Refuse an agent beside a proposer of the settings, two agents of one name, and a command that is not here."""
    words = _words(settings)
    if not words:
        return
    if settings.session.agent and settings.session.proposer:
        raise CreateError("--agent chooses the proposer: give --agent or --proposer, not both")
    if with_share(words[0])[0] in PROPOSERS:
        raise CreateError(
            f"--agent {words[0]}: the first agent is one that the worker starts; name {words[0]} after it"
        )
    events = proposer_events(settings, "", 0.0)[: len(words)]
    names = [
        each.agent if isinstance(each, AgentHosted) else with_share(words[number])[0]
        for number, each in enumerate(events)
    ]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise CreateError(f"--agent {twice} is given twice: agents need different names")
    for event in events:
        if isinstance(event, AgentHosted) and shutil.which(event.command[0]) is None:
            hint = install_hint(HostedAgent(event.agent, tuple(event.command)))
            raise CreateError(
                f"the command {event.command[0]} of {event.agent} is not here" + (f": {hint}" if hint else "")
            )


def with_command(intent: HostAgent, commands: Mapping[str, tuple[str, ...]]) -> HostAgent:
    """Return the intent with the command of the agent that it names, where the settings have one of that name."""
    try:
        name = with_share(intent.agent)[0]
    except AgentError:
        return intent  # the decision refuses it
    return msgspec.structs.replace(intent, command=commands.get(name, ()))


def _words(settings: Settings) -> tuple[str, ...]:
    """Return the agents as they were named; empty for a built-in proposer."""
    named, command = settings.session.agent, settings.agent.command
    if named:
        return (named,) if isinstance(named, str) else tuple(named)
    return (name_of(command),) if command and not settings.session.proposer else ()


def _event(settings: Settings, words: str, at: float, beside: bool) -> Event:
    """Return the event that chooses a proposer. `[agent] command` starts the first known agent."""
    event = choose_proposer(words, user_name(), at, beside, settings.commands.get(with_share(words)[0], ()))
    command, named = settings.agent.command, settings.session.agent
    is_first = words == _words(settings)[0]
    if isinstance(event, AgentHosted) and command and is_first and (not named or event.agent in KNOWN_AGENTS):
        event.command = list(command)
    return event
