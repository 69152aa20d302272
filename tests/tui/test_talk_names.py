"""Names in the talk: `@e00` completes to the newest such experiment, and a name that was said can be opened."""

import pytest

from cockpit.core.events import Said
from cockpit.session.ledger import Ledger
from cockpit.tui.plain import width_of
from cockpit.tui.screens.experiment import ExperimentScreen
from cockpit.tui.screens.review import ReviewScreen
from cockpit.tui.widgets.line import NameSuggester
from tests.tui.conftest import Opener, press, settle, shown, words_on

pytestmark = pytest.mark.anyio
NAMES = ["e0042", "e0041", "e0003", "w007"]


@pytest.mark.parametrize(
    ("written", "completed"),
    [
        ("@e004", "@e0042"),
        ("why did @e0003", "why did @e0003"),
        ("try @w0", "try @w007"),
        ("@e9", None),
        ("@", None),
        ("", None),
        ("e004", None),
        ("ada@e004", None),
        ("@e0042 and", None),
    ],
)
async def test_a_name_is_completed_behind_an_at_sign_alone(written: str, completed: str | None) -> None:
    assert await NameSuggester(lambda: NAMES).get_suggestion(written) == completed


async def test_the_line_takes_the_completion_by_the_right_arrow(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, "i", *"see @e006", "right")
        assert app.main.say.value == "see @e0068"


@pytest.mark.parametrize(("name", "page"), [("e0019", ExperimentScreen), ("w004", ReviewScreen)])
async def test_a_name_that_was_said_is_opened_by_a_click(screen_on: Opener, name: str, page: type) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        ledger = Ledger.open(app.feed.folder.ledger)
        ledger.append([Said(at=app.feed.now(), author="ada", text=f"look 你好 @{name} and e9999")])
        ledger.close()
        app.tick()
        await press(pilot, "5")
        rows = words_on(app).split("\n")
        y, row = next((y, row) for y, row in enumerate(rows) if f"@{name}" in row)
        await pilot.click(offset=(width_of(row[: row.index("e9999")]), y))
        await settle(pilot)
        assert app.screen is app.main, "no such experiment"
        await pilot.click(offset=(width_of(row[: row.index(f"@{name}")]) + 1, y))
        await settle(pilot)
        assert isinstance(app.screen, page) and app.screen.page[1] == name
