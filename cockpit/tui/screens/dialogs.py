"""Dialogs: a question with choices, a line to write, and the palette. Escape always leaves without doing anything."""

from collections.abc import Callable

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import Input

from cockpit.tui.actions.registry import Action, Here, Registry, key_name
from cockpit.tui.plain import plain, width_of, wrap
from cockpit.tui.rows import Row
from cockpit.tui.widgets.pane import Pane


class Box(Pane, can_focus=True):
    """Text, and choices of which one is focused."""

    NAME = "box"

    def __init__(self, text: str, choices: list[tuple[str, str]], index: int, ink: str, hint: str = "") -> None:
        super().__init__()
        self.text = text
        self.hint = hint
        self.choices = choices
        self.index = index
        self.ink = ink
        self._first_choice = 0

    def rows(self, width: int, height: int) -> list[Strip]:
        ground = self.palette.noise if not self.palette.ansi else None
        lines = wrap(self.text, width - 4, 40)
        top = Row(width, self.palette, ground).put("━" * (width - width_of(self.hint) - 2 * bool(self.hint)), self.ink)
        rows = [top.skip().put(self.hint, "dim").strip()]
        rows += [Row(width, self.palette, ground).skip(2).put(line).strip() for line in lines]
        if self.choices:
            rows.append(Row(width, self.palette, ground).strip())
        self._first_choice = len(rows)
        for number, (_, words) in enumerate(self.choices):
            chosen = number == self.index
            row = Row(width, self.palette, self.palette.selection if chosen else ground)
            rows.append(
                row.put(" ▸ " if chosen else "   ", "accent").put(plain(words), "key" if chosen else "text").strip()
            )
        if self.choices:
            rows.append(Row(width, self.palette, ground).put("━" * width, self.ink).strip())
        return rows

    def wanted_height(self, width: int) -> int:
        return len(wrap(self.text, width - 4, 40)) + (len(self.choices) + 3 if self.choices else 1)

    def at(self, y: int) -> int:
        """The choice on a row; −1 where there is none."""
        number = y - self._first_choice
        return number if 0 <= number < len(self.choices) else -1


class Dialog(ModalScreen[str | None]):
    """A question. Dismisses with the chosen value, or None."""

    AUTO_FOCUS = "#box"

    def __init__(self, text: str, choices: list[tuple[str, str]], focused: str = "", ink: str = "accent") -> None:
        super().__init__()
        values = [value for value, _ in choices]
        self.box = Box(text, choices, values.index(focused) if focused in values else 0, ink)

    def compose(self) -> ComposeResult:
        yield self.box

    def on_mount(self) -> None:
        self._size_box()

    def on_resize(self) -> None:
        self._size_box()

    def _size_box(self) -> None:
        width = max(20, min(76, self.app.size.width - 4))
        self.box.styles.width = width
        self.box.styles.height = min(self.app.size.height, self.box.wanted_height(width))

    async def take_key(self, event: events.Key) -> bool:
        box = self.box
        match event.key:
            case "escape" | "q" | "ctrl+c":
                self.dismiss(None)
            case "up" | "k" | "shift+tab" | "left" | "h":
                box.index = (box.index - 1) % len(box.choices)
                box.paint()
            case "down" | "j" | "tab" | "right" | "l":
                box.index = (box.index + 1) % len(box.choices)
                box.paint()
            case "enter" | "space":
                self.dismiss(box.choices[box.index][0])
        return True

    def on_click(self, event: events.Click) -> None:
        if event.widget is not self.box:
            self.dismiss(None)
            return
        number = self.box.at(event.y)
        if number >= 0:
            self.dismiss(self.box.choices[number][0])


class Line(ModalScreen[str | None]):
    """One line to write. Dismisses with it, or None."""

    AUTO_FOCUS = "Input"

    def __init__(self, question: str, value: str) -> None:
        super().__init__()
        self.box = Box(question, [], 0, "accent", "⏎ goes on, esc leaves")
        self.input = Input(value, compact=True)
        self.input.cursor_blink = False

    def compose(self) -> ComposeResult:
        with Container(id="line"):
            yield self.box
            yield self.input

    def on_mount(self) -> None:
        width = max(20, min(76, self.app.size.width - 4))
        self.query_one("#line").styles.width = width
        self.box.styles.width = width
        self.box.styles.height = self.box.wanted_height(width)
        self.input.styles.width = width - 4

    async def take_key(self, event: events.Key) -> bool:
        leaves = event.key in ("escape", "ctrl+c")
        if leaves:
            self.dismiss(None)
        return leaves

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)


class _Found(Pane):
    """What the palette found."""

    NAME = "found"

    def __init__(self, here: Here, registry: Registry) -> None:
        super().__init__()
        self.here, self.registry = here, registry
        self.actions: list[Action] = []
        self.index = 0
        self.top = 0

    def look(self, text: str) -> None:
        found = self.registry.matching(text)
        self.actions = found if text.strip() else sorted(found, key=self._remoteness)
        self.index = self.top = 0
        self.paint()

    def _remoteness(self, action: Action) -> tuple[bool, bool]:
        """What applies comes first, and of that what this place has for itself."""
        return bool(action.applies(self.here)), self.here.place not in action.places

    def rows(self, width: int, height: int) -> list[Strip]:
        self.top = max(min(self.top, self.index), self.index - height + 1)
        rows = []
        for number, action in list(enumerate(self.actions))[self.top : self.top + height]:
            why_not = action.applies(self.here)
            row = Row(width, self.palette, self.palette.selection if number == self.index else None)
            row.skip().put(action.name, "dim" if why_not else "key", 14)
            row.put(" ".join(key_name(key) for key in action.keys[:2]), "accent", 7)
            row.put(action.help, "faint" if why_not else "text", max(10, row.left - len(action.takes) - 2))
            row.end(action.takes + " ", "dim")
            rows.append(row.strip())
        if not rows:
            rows.append(Row(width, self.palette).put(" No action has that name.", "dim").strip())
        return rows


class Palette(ModalScreen[str | None]):
    """`:` and ctrl+p: every action by name, with what may follow it. Dismisses with the line to carry out."""

    AUTO_FOCUS = "Input"

    def __init__(self, here: Here, registry: Registry) -> None:
        super().__init__()
        self.found = _Found(here, registry)
        self.input = Input(placeholder="a command, e.g. open e0042", compact=True)
        self.input.cursor_blink = False

    def compose(self) -> ComposeResult:
        with Container(id="palette"):
            yield self.input
            yield self.found

    def on_mount(self) -> None:
        self.found.look("")

    def on_input_changed(self, event: Input.Changed) -> None:
        self.found.look(event.value.strip())

    async def take_key(self, event: events.Key) -> bool:
        found = self.found
        match event.key:
            case "escape" | "ctrl+c":
                self.dismiss(None)
            case "up" | "ctrl+p":
                found.index = max(0, found.index - 1)
            case "down" | "ctrl+n":
                found.index = min(len(found.actions) - 1, found.index + 1)
            case "tab":
                if found.actions:
                    self.input.value = found.actions[found.index].name + " "
                    self.input.cursor_position = len(self.input.value)
            case _:
                return False
        found.paint()
        return True

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if not self.found.actions:
            self.dismiss(None)
            return
        words = event.value.strip().partition(" ")[2]
        self.dismiss(f"{self.found.actions[max(0, self.found.index)].name} {words}".strip())


Chosen = Callable[[str], None]
