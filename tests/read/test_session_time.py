"""The time that a session has taken: up to its end, without the time between an end and a reopening."""

from cockpit.core.events import SessionEnded, SessionEnding, WorkerStarted, WorkerStopped
from cockpit.core.fold import fold
from cockpit.core.model import EndMode
from cockpit.read.costs import session_s
from cockpit.tui.views.summary import money_parts
from tests.tui.story import Story, session

HOUR = 3600.0


def test_a_session_that_ended_is_as_long_as_it_was_and_stays_so_when_it_is_reopened() -> None:
    state = Story(session()).state
    began = state.session.created_at

    def ended(at: float) -> None:
        fold(state, SessionEnding(at=at, how=EndMode.DRAIN, author="cockpit", reason="its 12 hours are over"))
        fold(state, SessionEnded(at=at, reason="its 12 hours are over"))
        fold(state, WorkerStopped(at=at, reason="its 12 hours are over"))

    ended(began + 12 * HOUR)
    assert session_s(state, began + 40 * HOUR) == 12 * HOUR
    fold(state, WorkerStarted(at=began + 19 * HOUR, pid=2, host="h"))
    assert session_s(state, began + 20 * HOUR) == 13 * HOUR, "it continues from its end"
    ended(began + 20 * HOUR)
    fold(state, WorkerStarted(at=began + 90 * HOUR, pid=3, host="h"))
    ended(began + 90 * HOUR)
    assert session_s(state, began + 99 * HOUR) == 13 * HOUR
    assert any("13h00m of 12h" in words for words, _ in money_parts(state, began + 99 * HOUR))


def test_a_worker_that_was_killed_is_no_end() -> None:
    state = Story(session()).state
    began = state.session.created_at
    fold(state, WorkerStarted(at=began + 5 * HOUR, pid=2, host="h"))
    assert session_s(state, began + 6 * HOUR) == 6 * HOUR
