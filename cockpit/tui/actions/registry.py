"""The registry: every action once. Keys, footer, palette, help, mouse and `:` commands are all read from it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cockpit.core.state import State

if TYPE_CHECKING:
    from cockpit.tui.app import CockpitApp


@dataclass(frozen=True)
class Here:
    """Where the person is: what an action would act on."""

    state: State
    now: float
    place: str
    """A pane of the main screen, or `review`, `experiment`."""
    watch: bool = False
    replay: bool = False
    wave: str = ""
    experiment: str = ""
    attempt: str = ""
    cluster: str = ""


Run = Callable[["CockpitApp", Here, str], None]
Question = Callable[[Here], str]


def always(here: Here) -> str:
    return ""


@dataclass(frozen=True)
class Action:
    """`applies` gives why it does not apply here, or nothing; `danger` what it would cost, and makes it ask first."""

    name: str
    """Also its command: `:name`."""
    label: str
    help: str
    run: Run = field(repr=False)
    keys: tuple[str, ...] = ()
    places: frozenset[str] = frozenset()
    """Where its keys work; everywhere when empty."""
    acting: bool = False
    """It sends an intent or writes a file: taken out when watching, as a watcher may be let in for that alone."""
    takes: str = ""
    """What may follow the command."""
    applies: Question = field(default=always, repr=False)
    danger: Question | None = field(default=None, repr=False)
    footer: int = 0
    """Place in the footer, from 1; 0 for none."""
    group: str = "general"


FOOTER_LASTS = 31
"""Who is in the footer from this place on is so at every width."""

KEY_NAMES = {
    "enter": "⏎",
    "escape": "esc",
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "ampersand": "&",
    "plus": "+",
    "minus": "-",
    "underscore": "_",
    "equals_sign": "=",
    "greater_than_sign": ">",
    "less_than_sign": "<",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "space": "space",
    "ctrl+p": "^p",
    "ctrl+l": "^l",
    "tab": "tab",
    "shift+tab": "⇧tab",
    "left": "←",
    "right": "→",
    "shift+left": "⇧←",
    "shift+right": "⇧→",
}

MOVES = {
    "h": "left",
    "left": "left",
    "j": "down",
    "down": "down",
    "k": "up",
    "up": "up",
    "l": "right",
    "right": "right",
    "g": "top",
    "home": "top",
    "G": "bottom",
    "end": "bottom",
    "pageup": "page_up",
    "ctrl+u": "page_up",
    "ctrl+b": "page_up",
    "pagedown": "page_down",
    "ctrl+d": "page_down",
    "ctrl+f": "page_down",
}


def key_name(key: str) -> str:
    return KEY_NAMES.get(key, key)


class Registry:
    """The actions there are; when watching, without those that act. The `first` take their keys from all others."""

    def __init__(self, actions: Iterable[Action], watch: bool = False, first: Iterable[Action] = ()) -> None:
        self._first = list(first)
        self.actions = [*self._first, *(action for action in actions if not (watch and action.acting))]
        self._by_name = {action.name: action for action in self.actions}

    def named(self, name: str) -> Action | None:
        return self._by_name.get(name)

    def for_key(self, key: str, place: str) -> Action | None:
        """What the key does there: an action of the place goes before one of everywhere."""
        taken = next((action for action in self._first if key in action.keys), None)
        if taken is not None:
            return taken
        found = [
            action for action in self.actions if key in action.keys and (not action.places or place in action.places)
        ]
        return min(found, key=lambda action: not action.places, default=None)

    def at(self, here: Here) -> list[Action]:
        """The actions that have a key there, those of the place first."""
        found = [action for action in self.actions if not action.places or here.place in action.places]
        return sorted(found, key=lambda action: not action.places)

    def footer(self, here: Here) -> list[Action]:
        """What the footer offers: what applies now, in its order; of two with one key, the place's own."""
        offered = [
            action
            for action in self.at(here)
            if action.footer and action.keys and self.for_key(action.keys[0], here.place) is action
        ]
        return sorted((action for action in offered if not action.applies(here)), key=lambda action: action.footer)

    def matching(self, text: str) -> list[Action]:
        """Actions for what was typed into the palette, the best first: by name, then by any word of the help."""
        word = text.split(" ", 1)[0].casefold()
        if not word:
            return list(self.actions)

        def rank(action: Action) -> int:
            if action.name == word:
                return 0
            if action.name.startswith(word):
                return 1
            if word in action.name:
                return 2
            if word in action.help.casefold() or word in action.label.casefold():
                return 3
            return 9

        return [action for action in sorted(self.actions, key=rank) if rank(action) < 9]
