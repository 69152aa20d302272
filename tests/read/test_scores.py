"""Promises of scores: a score names its class, one rule chooses it, and classes are never mixed."""

import json
from typing import Any

import pytest

from cockpit.agent.arguments import QueryExperiments
from cockpit.agent.views import state_views
from cockpit.control.verbs import verb
from cockpit.core.model import Estimate, ExperimentStatus
from cockpit.core.state import State
from cockpit.read.needs import BUDGET_NEAR, NeedKind, brief, is_budget_near, needs
from cockpit.read.scores import best_score, comparison_class, difference_to_base, run_difference, score_of
from cockpit.report.results import results_tsv
from cockpit.report.status import counts, status
from cockpit.tui.views.summary import best_parts, header_needs, money_parts
from tests.tui import stories
from tests.tui.conftest import RUNNING


@pytest.fixture
def state() -> State:
    """A night whose incumbent has a better score on H200 than on H100, where comparisons are made."""
    found = stories.night().state
    incumbent = found.experiments[found.incumbent]
    incumbent.scores = {"H200": [0.9, 0.9, 0.9], "H100": [0.98, 0.99]}
    return found


def status_of(state: State) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(json.dumps(status(state, state.now, {})))
    return shown


def test_every_reader_shows_one_score_of_one_class(state: State) -> None:
    name = state.incumbent
    score = score_of(state, name)
    assert score is not None and (score.hardware, round(score.mean, 6), score.runs) == ("H100", 0.985, 2)
    best = status_of(state)["best"]
    assert (best["val_bpb"], best["hardware"]) == (0.985, "H100")
    question = verb("base").cost(state, {"experiment": name}, state.now)
    assert "(0.9850 on H100)" in question
    parts = [text for text, _ in best_parts(state)]
    assert "0.9850" in parts and "H100" in parts
    row = dict(zip(state_views.row_columns(state), state_views.row(state, state.experiments[name]), strict=True))
    assert (row["val_bpb"], row["class"], row["runs"]) == (0.985, "H100", 2)
    header, *lines = (line.split("\t") for line in results_tsv(state))
    (line,) = (line for line in lines if f"{name} " in line[4])
    written = dict(zip(header, line, strict=True))
    assert (written["val_bpb"], written["class"]) == ("0.985000", "H100")


def test_an_experiment_that_ran_elsewhere_alone_is_shown_with_that_class(state: State) -> None:
    state.experiments[state.incumbent].scores = {"H200": [0.9], "A100": [0.95]}
    score = score_of(state, state.incumbent)
    assert score is not None and score.hardware == "A100", "a tie goes to the first by name"
    assert score_of(state, state.incumbent, "H100") is None


def test_a_class_s_best_is_compared_with_the_baseline_of_that_class_alone(state: State) -> None:
    state.experiments[state.baseline].scores = {"H200": [1.0]}
    best = best_score(state)
    assert best is not None and best.score.hardware == "H100" and best.baseline is None


def test_a_difference_to_the_base_is_against_the_base_alone(state: State) -> None:
    arm = next(one for one in state.experiments.values() if one.base == state.baseline and one.scores)
    arm.scores, state.experiments[state.baseline].scores = {"H100": [0.98]}, {"H100": [1.0]}
    other = Estimate(-0.5, -0.6, -0.4, 0.9, 2, "e9999", "H100")
    arm.estimate = other
    found = difference_to_base(state, arm)
    assert found is not None and not found.estimated and found.mean == pytest.approx(-0.02)
    arm.estimate = Estimate(-0.5, -0.6, -0.4, 0.9, 2, arm.base, "H100")
    found = difference_to_base(state, arm)
    assert found is not None and found.estimated and found.mean == -0.5


def test_two_runs_of_one_experiment_have_two_differences(state: State) -> None:
    runs = [
        attempt
        for attempt in state.attempts.values()
        if attempt.metrics is not None and state.experiments[attempt.experiment].base == state.baseline
    ]
    one, two = runs[:2]
    two.experiment, two.hardware = one.experiment, one.hardware
    assert one.metrics is not None and two.metrics is not None
    one.metrics.score, two.metrics.score = 0.97, 0.99
    differences = [run_difference(state, run) for run in (one, two)]
    assert None not in differences
    assert differences[0] != differences[1]


def test_results_are_sorted_within_one_class(state: State) -> None:
    state.experiments[state.incumbent].scores = {"H200": [0.1]}
    found = state_views.query(state, QueryExperiments(sort="score", limit=5))
    assert found["rows"][0][0] != state.incumbent, "a score of another class is not the best here"
    assert comparison_class(state) == "H100"


def test_the_kept_count_leaves_the_baseline_out_everywhere(state: State) -> None:
    kept = [one for one in state.experiments.values() if one.status is ExperimentStatus.KEPT]
    changes = [one for one in kept if one.id != state.baseline]
    assert counts(state)["kept"] == len(changes)
    assert status_of(state)["experiments"]["kept"] == len(changes)


@pytest.mark.parametrize(("share", "near"), [(BUDGET_NEAR - 0.01, False), (BUDGET_NEAR + 0.01, True)])
def test_the_budget_warning_comes_at_one_share_everywhere(state: State, share: float, near: bool) -> None:
    from cockpit.decide.budget import accounts

    spent = accounts(state, state.now).total_usd
    state.budget_usd = spent / share
    assert is_budget_near(state, state.now) is near
    header = [need for need in header_needs(state, RUNNING, state.now) if need.kind is NeedKind.BUDGET]
    assert bool(header) is near
    assert any("spent" in sentence and "$" in sentence for sentence in status_of(state)["needs"]) is near
    assert any(ink == "warn" for text, ink in money_parts(state, state.now) if text.startswith("$")) is near


def test_several_needs_of_one_kind_are_counted_in_a_header(state: State) -> None:
    found = [need for need in needs(state, state.now) if need.kind is NeedKind.APPROVAL]
    (shown,) = (need for need in brief(found) if need.kind is NeedKind.APPROVAL)
    assert shown.short == f"{len(found)} proposals wait"
