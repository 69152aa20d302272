"""Questions: the screen stays live under them, typed text is kept, and a problem is shown whole."""

import asyncio
import threading
from pathlib import Path

import msgspec
import pytest
from textual import events
from textual.pilot import Pilot

from cockpit.control.verbs import VERBS, verb
from cockpit.core.events import Event, IntentTaken, Rejected, Said
from cockpit.core.intents import (
    AnyIntent,
    Approve,
    EditProposal,
    End,
    Kill,
    Promote,
    Relaunch,
    Rerun,
    Say,
    SetBudget,
    SetMode,
)
from cockpit.core.model import EndMode, Mode
from cockpit.read.needs import NeedKind
from cockpit.session.heartbeat import WorkerStatus
from cockpit.session.ledger import Ledger
from cockpit.tui.actions.effects import Choose, Confirm
from cockpit.tui.actions.registry import Here, effects_of
from cockpit.tui.actions.steering import STEERING
from cockpit.tui.app import CockpitApp
from cockpit.tui.feed import LedgerFeed
from cockpit.tui.screens.dialogs import NOT_TEXT, Box, Dialog, Line
from cockpit.tui.screens.palette import CommandPalette
from tests.tui import stories
from tests.tui.conftest import RUNNING, Opener, press, sent, settle, shown, words_on

pytestmark = pytest.mark.anyio

STOPPED = WorkerStatus("stopped", 5.0)
REFUSAL = "arm 1 (MUON_MOMENTUM=abc): MUON_MOMENTUM is a number (0.95); it cannot be set to text ('abc')."


async def tell(app: CockpitApp, pilot: Pilot[int], *events: Event) -> None:
    """Write events as the worker does, and look for news."""
    ledger = Ledger.open(app.feed.folder.ledger)
    ledger.append(list(events))
    ledger.close()
    app.tick()
    await settle(pilot)


async def answer(app: CockpitApp, pilot: Pilot[int], refused: str = "") -> None:
    """Answer the newest intent as the worker does."""
    await tell(
        app, pilot, IntentTaken(at=app.feed.now(), intent=len(sent(app)), author="ada", what="", refused=refused)
    )


async def paste(pilot: Pilot[int], text: str) -> None:
    pilot.app.post_message(events.Paste(text))
    await settle(pilot)


@pytest.mark.parametrize("keys", [["x"], ["colon"], ["r"], ["m"]])
async def test_the_screen_stays_live_under_a_question(screen_on: Opener, keys: list[str]) -> None:
    app = screen_on("night")
    async with shown(app, 200, 50) as pilot:
        await press(pilot, *keys)
        question = app.screen
        await tell(app, pilot, Said(at=app.feed.now(), author="claude", text="news under the question"))
        await press(pilot)
        assert app.screen is question
        assert "news under the question" in words_on(app)


async def test_a_page_stays_live_under_a_question(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 200, 50) as pilot:
        await press(pilot, "e", "r")
        question = app.screen
        await tell(app, pilot, Rejected(at=app.feed.now(), wave="w007", author="grace", reason="too wide"))
        await press(pilot)
        assert app.screen is question
        assert "rejected  by grace" in words_on(app)


CONFIRMED: list[tuple[list[str], list[AnyIntent]]] = [
    (["x", "y"], [Kill("e0051.1")]),
    (["x", "n"], []),
    (["x", "enter"], []),
    (["x", "escape"], []),
]


@pytest.mark.parametrize(("keys", "intents"), CONFIRMED, ids=[" ".join(keys) for keys, _ in CONFIRMED])
async def test_a_confirmation_takes_y_and_n_and_cancel_is_focused(
    screen_on: Opener, keys: list[str], intents: list[AnyIntent]
) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        await press(pilot, *keys)
        assert sent(app) == intents
        assert app.screen is app.main


