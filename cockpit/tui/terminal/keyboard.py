"""Handle keys in order: each goes to the widget that has the focus once the key before it was handled.

Textual gives a key to the widget that has the focus when it arrives. Over a slow link several keys arrive at once, and
those behind a key that opens a question would act on the panes below it. Here they wait until the question is ready.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

from textual import events
from textual.app import App
from textual.widgets import Input, TextArea

LOOK_AGAIN_S = 0.005
WAIT_AT_MOST_S = 1.0
"""A key that has waited this long after the key before it goes to the focused widget."""
LEAVING_KEYS = ("ctrl+c", "ctrl+q")
"""Keys that are answered while the session is still being read."""

Typed = events.Key | events.Paste


@runtime_checkable
class TakesKeys(Protocol):
    """A screen that answers keys itself. A key that it does not take goes to the focused input, if there is one."""

    async def take_key(self, event: events.Key) -> bool: ...


@runtime_checkable
class WaitsForAnswer(Protocol):
    """A screen that takes no keys while it waits for an answer."""

    @property
    def waiting(self) -> bool: ...


class Keyboard:
    """Gives keys and pastes to the app's screens, and to the focused input by `forward`."""

    def __init__(self, app: App[int], forward: Callable[[Typed], Awaitable[None]]) -> None:
        self.starting = True
        """Keys typed before the session is shown are dropped: nothing that they could act on was on the screen."""
        self.app = app
        self._forward = forward
        self._waiting: deque[tuple[float, Typed]] = deque()
        self._given_at = 0.0
        self._line: Input | TextArea | None = None
        """The input that was last given a key which may end it."""
        self._looks_again = False

    @property
    def waits(self) -> bool:
        """Return True while a key waits for its answer."""
        return bool(self._waiting)

    async def take(self, event: Typed) -> None:
        if self.starting and (isinstance(event, events.Paste) or event.key not in LEAVING_KEYS):
            return
        self.app.app_focus = True  # a person who types is looking, even if the terminal reported a lost focus
        self._waiting.append((time.monotonic(), event))
        if not self._looks_again:
            await self._answer_waiting()

    async def _answer_waiting(self) -> None:
        self._looks_again = False
        while self._waiting:
            since, event = self._waiting[0]
            if not self._can_answer(event) and time.monotonic() - max(since, self._given_at) < WAIT_AT_MOST_S:
                self._looks_again = True
                self.app.set_timer(LOOK_AGAIN_S, self._answer_waiting)
                return
            self._waiting.popleft()
            await self._give(event)
            self._given_at = time.monotonic()

    def _can_answer(self, event: Typed) -> bool:
        """Return True once the top screen is mounted and the input has handled its last key and text."""
        app = self.app
        if not app.screen_stack:
            return True
        if not app.screen.is_mounted or (app.screen.AUTO_FOCUS and app.screen.focused is None):
            return False
        if isinstance(app.screen, WaitsForAnswer) and app.screen.waiting:
            return False
        above = self._line.ancestors_with_self if self._line is not None else ()
        if app._next_callbacks or any(part.message_queue_size for part in above if part is not app):
            return False
        self._line = None
        letters = isinstance(event, events.Paste) or event.is_printable
        line = app.screen.focused
        return letters or not isinstance(line, Input | TextArea) or not line.message_queue_size

    async def _give(self, event: Typed) -> None:
        if not self.app.screen_stack:
            return
        screen = self.app.screen
        if isinstance(event, events.Key) and isinstance(screen, TakesKeys) and await screen.take_key(event):
            return
        if isinstance(screen.focused, TextArea) and isinstance(event, events.Key) and event.key == "enter":
            await self._forward(event)
        elif isinstance(screen.focused, Input | TextArea):
            if isinstance(event, events.Paste) or event.is_printable:
                await self._forward(event)
            else:
                # Textual would act on it once the input gives it back, after the keys behind it. This acts now.
                self._line = screen.focused
                await self.app._check_bindings(event.key)
