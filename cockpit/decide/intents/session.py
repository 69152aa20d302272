"""Intents about the session: who decides, who proposes, what may be spent, and its end."""

import difflib

from cockpit.core.events import (
    BudgetSet,
    EarlyStoppingSet,
    EnvelopeSet,
    Event,
    Held,
    ModeSet,
    ProposerSet,
    Resumed,
    SessionEnding,
    Trouble,
)
from cockpit.core.intents import (
    End,
    Hold,
    Resume,
    SetBudget,
    SetEarlyStopping,
    SetEnvelope,
    SetKnob,
    SetMode,
    SetProposer,
)
from cockpit.core.knob_events import KnobSet
from cockpit.core.model import PROPOSERS
from cockpit.core.state import State, is_asked
from cockpit.decide.budget import committed_usd
from cockpit.decide.intents.request import Handlers, IntentRequest, Refused, target_named
from cockpit.decide.knob_settings import knob_problem
from cockpit.decide.outside_proposer import outside_proposer_note


def _proposer_problem(state: State, intent: SetProposer) -> str:
    """Explain in one sentence why the name cannot propose here; empty if it can.

    Cockpit's own proposers can, an author that the session knows, and an agent that is said to connect from outside.
    """
    name = intent.proposer
    known = {wave.proposer for wave in state.waves.values()} | {message.author for message in state.messages}
    if name.strip() and (is_asked(state, name) or name in known or intent.outside):
        return ""
    near = difflib.get_close_matches(name, PROPOSERS, 1)
    choose = f"did you mean {near[0]}?" if near else f"choose {', '.join(PROPOSERS)}."
    return f"there is no proposer {name!r}: {choose} Add --outside for an agent that connects by `cockpit mcp`"


def _hold(asked: IntentRequest, intent: Hold) -> list[Event]:
    return [Held(at=asked.at, author=asked.author, target=target_named(asked.state, intent.target))]


def _resume(asked: IntentRequest, intent: Resume) -> list[Event]:
    return [Resumed(at=asked.at, author=asked.author, target=target_named(asked.state, intent.target))]


def _set_mode(asked: IntentRequest, intent: SetMode) -> list[Event]:
    return [ModeSet(at=asked.at, mode=intent.mode, author=asked.author)]


def _set_envelope(asked: IntentRequest, intent: SetEnvelope) -> list[Event]:
    return [EnvelopeSet(at=asked.at, envelope=intent.envelope, author=asked.author)]


def _set_proposer(asked: IntentRequest, intent: SetProposer) -> list[Event]:
    if problem := _proposer_problem(asked.state, intent):
        raise Refused(problem)
    proposer_set = ProposerSet(at=asked.at, proposer=intent.proposer, author=asked.author)
    return [
        proposer_set,
        *outside_proposer_note(intent.proposer, asked.state.session.name, asked.at, asked.state.hosted_agents),
    ]


def _set_budget(asked: IntentRequest, intent: SetBudget) -> list[Event]:
    if intent.usd < 0:
        raise Refused("a budget is a number of dollars, 0 for no cap")
    budget_set = BudgetSet(at=asked.at, usd=intent.usd, author=asked.author)
    committed = committed_usd(asked.state, asked.at)
    if not 0 < intent.usd < committed:
        return [budget_set]
    text = (
        f"${committed:.2f} is spent or reserved already, more than the cap of ${intent.usd:.2f}: nothing new starts,"
        " runs in flight finish unless you kill them, and each cluster goes down once it is free"
    )
    return [budget_set, Trouble(at=asked.at, text=text)]


def _set_early_stopping(asked: IntentRequest, intent: SetEarlyStopping) -> list[Event]:
    return [EarlyStoppingSet(at=asked.at, on=intent.on, author=asked.author)]


def _set_knob(asked: IntentRequest, intent: SetKnob) -> list[Event]:
    if problem := knob_problem(asked.state, intent.knob, intent.range):
        raise Refused(problem)
    return [KnobSet(at=asked.at, knob=intent.knob, range=intent.range, author=asked.author)]


def _end(asked: IntentRequest, intent: End) -> list[Event]:
    reason = intent.reason or f"{asked.author} ends it"
    return [
        SessionEnding(
            at=asked.at, author=asked.author, how=intent.how, clusters_down=intent.clusters_down, reason=reason
        )
    ]


HANDLERS: Handlers = {
    Hold: _hold,
    Resume: _resume,
    SetMode: _set_mode,
    SetEnvelope: _set_envelope,
    SetProposer: _set_proposer,
    SetBudget: _set_budget,
    SetEarlyStopping: _set_early_stopping,
    SetKnob: _set_knob,
    End: _end,
}
