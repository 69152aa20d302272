"""A line to write in, which keeps every line of a paste."""

import unicodedata
from typing import Any

from textual import events
from textual.widgets import Input

from cockpit.tui.plain import plain

LINE_END = "␊"
"""The sign that `plain` shows for a line end, which an input of one row cannot hold."""


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
