"""Help, opened by `?`: the actions that apply now first, then every key, then the words."""

from collections.abc import Iterable

import msgspec
from textual.app import ComposeResult

from cockpit.read.glossary import MEANINGS
from cockpit.tui.actions.registry import MOVES, Action, Here, Registry, key_name
from cockpit.tui.rows import Ink
from cockpit.tui.screens.base import CockpitScreen, ScreenContext
from cockpit.tui.views.changes import short_names
from cockpit.tui.widgets.bars import Footer
from cockpit.tui.widgets.text import Lines

Line = tuple[str, Ink]

HANG = 28
"""The column at which the descriptions begin."""


class HelpScreen(CockpitScreen):
    PLACE = "help"

    def __init__(self, context: ScreenContext, here: Here) -> None:
        super().__init__(context)
        self.lines = Lines("help", "help", hang=HANG)
        self._here = here

    def compose(self) -> ComposeResult:
        yield self.lines
        yield Footer()

    def on_mount(self) -> None:
        self.set_focus(self.lines)
        self.update_footer()
        self.lines.tell(help_lines(self._here, self.context.registry), "help", "esc closes")

    def show(self) -> None:
        """Do nothing, because help does not change with the state."""

    def here(self) -> Here | None:
        return msgspec.structs.replace(self._here, place=self.PLACE)


def help_lines(here: Here, registry: Registry) -> list[Line]:
    at_hand = registry.at(here)
    now = [action for action in at_hand if not action.applies(here)]
    lines: list[Line] = [(f" In {here.place}, now:", "focus")]
    lines.extend((_words(action), "text") for action in now if action.places)
    lines.append(("", "text"))
    lines.append((" Everywhere, now:", "focus"))
    lines.extend((_words(action), "text") for action in now if not action.places)
    for reason, actions in _not_now(here, at_hand).items():
        lines += [("", "text"), (f" Not now: {reason}", "focus")]
        lines.extend((_words(action), "dim") for action in actions)
    lines += [("", "text"), (" Moving:", "focus")]
    names: dict[str, list[str]] = {}
    for key, move in MOVES.items():
        names.setdefault(move, []).append(key_name(key))
    lines.extend((f"   {' '.join(keys):22} {move.replace('_', ' ')}", "text") for move, keys in names.items())
    elsewhere = [action for action in registry.actions if action.places and here.place not in action.places]
    lines += [("", "text"), (" In other places:", "focus")]
    lines.extend((f"{_words(action)} [{', '.join(sorted(action.places))}]", "dim") for action in elsewhere)
    if short := short_names(here.state.session.constants):
        lines += [("", "text"), (" Short names, where the constant's own does not fit:", "focus")]
        lines += [("   " + "   ".join(short), "text")]
    lines += [("", "text"), (" Words:", "focus")]
    lines.extend((f"   {words:24} {meaning}", "text") for words, meaning in MEANINGS.items())
    return lines


def _not_now(here: Here, actions: Iterable[Action]) -> dict[str, list[Action]]:
    """Return the actions with keys that do not apply, by the reason."""
    found: dict[str, list[Action]] = {}
    for action in actions:
        if action.keys and (reason := action.applies(here)):
            found.setdefault(reason, []).append(action)
    return found


def _words(action: Action) -> str:
    keys = " ".join(key_name(key) for key in action.keys[:2])
    return f"   {keys:9} {action.name:14} {action.help}"
