"""The chart: the one-GPU line, the noise around the incumbent, and what a wave's factors did."""

import math

import msgspec
import pytest

from cockpit.core.metric import VAL_BPB
from cockpit.core.model import Estimate
from cockpit.decide.evidence import noise_of
from cockpit.read.axis import ticks, time_ticks
from cockpit.read.counterfactual import one_gpu, one_gpu_words
from cockpit.read.score_dots import ScoreDots
from cockpit.read.scores import kept_experiments
from cockpit.read.wording import signed
from cockpit.tui.theme import DARK
from cockpit.tui.views.changes import Wording
from cockpit.tui.views.chart import alone_steps, class_offsets
from cockpit.tui.views.effects import EffectsView, EffectView, effects_view, reach
from cockpit.tui.widgets.effects import draw_effects, effect_rows
from cockpit.tui.widgets.score_plot import ALONE, BEST, LABELS, ScoreAxes, draw_scores, place_of
from cockpit.tui.widgets.talk import text_of
from tests.decide.world import World
from tests.tui import stories
from tests.tui.conftest import Opener, press, shown, words_on

pytestmark = pytest.mark.anyio


def effect(mean: float, half: float, label: str = "WD .1→.2") -> EffectView:
    return EffectView(Wording(label, label), Estimate(mean, mean - half, mean + half, 0.9, 4, "e0000", "H100"), False)


def drawn(*rows: EffectView, width: int = 79) -> list[str]:
    view = EffectsView("w001", rows, (), (), 8, VAL_BPB)
    return text_of(draw_effects(view, effect_rows(view, width, DARK), 0, width, 12, DARK)).split("\n")


def test_the_one_gpu_line_shows_the_best_of_one_gpu_so_far() -> None:
    state = stories.pair().state
    alone = one_gpu(state)
    assert alone is not None and len(alone.best) > 1
    for until in (0.0, alone.best[0].hours, alone.best[-1].hours, math.inf):
        steps = alone_steps(state, until)
        assert [at for at, _ in steps] == [best.hours for best in alone.best if best.hours <= until]
    assert alone_steps(state, math.inf)[-1][1] == alone.best[-1].score


def plotted(world: World) -> list[str]:
    dots = ScoreDots()
    dots.follow(world.state)
    return text_of(list(draw_scores(dots, world.state, 70, 13, DARK, ScoreAxes(), "", frozenset()).rows)).split("\n")


def labelled_rows(rows: list[str]) -> list[str]:
    return [row for row in rows if any(cell.isdigit() for cell in row)]


def test_one_dot_has_its_own_value_and_no_scale() -> None:
    """Draw a chart of one result: labels around it would be invented, and so would the axis of a single moment."""
    world = World(lambda constants, attempt: 1.0931, hardware=("CPU",))
    world.run(0.03)
    rows = plotted(world)
    (labelled,) = labelled_rows(rows)
    score = world.state.attempts["e0000.1"].metrics
    assert score is not None and labelled[:LABELS].startswith(f"{score.score:.3f}")
    assert rows.index(labelled) in (5, 6) and "·" in labelled, "its dot is in the middle"
    assert not any("s" in row for row in rows)
    world.propose({"LR": 2})
    world.run(0.1)
    assert len(labelled_rows(plotted(world))) > 2


def test_one_dot_has_no_line_to_be_explained() -> None:
    """Draw a baseline of sixteen runs: it became the incumbent after the end of the run that its dot stands for."""
    dots, state = ScoreDots(), stories.begun("one", clusters=2, better=0).state
    dots.follow(state)
    for by_time in (True, False):
        plot = draw_scores(dots, state, 70, 13, DARK, ScoreAxes(by_time=by_time), "", frozenset())
        assert "·" in plot.marks and not plot.marks & {BEST, ALONE}


async def test_the_one_gpu_line_is_drawn_over_time_and_not_over_experiments(screen_on: Opener) -> None:
    app = screen_on("pair")
    async with shown(app, 120, 34) as pilot:
        assert "╌ one GPU" in words_on(app)
        await press(pilot, "4", "z")
        assert words_on(app).count("╌") > 5
        await press(pilot, "t")
        assert "╌" not in words_on(app)


