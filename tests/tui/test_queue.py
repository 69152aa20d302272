"""The wave queue: proposals on top, filler as one row, and only waves with a question are moved."""

import re

import pytest
from msgspec.structs import replace

from cockpit.core.events import Proposed
from cockpit.core.intents import Hold, SetEnvelope
from cockpit.core.model import DECISIONS, AttemptStatus, Wave, WaveKind
from cockpit.core.state import State
from cockpit.read.costs import spent_usd
from cockpit.read.filler import HOLD, filler_running, meanwhile_words
from cockpit.read.scores import difference_to_base
from cockpit.session.ledger import Ledger
from cockpit.tui.app import CockpitApp
from cockpit.tui.views.queue import FILLER, Queue
from cockpit.tui.widgets.waves import UNASKED
from tests.tui import stories
from tests.tui.conftest import Opener, press, sent, settle, shown, words_on

pytestmark = pytest.mark.anyio


def filler_arms(state: State) -> list[str]:
    return [arm for wave in state.waves.values() if wave.kind is WaveKind.FILLER for arm in wave.arms]


def filler_waves(app: CockpitApp) -> list[str]:
    assert app.state is not None
    return [name for name, wave in app.state.waves.items() if wave.kind is WaveKind.FILLER]


def test_the_filler_row_sums_up_all_filler_waves() -> None:
    story = stories.filled()
    queue = Queue()
    queue.follow(story.state)
    view = queue.filler(story.state, story.at)
    state = story.state
    arms = [state.experiments[name] for name in filler_arms(state)]
    deltas = {arm.id: delta.mean for arm in arms if (delta := difference_to_base(state, arm)) is not None}
    assert view.tried == sum(
        any(state.attempts[name].status is AttemptStatus.ENDED for name in arm.attempts) for arm in arms
    )
    assert view.running == sum(name in state.in_flight for arm in arms for name in arm.attempts)
    assert view.best_delta == min(deltas.values()) and deltas[view.best] == view.best_delta
    assert view.spent_usd == pytest.approx(spent_usd(state, arms, story.at))


def test_following_each_event_equals_reading_all_at_once() -> None:
    queue, story = Queue(), stories.begun("steps")
    story.approve(story.propose("Which rate?", {"MATRIX_LR": [0.03, 0.05]}))
    for number in range(30):
        story.approve(
            story.propose("", {"MATRIX_LR": [0.02 + 0.002 * number]}, "search", kind=WaveKind.FILLER), DECISIONS
        )
        queue.follow(story.state)
        story.play(most_s=100)
        queue.follow(story.state)
    story.play()
    queue.follow(story.state)
    fresh = Queue()
    fresh.follow(story.state)
    stepwise, at_once = queue.filler(story.state, story.at), fresh.filler(story.state, story.at)
    assert stepwise.spent_usd == pytest.approx(at_once.spent_usd)
    assert (stepwise.tried, stepwise.best, stepwise.best_delta) == (at_once.tried, at_once.best, at_once.best_delta)
    assert queue.keys(story.state, True) == fresh.keys(story.state, True)


def test_filler_is_one_row_between_open_and_done_waves() -> None:
    story = stories.filled()
    queue = Queue()
    queue.follow(story.state)
    assert queue.keys(story.state, opened=False) == ["w042", FILLER, "w001", "w000"]
    opened = queue.keys(story.state, opened=True)
    running = [name for name in story.state.open_waves if story.state.waves[name].kind is WaveKind.FILLER]
    assert running and opened[2 : 2 + len(running)] == running
    assert opened[:2] == ["w042", FILLER] and opened[-2:] == ["w001", "w000"]


async def test_the_filler_row_opens_and_closes_by_enter(screen_on: Opener) -> None:
    app = screen_on("filled")
    async with shown(app, 120, 34) as pilot:
        await press(pilot, "2", "j")
        assert re.search(r"▸ filler \d+ arms tried, \d+ running", words_on(app))
        closed = app.main.waves.keys
        await press(pilot, "enter", "j")
        assert app.main.waves.selected in filler_waves(app) and app.main.waves.selected in words_on(app)
        assert "▾ filler" in words_on(app) and app.screen is app.main
        await press(pilot, "k", "enter")
        assert "▸ filler" in words_on(app) and app.main.waves.keys == closed


