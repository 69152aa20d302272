"""What every screen is: its keys come from the registry, movements go to the pane that has the focus."""

from typing import TYPE_CHECKING, cast

from textual import events
from textual.screen import Screen
from textual.widgets import Input

from cockpit.tui.actions.registry import MOVES, Here
from cockpit.tui.widgets.bars import Footer, Hint
from cockpit.tui.widgets.pane import Pane

if TYPE_CHECKING:
    from cockpit.tui.app import CockpitApp

_FROM_INPUT = ("escape", "tab", "shift+tab", "ctrl+p", "ctrl+q", "ctrl+c", "ctrl+l")
"""Keys that mean the same while one writes."""


WRITING = [Hint("", "⏎", "say it"), Hint("", "esc", "done writing: keys act again"), Hint("", "tab", "next pane")]


class CockpitScreen(Screen[None]):
    AUTO_FOCUS = ""
    PLACE = ""

    @property
    def cockpit(self) -> "CockpitApp":
        return cast("CockpitApp", self.app)

    @property
    def writing(self) -> bool:
        """Whether keys are letters of a line just now."""
        return isinstance(self.focused, Input)

    @property
    def place(self) -> str:
        return self.PLACE

    @property
    def page(self) -> tuple[str, str]:
        """What kind of page this is, and of what."""
        return self.PLACE, ""

    def on_screen_resume(self) -> None:
        if not self.cockpit.leaving:
            self.show()

    def here(self) -> Here | None:
        """What an action would act on; None while there is no state yet."""
        raise NotImplementedError

    def show(self) -> None:
        """Draw the state as it is now."""
        raise NotImplementedError

    def back(self) -> None:
        """Escape: leave this screen for the one it was opened from."""
        self.app.pop_screen()

    async def take_key(self, event: events.Key) -> bool:
        """Do what the key does here. Returns whether it was taken: what is not belongs to the line being written."""
        writing = self.writing
        if writing and event.key not in _FROM_INPUT:
            return False
        if event.key == "escape":
            action = self.cockpit.registry.for_key("escape", self.place)
            here = self.here() if action is not None else None
            if writing:
                self.leave_input()
            elif action is not None and here is not None and not action.applies(here):
                self.cockpit.do(action)
            else:
                self.back()
            return True
        key = event.character if event.character and event.character.isalpha() else event.key
        action = self.cockpit.registry.for_key(key, self.place) or self.cockpit.registry.for_key(event.key, self.place)
        if action is not None:
            self.cockpit.do(action)
            return True
        move = MOVES.get(key)
        pane = self.focused
        if move and isinstance(pane, Pane) and hasattr(pane, "move") and pane.move(move):
            self.update_footer()
        return True

    def leave_input(self) -> None:
        self.set_focus(None)

    def update_footer(self) -> None:
        for footer in self.query(Footer):
            here = self.here()
            footer.hints = [] if here is None else WRITING if self.writing else self.cockpit.hints(here)
            footer.paint()

    def note(self, text: str, ink: str) -> None:
        for footer in self.query(Footer):
            footer.note, footer.note_ink = text, ink
            footer.paint()

    def on_footer_clicked(self, event: Footer.Clicked) -> None:
        action = self.cockpit.registry.named(event.action)
        if action is not None:
            self.cockpit.do(action)
