"""Intents about proposals."""

import msgspec

from cockpit.core.events import EnvelopeSet, Event, ProposalEdited, Proposed, Rejected, Trouble
from cockpit.core.intents import Approve, EditProposal, Propose, Reject
from cockpit.decide.approve import approval
from cockpit.decide.intents.request import Handlers, IntentRequest, Prepared, waiting_proposal


def _approve(asked: IntentRequest, intent: Approve) -> list[Event]:
    state, author = asked.state, asked.author
    wave = waiting_proposal(state, intent.wave)
    events: list[Event] = [approval(state, wave, author, f"person:{author}", asked.at)]
    if intent.trust and wave.proposer not in state.envelope.proposers:
        wider = msgspec.structs.replace(state.envelope, proposers=[*state.envelope.proposers, wave.proposer])
        events.append(EnvelopeSet(at=asked.at, envelope=wider, author=author))
    return events


def _reject(asked: IntentRequest, intent: Reject) -> list[Event]:
    wave = waiting_proposal(asked.state, intent.wave)
    return [Rejected(at=asked.at, wave=wave.id, author=asked.author, reason=intent.reason)]


def _propose(asked: IntentRequest, intent: Propose) -> list[Event]:
    made = prepared_of(asked)
    proposed = Proposed(at=asked.at, wave=made.wave, experiments=made.experiments)
    return [proposed, *(Trouble(at=asked.at, text=problem, about=made.wave.proposer) for problem in made.problems)]


def _edit_proposal(asked: IntentRequest, intent: EditProposal) -> list[Event]:
    waiting_proposal(asked.state, intent.wave)
    made = prepared_of(asked)
    return [
        ProposalEdited(at=asked.at, wave=made.wave, experiments=made.experiments, author=asked.author, what=intent.what)
    ]


def prepared_of(asked: IntentRequest) -> Prepared:
    if asked.prepared is None:
        raise ValueError("an intent with a draft is prepared before it is handled")
    return asked.prepared


HANDLERS: Handlers = {
    Approve: _approve,
    Reject: _reject,
    Propose: _propose,
    EditProposal: _edit_proposal,
}
