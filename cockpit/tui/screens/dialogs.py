"""Dialogs: a question with choices, and a line to write. Escape leaves a dialog without doing anything."""

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.message import Message
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from cockpit.tui.actions.effects import Effects, Problem
from cockpit.tui.plain import plain, width_of, wrap
from cockpit.tui.rows import Ink, Row
from cockpit.tui.screens import layout
from cockpit.tui.widgets.line import LineInput
from cockpit.tui.widgets.pane import Pane

WIDEST = 76
"""Columns of a box where several panes are shown at a time."""
NOT_TEXT = "text is not taken here: ↑↓ choose, esc leaves"


class Box(Pane, can_focus=True):
    """A text, and below it choices of which one is focused, or a problem."""

    NAME = "box"

    def __init__(self, text: str, choices: tuple[tuple[str, str], ...], index: int, ink: str, hint: str = "") -> None:
        super().__init__()
        self.text = text
        self.hint = hint
        self.choices = choices
        self.index = index
        self.ink = ink
        self.problem = ""
        """The reason why the line is not accepted."""
        self._first_choice = 0

    def rows(self, width: int, height: int) -> list[Strip]:
        ground = self.palette.box
        rule = width - (width_of(self.hint) + 2 if self.hint else 0)
        rows = [Row(width, self.palette, ground).put("━" * rule, self.ink).skip().put(self.hint, "dim").strip()]
        said: list[tuple[str, Ink]] = [(line, "text") for line in wrap(self.text, width - 4, 40)]
        said += [(line, "bad") for line in wrap(self.problem, width - 4, 12) if self.problem]
        rows += [Row(width, self.palette, ground).skip(2).put(line, ink).strip() for line, ink in said]
        if self.choices:
            rows.append(Row(width, self.palette, ground).strip())
        self._first_choice = len(rows)
        for number, (_, words) in enumerate(self.choices):
            chosen = number == self.index
            row = Row(width, self.palette, self.palette.selection if chosen else ground)
            row.put(" ▸ " if chosen else "   ", "accent").put(plain(words), "key" if chosen else "text")
            rows.append(row.strip())
        if self.choices:
            rows.append(Row(width, self.palette, ground).put("━" * width, self.ink).strip())
        return rows

    def wanted_height(self, width: int) -> int:
        text = len(wrap(self.text, width - 4, 40)) + (len(wrap(self.problem, width - 4, 12)) if self.problem else 0)
        return text + (len(self.choices) + 3 if self.choices else 1)

    def at(self, y: int) -> int:
        """Return the choice on a row; −1 if there is none."""
        number = y - self._first_choice
        return number if 0 <= number < len(self.choices) else -1


def box_width(screen_width: int) -> int:
    """Return the columns of a box: all of them in a terminal that shows one pane at a time."""
    return screen_width if screen_width < layout.NARROW_BELOW else WIDEST


