"""Fixtures: a screen on a story, with a fixed clock, a fixed user and the worker's status that the test wants."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
from textual import events
from textual.keys import _character_to_key, key_to_character
from textual.pilot import Pilot
from textual.strip import Strip

from cockpit.core.intents import AnyIntent, decode_intent
from cockpit.session.heartbeat import WorkerStatus
from cockpit.session.inbox import Inbox
from cockpit.tui.app import CockpitApp
from cockpit.tui.feed import LedgerFeed
from cockpit.tui.terminal import keyboard
from tests.tui import stories

RUNNING = WorkerStatus("running", 1.0)
RESTED = 4
"""Consecutive looks that must find nothing left to do."""
PATIENCE_S = 90.0
"""Seconds after which a screen that has not come to rest is a fault, however busy the machine is."""


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _one_time_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    for name in ("NO_COLOR", "TMUX", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="session")
def written_story(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, float]]:
    """Return a function that gives a story's folder and its last moment. Each story is written once."""
    known: dict[str, tuple[Path, float]] = {}

    def tell(name: str) -> tuple[Path, float]:
        if name not in known:
            story = getattr(stories, name)()
            known[name] = (story.write(tmp_path_factory.mktemp(name)), story.at)
        return known[name]

    return tell


Opener = Callable[..., CockpitApp]


@pytest.fixture
def screen_on(
    written_story: Callable[[str], tuple[Path, float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Opener:
    """Return a function: `screen_on("night")` is an app on a copy of that story, under the same path at every run."""
    monkeypatch.chdir(tmp_path)

    def open_story(
        name: str,
        *,
        watch: bool = False,
        later_s: float = 0.0,
        worker: WorkerStatus = RUNNING,
        theme: str = "dark",
        wants_tour: Callable[[], bool] = lambda: False,
    ) -> CockpitApp:
        source, at = written_story(name)
        folder = Path(source.name)
        if not folder.exists():
            shutil.copytree(source, folder)
        feed = LedgerFeed(folder, clock=lambda: at + later_s, look=lambda _: worker)
        app = CockpitApp(feed, watch=watch, user="ada", theme=theme, wants_tour=wants_tour)
        app.main.header.watching = "ada" if watch else ""
        return app

    return open_story


@asynccontextmanager
async def shown(app: CockpitApp, width: int = 120, height: int = 34) -> AsyncIterator[Pilot[int]]:
    """Run the app until its state is read and drawn. On a busy machine a key waits longer for the one before it."""
    with patch.object(keyboard, "WAIT_AT_MOST_S", PATIENCE_S / 3):
        async with app.run_test(size=(width, height)) as pilot:
            await settle(pilot)
            yield pilot


async def settle(pilot: Pilot[int]) -> None:
    """Wait until the state is read, and nothing is left to be done or drawn."""
    app = pilot.app
    assert isinstance(app, CockpitApp)
    while (app.loading or not app.warm) and app.return_code is None:
        await asyncio.sleep(0.005)
    rested = 0
    began = time.monotonic()
    while rested < RESTED and app.return_code is None:
        await asyncio.sleep(0.002)
        left = unrest(app)
        rested = 0 if left else rested + 1
        assert time.monotonic() - began < PATIENCE_S, f"the screen never comes to rest: {left}"


def unrest(app: CockpitApp) -> dict[str, object]:
    """Return what is still to be handled, laid out or drawn, by name."""
    if not app.screen_stack:
        return {}
    screen = app.screen
    left = {
        "layout": screen._layout_required,
        "repaint": screen._repaint_required,
        "dirty widgets": screen._dirty_widgets,
        "callbacks": screen._callbacks,
        "keys": app._keyboard.waits,
        "next callbacks": app._next_callbacks,
        "resize": app._resize_timer,
        "messages": [pump for pump in (app, *screen.walk_children(with_self=True)) if pump.message_queue_size],
    }
    return {name: what for name, what in left.items() if what}


async def press(pilot: Pilot[int], *keys: str) -> None:
    """Send all keys at once, as a slow link brings them, and settle. A key is a character, or Textual's name of it."""
    driver = pilot.app._driver
    assert driver is not None
    for key in keys:
        name = _character_to_key(key) if len(key) == 1 else key
        driver.send_message(events.Key(name, key if len(key) == 1 else key_to_character(key)))
    await settle(pilot)


def strips_on(app: CockpitApp) -> list[Strip]:
    """Return the rows of the screen."""
    return app.screen._compositor.render_strips()


@contextmanager
def shutting_down(app: CockpitApp) -> Iterator[None]:
    """Put the app where Textual's shutdown begins, which takes the parts of a page out first."""
    app._running = False
    yield
    app._running = True


def words_on(app: CockpitApp) -> str:
    """Return the screen's text, row by row."""
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips_on(app))


def sent(app: CockpitApp) -> list[AnyIntent]:
    """Return the intents that were sent to the worker."""
    inbox = Inbox(app.feed.folder.inbox)
    try:
        return [decode_intent(body) for _, _, body in inbox.after(0)]
    finally:
        inbox.close()
