"""The command palette, opened by `:` and ctrl+p: every action by name, with the words that may follow it."""

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import Input

from cockpit.core.nearest import did_you_mean
from cockpit.tui.actions.effects import Effects, Problem
from cockpit.tui.actions.registry import Action, Here, Registry, effects_of, key_name
from cockpit.tui.plain import cut, plain, width_of, wrap
from cockpit.tui.rows import Row, hint_rows
from cockpit.tui.widgets.line import LineInput
from cockpit.tui.widgets.pane import Pane


class Matches(Pane):
    """The actions that match the text, and the problem of the last try."""

    NAME = "matches"

    def __init__(self, here: Here, registry: Registry) -> None:
        super().__init__()
        self.here, self.registry = here, registry
        self.actions: list[Action] = []
        self.word = ""
        """The name that was typed."""
        self.has_words = False
        """True if words follow the command, so that it ignores the selection."""
        self.index = 0
        self.top = 0
        self.problem = ""

    def match(self, text: str) -> None:
        found = self.registry.matching(text)
        self.has_words = " " in text
        self.word = text.split(" ", 1)[0]
        self.actions = found if text.strip() else sorted(found, key=self._remoteness)
        self.index = self.top = 0
        self.problem = ""
        self.paint()

    def _remoteness(self, action: Action) -> tuple[bool, bool]:
        """Sort actions: those that apply first, and of these the place's own first."""
        return bool(action.applies(self.here)), self.here.place not in action.places

    def rows(self, width: int, height: int) -> list[Strip]:
        said = wrap(self.problem, width - 2, height - 1) if self.problem else []
        rows = [Row(width, self.palette).skip().put(line, "bad").strip() for line in said]
        room = height - len(rows)
        self.top = max(min(self.top, self.index), self.index - room + 1)
        for number, action in list(enumerate(self.actions))[self.top : self.top + room]:
            why_not = action.applies(self.here)
            row = Row(width, self.palette, self.palette.selection if number == self.index else None)
            row.skip().put(action.name, "dim" if why_not else "key", 14)
            row.put(" ".join(key_name(key) for key in action.keys[:2]), "accent", 7)
            asked = number == self.index and not self.has_words
            words = f"not now: {why_not}" if why_not and asked else action.help
            row.put(words, "faint" if why_not else "text", max(row.left // 3, row.left - width_of(action.takes) - 2))
            row.end(cut(action.takes, row.left - 2) + " ", "dim")
            rows.append(row.strip())
        return rows if self.actions else hint_rows(width, self.palette, self._unknown())

    def _unknown(self) -> str:
        """Return the sentence on a name that no action has."""
        near = did_you_mean(self.word, [action.name for action in self.registry.actions])
        return f"No action is called {plain(self.word)}{f': {near}' if near else '.'} esc leaves."


class CommandPalette(ModalScreen[Effects | None]):
    """Dismisses with the chosen action's effects. A line that cannot be carried out stays, with the reason."""

    AUTO_FOCUS = "Input"

    def __init__(self, here: Here, registry: Registry, line: str = "") -> None:
        super().__init__()
        self.matches = Matches(here, registry)
        self.input = LineInput(line, placeholder="a command, e.g. open e0042", select_on_focus=False)
        self.line = ""
        """The line that was carried out."""

    @property
    def unsent(self) -> str:
        """Text that was typed here and would be lost."""
        return self.input.value

    def compose(self) -> ComposeResult:
        with Container(id="palette"):
            yield self.input
            yield self.matches

    def on_mount(self) -> None:
        self.matches.match(self.input.value)

    def on_input_changed(self, event: Input.Changed) -> None:
        self.matches.match(event.value.strip())

    async def take_key(self, event: events.Key) -> bool:
        matches = self.matches
        match event.key:
            case "escape" | "ctrl+c":
                self.dismiss(None)
            case "ctrl+q":
                await self.app.action_quit()
            case "up" | "ctrl+p":
                matches.index = max(0, matches.index - 1)
            case "down" | "ctrl+n":
                matches.index = min(len(matches.actions) - 1, matches.index + 1)
            case "tab":
                if matches.actions:
                    self.input.value = matches.actions[matches.index].name + " "
                    self.input.cursor_position = len(self.input.value)
            case _:
                return False
        matches.paint()
        return True

    def on_input_submitted(self, event: Input.Submitted) -> None:
        matches = self.matches
        line = self.input.text.strip()
        if not matches.actions:
            if not line:
                self.dismiss(None)
            return
        action = matches.actions[max(0, matches.index)]
        try:
            effects = effects_of(action, matches.here, line.partition(" ")[2].strip())
        except Problem as problem:
            matches.problem = str(problem)
            matches.paint()
            return
        self.line = line
        self.dismiss(effects)
