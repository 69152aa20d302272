"""Learning curves laid over each other: the runs that are compared, the crosshair, the axes and the table of values."""

import math

import pytest

from cockpit.core.curves import loss_at, points_of
from cockpit.read.axis import log_ticks
from cockpit.read.learning_curves import CURVES_AT_MOST, LearningCurve, learning_curves
from cockpit.tui.theme import DARK, NO_COLOUR, Palette
from cockpit.tui.widgets.learning_curves import BESIDE_FROM, SPANS, CurvesLook, draw_learning_curves
from cockpit.tui.widgets.talk import text_of
from tests.tui import stories
from tests.tui.conftest import Opener, press, shown, words_on

pytestmark = pytest.mark.anyio

NIGHT = stories.night().state


def drawn(
    curves: list[LearningCurve], look: CurvesLook, width: int = 100, height: int = 24, palette: Palette = DARK
) -> list[str]:
    return text_of(draw_learning_curves(NIGHT, curves, look, width, height, palette)).split("\n")


def test_each_experiment_has_its_newest_run_with_a_curve_after_the_incumbents() -> None:
    arms = NIGHT.waves["w005"].arms
    curves = learning_curves(NIGHT, arms)
    assert len(curves) == CURVES_AT_MOST
    assert curves[0].experiment == NIGHT.incumbent and curves[0].is_incumbent
    names = [curve.experiment for curve in curves[1:]]
    assert names == [name for name in arms if name in names], "in the wave's order"
    for curve in curves:
        newest = [NIGHT.attempts[name] for name in NIGHT.experiments[curve.experiment].attempts]
        assert curve.attempt == [run.id for run in newest if run.curve][-1]


def test_one_experiment_is_shown_with_all_its_runs() -> None:
    curves = learning_curves(NIGHT, ["e0000"])
    assert [curve.experiment for curve in curves[1:]] == ["e0000"] * (len(curves) - 1) and len(curves) > 5
    assert len({curve.attempt for curve in curves}) == len(curves)


@pytest.mark.parametrize("width", [47, BESIDE_FROM, 140])
@pytest.mark.parametrize("at", [0.3, 0.64, 1.0])
def test_the_crosshair_reads_every_curve_at_one_percent(width: int, at: float) -> None:
    curves = learning_curves(NIGHT, ["e0012", "e0003", "e0008"])
    text = "\n".join(drawn(curves, CurvesLook(at=at), width))
    for letter, curve in zip("abcd", curves, strict=True):
        points = points_of(NIGHT.attempts[curve.attempt].curve)
        loss = loss_at(points, min(at, points[-1][0]))
        assert loss is not None
        assert f"{letter} {curve.experiment}" in text and f"{loss:.4f}" in text


def test_a_curve_that_ends_before_the_crosshair_says_where_and_gives_no_value() -> None:
    running = next(name for name in NIGHT.in_flight if NIGHT.attempts[name].curve)
    curves = learning_curves(NIGHT, [NIGHT.attempts[running].experiment, "e0012"])
    last = curves[1].points[-1][0]
    row = next(line for line in drawn(curves, CurvesLook(at=1.0)) if curves[1].experiment in line)
    assert f"to {last:.0%}" in row and "+" not in row.partition(curves[1].experiment)[2]


def test_each_curve_has_its_letter_where_the_crosshair_meets_it() -> None:
    curves = learning_curves(NIGHT, ["e0003", "e0012"])
    rows = drawn(curves, CurvesLook(at=0.8, zoom=3, chosen=1), 100, 30, NO_COLOUR)
    plot = [row[:66] for row in rows]
    columns = {row.index("┊") for row in plot if "┊" in row}
    assert len(columns) == 1, "one crosshair"
    column = columns.pop()
    assert "b" in {row[column] for row in plot}, "the chosen curve's letter is never covered"


@pytest.mark.parametrize("zoom", range(len(SPANS)))
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(("width", "height"), [(47, 12), (79, 20), (199, 46)])
def test_axes_have_at_least_three_round_labels_each_way(zoom: int, log: bool, width: int, height: int) -> None:
    curves = learning_curves(NIGHT, ["e0003", "e0012"])
    rows = drawn(curves, CurvesLook(at=0.7, zoom=zoom, log=log), width, height)
    plot = [row for row in rows if row[6:7] in ("┤", "│")]
    assert sum(row[6] == "┤" for row in plot) >= 3
    percents = [word for row in rows for word in row.split() if word.endswith("%") and word[:-1].isdigit()]
    assert len(percents) >= 3


