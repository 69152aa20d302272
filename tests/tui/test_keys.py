"""Every key does what the registry says, where it says. A watcher has no key that acts."""

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from cockpit.core.intents import (
    AnyIntent,
    Approve,
    CancelWave,
    DropArm,
    EditProposal,
    End,
    Hold,
    Interrupt,
    Kill,
    MakeBase,
    MoveWave,
    Promote,
    Reject,
    Relaunch,
    Rerun,
    Resume,
    Say,
    SetBudget,
    SetEarlyStopping,
    SetMode,
    SetProposer,
)
from cockpit.core.model import EndMode, Mode
from cockpit.read.result_rows import SORTS
from cockpit.tui.actions.effects import SaveLog, SetTheme
from cockpit.tui.actions.navigation import NAVIGATION
from cockpit.tui.actions.pages import PAGE_ACTIONS
from cockpit.tui.actions.registry import Registry
from cockpit.tui.actions.steering import STEERING
from cockpit.tui.app import CockpitApp
from cockpit.tui.screens.dialogs import Dialog
from cockpit.tui.screens.experiment import ExperimentScreen
from cockpit.tui.screens.help import HelpScreen
from cockpit.tui.screens.palette import CommandPalette
from cockpit.tui.screens.review import ReviewScreen
from cockpit.tui.widgets.learning_curves import CurvesLook
from cockpit.tui.widgets.score_plot import ScoreAxes
from tests.tui.conftest import Opener, press, sent, settle, shown, shutting_down, words_on

pytestmark = pytest.mark.anyio

PROPOSAL, SECOND = "w007", "w008"
RUNS, QUEUED_WAVE, HELD_WAVE = "e0051.1", "w005", "w006"

KEPT = {"e0007", "e0019"}

ACTING: list[tuple[str, list[str], list[AnyIntent]]] = [
    ("approve asks first", ["a", "enter"], []),
    ("approve, confirmed", ["a", "y"], [Approve(PROPOSAL)]),
    ("approve the selected one", ["2", "j", "a", "y"], [Approve(SECOND)]),
    ("approve and trust asks first", ["A", "n"], []),
    ("approve and trust, confirmed", ["A", "j", "enter"], [Approve(PROPOSAL, trust=True)]),
    ("reject with a reason", ["r", *"too wide", "enter"], [Reject(PROPOSAL, "too wide")]),
    ("reject, then cancel", ["r", "n", "o", "escape"], []),
    ("letters of a search are not keys", ["slash", *"aAH", "enter"], []),
    ("hold a cluster", ["space"], [Hold("gpu-01")]),
    ("hold a wave", ["2", "j", "j", "space"], [Hold(QUEUED_WAVE)]),
    ("resume a held wave", ["2", "j", "j", "j", "space"], [Resume(HELD_WAVE)]),
    ("hold the session", ["H"], [Hold()]),
    ("mode", ["m", "k", "enter"], [SetMode(Mode.MANUAL)]),
    ("autopilot asks first", ["m", "j", "enter", "enter"], []),
    ("autopilot, confirmed", ["m", "j", "enter", "j", "enter"], [SetMode(Mode.AUTOPILOT)]),
    ("cancel a wave asks first", ["2", "j", "j", "x", "enter"], []),
    ("cancel a wave, confirmed", ["2", "j", "j", "x", "j", "enter"], [CancelWave(QUEUED_WAVE)]),
    ("move a wave up", ["2", "j", "j", "j", "K"], [MoveWave(HELD_WAVE, QUEUED_WAVE)]),
    ("move a wave down", ["2", "j", "j", "J"], [MoveWave(QUEUED_WAVE, "")]),
    ("kill asks first", ["x", "enter"], []),
    ("kill, confirmed", ["x", "down", "enter"], [Kill(RUNS)]),
    ("rerun asks first", ["R", "escape"], []),
    ("rerun, confirmed", ["R", "y"], [Rerun("e0051")]),
    ("promote asks first", ["4", "P", "enter"], []),
    ("promote, confirmed", ["4", "P", "y"], [Promote("e0000")]),
    ("make base asks first", ["4", "B", "enter"], []),
    ("make base, confirmed", ["4", "B", "j", "enter"], [MakeBase("e0000")]),
    ("drop an arm asks first", ["D", "enter"], []),
    ("drop an arm, confirmed", ["D", "j", "enter"], [DropArm("e0051")]),
    ("launching a lost cluster again asks first", [*"jjjjjj", "u", "enter"], []),
    ("launch a lost cluster again", [*"jjjjjj", "u", "y"], [Relaunch("gpu-07")]),
    ("say", ["i", *"hi", "enter"], [Say("hi")]),
    ("say several lines", ["ctrl+o", *"hi", "enter", *"you", "ctrl+s"], [Say("hi\nyou")]),
    ("end the session asks first", ["E", "enter"], []),
    ("end the session by draining", ["E", "j", "enter"], [End(EndMode.DRAIN)]),
    ("end it now, clusters down", ["E", "k", "enter"], [End(EndMode.CANCEL, clusters_down=True)]),
    ("a command", ["colon", *"hold gpu-03", "enter"], [Hold("gpu-03")]),
    ("a command for the budget", ["colon", *"budget 300", "enter"], [SetBudget(300.0)]),
    ("a budget that is not a number", ["colon", *"budget lots", "enter"], []),
    ("a command for the proposer", ["ctrl+p", *"proposer tpe", "enter"], [SetProposer("tpe")]),
    ("a command for early stopping", ["colon", *"early off", "enter"], [SetEarlyStopping(False)]),
    ("early stopping is neither on nor off", ["colon", *"early maybe", "enter"], []),
    ("a command to interrupt", ["colon", *"interrupt", "enter"], [Interrupt()]),
    ("interrupt the proposer", ["5", "escape"], [Interrupt()]),
    ("leaving the input sends no interrupt", ["i", "h", "escape"], []),
    ("a command to discard", ["colon", *"discard e0012", "down", "up", "tab", "escape"], []),
]


