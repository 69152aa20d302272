"""The proposers that a new session begins with: agents that the worker starts, and those that propose beside them."""

import shutil
from collections.abc import Mapping

import msgspec

from cockpit.core.events import AgentSeated, Event
from cockpit.core.intents import SeatAgent
from cockpit.core.model import PROPOSERS
from cockpit.core.seats import KNOWN_AGENTS, Seat, SeatError, install_hint, name_of, with_share
from cockpit.create.error import CreateError
from cockpit.decide.outside_proposer import outside_proposer_note
from cockpit.decide.seating import seating
from cockpit.session.settings import Settings
from cockpit.session.user import user_name


def seated(settings: Settings, session: str, at: float) -> list[Event]:
    """Seat the agents of the settings, or tell how an agent from outside connects. Raises CreateError."""
    words = _words(settings)
    if not words:
        new = settings.session
        return outside_proposer_note(new.proposer, session, at) if new.proposer else []
    try:
        events = [_event(settings, each, at, beside=number > 0) for number, each in enumerate(words)]
        share = with_share(words[0])[1]
        if share != 1.0:
            events.append(_event(settings, words[0], at, beside=True))
    except SeatError as error:
        raise CreateError(str(error)) from None
    return events


def first_seat(settings: Settings) -> str:
    """Return the name of the first agent; empty for a built-in proposer. Raises CreateError."""
    return next((seat.name for seat in agents_of(settings)), "")


def agents_of(settings: Settings) -> list[Seat]:
    """Return the agents that the settings seat. Raises CreateError."""
    found = seated(settings, "", 0.0)[: len(_words(settings))]
    return [Seat(event.agent, tuple(event.command)) for event in found if isinstance(event, AgentSeated)]


def check_seats(settings: Settings) -> None:
    """Refuse an agent beside a proposer of the settings, two agents of one name, and a command that is not here."""
    words = _words(settings)
    if not words:
        return
    if settings.session.agent and settings.session.proposer:
        raise CreateError("an agent gets the proposer's seat: give --agent or --proposer, not both")
    if with_share(words[0])[0] in PROPOSERS:
        raise CreateError(
            f"--agent {words[0]}: the first agent is one that the worker starts; name {words[0]} after it"
        )
    events = seated(settings, "", 0.0)[: len(words)]
    names = [
        each.agent if isinstance(each, AgentSeated) else with_share(words[number])[0]
        for number, each in enumerate(events)
    ]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise CreateError(f"--agent {twice} is given twice: agents need different names")
    for event in events:
        if isinstance(event, AgentSeated) and shutil.which(event.command[0]) is None:
            hint = install_hint(Seat(event.agent, tuple(event.command)))
            raise CreateError(
                f"the command {event.command[0]} of {event.agent} is not here" + (f": {hint}" if hint else "")
            )


def with_command(intent: SeatAgent, commands: Mapping[str, tuple[str, ...]]) -> SeatAgent:
    """Return the intent with the command of the agent that it names, where the settings have one of that name."""
    try:
        name = with_share(intent.agent)[0]
    except SeatError:
        return intent  # the decision refuses it
    return msgspec.structs.replace(intent, command=commands.get(name, ()))


def _words(settings: Settings) -> tuple[str, ...]:
    """Return the agents as they were named; empty for a built-in proposer."""
    named, command = settings.session.agent, settings.agent.command
    if named:
        return (named,) if isinstance(named, str) else tuple(named)
    return (name_of(command),) if command and not settings.session.proposer else ()


def _event(settings: Settings, words: str, at: float, beside: bool) -> Event:
    """Return the event that seats an agent. `[agent] command` is the command of the first one, where that is known."""
    event = seating(words, user_name(), at, beside, settings.commands.get(with_share(words)[0], ()))
    command, named = settings.agent.command, settings.session.agent
    is_first = words == _words(settings)[0]
    if isinstance(event, AgentSeated) and command and is_first and (not named or event.agent in KNOWN_AGENTS):
        event.command = list(command)
    return event
