"""The editor of a long message: several lines, which leave it for the line that it began in, or are sent."""

from collections.abc import Callable

from textual import events
from textual.widgets import TextArea

from cockpit.tui.actions.effects import Effects, Problem
from cockpit.tui.screens.dialogs import Box, BoxedWriting
from cockpit.tui.widgets.line import LineInput, one_row, plain_lines

ROWS = 12
"""Rows of the text, if the screen has them."""
ROWS_AROUND = 4
HINT = "⏎ new line, ^s sends, esc back to the line"


class MessageText(TextArea):
    """A text of several lines. A paste has no escapes, as in a line."""

    def on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        self.replace(plain_lines(event.text), *self.selection)


class Editor(BoxedWriting):
    """Edits the text of a line. Leaving it puts the text back, so nothing is lost."""

    AUTO_FOCUS = "MessageText"
    FRAME = "editor"

    def __init__(self, line: LineInput, then: Callable[[str], Effects]) -> None:
        self.line = line
        self.lines = MessageText(
            line.text, soft_wrap=True, show_line_numbers=False, compact=True, highlight_cursor_line=False
        )
        self.lines.cursor_blink = False
        self.lines.move_cursor(self.lines.document.end)
        self._then = then
        super().__init__(Box(line.placeholder, (), 0, "accent", HINT), self.lines, until_answered=False)

    @property
    def unsent(self) -> str:
        """Text that was typed here and would be lost."""
        return self.lines.text.strip()

    def width_in(self, screen_width: int) -> int:
        """Return all columns: of the panes behind, no half line is left beside the text."""
        return screen_width

    def fit(self) -> None:
        super().fit()
        self.lines.styles.height = max(1, min(ROWS, self.app.size.height - ROWS_AROUND))

    def submit(self) -> None:
        """Send the text; an empty one is left."""
        text = plain_lines(self.lines.text).strip()
        try:
            effects = self._then(text) if text else ()
        except Problem as problem:
            self.show_problem(str(problem))
            return
        self.line.value = ""
        self.dismiss()
        self.post_message(self.Submitted(self, effects))

    def leave(self) -> None:
        self.line.value = one_row(self.lines.text.rstrip())
        self.dismiss()

    async def take_key(self, event: events.Key) -> bool:
        if event.key == "ctrl+s":
            self.submit()
            return True
        return await super().take_key(event)
