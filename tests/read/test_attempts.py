"""Promises of the attempt that a person means by an experiment's name."""

from cockpit.core.model import AttemptStatus
from cockpit.core.state import State
from cockpit.read.attempts import current_attempt
from cockpit.tui.screens.experiment import Attempts
from tests.tui import stories


def test_the_current_attempt_is_the_one_that_runs_and_not_the_newest() -> None:
    state = stories.night().state
    assert state.experiments["e0051"].attempts == ["e0051.1"]
    queue_one_more(state)
    assert state.experiments["e0051"].attempts[-1] == "e0051.2"
    current = current_attempt(state, "e0051")
    assert current is not None and current.id == "e0051.1" and current.status is AttemptStatus.RUNNING
    assert current_attempt(state, "e0051.2") is state.attempts["e0051.2"]
    page = Attempts("e0051")
    page.tell(state, state.now)
    assert page.keys == ["e0051.2", "e0051.1"] and page.selected == "e0051.1"


def test_an_experiment_without_attempts_or_an_unknown_name_has_none() -> None:
    state = stories.night().state
    waiting = state.waves[next(iter(state.proposals))].arms[0]
    assert current_attempt(state, waiting) is None and current_attempt(state, "e9999") is None


def queue_one_more(state: State) -> None:
    """Add a queued attempt to e0051, which runs."""
    first = state.attempts["e0051.1"]
    again = type(first)("e0051.2", "e0051", first.kind, seed=5)
    state.attempts[again.id] = again
    state.experiments["e0051"].attempts.append(again.id)