async def test_the_legend_lists_the_marks_that_are_drawn_and_no_others(screen_on: Opener) -> None:
    names = {"◆": "kept", "━": "best", "╌": "one GPU", "×": "crashed", "✓": "marked", "˄": "beyond"}
    for story, keys in (("pair", ()), ("pair", ("t",)), ("laptop", ()), ("laptop", ("minus",)), ("night", (" ", "l"))):
        app = screen_on(story)
        async with shown(app, 160, 40) as pilot:
            await press(pilot, "4", "z", *keys)
            rows = words_on(app).split("\n")
            plot, legend = "\n".join(row[5:] for row in rows[3:-4]), rows[-2]
            for mark, name in names.items():
                is_drawn = any(0x2800 <= ord(cell) < 0x2900 for cell in plot) if mark == "━" else mark in plot
                assert (f"{mark} {name}" in legend) == is_drawn, (story, keys, mark, legend)


async def test_the_line_of_one_device_is_named_after_the_machine(screen_on: Opener) -> None:
    app = screen_on("pair")
    async with shown(app, 160, 40) as pilot:
        state = app.state
        assert state is not None
        assert one_gpu_words(state) == "one GPU"
        for cluster in state.clusters.values():
            cluster.hardware = "CPU"
        assert one_gpu_words(state) == "one CPU"
        fleet = msgspec.structs.replace(state.session.fleet, kind="local")
        state.session = msgspec.structs.replace(state.session, fleet=fleet)
        await press(pilot, "4", "z")
        assert "╌ one slot of this machine" in words_on(app) and "GPU" not in words_on(app).split("\n")[-2]
        await pilot.resize_terminal(120, 34)
        await press(pilot, "z")
        assert "╌ one slot" in words_on(app), "the first words where there is little room"


