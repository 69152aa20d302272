"""Each fact about a state is computed once: the screen, the status, the report and the agents agree."""

import itertools
import re

import pytest

from cockpit.agent.views import state_views
from cockpit.core.events import Decided, IncumbentSet, SessionEnded
from cockpit.core.fold import fold
from cockpit.core.model import Change, Edit, Estimate, Experiment, ExperimentStatus, Value, WaveStatus
from cockpit.core.state import WITHOUT, State
from cockpit.decide.schedule import expected_run_s
from cockpit.read.changes import change_parts, change_words
from cockpit.read.costs import run_cost_usd, wave_cost
from cockpit.read.counterfactual import best_so_far
from cockpit.read.effects import effects_of
from cockpit.read.score_dots import ScoreDots
from cockpit.read.scores import best_steps, comparison_class, kept_estimate, kept_experiments
from cockpit.read.waves import best_arm, class_beside, status_word, wave_word
from cockpit.read.wording import value
from cockpit.report.contents import contents
from cockpit.report.html import html
from cockpit.report.results import results_tsv
from cockpit.report.status import counts, status
from cockpit.tui.views.changes import change_wording
from cockpit.tui.views.clusters import about
from cockpit.tui.views.effects import effects_view
from cockpit.tui.views.waves import LOOKS, wave_view
from tests.tui import stories


@pytest.fixture
def state() -> State:
    return stories.night().state


def test_the_queue_of_an_ended_session_is_not_run(state: State) -> None:
    queued = counts(state)["queued"]
    waiting = [wave for wave in state.waves.values() if wave.status in (WaveStatus.PROPOSED, WaveStatus.APPROVED)]
    assert queued and waiting
    ended = fold(state, SessionEnded(at=state.now, reason="its hours are over"))
    assert (counts(ended)["queued"], counts(ended)["not_run"]) == (0, queued)
    assert {wave_word(ended, ended.waves[wave.id]) for wave in waiting} <= {"not run", "done"}
    assert not any(wave_view(ended, ended.waves[wave.id], ended.now).waiting for wave in waiting)


def test_every_standing_of_a_wave_has_its_look(state: State) -> None:
    assert {wave_word(state, wave) for wave in state.waves.values()} <= set(LOOKS)


def test_status_and_report_count_the_same_kept_changes(state: State) -> None:
    page = contents(state, state.now)
    assert [one.experiment for one in page.kept] == kept_experiments(state)
    assert counts(state)["kept"] == len(page.kept) > 0


def test_a_kept_change_that_is_discarded_later_counts_nowhere(state: State) -> None:
    name = kept_experiments(state)[0]
    state = fold(state, Decided(at=state.now, experiment=name, status=ExperimentStatus.DISCARDED, reason="worse now"))
    assert name not in kept_experiments(state)
    assert counts(state)["kept"] == len(contents(state, state.now).kept)


def test_the_gain_is_the_one_of_the_last_keep(state: State) -> None:
    name = state.incumbent
    later = Estimate(-0.5, -0.6, -0.4, 0.9, 4, state.baseline, "H100")
    state = fold(state, IncumbentSet(at=state.now, experiment=name, reason="again", estimate=later))
    assert kept_estimate(state, name) == later
    assert status(state, state.now, {})["best"]["gain"]["mean"] == -0.5
    page = contents(state, state.now)
    assert page.best is not None and page.best.kept == page.kept[-1]


def test_the_best_line_is_one_on_the_chart_and_in_the_report(state: State) -> None:
    dots = ScoreDots()
    dots.follow(state)
    hardware = comparison_class(state)
    line = [(step.experiment, step.score) for step in dots.steps(state, hardware)]
    assert line == [(best.experiment, best.score) for best in best_so_far(state, hardware)]
    assert line == [(name, score.mean) for _, name, score in best_steps(state, hardware)]


def test_the_line_of_the_chart_is_in_the_class_of_comparisons(state: State) -> None:
    dots = ScoreDots()
    dots.follow(state)
    dots._counts["H200"] = 10_000
    assert dots.classes(state)[0] == comparison_class(state) == "H100"


def test_the_screen_and_the_agents_show_one_estimate_of_an_effect(state: State) -> None:
    for name, wave in state.waves.items():
        if not wave.factors:
            continue
        view, found = effects_view(state, name), effects_of(state, name)
        assert view is not None
        mains = [row.estimate for row in view.rows if not row.joint]
        assert mains == [effect.estimate for effect in found.main]


