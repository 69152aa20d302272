"""The results say how a difference may depart from two scores, and word the selected row in full."""

import re

import pytest

from cockpit.read import result_rows
from tests.tui.conftest import Opener, press, shown, words_on


@pytest.mark.anyio
@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50)])
async def test_the_selected_row_says_why_its_difference_is_not_that_of_the_scores(
    screen_on: Opener, width: int, height: int
) -> None:
    app = screen_on("night")
    async with shown(app, width, height) as pilot:
        await press(pilot, "6", "slash", *"e0007", "enter")
        assert app.main.results.selected == "e0007"
        rows = words_on(app).split("\n")
        assert "Δ e0019" in next(row for row in rows if "score" in row and "cost" in row)
        note = "scores differ by +0.0023; Δ is adjusted for clusters and selection"
        assert note in " ".join(rows), rows
        assert any("e0007 ASPECT_RATIO 64 → 80, MATRIX_LR 0.04 → 0.05" in row for row in rows)
        await press(pilot, "g")
        assert note not in " ".join(words_on(app).split("\n")), "both differ by −0.0005"


@pytest.mark.anyio
async def test_the_title_of_the_results_says_that_differences_are_adjusted(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 200, 50) as pilot:
        await press(pilot, "6")
        assert "Δ adjusted for clusters, dim where untested" in words_on(app)


@pytest.mark.anyio
async def test_a_simulated_score_has_no_column_for_its_origin(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 200, 50) as pilot:
        await press(pilot, "6")
        assert "scored" not in words_on(app)


@pytest.mark.anyio
async def test_all_rows_are_made_though_nothing_happens_in_the_session(
    screen_on: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_rows, "AT_ONCE", 10)
    app = screen_on("night")
    async with shown(app, 200, 50) as pilot:
        await press(pilot, "6")
        assert len(app.main.results.keys) == 69 and "69 experiments" in words_on(app)


@pytest.mark.anyio
@pytest.mark.parametrize(("width", "height", "is_short"), [(80, 24, True), (200, 50, False)])
async def test_all_rows_of_a_list_name_constants_in_the_same_way(
    screen_on: Opener, width: int, height: int, is_short: bool
) -> None:
    app = screen_on("night")
    async with shown(app, width, height) as pilot:
        await press(pilot, "6", "z")
        changes = [row[28:] for row in words_on(app).split("\n") if re.match(r".. ?e\d{4} ", row) and "→" in row]
        assert len(changes) > 10
        assert [bool(re.search(r"[A-Z]_[A-Z]", row)) for row in changes] == [not is_short] * len(changes)