def test_a_logarithmic_axis_has_powers_of_ten_if_they_fit() -> None:
    values, labels = log_ticks(0.02, 400.0, 4, 2)
    assert labels == ["0.1", "1", "10", "100"] and values == pytest.approx([0.1, 1, 10, 100])
    values, labels = log_ticks(2.1, 2.4, 4, 2)
    assert len(values) >= 3 and all(2.1 <= value <= 2.4 for value in values)
    assert all(math.isclose(float(label), value) for label, value in zip(labels, values, strict=True))


async def test_curves_are_those_of_the_marked_experiments_else_of_the_cursor(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        chart = app.main.chart
        await press(pilot, "4", "l", "l", "c")
        assert list(chart.compared) == [chart.selected]
        await press(pilot, "escape", " ", "l", "l", " ")
        marked = tuple(chart.marked)
        await press(pilot, "6")
        assert words_on(app).count("✓e0") == sum(name in app.main.results.keys[:8] for name in marked)
        await press(pilot, "c")
        assert len(marked) == 2 and list(chart.compared) == list(marked)


async def test_the_cursor_leads_the_grid_the_log_and_the_page(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        await press(pilot, "4", *"lllll")
        name = app.main.chart.selected
        assert app.state is not None
        run = app.state.attempts[f"{name}.1"]
        assert app.main.grid.selected == run.cluster
        assert app.main.log_pane.what == f"{run.id} {run.cluster}"
        await press(pilot, "c", "j", "j")
        run = app.state.attempts[app.main.chart.attempt]
        assert app.main.grid.selected == run.cluster and app.main.log_pane.what == f"{run.id} {run.cluster}"


async def test_an_unchanged_screen_of_curves_draws_nothing_again(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        await press(pilot, "2", "j", "j", "c")
        before = app.main.chart._curve_rows
        app.show_state()
        assert app.main.chart._curve_rows is before


async def test_a_logarithmic_axis_is_refused_with_its_reason(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        for dot in app.main.chart.dots.by_key.values():
            dot.score -= 1
        await press(pilot, "4", "L")
        assert "log-axis: a logarithmic axis needs values above 0" in words_on(app)
        assert not app.main.chart.axes.log


async def test_the_title_names_the_part_of_the_run_that_is_shown(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 200, 50) as pilot:
        await press(pilot, "4", "c")
        assert "50–100% of the run: loss at 100%  e0000" in words_on(app)
        await press(pilot, "plus")
        assert "75–100% of the run: loss at 100%" in words_on(app)
        await press(pilot, "minus", "minus")
        assert "of the run" not in words_on(app) and "loss at 100%" in words_on(app)


@pytest.mark.parametrize(("last", "at"), [(1.0, 1.0), (0.995, 1.0), (0.983, 0.98), (0.55, 0.55)])
def test_the_crosshair_begins_at_the_last_percent_that_has_a_loss(last: float, at: float) -> None:
    curve = LearningCurve("e0001.1", "e0001", "CPU", ((0.0, 3.0), (last, 2.0)), False)
    assert curve.last_percent == at
    assert curve.loss(curve.last_percent) is not None


async def test_the_crosshair_of_a_running_run_begins_at_its_end(screen_on: Opener) -> None:
    app = screen_on("laptop")
    async with shown(app, 200, 50) as pilot:
        await press(pilot, "c")
        assert app.main.chart.look.at == 0.55
        assert "30–80% of the run: loss at 55%" in words_on(app)
        await press(pilot, "1", "enter", "v")
        assert "loss, from 25% of the budget" in words_on(app)


@pytest.mark.parametrize(("at", "told"), [(0.05, False), (0.5, True)])
def test_a_difference_is_good_or_bad_only_where_it_tells_something(at: float, told: bool) -> None:
    curves = learning_curves(NIGHT, ["e0012", "e0003"])
    rows = draw_learning_curves(NIGHT, curves, CurvesLook(at=at), 100, 24, DARK)
    said = [part.style for row in rows for part in row if part.text.strip()[:1] in ("+", "−")]
    judged = {DARK["good"].color, DARK["bad"].color}
    assert said and any(style and style.color in judged for style in said) == told
