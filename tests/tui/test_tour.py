"""The tour: shown once to a person, beside what it is about, and never in the way of a key."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.geometry import Region

from cockpit.cli import screen as opening
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import ScreenSettings
from cockpit.session.user import record_shown
from cockpit.tui import app as tui
from cockpit.tui.actions.navigation import NAVIGATION
from cockpit.tui.actions.registry import Action, Registry
from cockpit.tui.actions.steering import STEERING
from cockpit.tui.screens.dialogs import Dialog
from cockpit.tui.screens.tour import CARDS, TourScreen, tour_cards
from tests.tui.conftest import Opener, press, sent, settle, shown, words_on

pytestmark = pytest.mark.anyio

SIZES = ((60, 20), (80, 24), (110, 28), (120, 36), (200, 50))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the person a state folder of their own, outside CI."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("CI", raising=False)
    return tmp_path / "state" / "cockpit"


async def test_the_tour_is_shown_at_the_first_opening_only(screen_on: Opener, home: Path) -> None:
    app = screen_on("night", wants_tour=lambda: record_shown("tour"))
    async with shown(app, 80, 24) as pilot:
        assert "1 of 3: clusters" in words_on(app)
        await press(pilot, "escape")
        assert app.screen is app.main and app.main.pane == "clusters"
    app = screen_on("night", wants_tour=lambda: record_shown("tour"))
    async with shown(app, 80, 24):
        assert app.screen is app.main


async def test_a_watcher_has_no_tour(screen_on: Opener, home: Path) -> None:
    app = screen_on("night", watch=True, wants_tour=lambda: record_shown("tour"))
    async with shown(app, 80, 24) as pilot:
        assert app.screen is app.main and not home.exists()
        await press(pilot, "colon", *"tour", "enter")
        assert "a watcher steers nothing" in words_on(app)


async def test_a_screen_that_is_too_small_leaves_the_tour_for_the_next_opening(screen_on: Opener, home: Path) -> None:
    app = screen_on("night", wants_tour=lambda: record_shown("tour"))
    async with shown(app, 50, 18):
        assert app.screen is app.main and not home.exists()


@pytest.mark.parametrize(("width", "height"), SIZES)
async def test_each_card_is_whole_and_leaves_the_place_of_its_pane(screen_on: Opener, width: int, height: int) -> None:
    app = screen_on("night")
    async with shown(app, width, height) as pilot:
        await press(pilot, "3", "colon", *"tour", "enter")
        for number in range(CARDS):
            here = app.main.here()
            assert here is not None
            card = tour_cards(here, app.registry)[number]
            text = words_on(app)
            assert f"{number + 1} of {CARDS}: {card.pane}" in text
            assert app.main.pane == card.pane
            shown_words = " ".join(text.split())
            assert all(f" {key} {meaning.split()[0]}" in shown_words for key, meaning in card.keys)
            box = app.screen.query_one("#card").region
            assert app.screen.region.contains_region(box) and box.bottom < height
            pane = app.main.query_one(f"#{card.pane}").region
            name = Region(pane.x, pane.y, pane.width, 1)
            assert not box.overlaps(name), f"the card hides the name of {card.pane}"
            if width >= 110:
                assert not box.overlaps(app.main.log_pane.region), "the log of a run stays in sight"
                for each in tour_cards(here, app.registry):
                    told = app.main.query_one(f"#{each.pane}").region
                    told = told if height >= 36 else Region(told.x, told.y, told.width, 1)
                    assert not box.overlaps(told), f"the card on {card.pane} hides {each.pane}"
            await press(pilot, "enter")
        assert app.screen is app.main and app.main.pane == "log"


async def test_a_key_that_is_not_the_tours_leaves_it_and_acts(screen_on: Opener) -> None:
    app = screen_on("night", wants_tour=lambda: True)
    async with shown(app, 80, 24) as pilot:
        await press(pilot, "2")
        assert app.screen is app.main and app.main.pane == "waves"
        await press(pilot, "colon", *"tour", "enter", "a")
        assert isinstance(app.screen, Dialog) and "Approve" in words_on(app)
        assert sent(app) == []


async def test_the_tour_goes_back_and_follows_the_mouse_and_a_resize(screen_on: Opener) -> None:
    app = screen_on("night", wants_tour=lambda: True)
    async with shown(app, 120, 36) as pilot:
        await press(pilot, "right", "left")
        assert "1 of 3" in words_on(app)
        await pilot.click("#card")
        await settle(pilot)
        assert "2 of 3" in words_on(app)
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        box = app.screen.query_one("#card").region
        assert "2 of 3" in words_on(app) and box.right <= 80 and box.bottom < 24
        await pilot.resize_terminal(50, 18)
        await settle(pilot)
        assert not isinstance(app.screen, TourScreen)


async def test_the_keys_of_the_cards_are_those_of_the_registry(screen_on: Opener) -> None:
    def moved(action: Action) -> Action:
        return msgspec.structs.replace(action, keys=("Z",)) if action.name in ("approve", "reject") else action

    registry = Registry(map(moved, (*STEERING, *NAVIGATION)))
    app = screen_on("night")
    async with shown(app):
        here = app.main.here()
        assert here is not None
        keys = dict(tour_cards(here, registry)[1].keys)
    assert keys["Z"].startswith("approves it, Z rejects it")


def test_a_hint_that_was_shown_is_remembered_in_the_persons_state_folder(home: Path) -> None:
    assert record_shown("tour") and not record_shown("tour") and record_shown("another")
    assert (home / "tour").exists()


def test_a_state_folder_that_takes_no_file_shows_nothing_at_every_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert not record_shown("tour")


@pytest.mark.parametrize(("ci", "wanted"), [("", True), ("1", False)])
def test_continuous_integration_has_no_tour(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, ci: str, wanted: bool
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(tui, "run", lambda root, **how: asked.update(how) or 0)
    monkeypatch.setenv("CI", ci)
    opening.run_screen(SessionFolder(tmp_path), ScreenSettings(), mouse=True)
    assert asked["wants_tour"]() is wanted
    assert home.exists() is wanted


async def test_the_card_on_talk_offers_no_message_to_a_proposer_that_reads_none(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app):
        here = app.main.here()
        assert here is not None

        def talk() -> tuple[str, list[str]]:
            card = tour_cards(here, app.registry)[-1]
            return card.text, [meaning for _, meaning in card.keys]

        text, meanings = talk()
        assert "claude reads it" in text and "writes to the proposer" in meanings
        here.state.proposer = "grid"
        text, meanings = talk()
        assert "grid proposes and reads nothing" in text and "writes to the proposer" not in meanings
