"""A line to write in, which keeps every line of a paste."""

import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

from textual import events
from textual.suggester import Suggester
from textual.widgets import Input

from cockpit.tui.plain import plain

LINE_END = "␊"
"""The sign that `plain` shows for a line end, which an input of one row cannot hold."""


class NameSuggester(Suggester):
    """Completes `@e00` and `@w0` at the end of a line to the newest experiment or wave that begins so."""

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        """Prepare it. `names()` returns the names that are known, the newest first."""
        super().__init__(use_cache=False, case_sensitive=True)
        self._names = names

    async def get_suggestion(self, value: str) -> str | None:
        written, at, begun = value.rpartition("@")
        if not at or len(begun) < 2 or (written and not written[-1].isspace()):
            return None
        found = next((name for name in self._names() if name.startswith(begun)), None)
        return f"{written}@{found}" if found else None


class LineInput(Input):
    """An input of one row. `text` is what was written, with the line ends of pastes."""

    def __init__(self, value: str = "", **options: Any) -> None:
        super().__init__(one_row(value), compact=True, **options)
        self.cursor_blink = False

    @property
    def text(self) -> str:
        return self.value.replace(LINE_END, "\n")

    def on_paste(self, event: events.Paste) -> None:
        """Insert all lines of a paste; Textual would insert the first only."""
        event.prevent_default()
        event.stop()
        self.replace(one_row(event.text.rstrip("\r\n")), *self.selection)


def one_row(text: str) -> str:
    """Return the text in one row: line ends and other control characters are shown as `plain` shows them."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(plain(letter) if unicodedata.category(letter) == "Cc" else letter for letter in text)


def plain_lines(text: str) -> str:
    """Return the text with its line ends; other control characters are shown as `plain` shows them."""
    return one_row(text).replace(LINE_END, "\n")
