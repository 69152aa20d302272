"""The registry of actions. Keys, footer, palette, help, mouse and `:` commands are all read from it."""

from collections.abc import Callable, Iterable

import msgspec

from cockpit.core.state import State
from cockpit.tui.actions.effects import Effects, Problem


class ReplayPosition(msgspec.Struct, frozen=True):
    """The moment that a replay shows, between the session's start and end, and its speed."""

    began: float
    ended: float
    at: float
    speed: float


class Here(msgspec.Struct, frozen=True):
    """The state, the person's pane or page, and the selection there."""

    state: State
    now: float
    place: str
    """A pane of the main screen, or `review`, `experiment`."""
    watch: bool = False
    replay: ReplayPosition | None = None
    wave: str = ""
    experiment: str = ""
    attempt: str = ""
    cluster: str = ""
    constant: str = ""
    """The constant chosen in a proposal's table of arms."""
    found: str = ""
    """The text last searched for."""
    log_filter: str = ""
    one_pane: bool = False
    """True if one pane is shown at a time, because the terminal is small."""
    tab: str = ""
    """The tab of the page that is shown."""
    marked: tuple[str, ...] = ()
    """The experiments that are marked for a comparison."""
    chart: str = ""
    """The view of the chart: `scores`, `curves` or `effects`."""
    not_logarithmic: str = ""
    """The reason why the chart's values have no logarithmic axis; empty if they may."""
    query: str = ""
    """The query of the results that are shown."""
    log_name: str = ""
    """A file name for the log that is shown."""

    @property
    def chosen(self) -> tuple[str, ...]:
        """The place and the selection, without what changes by time alone."""
        followed = self.place == "clusters"  # the experiment of a selected cluster changes with its runs
        return self.place, self.tab, self.chart, self.wave, self.cluster, "" if followed else self.experiment


Run = Callable[[Here, str], Effects]
Question = Callable[[Here], str]


def always(here: Here) -> str:
    return ""


class Action(msgspec.Struct, frozen=True):
    """A thing that a person can do by key, by command or by mouse.

    Its effects are `effects`, or what `run` makes of the place and of the words after the command.
    """

    name: str
    """Also its command: `:name`."""
    label: str
    help: str
    effects: Effects = ()
    run: Run | None = None
    keys: tuple[str, ...] = ()
    places: frozenset[str] = frozenset()
    """Where its keys work; everywhere when empty."""
    acting: bool = False
    """True if it sends an intent or writes a file. A watcher does not have such actions."""
    takes: str = ""
    """The words that may follow the command."""
    applies: Question = always
    """The reason why it does not apply here, or an empty string."""
    needless: Question = always
    """The reason why it would change nothing here, or an empty string. It keeps its place in the footer."""
    label_here: Question = always
    """Its label here if that is not `label`: `resume` for what is held."""
    footer: int = 0
    """Position in the footer, from 1; 0 for none."""
    group: str = "general"


def effects_of(action: Action, here: Here, words: str = "") -> Effects:
    """Return the effects of an action. Raises Problem."""
    if not words and (why_not := action.applies(here) or action.needless(here)):
        raise Problem(f"{action.name}: {why_not}")
    effects = action.effects
    if action.run is not None and (words or not effects):
        effects = action.run(here, words)
    return effects


FOOTER_LASTS = 31
"""Actions from this position on are in the footer at every width."""

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
    """The available actions. A watcher has none that act. The keys of `first` precede all others."""

    def __init__(self, actions: Iterable[Action], watch: bool = False, first: Iterable[Action] = ()) -> None:
        self._first = list(first)
        self.actions = [*self._first, *(action for action in actions if not (watch and action.acting))]
        self._by_name = {action.name: action for action in self.actions}

    def named(self, name: str) -> Action | None:
        return self._by_name.get(name)

    def for_key(self, key: str, place: str) -> Action | None:
        """Return the key's action at a place. An action of the place precedes one that works everywhere."""
        taken = next((action for action in self._first if key in action.keys), None)
        if taken is not None:
            return taken
        found = [
            action for action in self.actions if key in action.keys and (not action.places or place in action.places)
        ]
        return min(found, key=lambda action: not action.places, default=None)

    def at(self, here: Here) -> list[Action]:
        """Return the actions that work there, those of the place first."""
        found = [action for action in self.actions if not action.places or here.place in action.places]
        return sorted(found, key=lambda action: not action.places)

    def footer(self, here: Here) -> list[Action]:
        """Return the actions that the footer offers: those that apply now, in order; of two with one key, the
        place's own."""
        offered = [
            action
            for action in self.at(here)
            if action.footer and action.keys and self.for_key(action.keys[0], here.place) is action
        ]
        return sorted((action for action in offered if not action.applies(here)), key=lambda action: action.footer)

    def matching(self, text: str) -> list[Action]:
        """Return the actions for the text typed into the palette, best match first: by name, then by the help."""
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
