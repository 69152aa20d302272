"""The base of every screen: keys come from the registry, movements go to the pane that has the focus."""

from collections.abc import Callable

import msgspec
from textual import events
from textual.geometry import Offset
from textual.widgets import Input

from cockpit.tui.actions.effects import SearchStep
from cockpit.tui.actions.registry import FOOTER_LASTS, MOVES, Action, Here, Registry, key_name
from cockpit.tui.actions.subjects import PANES
from cockpit.tui.following import FollowedSession
from cockpit.tui.terminal.live import LiveScreen
from cockpit.tui.widgets.bars import Footer, Hint
from cockpit.tui.widgets.log import Log
from cockpit.tui.widgets.pane import Pane

_FROM_INPUT = ("escape", "tab", "shift+tab", "ctrl+p", "ctrl+q", "ctrl+c", "ctrl+l", "ctrl+o")
"""Keys that mean the same while a line is written."""

DRAGGED_CELLS = 4
"""Cells that a pressed mouse moves across before it counts as dragged."""
DRAGGED = "the terminal selects text while shift is held (option on macOS)"
KEYS_TOLD = 2
"""The most actions that are named for a key that does nothing here."""
WRITING = [
    Hint("", "⏎", "send"),
    Hint("", "esc", "stop writing"),
    Hint("", "→", "complete @name"),
    Hint("", "^o", "several lines"),
    Hint("", "tab", "next pane"),
]


class ScreenContext(msgspec.Struct):
    """The things that the app gives to every screen."""

    session: FollowedSession
    registry: Registry
    do: Callable[[Action, str], bool]
    """Carry an action out, with the words after its command. Returns False if it cannot be done."""
    tell: Callable[[str], None]
    """Show a sentence about this place in the footer, for a while or until the person leaves the place."""
    forget_elsewhere: Callable[[Here], None]
    """Remove such a sentence if the person has left the place."""
    last_found: str = ""
    """The text last searched for, in whichever pane."""


class CockpitScreen(LiveScreen):
    AUTO_FOCUS = ""
    PLACE = ""

    def __init__(self, context: ScreenContext) -> None:
        super().__init__()
        self.context = context
        self.session = context.session
        self._pressed_at = Offset(0, 0)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._pressed_at = event.screen_offset

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Show how to select text, since the cockpit uses the mouse."""
        moved = event.screen_offset - self._pressed_at
        if not self.writing and (abs(moved.x) >= DRAGGED_CELLS or moved.y):
            self.context.tell(DRAGGED)

    @property
    def writing(self) -> bool:
        """Return True if keys are letters of a line."""
        return isinstance(self.focused, Input)

    @property
    def place(self) -> str:
        return self.PLACE

    @property
    def page(self) -> tuple[str, str]:
        """The kind of this page, and the thing it is about."""
        return self.PLACE, ""

    @property
    def log_shown(self) -> Log | None:
        """The page's own log, if it has one."""
        return None

    @property
    def unsent(self) -> str:
        """Text that was typed here and would be lost."""
        return ""

    def on_screen_resume(self) -> None:
        if self.app.is_running and self.app.screen_stack:
            self.show()

    def here(self) -> Here | None:
        """Return the subject of an action; None while there is no state."""
        session = self.session
        if session.state is None:
            return None
        here = Here(
            session.state,
            session.now(),
            self.place,
            session.watch,
            session.replay_position(),
            found=self.context.last_found,
        )
        return self.with_selection(here)

    def with_selection(self, here: Here) -> Here:
        """Add the things that are selected on this page."""
        return here

    def show(self) -> None:
        """Draw the newest state."""
        raise NotImplementedError

    def turn(self, tab: str) -> None:
        """Show one of the page's tabs. A page without tabs does nothing."""

    def back(self) -> None:
        """Leave this screen for the one it was opened from."""
        self.app.pop_screen()

    def find(self, text: str, step: SearchStep) -> str:
        """Go to the next match. Returns a sentence if there is none."""
        return ""

    async def take_key(self, event: events.Key) -> bool:
        """Answer a key. Returns False for a key that belongs to the line being written."""
        writing = self.writing
        if writing and event.key not in _FROM_INPUT:
            return False
        if event.key == "escape":
            self._escape(writing)
            return True
        registry = self.context.registry
        key = event.character if event.character and event.character.isalpha() else event.key
        action = registry.for_key(key, self.place) or registry.for_key(event.key, self.place)
        if action is not None:
            self.context.do(action, "")
            return True
        move = MOVES.get(key)
        pane = self.focused
        if move and isinstance(pane, Pane) and pane.move(move):
            self.update_footer()
        elif not move and (why_not := self._why_not(key)):
            self.context.tell(why_not)
        return True

    def _why_not(self, key: str) -> str:
        """Return where a key works that does nothing here; empty for a key without an action.

        Only a pane names other panes: they are one key away. A page is left for another one.
        """
        elsewhere = [action for action in self.context.registry.actions if key in action.keys]
        near = [(action, sorted(action.places.intersection(PANES))) for action in elsewhere]
        said = [f"{action.label} in {' or '.join(panes)}" for action, panes in near if panes][:KEYS_TOLD]
        if said and self.place in PANES:
            return f"{key_name(key)} does nothing in {self.place}: it is {', '.join(said)}"
        return f"{key_name(key)} does nothing here: ? lists the keys that work" if elsewhere else ""

    def _escape(self, writing: bool) -> None:
        action = self.context.registry.for_key("escape", self.place)
        here = self.here() if action is not None else None
        if writing:
            self.leave_input()
        elif action is not None and here is not None and not action.applies(here):
            self.context.do(action, "")
        else:
            self.back()

    def leave_input(self) -> None:
        self.set_focus(None)

    def update_footer(self) -> None:
        here = self.here()
        if here is not None and self.is_current:
            self.context.forget_elsewhere(here)
        for footer in self.query(Footer):
            footer.hints = [] if here is None else WRITING if self.writing else self._hints(here)
            footer.paint()

    def _hints(self, here: Here) -> list[Hint]:
        return [
            Hint(
                action.name,
                key_name(action.keys[0]),
                action.label_here(here) or action.label,
                last=action.footer >= FOOTER_LASTS,
            )
            for action in self.context.registry.footer(here)
        ]

    def note(self, text: str, ink: str) -> None:
        """Show a sentence in the footer, in as many rows as it takes; an empty one brings the keys back."""
        for footer in self.query(Footer):
            footer.note, footer.note_ink = text, ink
            self.fit_footer(footer)
            footer.paint()

    def fit_footer(self, footer: Footer) -> None:
        """Give the footer the rows that it needs."""
        footer.styles.height = footer.rows_wanted(self.app.size.width)

    def on_footer_clicked(self, event: Footer.Clicked) -> None:
        action = self.context.registry.named(event.action)
        if action is not None:
            self.context.do(action, "")
