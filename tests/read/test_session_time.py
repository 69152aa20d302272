"""The running time of a session stops at its end and leaves out the pause before a reopening."""

import msgspec
import pytest

from cockpit.agent.views.session_sections import hour
from cockpit.core.event_codec import decode_event, encode_event
from cockpit.core.events import Event, SessionCreated, SessionEnded, SessionEnding, WorkerStarted, WorkerStopped
from cockpit.core.fold import fold
from cockpit.core.model import EndMode
from cockpit.core.running_time import running_s, time_after_running_h
from cockpit.core.state import State
from cockpit.decide import budget
from cockpit.read.kept_stack import pace_of
from cockpit.read.scores import kept_experiments
from cockpit.report import story
from cockpit.report.contents import contents
from cockpit.tui.views.summary import money_parts
from tests.tui import stories
from tests.tui.story import Story, session

HOUR = 3600.0


def test_a_pause_before_a_reopening_does_not_count_as_running_time() -> None:
    state = Story(session()).state
    began = state.session.created_at

    def ended(at: float) -> None:
        fold(state, SessionEnding(at=at, how=EndMode.DRAIN, author="cockpit", reason="its 12 hours are over"))
        fold(state, SessionEnded(at=at, reason="its 12 hours are over"))
        fold(state, WorkerStopped(at=at, reason="its 12 hours are over"))

    ended(began + 12 * HOUR)
    assert running_s(state, began + 40 * HOUR) == 12 * HOUR
    fold(state, WorkerStarted(at=began + 19 * HOUR, pid=2, host="h"))
    assert running_s(state, began + 20 * HOUR) == 13 * HOUR, "it continues from its end"
    ended(began + 20 * HOUR)
    fold(state, WorkerStarted(at=began + 90 * HOUR, pid=3, host="h"))
    ended(began + 90 * HOUR)
    assert running_s(state, began + 99 * HOUR) == 13 * HOUR
    assert any("13h00m of 12h" in words for words, _ in money_parts(state, began + 99 * HOUR))
    state.session = msgspec.structs.replace(state.session, budget_hours=0.03)
    assert any(words.endswith(" of 1m48s") for words, _ in money_parts(state, began + 99 * HOUR))


def test_a_worker_that_was_killed_is_no_end() -> None:
    state = Story(session()).state
    began = state.session.created_at
    fold(state, WorkerStarted(at=began + 5 * HOUR, pid=2, host="h"))
    assert running_s(state, began + 6 * HOUR) == 6 * HOUR


PAUSE_S = 30 * HOUR


def with_a_pause(events: list[Event]) -> State:
    """Fold a night that ended in its middle and was reopened thirty hours later."""
    middle = len(events) * 2 // 3
    at = events[middle].at
    paused: list[Event] = [
        SessionEnding(at=at, how=EndMode.DRAIN, author="ada"),
        SessionEnded(at=at, reason="ada ended it"),
        WorkerStopped(at=at, reason="ada ended it"),
        WorkerStarted(at=at + PAUSE_S, pid=5, host="h"),
    ]
    later = [msgspec.structs.replace(event, at=event.at + PAUSE_S) for event in events[middle:]]
    return folded([*events[:middle], *paused, *later])


def folded(events: list[Event]) -> State:
    created = events[0]
    assert isinstance(created, SessionCreated)
    state = State(created.session)
    for event in events:
        state = fold(state, decode_event(encode_event(event)))
    return state


def test_a_pause_moves_no_hour_of_the_report_or_of_the_chart() -> None:
    events = stories.night().events
    straight, paused = folded(events), with_a_pause(events)
    assert len(paused.pauses) == 1 and kept_experiments(paused) == kept_experiments(straight) != []

    def hours(state: State) -> tuple[list[float], list[float], float]:
        found = contents(state, state.now)
        [chart, *_] = found.charts
        return [dot.hours for dot in chart.dots], [step.hours for step in chart.best], found.heading.hours

    for one, other in zip(hours(paused), hours(straight), strict=True):
        assert one == pytest.approx(other)
    assert story.story(paused, paused.now) == story.story(straight, straight.now)
    assert hour(paused, paused.now) == hour(straight, straight.now)
    pace, before = pace_of(paused, paused.now), pace_of(straight, straight.now)
    assert pace is not None and before is not None and pace.since_keep_s == pytest.approx(before.since_keep_s)


def test_a_reopened_session_has_the_hours_that_it_had_not_used() -> None:
    state = Story(session()).state
    began = state.session.created_at
    for event in (
        SessionEnding(at=began + 5 * HOUR, how=EndMode.DRAIN, author="ada"),
        SessionEnded(at=began + 5 * HOUR, reason="ada ended it"),
        WorkerStopped(at=began + 5 * HOUR, reason="ada ended it"),
        WorkerStarted(at=began + 30 * HOUR, pid=2, host="h"),
    ):
        state = fold(state, event)
    assert time_after_running_h(state, 12) == began + 37 * HOUR
    assert budget.end(state, began + 36.9 * HOUR) == []
    [ending] = budget.end(state, began + 37 * HOUR)
    assert isinstance(ending, SessionEnding) and ending.reason == "its 12 hours are over"