SPENDING: list[tuple[str, list[str], str, AnyIntent]] = [
    ("approve", ["a"], "about $", Approve("w007")),
    ("trust", ["A"], "about $", Approve("w007", trust=True)),
    ("rerun", ["R"], "about $", Rerun("e0051")),
    ("promote", ["P"], "about $", Promote("e0051")),
    ("relaunch", [*"jjjjjj", "u"], "$2.00 an hour", Relaunch("gpu-07")),
    ("approve by the palette", ["colon", *"approve w008", "enter"], "about $", Approve("w008")),
    ("rerun by the palette", ["colon", *"rerun e0012", "enter"], "about $", Rerun("e0012")),
    ("autopilot", ["colon", *"mode autopilot", "enter"], "$50.00", SetMode(Mode.AUTOPILOT)),
]


@pytest.mark.parametrize(("keys", "dollars", "intent"), [row[1:] for row in SPENDING], ids=[row[0] for row in SPENDING])
async def test_spending_asks_with_the_dollars_and_cancel_focused(
    screen_on: Opener, keys: list[str], dollars: str, intent: AnyIntent
) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        await press(pilot, *keys)
        assert dollars in words_on(app) and "▸ Cancel (n)" in words_on(app)
        await press(pilot, "enter")
        assert not sent(app) and app.screen is app.main
        await press(pilot, *(keys if keys[0] != "j" else keys[-1:]), "y")
        assert sent(app) == [intent]


async def test_a_click_in_the_footer_asks_before_it_spends(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 160, 44) as pilot:
        await pilot.click("#footer", offset=(2, 0))
        await settle(pilot)
        assert "Approve w007" in words_on(app) and not sent(app)
        await pilot.click("#box", offset=(4, app.screen.query_one(Box).size.height - 2))
        await settle(pilot)
        assert sent(app) == [Approve("w007")]


def test_every_verb_with_a_cost_has_an_action_that_asks() -> None:
    story = stories.night()
    actions = {action.name: action for action in STEERING}
    here = Here(story.state, story.at, "clusters", experiment="e0051", attempt="e0051.1", cluster="gpu-07", wave="w007")
    free = {"mode"}  # it asks for a mode first
    for row in VERBS:
        selected = {argument.name: str(getattr(here, argument.name, "")) for argument in row.arguments}
        if row.cost(story.state, selected, story.at) and row.name not in free:
            (effect,) = effects_of(actions[row.name], here)
            asks = isinstance(effect, Confirm) or (isinstance(effect, Choose) and effect.focused == "")
            assert asks, row.name


async def test_an_edit_that_the_worker_refuses_keeps_the_line_open_with_the_problem(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, "e", "c", *"abc", "enter")
        line = app.screen
        assert isinstance(line, Line) and line.waiting
        assert isinstance(sent(app)[-1], EditProposal)
        await answer(app, pilot, REFUSAL)
        assert line.is_current and line.input.value == "abc"
        assert all(word in words_on(app) for word in REFUSAL.split())
        await press(pilot, "backspace", "backspace", "backspace", *"0.9", "enter")
        await answer(app, pilot)
        assert app.screen is not line
        assert "w007 is edited: e0062: MUON_MOMENTUM = 0.9" in words_on(app)
        assert app.state is not None and len(app.state.waves["w007"].arms) == 6


async def test_an_edit_without_a_worker_closes_the_line_and_says_when_it_will_be_done(screen_on: Opener) -> None:
    app = screen_on("night", worker=STOPPED)
    async with shown(app) as pilot:
        await press(pilot, "e", "c", *"0.9", "enter")
        assert not isinstance(app.screen, Line)
        assert "the worker is away" in words_on(app)


async def test_a_line_that_cannot_be_taken_stays_open(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, "e", "n", *"many", "enter")
        assert isinstance(app.screen, Line) and app.screen.input.value == "many"
        assert "expected an integer of at least 1" in words_on(app)
        assert not sent(app)


async def test_a_command_that_cannot_be_carried_out_stays_in_the_palette(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, "colon", *"open e9999", "enter")
        assert isinstance(app.screen, CommandPalette) and app.screen.input.value == "open e9999"
        assert "there is no wave or experiment 'e9999'" in words_on(app)
        await press(pilot, "escape")