async def test_filler_is_not_moved_or_cancelled_as_a_whole_and_space_holds_its_new_arms(screen_on: Opener) -> None:
    app = screen_on("filled")
    async with shown(app, 120, 34) as pilot:
        await press(pilot, "2", "j", "K", "J", "x")
        assert app.screen is app.main and not sent(app)
        assert app.state is not None and app.state.envelope.filler
        await press(pilot, "space")
        assert sent(app) == [SetEnvelope(replace(app.state.envelope, filler=False))]
        await press(pilot, "k", "space")
        assert sent(app)[1:] == [Hold("w042")]


async def test_a_held_filler_says_that_it_runs_replicates_only(screen_on: Opener) -> None:
    app = screen_on("filled")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, "2")
        assert UNASKED in words_on(app) and "replicates only" not in words_on(app)
        assert app.state is not None
        app.state.envelope = replace(app.state.envelope, filler=False)
        app.show_state()
        await settle(pilot)
        assert UNASKED not in words_on(app) and "replicates only" in words_on(app)


async def test_the_person_who_decides_learns_what_the_filler_runs_meanwhile(screen_on: Opener) -> None:
    app = screen_on("meanwhile")
    async with shown(app, 80, 24) as pilot:
        assert app.state is not None
        running = filler_running(app.state)
        words = f"filler runs without your approval: {', '.join(running[:2])}"
        assert running and meanwhile_words(app.state).startswith(words)
        for key in ("5", "e"):
            await press(pilot, key)
            assert f"{words} and {len(running) - 2} more; {HOLD}" in " ".join(words_on(app).split())
        await press(pilot, "q", "2")
        assert UNASKED in words_on(app)
        await press(pilot, "m")
        assert "you approve; idle clusters run filler unasked" in words_on(app)
        await press(pilot, "escape", "colon", *"envelope filler=no", "enter")
        assert sent(app) == [SetEnvelope(replace(app.state.envelope, filler=False))]


async def test_a_watcher_is_informed_of_the_filler_without_a_command(screen_on: Opener) -> None:
    app = screen_on("meanwhile", watch=True)
    async with shown(app, 80, 24) as pilot:
        await press(pilot, "5")
        assert "filler runs without your approval" in words_on(app) and "envelope" not in words_on(app)


def test_the_filler_is_not_mentioned_if_no_proposal_waits_or_it_is_held() -> None:
    assert filler_running(stories.filled().state) and not meanwhile_words(stories.filled().state)
    held = stories.meanwhile().state
    held.envelope = replace(held.envelope, filler=False)
    assert not meanwhile_words(held)


async def test_a_wave_that_waits_for_replicates_is_measuring(screen_on: Opener) -> None:
    app = screen_on("filled")
    async with shown(app, 120, 34) as pilot:
        await press(pilot, "2")
        assert re.search(r"◔ w042 Is it the width\? +measuring", words_on(app))


async def test_a_new_proposal_comes_into_sight_unless_the_person_reads_further_down(
    screen_on: Opener,
) -> None:
    app = screen_on("filled")
    async with shown(app, 200, 50) as pilot:
        waves = app.main.waves
        assert waves.selected == "w042" and not waves.chosen

        def proposed(wave: str) -> None:
            state = app.state
            assert state is not None
            ledger = Ledger.open(app.feed.folder.ledger)
            ledger.append([Proposed(at=state.now, wave=Wave(wave, "claude", f"{wave}?"), experiments=[])])
            ledger.close()
            app.tick()

        proposed("w043")
        await settle(pilot)
        assert waves.selected == "w043"
        await press(pilot, "2", "G", "1")
        proposed("w044")
        await settle(pilot)
        assert waves.selected == "w000" and "w044 w044?" in words_on(app)
