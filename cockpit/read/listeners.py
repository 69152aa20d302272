"""Name the proposer that reads a person's messages."""

from cockpit.core.model import CONVERSES, PROPOSERS
from cockpit.core.state import State, is_asked
from cockpit.read.wording import count


def takes_words(proposer: str) -> bool:
    """Return True if a proposer reads messages: a model does, and an outside agent may."""
    return proposer in CONVERSES or proposer not in PROPOSERS


def listener_words(state: State) -> str:
    """Return the reader of a person's message in a clause; without a reader, the commands to use instead."""
    name = state.proposer
    if state.ended_at:
        return "the session has ended: no proposer reads it"
    if state.ending:
        return "the session is ending: no proposer is asked any more"
    if not name or not takes_words(name):
        return f"{f'{name} proposes and' if name else 'the proposer'} reads nothing: `:propose`"
    if not is_asked(state, name):
        return f"{name} reads it at its next call"
    if failures := state.ask_failures.get(name, 0):
        return f"{name} reads it once it answers: it failed {count(failures, 'time')} in a row"
    if state.beside:
        return f"{name} reads it; begin with @{next(iter(state.beside))} for another"
    return f"{name} reads it"


def address_words(state: State) -> str:
    """Return the one whom a person writes to, and how to write to another; without a reader, the commands instead."""
    if state.ending or not takes_words(state.proposer):
        return listener_words(state)
    others = "".join(f", or begin with @{name}" for name in list(state.beside)[:1] if takes_words(name))
    return f"write to {state.proposer}{others}"
