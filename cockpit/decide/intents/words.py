"""Intents that carry words: to the proposer, into the record, and between agents."""

from cockpit.core.agent_events import Looked
from cockpit.core.events import Event, FindingRecorded, Interrupted, PhaseSet, Said
from cockpit.core.hosted_agents import AgentError
from cockpit.core.intents import HostAgent, Interrupt, Look, Note, Permit, Say
from cockpit.decide.intents.request import Handlers, IntentRequest, Refused, experiment_named
from cockpit.decide.proposer_choice import choose_proposer, permission_answer


def _say(asked: IntentRequest, intent: Say) -> list[Event]:
    if not intent.text.strip():
        raise Refused("there is nothing to say: give at least one word")
    return [Said(at=asked.at, author=asked.author, text=intent.text)]


def _interrupt(asked: IntentRequest, intent: Interrupt) -> list[Event]:
    return [Interrupted(at=asked.at, author=asked.author)]


def _note(asked: IntentRequest, intent: Note) -> list[Event]:
    if not intent.text.strip():
        raise Refused(f"a {'phase' if intent.phase else 'finding'} needs at least one word")
    if intent.phase:
        return (
            [] if asked.state.phase == intent.text else [PhaseSet(at=asked.at, author=asked.author, phase=intent.text)]
        )
    if any(known.claim == intent.text for known in asked.state.findings):
        raise Refused("this finding is already recorded")
    for name in intent.experiments:
        experiment_named(asked.state, name)
    experiments = list(intent.experiments)
    return [FindingRecorded(at=asked.at, author=asked.author, claim=intent.text, experiments=experiments)]


def _agent_requests(asked: IntentRequest, intent: HostAgent | Permit) -> list[Event]:
    try:
        if isinstance(intent, Permit):
            return [permission_answer(asked.state, intent, asked.author, asked.at)]
        return [choose_proposer(intent.agent, asked.author, asked.at, intent.beside, intent.command)]
    except AgentError as error:
        raise Refused(str(error)) from None


def _look(asked: IntentRequest, intent: Look) -> list[Event]:
    if intent.seq < 0:
        raise Refused(f"event {intent.seq} is invalid: expected an integer of at least 0")
    if intent.seq <= asked.state.looked.get(asked.author, -1):
        return []
    return [Looked(at=asked.at, agent=asked.author, seq=min(intent.seq, asked.state.seq))]


HANDLERS: Handlers = {
    Say: _say,
    Interrupt: _interrupt,
    Note: _note,
    Look: _look,
    HostAgent: _agent_requests,
    Permit: _agent_requests,
}
