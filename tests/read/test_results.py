"""Promises of the results: what a query finds, in which order, and how little a change costs."""

import pytest

from cockpit.core.model import Experiment, ExperimentStatus
from cockpit.core.state import State, constants_of
from cockpit.read.effects import against_incumbent
from cockpit.read.kept_stack import stack_of
from cockpit.read.result_query import BadQuery, found_by, parse_query
from cockpit.read.result_rows import AT_ONCE, SORTS, ResultRows
from cockpit.read.scores import score_of
from cockpit.read.waves import status_word
from cockpit.report.results import results_tsv
from tests.tui import stories


@pytest.fixture
def state() -> State:
    return stories.night().state


def by(state: State, text: str) -> list[Experiment]:
    return [state.experiments[name] for name in found_by(state, text)]


def test_an_empty_query_finds_every_experiment(state: State) -> None:
    assert found_by(state, "") == list(state.experiments)


def test_a_status_finds_the_experiments_in_it(state: State) -> None:
    kept = by(state, "kept")
    assert kept and all(one.status is ExperimentStatus.KEPT for one in kept)
    assert len(kept) + len(by(state, "-kept")) == len(state.experiments)


def test_the_kept_results_are_those_of_the_stack_and_the_baseline_is_called_so(state: State) -> None:
    assert {one.id for one in by(state, "kept")} == {one.experiment for one in stack_of(state, state.now).kept}
    baseline = state.experiments[state.baseline]
    assert baseline.status is ExperimentStatus.KEPT and status_word(state, baseline) == "baseline"
    assert baseline in by(state, "baseline") and baseline not in by(state, "kept")


def test_a_constant_is_compared_in_the_variant_and_not_in_the_change_alone(state: State) -> None:
    wide = by(state, "ASPECT_RATIO>=88")
    assert wide and all(float(str(constants_of(state, one.id)["ASPECT_RATIO"])) >= 88 for one in wide)
    inherited = [one for one in wide if "ASPECT_RATIO" not in one.change.constants]
    assert inherited, "the base's constants count too"
    assert by(state, "DEPTH=8") == list(state.experiments.values()), "the baseline's count where nothing changes them"
    assert by(state, "MATRIX_LR=.050") == by(state, "MATRIX_LR=0.05") != []
    assert by(state, "WINDOW_PATTERN=SSSL") == list(state.experiments.values())
    assert by(state, "WINDOW_PATTERN!=SSSL") == []


def test_fields_and_figures_narrow_a_query_further(state: State) -> None:
    assert {one.wave for one in by(state, "wave:w001")} == {"w001"}
    assert all("H200" in one.scores for one in by(state, "class:H200")) and by(state, "class:H200")
    assert {state.waves[one.wave].proposer for one in by(state, "by:tpe")} == {"tpe"}
    cheap = by(state, "score<0.975 runs>=1")
    assert cheap
    for one in cheap:
        score = score_of(state, one.id)
        assert score is not None and score.mean < 0.975 and score.runs >= 1
    assert by(state, "e0012") == [state.experiments["e0012"]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clss:H200", "there is no field 'clss'"),
        ("DPTH=9", "did you mean DEPTH?"),
        ("DEPTH=", "not complete"),
        ("class:", "not complete"),
        ("score<low", "expected a number"),
    ],
)
def test_a_query_that_means_nothing_is_refused_with_the_word_and_the_reason(state: State, text: str, said: str) -> None:
    with pytest.raises(BadQuery, match=said.replace("?", r"\?")) as error:
        parse_query(f"kept {text}", state.session.constants)
    assert text in str(error.value) and "kept" not in str(error.value)


def test_by_score_no_two_classes_are_mixed_and_the_best_is_first(state: State) -> None:
    rows = ResultRows()
    rows.follow(state)
    ordered = [rows.by_name[name] for name in rows.ordered(list(rows.by_name), state, "score")]
    scored = [row for row in ordered if row.score is not None]
    classes = [row.hardware for row in scored]
    assert classes == sorted(classes) and ordered[: len(scored)] == scored
    for hardware in set(classes):
        scores = [row.score for row in scored if row.hardware == hardware and row.score is not None]
        assert scores == sorted(scores)


@pytest.mark.parametrize("sort", SORTS)
def test_every_order_has_every_experiment_once(state: State, sort: str) -> None:
    rows = ResultRows()
    rows.follow(state)
    assert sorted(rows.ordered(list(rows.by_name), state, sort)) == sorted(state.experiments)


def test_rows_kept_up_with_a_session_are_those_made_at_its_end() -> None:
    story = stories.begun("kept_up", clusters=4, better=1)
    rows = ResultRows()
    for _ in range(3):
        rows.follow(story.state)
        story.approve(story.propose("How wide?", {"ASPECT_RATIO": [48, 96], "MATRIX_LR": [0.03, 0.05]}))
        rows.follow(story.state)
        story.play()
    rows.follow(story.state)
    whole = ResultRows()
    whole.follow(story.state)
    assert rows.by_name == whole.by_name
    assert not rows.follow(story.state), "nothing is new"


def test_a_long_session_is_read_in_parts(state: State) -> None:
    for number in range(len(state.experiments), 2 * AT_ONCE + 10):
        name = f"e{number:04d}"
        state.experiments[name] = Experiment(name, "w000", "e0000", state.experiments["e0001"].change, "", "", "", "")
    rows = ResultRows()
    sizes = []
    while rows.follow(state):
        sizes.append(len(rows.by_name))
    assert sizes == [AT_ONCE, 2 * AT_ONCE, len(state.experiments)]


def test_a_comparison_with_the_incumbent_names_it_and_needs_a_common_class(state: State) -> None:
    found = {name: against_incumbent(state, name) for name in state.experiments}
    assert found[state.incumbent] is None
    assert {one.against for one in found.values() if one is not None} == {state.incumbent}
    assert all(found[one.id] is None for one in state.experiments.values() if not one.scores)


def test_results_tsv_of_a_query_has_its_lines_alone(state: State) -> None:
    whole, kept = list(results_tsv(state)), list(results_tsv(state, found_by(state, "kept")))
    assert kept[0] == whole[0] and len(kept) == 1 + len(found_by(state, "kept"))
    assert set(kept) < set(whole)
