"""Footer, help and palette offer only what applies at the person's place and in the session's state."""

import pytest

from cockpit.core.model import ExperimentStatus
from cockpit.session.heartbeat import WorkerStatus
from cockpit.tui.app import CockpitApp
from cockpit.tui.screens.base import CockpitScreen
from cockpit.tui.widgets.bars import Footer
from tests.tui.conftest import Opener, press, settle, shown, words_on
from tests.tui.test_every_key import places
from tests.tui.test_keys import start_again

pytestmark = pytest.mark.anyio

SETTINGS = {"mode"}
"""The actions of a footer that a session which has ended takes too."""
FOR_LAST_RUNS = {"kill", "drop", "base", "interrupt"}
"""The actions of a footer that are about what still runs in a session that is ending."""
WRITES_A_FILE = {"save"}
ENDED = "the session has ended: `cockpit start night` reopens it"


async def offered(app: CockpitApp, screen_keys: list[str], pilot: object) -> set[str]:
    """Return the acting actions that the footer offers after these keys."""
    await start_again(pilot)  # type: ignore[arg-type]
    await press(pilot, *screen_keys)  # type: ignore[arg-type]
    page = app.screen
    assert isinstance(page, CockpitScreen)
    named = (app.registry.named(hint.action) for hint in page.query_one(Footer).hints)
    return {action.name for action in named if action is not None and action.acting}


@pytest.mark.parametrize(
    ("story", "allowed"),
    [("ended", SETTINGS | WRITES_A_FILE), ("ending", SETTINGS | WRITES_A_FILE | FOR_LAST_RUNS)],
)
async def test_the_footer_offers_no_work_to_a_session_that_takes_none(
    screen_on: Opener, story: str, allowed: set[str]
) -> None:
    app = screen_on(story)
    async with shown(app, 200, 50) as pilot:
        for name, keys in places(app):
            assert await offered(app, keys, pilot) <= allowed, name


async def test_an_ended_session_shows_once_in_help_why_its_keys_do_nothing(screen_on: Opener) -> None:
    app = screen_on("ended", worker=WorkerStatus("stopped", None))
    async with shown(app, 200, 50) as pilot:
        await press(pilot, "a")
        assert f"approve: {ENDED}" in words_on(app)
        await press(pilot, "question_mark")
        assert words_on(app).count(ENDED) == 1 and f"Not now: {ENDED}" in words_on(app)


async def test_the_palette_tells_why_its_selected_action_does_not_apply(screen_on: Opener) -> None:
    app = screen_on("ended", worker=WorkerStatus("stopped", None))
    async with shown(app, 200, 50) as pilot:
        await press(pilot, "colon", *"approve")
        assert f"not now: {ENDED}" in words_on(app)
        await press(pilot, " ", *"w007")
        assert "not now" not in words_on(app)


async def test_a_setting_of_an_ended_session_waits_until_it_is_reopened(screen_on: Opener) -> None:
    app = screen_on("ended", worker=WorkerStatus("stopped", None))
    async with shown(app, 200, 50) as pilot:
        await press(pilot, "colon", *"budget 300", "enter")
        assert "it is done once `cockpit start night` reopens the session" in words_on(app)


@pytest.mark.parametrize("pane", [3, 4, 6])
async def test_an_empty_pane_offers_no_key_for_what_it_will_show(screen_on: Opener, pane: int) -> None:
    app = screen_on("empty")
    async with shown(app, 200, 50) as pilot:
        await press(pilot, str(pane))
        named = {hint.action for hint in app.screen.query_one(Footer).hints}
        assert not named & {"find", "follow", "filter", "wrap", "time", "copy", "save", "query", "sort"}
        assert not named & {"view", "axis", "log-axis", "closer", "wider"}


async def test_the_footer_names_resume_for_what_is_held(screen_on: Opener) -> None:
    app = screen_on("held")
    async with shown(app, 200, 50) as pilot:
        assert "space resume" in words_on(app) and "space hold" not in words_on(app)
        await press(pilot, "j")
        assert "space hold" in words_on(app)
        await press(pilot, "5")
        assert "H resume all" in words_on(app)


@pytest.mark.parametrize(
    ("told", "left"),
    [
        (["n"], ["2"]),
        (["n"], ["j"]),
        (["n"], ["e"]),
        (["2", "j", "enter", "v"], ["escape"]),
        (["question_mark", "n"], ["escape"]),
    ],
    ids=["another pane", "another cluster", "a page", "back from a page", "back from help"],
)
async def test_a_note_about_a_key_leaves_with_its_place(screen_on: Opener, told: list[str], left: list[str]) -> None:
    app = screen_on("night")
    async with shown(app, 200, 50) as pilot:
        await press(pilot, *told)
        assert app.screen.query_one(Footer).note
        await press(pilot, *left)
        assert not app.screen.query_one(Footer).note
        assert not app.main.query_one(Footer).note


async def test_a_note_about_the_session_stays_in_each_pane(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 200, 50) as pilot:
        app.note("w005 is approved", "good")
        await press(pilot, "2", "j")
        assert "w005 is approved" in words_on(app)


async def test_an_ended_session_says_in_talk_why_and_how_it_continues(screen_on: Opener) -> None:
    app = screen_on("ended", worker=WorkerStatus("stopped", None))
    async with shown(app, 80, 24) as pilot:
        await press(pilot, "5")
        said = " ".join(words_on(app).split())
        assert "the session has ended" in said and "`cockpit start night` reopens it" in said
        assert "a approve" not in said, "no proposal waits any more"


async def test_a_baseline_without_a_result_is_told_whole_at_80_columns(screen_on: Opener) -> None:
    app = screen_on("ended", worker=WorkerStatus("stopped", None))
    async with shown(app, 80, 24) as pilot:
        state = app.state
        assert state is not None
        baseline = state.experiments[state.baseline]
        state.incumbent, baseline.status = "", ExperimentStatus.CRASHED
        baseline.reason = "it ran past its limit of 10 minutes"
        await press(pilot, "5")
        app.show_state()
        await settle(pilot)
        said = " ".join(words_on(app).split())
        assert "gives no result (it ran past its limit of 10 minutes)" in said
        assert "`cockpit resume -s night` takes the new commit" in said


async def test_the_page_of_a_wave_in_an_ended_session_expects_no_runs(screen_on: Opener) -> None:
    app = screen_on("ended", worker=WorkerStatus("stopped", None))
    async with shown(app, 120, 36) as pilot:
        await press(pilot, "colon", *"open w006", "enter")
        said = words_on(app)
        assert "4 runs not made: the session has ended" in said and "to come" not in said