async def test_the_legend_stays_while_the_cursor_walks_the_dots(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        for keys in (("4",), ("l",), ("l", "plus"), ("t",)):
            await press(pilot, *keys)
            legend = words_on(app).split("\n")[-2]
            assert all(mark in legend for mark in ("· H100", "▫ H200", "◆ kept", "━ best", "× crashed")), legend


def test_a_class_is_on_the_axis_of_another_only_with_its_measured_offset() -> None:
    state = stories.night().state
    offset = noise_of(state).classes["H200"].mean
    assert class_offsets(state, ["H100", "H200"]) == {"H100": 0.0, "H200": pytest.approx(offset)}
    assert class_offsets(state, ["H200", "H100"])["H100"] == pytest.approx(-offset)
    assert class_offsets(state, ["H100", "B300"]) == {"H100": 0.0}
    assert class_offsets(state, []) == {}


async def test_a_class_without_an_offset_is_left_out_and_named(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, "4", "z")
        assert f"▫ H200 {signed(-noise_of(app.state).classes['H200'].mean)}" in words_on(app)  # type: ignore[arg-type]
        for dot in list(app.main.chart.dots.by_key.values()):
            if dot.hardware == "H200":
                del app.main.chart.dots.by_key[dot.experiment, "H200"]
                dot.hardware = "B300"
                app.main.chart.dots.by_key[dot.experiment, "B300"] = dot
        app.main.chart.dots._counts["B300"] = app.main.chart.dots._counts.pop("H200")
        app.main.chart.dots.version += 1
        app.main.chart.paint()
        assert "▫ B300 not shown: no offset measured yet" in words_on(app)
        assert words_on(app).count("▫") == 1


async def test_a_kept_mark_lies_on_the_line_of_its_class(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, "4", "z")
        assert app.state is not None
        rows = words_on(app).split("\n")[3:-3]
        marks = [(x, y) for y, row in enumerate(rows) for x, cell in enumerate(row) if cell == "◆"]
        assert len(marks) == len(kept_experiments(app.state))
        for x, y in marks:
            beside = {rows[y][x - 1 : x + 3], rows[y - 1][x] if y else ""}
            assert any(0x2800 <= ord(cell) < 0x2900 for text in beside for cell in text), (x, y)


def test_an_effect_beyond_its_interval_has_a_mark_on_its_side_of_zero() -> None:
    better, worse, neither = effect(-0.004, 0.001), effect(0.004, 0.001), effect(0.0005, 0.002)
    rows = drawn(better, worse, neither)[1:]
    assert [row[0] for row in rows[:3]] == ["●", "●", "○"]
    zero = next(row for row in drawn(effect(0.0, 0.0)) if row[0] == "○").rindex("○")
    assert rows[0].rindex("●") < rows[0].rindex("┤") < zero
    assert zero < rows[1].rindex("├") < rows[1].rindex("●")
    assert "−0.0040 [−0.0050, −0.0030]" in rows[0]


def test_an_interval_wider_than_the_axis_ends_in_arrows() -> None:
    wide = effect(-0.001, 0.5)
    assert reach([wide, effect(-0.002, 0.0005)]) == pytest.approx(0.008)
    row = drawn(wide, effect(-0.002, 0.0005))[1]
    assert "◂" in row and "▸" in row


def test_effects_are_those_of_the_selected_wave_or_the_newest_half_measured() -> None:
    state = stories.night().state
    newest = effects_view(state, "")
    assert newest is not None and newest.wave == "w004", "of w005 less than half is measured"
    chosen = effects_view(state, "w001")
    assert chosen is not None and chosen.wave == "w001"
    first = chosen.rows[0]
    assert first.label == Wording("ASPECT_RATIO 48→80", "AR 48→80") and first.estimate.mean < 0 and first.clear
    unmeasured = effects_view(state, "w007")
    assert unmeasured is not None and not unmeasured.rows
    assert effects_view(stories.empty().state, "") is None


async def test_the_noise_band_lies_around_the_incumbent(screen_on: Opener) -> None:
    app = screen_on("pair")
    async with shown(app, 120, 34) as pilot:
        await press(pilot, "4", "plus", "z")
        state = app.state
        assert state is not None
        band = [y for y, row in enumerate(app.main.chart._plot.rows) if DARK.noise.bgcolor in _grounds(row)]
        assert band and len(band) < len(app.main.chart._plot.rows) - 2
        assert 0 < noise_of(state).run_sd < 0.005


def _grounds(row: object) -> set[object]:
    return {segment.style.bgcolor for segment in row if segment.style is not None}  # type: ignore[attr-defined]


@pytest.mark.parametrize("most", [1, 2, 5, 12])
@pytest.mark.parametrize(("low", "high"), [(0.968, 0.9853), (0.97, 0.9812), (0.9, 1.3), (0.97012, 0.97049), (0.0, 9.0)])
def test_an_axis_has_at_least_three_round_labels(low: float, high: float, most: int) -> None:
    values, labels = ticks(low, high, most, 3)
    assert len(values) >= 3 and len(set(labels)) == len(values)
    assert all(low <= value <= high for value in values)
    assert all(abs(float(label) - value) < 1e-9 for label, value in zip(labels, values, strict=True))


@pytest.mark.parametrize(
    ("hours", "first"), [(12.0, "0h"), (1.7, "0.0h"), (0.5, "0m"), (0.06, "0m"), (0.03, "0s"), (0.002, "0s")]
)
def test_times_below_a_minute_are_in_seconds_and_never_in_tenths_of_a_minute(hours: float, first: str) -> None:
    _, labels = time_ticks(0.0, hours, 4, True)
    assert labels[0] == first and len(labels) >= 3
    assert first.endswith("h") or not any("." in label for label in labels), labels


async def test_a_click_selects_the_nearest_dot_over_time_and_over_experiments(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 34) as pilot:
        await press(pilot, "4", "z")
        chart = app.main.chart
        scored = [dot for dot in chart.dots.by_key.values() if not math.isnan(dot.score)]
        assert len({dot.hour for dot in scored}) > 10
        for _ in ("time", "experiments"):
            await pilot.click("#chart", offset=(chart.size.width - 1, 8))
            last = max(scored, key=lambda dot: place_of(dot, chart.axes.by_time))
            assert chart.experiment == last.experiment
            await pilot.click("#chart", offset=(LABELS, 8))
            first = min(scored, key=lambda dot: place_of(dot, chart.axes.by_time))
            assert chart.experiment == first.experiment
            await press(pilot, "t")
