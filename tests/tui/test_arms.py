"""The table of a wave's arms: scores of one class in a column, others beside it with their class."""

import msgspec
import pytest

from cockpit.core.model import Change, Edit, ExperimentStatus, Value
from cockpit.tui.theme import DARK
from cockpit.tui.views.changes import short_of
from cockpit.tui.widgets.arms import Arms
from cockpit.tui.widgets.talk import text_of
from tests.tui import stories
from tests.tui.story import CONSTANTS, Story


def test_a_score_of_another_class_is_not_in_the_column_of_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    state = stories.night().state
    wave = state.waves["w003"]
    usual, other = [state.experiments[name] for name in wave.arms if state.experiments[name].scores][:2]
    other.scores, other.estimate, other.status = {"H200": [0.9511]}, None, ExperimentStatus.DISCARDED
    table = Arms("w003")
    monkeypatch.setattr(Arms, "palette", DARK)
    table.tell(state, state.now)
    rows = text_of(table.rows(120, 20)).split("\n")
    (head,) = (row for row in rows if "Δ base" in row)
    column = head.index("val_bpb")
    (row,) = (row for row in rows if row[2:7] == other.id)
    assert row[column : column + 16].strip() == "" and "0.9511" in row and "on H200" in row[column + 16 :]
    (row,) = (row for row in rows if row[2:7] == usual.id)
    assert row[column : column + 8].strip() == f"{sum(usual.scores['H100']) / len(usual.scores['H100']):.4f}"


def waiting_arms(story: Story, wave: str, monkeypatch: pytest.MonkeyPatch) -> str:
    table = Arms(wave)
    monkeypatch.setattr(Arms, "palette", DARK)
    table.tell(story.state, story.state.now)
    return text_of(table.rows(120, 20))


def test_a_column_of_memory_without_forecasts_says_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    story = stories.night()
    for attempt in story.state.attempts.values():
        if attempt.metrics is not None:
            attempt.metrics = msgspec.structs.replace(attempt.metrics, peak_vram_mb=0.0)
    words = waiting_arms(story, story.propose("How deep?", {"DEPTH": [7, 9]}), monkeypatch)
    assert "memory after 4 results" in words and "GB [" not in words
    story = stories.night()
    words = waiting_arms(story, story.propose("How deep?", {"DEPTH": [7, 9]}), monkeypatch)
    assert "memory" in words and "memory after" not in words and "GB [" in words


def test_a_proposal_without_forecasts_says_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    story = stories.begun()
    words = waiting_arms(story, story.propose("How deep?", {"DEPTH": [7, 9]}), monkeypatch)
    assert "forecast: from 4 such results on" in words and "crash" not in words and "Δ base" not in words


def test_an_arm_that_edits_code_has_no_forecast_of_arms_that_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    story = stories.night()
    wave = story.propose("Does the edit help?", {"DEPTH": [7]})
    arm = story.state.experiments[story.state.waves[wave].arms[0]]
    arm.change = Change(edits=(Edit("train.py", "a", "b"),))
    words = waiting_arms(story, wave, monkeypatch)
    assert "forecast: from 4 such results on" in words and "memory after" not in words


@pytest.mark.parametrize(("width", "told"), [(80, True), (200, False)])
def test_constants_without_room_are_counted_with_the_keys_that_show_them(
    width: int, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = stories.begun()
    levels: dict[str, list[Value]] = {name: [0.03] for name in CONSTANTS}
    table = Arms(story.propose("Which?", levels))
    monkeypatch.setattr(Arms, "palette", DARK)
    table.tell(story.state, story.state.now)
    title, head, *_ = text_of(table.rows(width, 20)).split("\n")
    hidden = {name for name in table.names if not {short_of(name), name} & set(head.split())}
    assert bool(hidden) == told == ("← → show" in title)
    assert not told or f"show {len(hidden)} more constants" in title
