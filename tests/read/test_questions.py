"""Questions in lists: the part that tells one from the others comes first."""

from cockpit.agent.proposers.grid import Grid, GridWave, question_of
from cockpit.agent.proposers.search_base import SearchBase
from cockpit.core.model import Value, Wave
from cockpit.core.state import State
from cockpit.read.questions import Questions
from tests.tui import stories
from tests.tui.story import session

RATE, WIDTH = "MATRIX_LR", "ASPECT_RATIO"


def asked(*waves: tuple[str, dict[str, list[Value]]]) -> list[str]:
    """Return the questions of waves as a list shows them."""
    state = State(session())
    questions = Questions()
    for number, (question, factors) in enumerate(waves):
        state.waves[f"w{number}"] = Wave(f"w{number}", "grid", question, factors=factors)
        questions.follow(state)
    return [questions.differing_first(wave) for wave in state.waves.values()]


def test_a_question_that_is_asked_once_is_left_as_it_is() -> None:
    assert asked(("Is it the width?", {}), ("Is it the rate?", {})) == ["Is it the width?", "Is it the rate?"]
    assert asked(("", {}), ("", {})) == ["", ""]


def test_a_shared_beginning_comes_last() -> None:
    first, second = asked(("Which learning rate suits the new width?", {}), ("Which learning rate suits depth 9?", {}))
    assert first == "the new width? (Which learning rate suits …)"
    assert second == "depth 9? (Which learning rate suits …)"


def test_levels_are_not_split() -> None:
    questions = [f"DEPTH 7 8 9 {last}: which shape?" for last in (10, 11)]
    assert asked(*((question, {}) for question in questions)) == questions


def test_questions_that_are_equal_begin_with_the_levels_that_differ() -> None:
    same = "How wide should it be?"
    first, second = asked((same, {WIDTH: [48, 80], RATE: [0.03, 0.04]}), (same, {WIDTH: [96], RATE: [0.03, 0.04]}))
    assert (first, second) == (f"{WIDTH} 48, 80: {same}", f"{WIDTH} 96: {same}")


def test_following_wave_by_wave_equals_reading_all_at_once() -> None:
    state = stories.night().state
    questions, fresh = Questions(), Questions()
    known = dict(state.waves)
    state.waves = {}
    for name, wave in known.items():
        state.waves[name] = wave
        questions.follow(state)
    fresh.follow(state)
    said = [fresh.differing_first(wave) for wave in known.values()]
    assert [questions.differing_first(wave) for wave in known.values()] == said
    state.waves = {}
    questions.follow(state)
    assert not questions._beginnings and not questions._factors


def test_a_question_of_grid_names_its_levels_and_asks_something_about_them() -> None:
    base = SearchBase(
        experiment="e0007", constants={RATE: 0.04, WIDTH: 64}, baseline_constants={}, dimensions={}, tried=frozenset()
    )  # fmt: skip
    one = GridWave({WIDTH: [48, 64, 80], RATE: [0.04]}, (), ())
    assert question_of(one, base) == f"{WIDTH} 48 64 80: is 64 the best level for e0007?"
    pair = GridWave({"ASPECT_RATIO": [48, 64], "DEPTH": [7, 8]}, (), ())
    assert question_of(pair, base).startswith("ASPECT_RATIO 48 64 × DEPTH 7 8: which shape of the model")
    other = GridWave({"A": [1, 2], "B": [3, 4]}, (), ())
    assert question_of(other, base) == "A 1 2 × B 3 4: does the best level of one depend on the other?"
    assert Grid.name == "grid"
