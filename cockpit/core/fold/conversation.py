"""Fold the conversation: words, findings, phases and troubles."""

from cockpit.core.agent_events import Looked, PriorTaken
from cockpit.core.events import FindingRecorded, Interrupted, PhaseSet, Said, Trouble
from cockpit.core.fold.handlers import Handlers
from cockpit.core.model import Finding, Message
from cockpit.core.state import CONVERSATION_LINES, State, is_answered

AGENTS_REMEMBERED = 64


def say(state: State, at: float, author: str, text: str, kind: str = "say") -> None:
    state.messages.append(Message(at, author, text, kind, state.seq))
    if len(state.messages) > CONVERSATION_LINES * 2:
        del state.messages[:-CONVERSATION_LINES]


def _said(state: State, event: Said) -> None:
    if is_answered(state, event.author):
        addressed = event.text.split(maxsplit=1)[0].strip("@,:") if event.text.startswith("@") else ""
        if beside := state.beside.get(addressed):
            beside.words += 1
        else:
            addressed = state.proposer
            state.words_unanswered += 1
        if state.ask_failures.get(addressed):
            state.ask_retry_at.pop(addressed, None)  # the person may have mended what was wrong
    say(state, event.at, event.author, event.text)


def _finding(state: State, event: FindingRecorded) -> None:
    state.findings.append(Finding(event.at, event.author, event.claim, tuple(event.experiments)))
    say(state, event.at, event.author, event.claim, "finding")


def _phase(state: State, event: PhaseSet) -> None:
    state.phase = event.phase
    say(state, event.at, event.author, event.phase, "phase")


def _prior(state: State, event: PriorTaken) -> None:
    state.prior.extend(event.findings)


def _trouble(state: State, event: Trouble) -> None:
    say(state, event.at, event.about or "cockpit", event.text, "trouble")


def _interrupted(state: State, event: Interrupted) -> None:
    say(state, event.at, event.author, "interrupts the proposer", "news")


def _looked(state: State, event: Looked) -> None:
    state.looked.pop(event.agent, None)
    state.looked[event.agent] = event.seq
    while len(state.looked) > AGENTS_REMEMBERED:
        del state.looked[next(iter(state.looked))]


HANDLERS: Handlers = {
    Said: _said,
    FindingRecorded: _finding,
    PhaseSet: _phase,
    PriorTaken: _prior,
    Trouble: _trouble,
    Interrupted: _interrupted,
    Looked: _looked,
}
