"""The mouse in each pane: a click selects, two open, the wheel moves, and a drag is told how text is selected."""

import pytest
from textual import events

from cockpit.core.model import Outcome
from cockpit.tui.app import CockpitApp
from cockpit.tui.screens.base import DRAGGED
from cockpit.tui.screens.experiment import ExperimentScreen, outcome_ink
from cockpit.tui.widgets.listing import Listing
from tests.tui.conftest import Opener, press, settle, shown, words_on

LISTS = ("clusters", "waves", "chart", "results", "stack")
KEYS = dict(zip(LISTS, "12467", strict=True))
pytestmark = pytest.mark.anyio


def listing(app: CockpitApp, pane: str) -> Listing:
    return app.main.query_one(f"#{pane}", Listing)


@pytest.mark.parametrize("pane", LISTS)
async def test_the_wheel_moves_the_selection_and_back(screen_on: Opener, pane: str) -> None:
    app = screen_on("night")
    async with shown(app, 200, 50) as pilot:
        await press(pilot, KEYS[pane])
        listed = listing(app, pane)
        first = listed.selected
        for kind, moved in ((events.MouseScrollDown, True), (events.MouseScrollUp, False)):
            listed.post_message(kind(listed, 5, 5, 0, 1, 0, False, False, False))
            await settle(pilot)
            assert (listed.selected != first) is moved


@pytest.mark.parametrize("pane", LISTS)
async def test_two_clicks_open_what_one_selects(screen_on: Opener, pane: str) -> None:
    app = screen_on("night")
    async with shown(app, 200, 50) as pilot:
        await press(pilot, KEYS[pane])
        at = (20, 6)
        await pilot.click(f"#{pane}", offset=at)
        await settle(pilot)
        selected = listing(app, pane).selected
        assert selected and app.screen is app.main
        await pilot.click(f"#{pane}", offset=at, times=2)
        await settle(pilot)
        assert app.screen is not app.main and listing(app, pane).selected == selected


async def test_a_click_chooses_an_arm_of_a_wave_and_two_open_it(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, "colon", *"open w004", "enter")
        page = app.screen
        await pilot.click("#arms", offset=(10, 4))
        await settle(pilot)
        arms = page.query_one("#arms", Listing)
        assert arms.selected == arms.keys[2] and app.screen is page
        await pilot.click("#arms", offset=(10, 4), times=2)
        await settle(pilot)
        assert isinstance(app.screen, ExperimentScreen) and app.screen.experiment == arms.keys[2]


async def test_a_click_chooses_a_run_of_an_experiment(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, "colon", *"open e0000", "enter")
        attempts = app.screen.query_one("#attempts", Listing)
        await pilot.click("#attempts", offset=(10, 3))
        await settle(pilot)
        assert attempts.selected == attempts.keys[2]


def test_a_run_that_was_ended_on_purpose_is_not_red() -> None:
    inks = {outcome: outcome_ink(outcome) for outcome in Outcome}
    assert {outcome for outcome, ink in inks.items() if ink == "bad"} == {
        Outcome.CRASH, Outcome.TIMEOUT, Outcome.MISMATCH, Outcome.LOST
    }  # fmt: skip
    assert inks[Outcome.VALID] == "good"


async def test_a_drag_says_how_text_is_selected_and_a_click_does_not(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 200, 50) as pilot:
        await pilot.click("#log", offset=(5, 4))
        await settle(pilot)
        assert DRAGGED not in words_on(app)
        await pilot.mouse_down("#log", offset=(5, 4))
        await pilot.mouse_up("#log", offset=(40, 4))
        await settle(pilot)
        assert DRAGGED in words_on(app)
