"""The page of a wave: each difference once, main effects as bars, an interaction as a heat map, names in full."""

import re

import pytest

from cockpit.tui.actions.registry import Registry
from cockpit.tui.screens.help import help_lines
from cockpit.tui.screens.review import ReviewScreen
from cockpit.tui.theme import DARK
from cockpit.tui.views.effects import effects_view
from cockpit.tui.widgets.effects import NOT_ENOUGH, effect_rows
from cockpit.tui.widgets.talk import text_of
from tests.tui import stories
from tests.tui.conftest import Opener, press, shown, words_on

pytestmark = pytest.mark.anyio
FOURTH = ("2", *"jjjj", "enter")
"""The keys to the page of w004 of the night."""


async def test_a_difference_is_on_the_page_once(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, *FOURTH)
        (row,) = (row for row in words_on(app).split("\n") if "e0025" in row)
        assert row.count("+0.0013") == 1 and "± 0.0021 over 1 run, discarded" in row
        await press(pilot, "d")
        assert "diff of e0025" in words_on(app) and "-WEIGHT_DECAY = 0.2" in words_on(app)


async def test_a_verdict_against_another_experiment_than_the_base_names_it(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, "2", *"jjjjj", "enter")
        (row,) = (row for row in words_on(app).split("\n") if "e0017" in row)
        assert "+0.0015 discarded: +0.0038 ± 0.0021 over 1 run against e0019" in row


async def test_a_wave_with_results_opens_on_its_effects_and_one_without_on_the_diff(screen_on: Opener) -> None:
    def tab(wave: str) -> str:
        page = app.screen
        assert isinstance(page, ReviewScreen) and page.wave == wave and page.effects.display is not page.diff.display
        return "effects" if page.effects.display else "diff"

    app = screen_on("interaction")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, "2", "j", "enter")
        assert tab("w002") == "diff"
        await press(pilot, "v")
        assert tab("w002") == "effects" and f"w002: {NOT_ENOUGH}" in words_on(app)
        await press(pilot, "d", "escape", "k", "enter")
        assert tab("w001") == "effects"


async def test_main_effects_are_bars_from_zero(screen_on: Opener) -> None:
    app = screen_on("interaction")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, "2", "enter")
        rows = words_on(app).split("\n")
        zero = next(row for row in rows if "better 0 worse" in row).index("0 worse")
        bars = [row for row in rows if "→" in row]
        assert len(bars) == 4
        for row in bars:
            assert row[zero] == "│", "the bar ends at zero"
            assert re.search(r"├─*●[━─]*┤━+$", row[:zero].rstrip()), row


@pytest.mark.parametrize(("width", "mapped"), [(120, True), (80, True), (46, False)])
async def test_an_interaction_is_a_map_with_intervals_if_it_fits_else_rows(width: int, mapped: bool) -> None:
    view = effects_view(stories.interaction().state, "w001")
    assert view is not None
    words = text_of(effect_rows(view, width, DARK))
    cells = re.findall(r"(?:[░▒▓█]{2}|  ) [+−]0\.\d{4} ±0\.\d{4}", words)
    assert len(cells) == (4 if mapped else 0) and ("beyond the sum" in words) is mapped
    rows = re.findall(r"^[●○] \w+ \.?\d+ × \w+ \.\d+ +[+−]0\.\d{4} \[", words, re.MULTILINE)
    assert len(rows) == (0 if mapped else 4)


async def test_a_pair_that_the_runs_cannot_tell_is_reported(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, *FOURTH)
        assert f"{NOT_ENOUGH}: WEIGHT_DECAY×ASPECT_RATIO" in words_on(app)


async def test_constants_have_short_names_only_if_their_own_do_not_fit(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 200, 50) as pilot:
        await press(pilot, "2")
        words = words_on(app)
        assert "WEIGHT_DECAY 3 × ASPECT_RATIO 2" in words and "DOWN 3 × FINAL 3 × MAT 3" in words
        assert "DOWN is WARMDOWN_RATIO" not in words, "its row is not the selected one"
        await press(pilot, "j", "j")
        assert "DOWN is WARMDOWN_RATIO  FINAL is FINAL_LR_FRAC" in words_on(app)
        await press(pilot, "1")
        assert "DOWN is WARMDOWN_RATIO" not in words_on(app)


async def test_the_heads_of_arms_are_short_as_a_whole_and_the_chosen_one_is_explained(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, "2", "j", "j", "enter")
        assert re.search(r"arm +DOWN FINAL MAT", words_on(app)) and "DOWN is WARMDOWN_RATIO" in words_on(app)
        await press(pilot, "right")
        assert "FINAL is FINAL_LR_FRAC" in words_on(app)
    app = screen_on("night")
    async with shown(app, 120, 24) as pilot:
        await press(pilot, "2", "j", "j", "enter")
        assert re.search(r"arm +WARMDOWN_RATIO FINAL_LR_FRAC MATRIX_LR", words_on(app))
        assert " is FINAL" not in words_on(app)


async def test_help_explains_every_short_name(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 36) as pilot:
        here = app.main.here()
        assert here is not None
        lines = [text for text, _ in help_lines(here, Registry([]))]
        (names,) = (line for line in lines if "MAT is MATRIX_LR" in line)
        assert "AR is ASPECT_RATIO" in names and "DEPTH is" not in names
        await press(pilot, "colon", *"help mat", "enter")
        assert "MAT: the constant MATRIX_LR" in words_on(app)
