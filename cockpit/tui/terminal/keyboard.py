"""Keys one after another: each goes to what is there once the one before it has been answered.

Textual gives a key to whatever has the focus when it arrives. Over a slow link several arrive at once, and those behind
one that opens a question would act on the panes below it: here they wait until the question can take them.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

from textual import events
from textual.app import App
from textual.widgets import Input

LOOK_AGAIN_S = 0.005
WAIT_AT_MOST_S = 1.0
"""A key that has waited so long goes wherever the focus is."""

Typed = events.Key | events.Paste


@runtime_checkable
class TakesKeys(Protocol):
    """A screen that answers a key itself; what it does not take goes to the line that is being written, if any."""

    async def take_key(self, event: events.Key) -> bool: ...


class Keyboard:
    """Gives what was typed to the app's screens, and to the focused line by `forward`."""

    def __init__(self, app: App[int], forward: Callable[[Typed], Awaitable[None]]) -> None:
        self._app = app
        self._forward = forward
        self._waiting: deque[tuple[float, Typed]] = deque()
        self._line: Input | None = None
        """The line that was last given a key which may end it."""
        self._looks_again = False

    @property
    def waits(self) -> bool:
        """Whether a key is still to be answered."""
        return bool(self._waiting)

    async def take(self, event: Typed) -> None:
        self._app.app_focus = True  # whoever types looks, whatever the terminal said of its focus
        self._waiting.append((time.monotonic(), event))
        if not self._looks_again:
            await self._go_on()

    async def _go_on(self) -> None:
        self._looks_again = False
        while self._waiting:
            since, event = self._waiting[0]
            if not self._ready(event) and time.monotonic() - since < WAIT_AT_MOST_S:
                self._looks_again = True
                self._app.set_timer(LOOK_AGAIN_S, self._go_on)
                return
            self._waiting.popleft()
            await self._give(event)

    def _ready(self, event: Typed) -> bool:
        """Whether the screen on top stands, all has come of the line that was ended, and what is written is in it."""
        app = self._app
        if not app.screen_stack:
            return True
        if not app.screen.is_mounted or (app.screen.AUTO_FOCUS and app.screen.focused is None):
            return False
        above = self._line.ancestors_with_self if self._line is not None else ()
        if app._next_callbacks or any(part.message_queue_size for part in above if part is not app):
            return False
        self._line = None
        letters = isinstance(event, events.Paste) or event.is_printable
        line = app.screen.focused
        return letters or not isinstance(line, Input) or not line.message_queue_size

    async def _give(self, event: Typed) -> None:
        if not self._app.screen_stack:
            return
        screen = self._app.screen
        if isinstance(event, events.Key) and isinstance(screen, TakesKeys) and await screen.take_key(event):
            return
        if isinstance(screen.focused, Input):
            if isinstance(event, events.Paste) or event.is_printable:
                await self._forward(event)
            else:
                # What the app does with a key that comes back to it from a line, now instead of after what follows.
                self._line = screen.focused
                await self._app._check_bindings(event.key)
