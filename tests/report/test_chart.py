"""Promises of the progress chart: round axes, one class, the kept changes on the best line with their labels."""

import re
from itertools import pairwise

import msgspec
import pytest

from cockpit.core.metric import Direction, Metric
from cockpit.core.state import State
from cockpit.read.counterfactual import best_so_far
from cockpit.read.scores import kept_experiments
from cockpit.report.chart import NARROW, WIDE, Chart, Dot
from cockpit.report.contents import contents
from cockpit.report.svg import svg
from tests.tui import stories


@pytest.fixture
def state() -> State:
    return stories.night().state


def shown(state: State) -> list[Chart]:
    return contents(state, state.now).charts


@pytest.mark.parametrize("frame", [WIDE, NARROW])
def test_the_axes_have_round_labels_and_titles(state: State, frame: object) -> None:
    drawn = svg(shown(state)[0], WIDE if frame is WIDE else NARROW)
    scores = [float(label) for label in re.findall(r'text-anchor="end">([0-9.]+)<', drawn)]
    steps = {round(a - b, 6) for a, b in pairwise(scores)}
    assert len(scores) >= 3 and len(steps) == 1
    assert f"{abs(steps.pop()):.0e}"[0] in "125"
    assert ">val_bpb</text>" in drawn and ">time since the start</text>" in drawn


def test_the_kept_changes_are_labelled_and_lie_on_the_best_line(state: State) -> None:
    chart = shown(state)[0]
    assert chart.labels[kept_experiments(state)[0]].startswith("ASPECT_RATIO ")
    assert f">{chart.labels[chart.best[-1].experiment]}</text>" in svg(chart)
    places = {(best.hours, best.value) for best in chart.best}
    kept = [dot for dot in chart.dots if dot.kept]
    assert kept and all((dot.hours, dot.value) in places for dot in kept)


def test_a_chart_has_the_scores_of_one_class_and_the_first_has_the_line_of_one_gpu(state: State) -> None:
    charts = shown(state)
    assert [chart.hardware for chart in charts] == ["H100", "H200"]
    for chart in charts:
        means = {name: sum(one.scores[chart.hardware]) / len(one.scores[chart.hardware])
                 for name, one in state.experiments.items() if one.scores.get(chart.hardware)}  # fmt: skip
        for dot in chart.dots:
            assert dot.value is None or dot.value == pytest.approx(means[dot.experiment])
        line = best_so_far(state, chart.hardware)
        assert [(one.hours, one.value) for one in chart.best] == [(one.hours, one.score) for one in line]
    assert charts[0].one_gpu and not charts[1].one_gpu
    longer = msgspec.structs.replace(charts[0], hours=charts[0].one_gpu[-1].hours + 1)
    assert "stroke-dasharray" in svg(longer) and "stroke-dasharray" not in svg(charts[1])


def test_the_best_line_falls_in_steps_to_the_right_edge(state: State) -> None:
    chart = shown(state)[0]
    corners = chart.steps(WIDE, chart.best)
    assert corners[-1][0] == WIDE.x(1.0)
    for (x, y), (right, down) in pairwise(corners):
        assert right >= x and (right == x or down == y)


def test_a_score_outside_the_axis_lies_on_its_edge(state: State) -> None:
    chart = shown(state)[0]
    assert chart.at(WIDE, 0.0, chart.high + 1)[1] == WIDE.top
    assert chart.at(WIDE, chart.hours + 1, chart.low)[0] == WIDE.x(1.0)


def test_a_picture_of_many_dots_is_bounded_and_keeps_what_was_kept(state: State) -> None:
    from cockpit.report.chart import _thinned

    dots = [Dot(n / 1000, 1.0, f"e{n:05d}", n % 1000 == 0) for n in range(20_000)]
    left = _thinned(dots, 3_000)
    assert len(left) <= 3_020
    assert [dot for dot in left if dot.kept] == [dot for dot in dots if dot.kept]


def test_a_metric_that_is_better_higher_rises_and_shows_its_values(state: State) -> None:
    lower = shown(state)[0]
    state.session = msgspec.structs.replace(state.session, metric=Metric("accuracy", Direction.MAX))
    higher = shown(state)[0]
    assert [dot.value for dot in higher.dots] == [-dot.value if dot.value else None for dot in lower.dots]
    assert (higher.low, higher.high) == (-lower.high, -lower.low)
    heights = [y for _, y in higher.steps(WIDE, higher.best)]
    assert heights == sorted(heights, reverse=True)
    assert ">accuracy</text>" in svg(higher)