def test_the_expected_time_of_a_run_is_one(state: State) -> None:
    for runs in ([], [100.0], [100.0, 300.0], [100.0, 200.0, 900.0]):
        state.run_s.clear()
        state.run_s.extend(runs)
        prices = [one.usd_per_hour for one in state.clusters.values() if one.state.value not in ("given_up", "lost")]
        assert run_cost_usd(state) == pytest.approx(expected_run_s(state) / 3600 * sum(prices) / len(prices))
        proposal = state.waves[next(iter(state.proposals))]
        assert wave_cost(state, proposal).ends_in_s % expected_run_s(state) == pytest.approx(0.0)


def test_a_best_difference_in_another_class_names_it(state: State) -> None:
    wave = next(wave for wave in state.waves.values() if wave.factors and best_arm(state, _arms(state, wave.arms))[1])
    arms = _arms(state, wave.arms)
    for arm in itertools.chain(arms, [state.experiments[arms[0].base]]):
        arm.scores, arm.estimate = ({"H200": next(iter(arm.scores.values()))} if arm.scores else {}), None
    _, delta = best_arm(state, arms)
    assert delta is not None and class_beside(state, delta) == "H200"
    assert wave_view(state, wave, state.now).best_class == "H200"


def _arms(state: State, names: list[str]) -> list[Experiment]:
    return [state.experiments[name] for name in names]


def test_a_constant_is_worded_by_one_rule(state: State) -> None:
    for experiment in state.experiments.values():
        for name, constant in experiment.change.constants.items():
            assert f"{name}={value(constant)}" in change_words(experiment)


def test_a_change_is_worded_from_the_same_parts_everywhere(state: State) -> None:
    arm = next(one for one in state.experiments.values() if one.status is ExperimentStatus.DISCARDED)
    arm.change = Change({"ADAM_BETAS": [0.8, 0.95], "MATRIX_LR": 0.04000001}, (Edit("a", "b"),))
    arm.levels, arm.why, arm.lines_added, arm.lines_removed = {}, "smoother", 3, 1
    assert change_parts(arm) == [("ADAM_BETAS", "(0.8, 0.95)"), ("MATRIX_LR", "0.04"), ("code", "+3 −1")]
    words = "ADAM_BETAS=(0.8, 0.95), MATRIX_LR=0.04, code +3 −1 (smoother)"
    assert change_words(arm) == words == state_views.change_words(arm)
    assert any(words in line for line in results_tsv(state))
    assert change_wording(arm).short == "BETAS (0.8, 0.95)  MAT .04  code +3 −1" == about(state, arm.id).short
    assert change_wording(arm).full == "ADAM_BETAS (0.8, 0.95)  MATRIX_LR .04  code +3 −1"
    arm.levels = {WITHOUT: "e0007"}
    assert change_words(arm) == "without e0007" == change_wording(arm).short


@pytest.mark.parametrize("constant", [0.04, 1e-7, 524288, True, "SSSL", [0.8, 0.95], [1, "a"]])
def test_a_value_is_worded_alike_for_a_person_and_an_agent(constant: Value) -> None:
    assert state_views.value_words(constant) == value(constant)


def test_the_best_arm_of_a_wave_is_the_same_in_the_report_and_on_the_screen(state: State) -> None:
    text = re.sub(r"<[^>]+>", " ", html(state, state.now))
    shown = 0
    for section in contents(state, state.now).waves:
        view = wave_view(state, section.wave, state.now)
        assert (view.best, view.word) == (section.best, section.word)
        if section.best_difference is not None and section.best_score is not None:
            shown += 1
            assert view.best_delta == section.best_difference.mean
            assert f"{section.best} with {section.best_score.mean:.4f} on {section.best_score.hardware}" in text
    assert shown


def test_the_charts_mark_the_kept_changes_and_have_one_order_of_classes(state: State) -> None:
    dots = ScoreDots()
    dots.follow(state)
    page = contents(state, state.now)
    marked = {dot.experiment for chart in page.charts for dot in chart.dots if dot.kept}
    assert marked == set(kept_experiments(state))
    classes = [chart.hardware for chart in page.charts]
    assert classes == dots.classes(state) and classes[0] == page.hardware


def test_an_experiment_that_an_ended_session_left_is_not_run_on_its_page(state: State) -> None:
    left = next(one for one in state.experiments.values() if one.status is ExperimentStatus.QUEUED)
    assert status_word(state, left) == "queued"
    ended = fold(state, SessionEnded(at=state.now, reason="its hours are over"))
    assert status_word(ended, ended.experiments[left.id]) == "not run"