async def test_a_command_that_the_worker_refuses_is_in_the_next_palette(screen_on: Opener) -> None:
    app = screen_on("night")
    refusal = "$300.00 is less than the $512.00 that are spent already, and a cap that has passed ends the session"
    async with shown(app, 80, 24) as pilot:
        await press(pilot, "colon", *"budget 300", "enter")
        assert sent(app) == [SetBudget(300.0)]
        await answer(app, pilot, refusal)
        assert refusal in joined(app)
        await press(pilot, "colon")
        assert isinstance(app.screen, CommandPalette) and app.screen.input.value == "budget 300"
        await press(pilot, "escape", "colon")
        assert isinstance(app.screen, CommandPalette) and not app.screen.input.value


def joined(app: CockpitApp) -> str:
    """Return the screen's text with rows joined, as a wrapped sentence is read."""
    return " ".join(words_on(app).split())


async def test_a_long_problem_is_shown_whole_and_gives_the_panes_back(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 60, 20) as pilot:
        before = words_on(app)
        app.note(REFUSAL * 3, "bad")
        await settle(pilot)
        assert "".join((REFUSAL * 3).split()) in "".join(words_on(app).split())
        app.note("", "accent")
        await settle(pilot)
        assert words_on(app) == before


async def test_a_paste_of_three_lines_is_sent_whole(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        await press(pilot, "i", "a", "space")
        await paste(pilot, "first\r\nsecond\n\x1b[2Jthird\n")
        assert "a first␊second␊␛[2Jthird" in words_on(app)
        await press(pilot, "enter")
        assert sent(app) == [Say("a first\nsecond\n␛[2Jthird")]
        assert not app.main.say.value


async def test_words_that_cannot_be_sent_stay_in_the_line(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        await press(pilot, "i", *"keep me")
        assert app.session.client is not None
        app.session.client.close()
        app.feed.folder.inbox.write_bytes(b"torn" * 4096)
        await press(pilot, "enter")
        assert app.main.say.value == "keep me"
        assert "inbox.db" in words_on(app)


@pytest.mark.parametrize("leave", [["ctrl+q"], ["escape", "q"], ["ctrl+c"]])
async def test_leaving_asks_first_if_text_would_be_lost(screen_on: Opener, leave: list[str]) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        await press(pilot, "i", *"unsent words", *leave)
        assert app.return_code is None
        assert "'unsent words' has not been sent" in joined(app)
        await press(pilot, "n")
        assert app.screen is app.main and app.main.say.value == "unsent words"
        await press(pilot, *leave, "y")
    assert app.return_code == 0


async def test_leaving_from_a_line_asks_first_if_text_would_be_lost(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        await press(pilot, "r", *"too wide", "ctrl+q")
        assert app.return_code is None and "'too wide' has not been sent" in joined(app)
        await press(pilot, "n")
        assert isinstance(app.screen, Line) and app.screen.input.value == "too wide"


class SlowFeed(LedgerFeed):
    """A ledger whose reading takes until `read` is set."""

    read = threading.Event()

    def load(self) -> None:
        self.read.wait(20)
        super().load()


async def test_keys_typed_before_the_session_is_shown_do_nothing(tmp_path: Path) -> None:
    story = stories.night()
    feed = SlowFeed(story.write(tmp_path), clock=lambda: story.at, look=lambda _: RUNNING)
    app = CockpitApp(feed, user="ada")
    async with app.run_test(size=(120, 34)) as pilot:
        while not app.screen_stack or not app.main.is_mounted:
            await asyncio.sleep(0.005)
        for key in ("H", "a", "x", "y", "i", "h", "i", "enter"):
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        app.post_message(events.Paste("aHx"))
        await pilot.pause(0.05)
        feed.read.set()
        await settle(pilot)
        assert not sent(app)
        assert app.screen is app.main and not app.main.say.value
        await press(pilot, "H")
        assert len(sent(app)) == 1


async def test_the_screen_can_be_left_before_the_session_is_shown(tmp_path: Path) -> None:
    story = stories.night()
    feed = SlowFeed(story.write(tmp_path), clock=lambda: story.at, look=lambda _: RUNNING)
    feed.read = threading.Event()
    app = CockpitApp(feed, user="ada")
    async with app.run_test(size=(120, 34)) as pilot:
        app.post_message(events.Key("ctrl+q", None))
        await pilot.pause(0.05)
        feed.read.set()
    assert app.return_code == 0


@pytest.mark.parametrize("text", ["make it wider", "hold the rates", "jot this down", "less than nothing", "l ", " "])
async def test_text_typed_into_a_question_with_choices_chooses_nothing(screen_on: Opener, text: str) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, "m", *text, "enter")
        assert isinstance(app.screen, Dialog) and NOT_TEXT in words_on(app)
        assert sent(app) == []
        await press(pilot, "up")
        assert NOT_TEXT not in words_on(app)
        await press(pilot, "enter")
        assert sent(app) == [SetMode(Mode.MANUAL)], "the choice above the focused one, and none that the text moved to"


async def test_text_typed_into_a_confirmation_confirms_nothing(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, "x", *"perhaps you may", "enter")
        assert NOT_TEXT in words_on(app)
        await press(pilot, "escape")
        assert app.screen is app.main and sent(app) == []


async def on_a_plateau(app: CockpitApp, mode: Mode = Mode.COPILOT) -> None:
    """Let a gain be worth so little that the next hour costs more."""
    assert app.state is not None
    app.state.envelope = msgspec.structs.replace(app.state.envelope, worth_usd=1e-6)
    app.state.mode = mode
    app.show_state()


async def test_a_plateau_is_asked_once_with_cancel_focused_on_a_live_screen(screen_on: Opener) -> None:
    app = screen_on("late")
    async with shown(app, 80, 24) as pilot:
        assert app.screen is app.main, "a gain without a worth has no plateau"
        await on_a_plateau(app)
        await settle(pilot)
        question = app.screen
        assert isinstance(question, Dialog) and question.box.choices[question.box.index] == ("", "Cancel: it continues")
        said = " ".join(words_on(app).split())
        assert "No keep for" in said and "and costs $" in said and "End the session?" in said
        await tell(app, pilot, Said(at=app.feed.now(), author="claude", text="news under the question"))
        assert app.screen is question and app.state is not None and app.state.messages[-1].text.startswith("news")
        await press(pilot, "enter")
        assert app.screen is app.main and sent(app) == []
        app.show_state()
        await settle(pilot)
        assert app.screen is app.main, "it is asked once"
        await press(pilot, "colon", *"plateau", "enter", "down", "enter")
        [end] = sent(app)
        assert end == End(how=EndMode.DRAIN)


async def test_a_plateau_waits_until_the_person_has_written(screen_on: Opener) -> None:
    app = screen_on("late")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, "i", *"a long ")
        await on_a_plateau(app)
        await press(pilot, *"word")
        assert app.main.say.text == "a long word"
        await press(pilot, "escape")
        app.show_state()
        await settle(pilot)
        assert isinstance(app.screen, Dialog)


@pytest.mark.parametrize("watch", [False, True])
async def test_no_plateau_is_asked_of_a_watcher_or_within_autopilots_envelope(screen_on: Opener, watch: bool) -> None:
    app = screen_on("late", watch=watch)
    async with shown(app, 200, 50) as pilot:
        await on_a_plateau(app, Mode.COPILOT if watch else Mode.AUTOPILOT)
        await settle(pilot)
        assert app.screen is app.main and app.state is not None
        needs = [need.kind for need in app.main.header.needs]
        assert NeedKind.PLATEAU in needs, "it is told all the same"


def test_promote_does_not_apply_without_a_better_class() -> None:
    state = stories.laptop().state
    state.session = msgspec.structs.replace(
        state.session, fleet=msgspec.structs.replace(state.session.fleet, validate_hardware="")
    )
    assert "no better class" in verb("promote").applies(state, {"experiment": "e0004"})
