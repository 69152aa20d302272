"""Promises of the progress chart: round axes, one class, the kept changes on the best line with their labels."""

import re
from itertools import pairwise

import msgspec
import pytest

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
    places = {(best.hours, best.score) for best in chart.best}
    kept = [dot for dot in chart.dots if dot.kept]
    assert kept and all((dot.hours, dot.score) in places for dot in kept)


def test_a_chart_has_the_scores_of_one_class_and_the_first_has_the_line_of_one_gpu(state: State) -> None:
    charts = shown(state)
    assert [chart.hardware for chart in charts] == ["H100", "H200"]
    for chart in charts:
        means = {name: sum(one.scores[chart.hardware]) / len(one.scores[chart.hardware])
                 for name, one in state.experiments.items() if one.scores.get(chart.hardware)}  # fmt: skip
        for dot in chart.dots:
            assert dot.score is None or dot.score == pytest.approx(means[dot.experiment])
        assert list(chart.best) == best_so_far(state, chart.hardware)
    assert charts[0].alone and not charts[1].alone
    longer = msgspec.structs.replace(charts[0], hours=charts[0].alone[-1].hours + 1)
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