async def start_again(pilot: Pilot[int]) -> None:
    """Return to the panes, as they were when the screen opened."""
    app = pilot.app
    assert isinstance(app, CockpitApp)
    while app.screen is not app.main:
        app.pop_screen()
        await settle(pilot)
    if app.main.zoomed:
        app.main.zoom()
    log = app.log_shown
    log.set_filter("")
    log.needle, log.follow, log.wrapped, log.timed, log.sideways = "", True, False, False, 0
    app.main.chart.axes, app.main.chart.look, app.main.chart.view = ScoreAxes(), CurvesLook(), "scores"
    app.main.chart.marked.clear()
    if app.palette.name != "dark":
        app.carry_out((SetTheme("dark"),))
    for listing in (app.main.grid, app.main.waves, app.main.chart):
        listing.select_index(0)
    app.main.ask_results("")
    app.main.results.sort_by(SORTS[0])
    app.main.go_to("log")
    app.main.go_to("clusters")
    await settle(pilot)


async def test_each_key_that_acts_sends_its_intent(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        for name, keys, intents in ACTING:
            before = len(sent(app))
            await press(pilot, *keys)
            assert sent(app)[before:] == intents, name
            await start_again(pilot)


async def test_a_watcher_has_no_key_that_acts(screen_on: Opener) -> None:
    app = screen_on("night", watch=True)
    acting = {action.name for action in STEERING if action.acting}
    assert not acting & {action.name for action in app.registry.actions}
    before = (app.feed.folder.inbox).exists()
    keys = [key for action in STEERING for key in action.keys]
    async with shown(app) as pilot:
        for pane in "1234567":
            await press(pilot, pane, *keys)
            assert app.screen is app.main
            assert "approve" not in words_on(app) and "reject" not in words_on(app)
        assert "WATCHING ada's" in words_on(app)
    assert app.session.client is None
    assert app.feed.folder.inbox.exists() == before


async def test_a_watcher_is_shown_no_key_that_acts(screen_on: Opener) -> None:
    app = screen_on("empty", watch=True)
    async with shown(app, 80, 24) as pilot:
        assert "? every key" in words_on(app) and "m mode" not in words_on(app)
        await press(pilot, "5")
        assert "Nothing has been said yet." in words_on(app) and "Press i" not in words_on(app)


def page_of(app: CockpitApp) -> ExperimentScreen:
    assert isinstance(app.screen, ExperimentScreen)
    return app.screen


SEEING: list[tuple[str, list[str], Callable[[CockpitApp], bool]]] = [
    ("review", ["e"], lambda app: isinstance(app.screen, ReviewScreen) and app.screen.wave == PROPOSAL),
    ("open a wave", ["2", "j", "enter"], lambda app: isinstance(app.screen, ReviewScreen)),
    ("open an experiment", ["enter"], lambda app: isinstance(app.screen, ExperimentScreen)),
    ("diff", ["d"], lambda app: isinstance(app.screen, ExperimentScreen) and app.screen.tab == "diff"),
    ("back by q", ["enter", "q"], lambda app: app.screen is app.main),
    ("back by esc", ["e", "escape"], lambda app: app.screen is app.main),
    ("the arm's page from the review", ["e", "enter"], lambda app: isinstance(app.screen, ExperimentScreen)),
    ("its wave from the page", ["enter", "w"], lambda app: isinstance(app.screen, ReviewScreen)),
    ("its log on the page", ["enter", "o"], lambda app: "remaining" in words_on(app)),
    ("its curve on the page", ["enter", "v"], lambda app: "to the incumbent's" in words_on(app).split("\n")[-20]),
    ("its diff on the page", ["enter", "d"], lambda app: "+MATRIX_LR = 0.055" in words_on(app)),
    ("its constants on the page", ["enter", "d", "c"], lambda app: "baseline" in words_on(app)),
    ("the other part of the page", ["enter", "tab"], lambda app: app.focused is not None and app.focused.id == "text"),
    ("back to the review from an arm's page", ["e", "enter", "q"], lambda app: isinstance(app.screen, ReviewScreen)),
    ("back to the panes from both", ["e", "enter", "escape", "escape"], lambda app: app.screen is app.main),
    ("a page opened again is the one that is open", ["e", "enter", "w", "q"], lambda app: app.screen is app.main),
    ("from a page to a pane", ["e", "enter", "4"], lambda app: app.screen is app.main and app.main.pane == "chart"),
    ("help left by its key", ["question_mark", "question_mark"], lambda app: app.screen is app.main),
    ("help", ["question_mark"], lambda app: isinstance(app.screen, HelpScreen) and "Everywhere, now" in words_on(app)),
    ("help by F1", ["f1"], lambda app: isinstance(app.screen, HelpScreen)),
    ("a mistyped command", ["colon", *"opne e0042"], lambda app: "called opne: did you mean open?" in words_on(app)),
    ("the axes below a chart whose title has the dot", ["4", "z"], lambda app: "val_bpb by time" in words_on(app)),
    ("the knobs with their ranges", ["colon", *"knob", "enter"], lambda app: "search varies" in words_on(app)),
    ("the knobs left by q", ["colon", *"knob", "enter", "q"], lambda app: app.screen is app.main),
    ("panes by number", ["4"], lambda app: app.main.pane == "chart"),
    ("the next pane", ["tab"], lambda app: app.main.pane == "waves"),
    ("the pane before", ["shift+tab"], lambda app: app.main.pane == "stack"),
    ("the pane after the last", ["7", "tab"], lambda app: app.main.pane == "clusters"),
    (
        "the results in the log's place",
        ["6"],
        lambda app: app.main.results.size.height > 0 == app.main.log_pane.size.height,
    ),
    ("the log again", ["6", "3"], lambda app: app.main.log_pane.size.height > 0),
    ("the log after a visit to the stack", ["7", "2"], lambda app: app.main.log_pane.size.height > 0),
    ("back from the results", ["4", "6", "7", "escape"], lambda app: app.main.pane == "chart"),
    ("the log after esc", ["2", "7", "escape"], lambda app: app.main.log_pane.size.height > 0),
    ("the results of a query", ["6", "ampersand", *"kept", "enter"], lambda app: set(app.main.results.keys) == KEPT),
    ("all results again", ["6", "ampersand", *"kept", "enter", "escape"], lambda app: len(app.main.results.keys) == 69),
    ("the next order of the results", ["6", "s"], lambda app: app.main.results.keys[0] == "e0068"),
    ("an order by name", ["colon", *"sort newest", "enter"], lambda app: app.main.results.keys[0] == "e0068"),
    ("a query by name", ["colon", *"query e0012", "enter"], lambda app: app.main.results.keys == ["e0012"]),
    ("open a result", ["6", "enter"], lambda app: page_of(app).experiment == app.main.results.keys[0]),
    ("find a result", ["6", "slash", *"momentum", "enter"], lambda app: app.main.results.selected > "e0061"),
    ("open a kept change", ["7", "j", "enter"], lambda app: page_of(app).experiment == "e0019"),
    ("zoom", ["z"], lambda app: app.main.zoomed),
    ("zoom and back", ["z", "z"], lambda app: not app.main.zoomed),
    ("zoom and esc", ["z", "escape"], lambda app: not app.main.zoomed),
    ("down", ["j"], lambda app: app.main.grid.selected == "gpu-02"),
    ("down and up by arrows", ["down", "down", "up"], lambda app: app.main.grid.selected == "gpu-02"),
    ("bottom", ["G"], lambda app: app.main.grid.selected == "gpu-16"),
    ("bottom and top", ["G", "g"], lambda app: app.main.grid.selected == "gpu-01"),
    ("a page down", ["ctrl+d"], lambda app: app.main.grid.selected == "gpu-16"),
    ("find a cluster", ["slash", *"H200", "enter"], lambda app: app.main.grid.selected == "gpu-14"),
    ("find the next", ["slash", *"H200", "enter", "n"], lambda app: app.main.grid.selected == "gpu-15"),
    ("find the one before", ["slash", *"H200", "enter", "N"], lambda app: app.main.grid.selected == "gpu-16"),
    ("follow off", ["3", "f"], lambda app: not app.log_shown.follow),
    ("follow stops on scrolling up", ["3", "k"], lambda app: not app.log_shown.follow),
    ("follow again at the bottom", ["3", "k", "G"], lambda app: app.log_shown.follow),
    ("filter", ["3", "ampersand", *"00100", "enter"], lambda app: app.log_shown.count == 1),
    ("filter and esc", ["3", "ampersand", *"00100", "enter", "escape"], lambda app: app.log_shown.count > 50),
    ("find in the log", ["3", "g", "slash", *"00100", "enter"], lambda app: "00100" in app.log_shown.shown_text()[:90]),
    ("found and esc", ["3", "slash", *"00100", "enter", "escape"], lambda app: not app.log_shown.needle),
    (
        "find in an experiment's log",
        ["enter", "slash", *"00100", "enter"],
        lambda app: page_of(app).tab == "log" and "00100" in app.log_shown.shown_text()[:90],
    ),
    ("wrap", ["3", "w"], lambda app: app.log_shown.wrapped),
    ("time", ["3", "t"], lambda app: app.log_shown.timed),
    ("sideways", ["3", "l"], lambda app: app.log_shown.sideways > 0),
    ("copy", ["3", "y"], lambda app: "copied" in words_on(app)),
    ("chart by number of experiment", ["4", "t"], lambda app: not app.main.chart.axes.by_time),
    ("chart closer", ["4", "plus"], lambda app: app.main.chart.axes.zoom == 2),
    ("chart wider", ["4", "minus"], lambda app: app.main.chart.axes.zoom == 0),
    ("chart's other view", ["4", "v"], lambda app: app.main.chart.view == "effects"),
    ("the scores on a logarithmic axis", ["4", "L"], lambda app: app.main.chart.axes.log),
    ("the curves of a wave's arms", ["2", "j", "j", "c"], lambda app: app.main.chart.compared_words == "w005"),
    ("curves left by esc", ["4", "c", "escape"], lambda app: app.main.chart.view == "scores"),
    ("curves by name", ["colon", *"curves e0012 e0013", "enter"], lambda app: app.main.chart.compared[1] == "e0013"),
    ("two marked experiments", ["4", "l", " ", "l", " ", "c"], lambda app: app.main.chart.compared_words == "2 marked"),
    ("a mark taken away", ["6", " ", " "], lambda app: not app.main.chart.marked),
    ("the marks left by esc", ["6", " ", "4", "escape"], lambda app: not app.main.chart.marked),
    ("the losses on a logarithmic axis", ["4", "c", "L"], lambda app: app.main.chart.look.log),
    ("closer to the crosshair", ["4", "c", "plus"], lambda app: app.main.chart.look.zoom == 2),
    ("the crosshair moved", ["4", "c", "h"], lambda app: app.main.chart.look.at == 0.99),
    ("a curve opened", ["2", "j", "j", "c", "j", "enter"], lambda app: page_of(app).experiment == "e0032"),
    ("no axis of time", ["4", "v", "t"], lambda app: "effects have no axis of time" in words_on(app)),
    ("chart: the next experiment", ["4", "l"], lambda app: app.main.chart.selected != "e0000"),
    ("theme", ["T"], lambda app: app.palette.name == "light"),
    ("theme by name", ["colon", *"theme terminal", "enter"], lambda app: app.palette.name == "terminal"),
    ("redraw", ["ctrl+l"], lambda app: app.screen is app.main),
    ("open by command", ["colon", *"open e0012", "enter"], lambda app: isinstance(app.screen, ExperimentScreen)),
    ("open what is not there", ["colon", *"open e9999", "enter"], lambda app: "there is no" in words_on(app)),
    (
        "what a cancelled wave would cost",
        ["2", "j", "j", "x"],
        lambda app: (
            "2 runs will not start, 14 in flight may end first" in words_on(app) and "Cancel wave" in words_on(app)
        ),
    ),
    (
        "the palette begins with what the place has for itself",
        ["4", "colon"],
        lambda app: (
            isinstance(app.screen, CommandPalette) and all("chart" in a.places for a in app.screen.matches.actions[:8])
        ),
    ),
    ("a question left", ["x", "escape"], lambda app: not isinstance(app.screen, Dialog)),
    ("the talk scrolled", ["5", "k"], lambda app: app.main.pane == "talk"),
]


async def test_each_key_that_looks_shows_its_view(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        for name, keys, so in SEEING:
            await press(pilot, *keys)
            assert so(app), f"{name}\n{words_on(app)}"
            await start_again(pilot)
        assert not sent(app)


async def test_save_writes_the_whole_log_and_overwrites_no_file(screen_on: Opener, tmp_path: object) -> None:
    app = screen_on("night")
    target = app.feed.folder.root.parent / "copy.log"
    async with shown(app) as pilot:
        await press(pilot, "3", "s", *str(target), "enter")
        first = target.read_text()
        assert first == app.feed.folder.log(RUNS).read_text()
        app.carry_out((SaveLog(str(target)),))
        await settle(pilot)
        assert "is there already" in words_on(app)
    assert target.read_text() == first


async def test_quitting_leaves_and_changes_nothing(screen_on: Opener) -> None:
    for key in ("q", "ctrl+q", "ctrl+c"):
        app = screen_on("night")
        async with shown(app) as pilot:
            await press(pilot, key)
        assert app.return_value == 0
        assert not sent(app)


async def test_news_after_the_screen_is_left_is_ignored(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        await press(pilot, "q")
    assert not app.screen_stack
    app.tick()
    app.loaded()
    assert app.return_code == 0


async def test_news_while_a_page_is_taken_down_is_ignored(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        await press(pilot, "e")
        assert isinstance(app.screen, ReviewScreen)
        await app.screen.brief.remove()
        with shutting_down(app):
            app.show_state()
            app.tick()
    assert app.return_code in (None, 0)


def test_every_key_of_the_registry_is_pressed_in_a_test() -> None:
    pressed = {key for table in (ACTING, SEEING, EDITING) for row in table for key in row[1]}
    pressed |= {"s", "q", "ctrl+q", "ctrl+c"}
    spare = {"shift+up": "K", "shift+down": "J", "equals_sign": "plus", "underscore": "minus"}
    for action in Registry((*STEERING, *NAVIGATION, *PAGE_ACTIONS)).actions:
        for key in action.keys:
            assert spare.get(key, key) in pressed, f"{action.name}: {key}"


EDITING: list[tuple[str, list[str], Callable[[EditProposal], bool]]] = [
    (
        "edit a level",
        ["e", "c", *"0.9", "enter"],
        lambda edit: edit.draft.arms[0].change.constants["MUON_MOMENTUM"] == 0.9 and len(edit.draft.arms) == 6,
    ),
    (
        "edit another arm's other constant",
        ["e", "j", "l", "c", *"0.8", "enter"],
        lambda edit: edit.draft.arms[1].change.constants["WARMDOWN_RATIO"] == 0.8,
    ),
    (
        "add a factor",
        ["e", "plus", *"DEPTH = 8, 10", "enter"],
        lambda edit: len(edit.draft.arms) == 12 and edit.draft.factors["DEPTH"] == [8, 10],
    ),
    (
        "drop a factor",
        ["e", "minus"],
        lambda edit: len(edit.draft.arms) == 2 and "MUON_MOMENTUM" not in edit.draft.factors,
    ),
    (
        "drop an arm",
        ["e", "D", "j", "enter"],
        lambda edit: len(edit.draft.arms) == 5 and edit.draft.arms[0].levels["WARMDOWN_RATIO"] == 0.7,
    ),
    ("replicates", ["e", "n", "3", "enter"], lambda edit: edit.draft.replicates == 3 and len(edit.draft.arms) == 6),
]


async def test_each_edit_sends_the_whole_edited_proposal(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        for name, keys, so in EDITING:
            before = len(sent(app))
            await press(pilot, *keys)
            (edit,) = sent(app)[before:]
            assert isinstance(edit, EditProposal), name
            assert edit.wave == PROPOSAL, name
            assert so(edit), (name, edit)
            await start_again(pilot)


async def test_keys_are_taken_after_the_terminal_reported_a_lost_focus(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app) as pilot:
        app.app_focus = False
        await press(pilot, "r", *"too wide", "enter")
        assert sent(app) == [Reject(PROPOSAL, "too wide")]
