"""The editor of a long message: several lines, a paste among them, and nothing lost on the way out."""

import pytest
from textual import events
from textual.pilot import Pilot

from cockpit.core.intents import Say
from cockpit.tui.app import CockpitApp
from cockpit.tui.screens.editor import HINT, Editor
from tests.tui.conftest import Opener, press, sent, settle, shown, words_on

pytestmark = pytest.mark.anyio

OPEN = ("i", *"first", "ctrl+o")


async def paste(pilot: Pilot[int], text: str) -> None:
    pilot.app.post_message(events.Paste(text))
    await settle(pilot)


def is_open(app: CockpitApp) -> bool:
    return HINT in words_on(app)


@pytest.mark.parametrize(("width", "height"), [(60, 20), (80, 24), (200, 50)])
async def test_a_message_of_several_lines_is_written_and_sent(screen_on: Opener, width: int, height: int) -> None:
    app = screen_on("night")
    async with shown(app, width, height) as pilot:
        await press(pilot, *OPEN)
        assert is_open(app) and "write to claude" in words_on(app)
        await press(pilot, "enter", *"second", "enter", *"third", "up", "end", "backspace", "ctrl+s")
        assert sent(app) == [Say("first\nsecon\nthird")]
        assert app.screen is app.main and not app.main.say.value


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50)])
async def test_no_rest_of_a_pane_stands_beside_the_editor(screen_on: Opener, width: int, height: int) -> None:
    app = screen_on("night")
    async with shown(app, width, height) as pilot:
        await press(pilot, "i", "ctrl+o")
        assert isinstance(app.screen, Editor)
        top, field = app.screen.box.region, app.screen.lines.region
        rows = words_on(app).split("\n")
        assert rows[top.y].startswith("━━") and rows[top.y].endswith(HINT)
        assert not any(row.strip() for row in rows[field.y : field.bottom + 1])


async def test_leaving_the_editor_puts_the_text_back_into_the_line(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        await press(pilot, *OPEN, "enter", *"second", "escape")
        assert app.screen is app.main and app.main.say.text == "first\nsecond"
        await press(pilot, "ctrl+o")
        assert is_open(app)
        await press(pilot, "enter", *"third", "escape", "enter")
        assert sent(app) == [Say("first\nsecond\nthird")]


async def test_a_paste_into_the_editor_keeps_its_lines_and_no_escape(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        await press(pilot, *OPEN)
        await paste(pilot, " a\r\nb\n\x1b[2Jc")
        await press(pilot, "ctrl+s")
        assert sent(app) == [Say("first a\nb\n␛[2Jc")]


async def test_leaving_the_screen_from_the_editor_asks_first(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        await press(pilot, *OPEN, "ctrl+q")
        assert app.return_code is None and "has not been sent" in " ".join(words_on(app).split())


async def test_an_empty_text_is_not_sent_and_a_watcher_has_no_editor(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        await press(pilot, "ctrl+o", "ctrl+s")
        assert app.screen is app.main and sent(app) == []
    watcher = screen_on("night", watch=True)
    async with shown(watcher) as pilot:
        await press(pilot, "ctrl+o")
        assert watcher.screen is watcher.main and not is_open(watcher)
