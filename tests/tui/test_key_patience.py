"""A key waits for the key before it, and no key waits for ever."""

from types import SimpleNamespace

import pytest
from textual import events

from cockpit.tui.app import CockpitApp
from cockpit.tui.terminal import keyboard
from cockpit.tui.terminal.keyboard import WAIT_AT_MOST_S, Keyboard, Typed


class Slow(Keyboard):
    """A keyboard whose screen is ready when the test says so, on a clock of the test."""

    def __init__(self, app: CockpitApp) -> None:
        super().__init__(app, self._keep)
        self.starting = False
        self.ready = False
        self.given: list[str] = []

    async def _keep(self, event: Typed) -> None:
        raise AssertionError("a test's key goes to no input")

    def _can_answer(self, event: Typed) -> bool:
        return self.ready

    async def _give(self, event: Typed) -> None:
        assert isinstance(event, events.Key)
        self.given.append(event.key)
        self.ready = False


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the test's clock, in seconds."""
    clock = [100.0]
    monkeypatch.setattr(keyboard, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    return clock


async def look(keys: Slow, now: list[float], after_s: float, ready: bool) -> list[str]:
    now[0] += after_s
    keys.ready = ready
    await keys._answer_waiting()
    return keys.given


@pytest.mark.anyio
async def test_keys_that_came_at_once_each_wait_for_the_one_before(
    screen_on: object, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(screen_on)
    app = screen_on("night")
    monkeypatch.setattr(app, "set_timer", lambda *_: None)
    keys = Slow(app)
    for name in ("a", "b", "c"):
        await keys.take(events.Key(name, name))
    almost = 0.9 * WAIT_AT_MOST_S
    assert await look(keys, now, almost, ready=True) == ["a"]
    assert await look(keys, now, almost, ready=True) == ["a", "b"]
    assert await look(keys, now, almost, ready=False) == ["a", "b"], "c has waited less than a second for b"
    assert await look(keys, now, almost, ready=False) == ["a", "b", "c"], "a screen that is never ready stops no key"
