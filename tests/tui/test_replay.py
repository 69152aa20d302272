"""A replayed session: its state at any moment, paused, faster, and sought forwards and back."""

import shutil
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.core.curves import points_of
from cockpit.core.events import Ended, Progressed
from cockpit.core.model import Outcome, Progress
from cockpit.core.state import State
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.tui.actions.effects import OpenExperiment, SeekReplay
from cockpit.tui.actions.replay import REPLAY, SPEEDS, next_speed, seconds_in
from cockpit.tui.app import CockpitApp
from cockpit.tui.feed import ReplayFeed
from tests.tui.conftest import press, settle, shown, words_on

pytestmark = pytest.mark.anyio

WrittenStory = Callable[[str], tuple[Path, float]]


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def played(written_story: WrittenStory, tmp_path: Path) -> tuple[CockpitApp, ReplayFeed, Clock]:
    source, _ = written_story("night")
    folder = tmp_path / "night"
    shutil.copytree(source, folder)
    clock = Clock()
    feed = ReplayFeed(folder, 60.0, clock)
    return CockpitApp(feed, watch=True, user="ada"), feed, clock


def folded_until(feed: ReplayFeed) -> State:
    """Fold the state at the feed's moment from the ledger."""
    from cockpit.core.fold import fold, fold_all

    ledger = LedgerReader(feed.folder)
    state = fold_all(takewhile(lambda event: event.at <= feed.now(), ledger.since(0)))
    for progressed in feed.progress():
        state = fold(state, progressed)
    ledger.close()
    return state


async def test_a_replayed_run_is_shown_up_to_the_moment(
    played: tuple[CockpitApp, ReplayFeed, Clock],
) -> None:
    app, feed, _ = played
    async with shown(app, 200, 50) as pilot:
        log = app.main.log_pane
        runs = {name: span for name, span in feed._runs.items() if name.startswith("e0001")}
        ((attempt, (began, ended)),) = runs.items()
        whole = len(feed.folder.log(attempt).read_text().splitlines())
        app.carry_out((OpenExperiment("e0001", "log"),))
        await settle(pilot)
        seen = []
        for at in (began - 1, began, began + (ended - began) / 2, ended, ended + 60, began + (ended - began) / 4):
            app.carry_out((SeekReplay(at),))
            await settle(pilot)
            seen.append(app.log_shown.count)
        assert seen == [0, 0, whole // 2, whole, whole, whole // 4]
        assert app.log_shown is not log
        run = app.feed.state.attempts[attempt]  # type: ignore[union-attr]
        assert run.progress is not None and run.progress.fraction == pytest.approx(0.25)
        assert 2 < len(points_of(run.curve)) <= 10


async def test_each_key_of_a_replay_works(played: tuple[CockpitApp, ReplayFeed, Clock]) -> None:
    app, feed, clock = played
    pressed: set[str] = set()
    async with shown(app) as pilot:

        async def after(*keys: str) -> float:
            pressed.update(keys)
            await press(pilot, *keys)
            return feed.now() - feed.began

        clock.at += 10
        app.tick()
        await settle(pilot)
        assert feed.now() - feed.began == 600
        assert "REPLAY ×60 10m00s of 49m33s" in words_on(app)
        assert await after("space") == 600
        clock.at += 10
        app.tick()
        await settle(pilot)
        assert feed.now() - feed.began == 600 and "REPLAY ×60 paused 10m00s" in words_on(app)
        assert await after("right", "right") == 1200
        assert await after("left") == 900
        assert await after("minus") == 900 and feed.speed == 30
        assert await after("plus", "plus") == 900 and feed.speed == 120
        assert await after("end") == feed.ended - feed.began
        assert await after("shift+left") == 0
        assert await after("shift+right") == feed.ended - feed.began
        assert await after("home") == 0
        assert await after("colon", *"seek 20m30s", "enter") == 1230
        assert await after("colon", *"seek -1m", "enter") == 1170
        assert await after("colon", *"seek +2m", "enter") == 1290
        assert await after("colon", *"seek soon", "enter") == 1290
        assert "seek takes a time" in words_on(app)
        await after("escape", "space")
        clock.at += 1
        app.tick()
        assert feed.now() - feed.began == 1290 + 120
    assert {key for action in REPLAY for key in action.keys} <= pressed


async def test_seeking_back_shows_the_state_of_that_moment(played: tuple[CockpitApp, ReplayFeed, Clock]) -> None:
    app, feed, _ = played
    async with shown(app) as pilot:
        await press(pilot, "space", "end")
        for at in (2500.0, 700.0, 1900.0, 0.0):
            app.carry_out((SeekReplay(feed.began + at),))
            await settle(pilot)
            assert app.state is not None
            assert msgspec.json.encode(app.state) == msgspec.json.encode(folded_until(feed))
            for wave in app.main.waves.keys:
                assert wave in app.state.waves
        await press(pilot, "2", "4", "v", "5", "3", "1")
        assert app.screen is app.main


async def test_no_key_of_a_replay_acts(played: tuple[CockpitApp, ReplayFeed, Clock]) -> None:
    app, feed, _ = played
    async with shown(app) as pilot:
        await press(pilot, "end", *"aArHmxD", "i", "E")
        assert app.screen is app.main and app.session.client is None
        assert not feed.folder.inbox.exists()


@given(st.integers(0, 30), st.integers(0, 59))
def test_a_time_is_parsed(hours: int, minutes: int) -> None:
    assert seconds_in(f"{hours}h{minutes}m") == ("", hours * 3600 + minutes * 60)
    assert seconds_in(f"-{hours}h {minutes}m") == ("-", hours * 3600 + minutes * 60)


@given(st.text(max_size=8))
def test_other_text_is_not_a_time(text: str) -> None:
    found = seconds_in(text)
    assert found is None or any(unit in text.lower() for unit in "dhms")


@given(st.floats(0.01, 10_000))
def test_speeds_step_up_and_down_between_the_first_and_the_last(speed: float) -> None:
    up, down = next_speed(speed, 1), next_speed(speed, -1)
    assert up > speed or (up == speed >= SPEEDS[-1])
    assert down < speed or (down == speed <= SPEEDS[0])


async def test_an_early_end_and_an_unfinished_run_are_replayed_up_to_what_is_known(
    written_story: WrittenStory, tmp_path: Path
) -> None:
    source, _ = written_story("night")
    folder = tmp_path / "night"
    shutil.copytree(source, folder)
    ledger = Ledger.open(SessionFolder(folder).ledger)
    at = ledger.state().now
    early, going = list(ledger.state().in_flight)[:2]
    curve = [(step / 10, 4.0 - step / 10) for step in range(6)]
    ledger.append([Progressed(at=at, attempt=going, progress=Progress(at, 9, 0.5, 3.5), curve=curve)])
    ledger.append([Ended(at=at, attempt=early, outcome=Outcome.HOPELESS, curve=curve)])
    ledger.close()
    feed = ReplayFeed(folder, 60.0)
    feed.load()
    began = max(feed._runs[name][0] for name in (early, going))
    feed.seek(began + (at - began) / 2)
    shown = {event.attempt: event.progress for event in feed.progress()}
    for name in (early, going):
        fraction = feed.log_share(name) * 0.5
        progress = shown[name]
        assert progress is not None
        assert 0.2 < fraction < 0.5 and progress.fraction == pytest.approx(fraction)
        assert progress.loss == pytest.approx(4.0 - fraction)
    feed.seek(at)
    assert feed.state is not None
    last = feed.state.attempts[going].progress
    assert last is not None and last.fraction == pytest.approx(0.5)
    feed.close()