class Dialog(ModalScreen[str | None]):
    """A question. Dismisses with the chosen value, or None. `letters` maps keys to values.

    A letter that answers nothing, or a space, shows that the person types for another place. From then on no letter
    answers, until an arrow, `tab` or `escape`.
    """

    AUTO_FOCUS = "#box"

    def __init__(
        self,
        text: str,
        choices: tuple[tuple[str, str], ...],
        focused: str = "",
        ink: str = "accent",
        letters: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        values = [value for value, _ in choices]
        self._focused = values.index(focused) if focused in values else 0
        self.box = Box(text, choices, self._focused, ink)
        self._letters = letters or {}
        self._in_text = False
        """True while the keys are those of a text."""

    def compose(self) -> ComposeResult:
        yield self.box

    def on_mount(self) -> None:
        self._fit()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        width = box_width(self.app.size.width)
        self.box.styles.width = width
        self.box.styles.height = min(self.app.size.height, self.box.wanted_height(width))

    async def take_key(self, event: events.Key) -> bool:
        key = event.key
        if self._in_text and (event.is_printable or key in ("enter", "backspace")):
            return True
        if key in self._letters:
            self.dismiss(self._letters[key])
        elif key in ("escape", "q", "ctrl+c"):
            self.dismiss(None)
        elif key in ("up", "k", "shift+tab", "left", "h"):
            self._move(-1)
        elif key in ("down", "j", "tab", "right", "l"):
            self._move(1)
        elif key == "enter":
            self.dismiss(self.box.choices[self.box.index][0])
        elif key == "ctrl+q":
            await self.app.action_quit()
        elif event.is_printable:
            self._in_text, self.box.index, self.box.hint = True, self._focused, NOT_TEXT
            self.box.paint()
        return True

    def _move(self, steps: int) -> None:
        self._in_text, self.box.hint = False, ""
        self.box.index = (self.box.index + steps) % len(self.box.choices)
        self.box.paint()

    def on_click(self, event: events.Click) -> None:
        if event.widget is not self.box:
            self.dismiss(None)
            return
        number = self.box.at(event.y)
        if number >= 0:
            self.dismiss(self.box.choices[number][0])


def confirmation(text: str, label: str) -> Dialog:
    """Return a question with Cancel focused. `y` and `n` also answer it."""
    choices = (("", "Cancel (n)"), ("yes", f"{label[:1].upper()}{label[1:]} (y)"))
    return Dialog(text, choices, "", "warn", {"y": "yes", "n": ""})


class Writing(ModalScreen[None]):
    """A screen to write in, whose text becomes effects. With `until_answered` it stays until the worker answers."""

    AUTO_FOCUS = "Input"

    class Submitted(Message):
        """The text was turned into effects."""

        def __init__(self, writing: "Writing", effects: Effects) -> None:
            super().__init__()
            self.writing, self.effects = writing, effects

    def __init__(self, until_answered: bool) -> None:
        super().__init__()
        self.until_answered = until_answered
        self.waiting = False
        """True until the worker has answered."""

    def show_problem(self, problem: str) -> None:
        """Keep the text, and show why it is not accepted."""
        raise NotImplementedError

    def leave(self) -> None:
        """Leave without sending the text."""
        self.dismiss()

    async def take_key(self, event: events.Key) -> bool:
        """Answer the keys that leave. Returns False for a key that belongs to the text."""
        match event.key:
            case "escape" | "ctrl+c":
                self.leave()
            case "ctrl+q":
                await self.app.action_quit()
            case _:
                return False
        return True


class BoxedWriting(Writing):
    """A box with the question, and `field` below it, to write in."""

    FRAME: ClassVar[str]
    """The name of the box with its field in the style sheet."""

    def __init__(self, box: Box, field: Widget, until_answered: bool) -> None:
        super().__init__(until_answered)
        self.box, self.field = box, field

    def compose(self) -> ComposeResult:
        with Container(id=self.FRAME):
            yield self.box
            yield self.field

    def on_mount(self) -> None:
        self.fit()

    def on_resize(self) -> None:
        self.fit()

    def width_in(self, screen_width: int) -> int:
        """Return the columns of the frame."""
        return box_width(screen_width)

    def fit(self) -> None:
        """Give the box and the field the sizes that the terminal has room for."""
        width = self.width_in(self.app.size.width)
        self.query_one(f"#{self.FRAME}").styles.width = width
        self.box.styles.width = width
        self.box.styles.height = self.box.wanted_height(width)
        self.field.styles.width = width - 4

    def show_problem(self, problem: str) -> None:
        self.waiting = False
        self.box.problem = problem
        self.fit()
        self.box.paint()


class Line(BoxedWriting):
    """A line to write. Its effects are those that `then` makes of the text.

    The line stays open while `then` raises Problem.
    """

    FRAME = "line"

    def __init__(
        self,
        question: str,
        value: str,
        then: Callable[[str], Effects],
        *,
        allow_empty: bool = False,
        until_answered: bool = False,
    ) -> None:
        self.input = LineInput(value)
        super().__init__(Box(question, (), 0, "accent", "⏎ accepts, esc cancels"), self.input, until_answered)
        self._then = then
        self._allow_empty = allow_empty
        self._given = self.input.value

    @property
    def unsent(self) -> str:
        """Text that was typed here and would be lost."""
        return self.input.value if self.input.value != self._given else ""

    def on_input_submitted(self, event: Input.Submitted) -> None:
        text = self.input.text.strip()
        if not text and not self._allow_empty:
            self.dismiss()
            return
        try:
            effects = self._then(text)
        except Problem as problem:
            self.show_problem(str(problem))
            return
        if not self.until_answered:
            self.dismiss()
        self.post_message(self.Submitted(self, effects))
