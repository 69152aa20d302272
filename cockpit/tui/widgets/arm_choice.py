"""The arms of a proposal in its form: each is kept or dropped."""

from textual import events
from textual.message import Message
from textual.strip import Strip

from cockpit.control.draft_form import levels_words
from cockpit.control.drafts import arm_key
from cockpit.core.intents import Arm
from cockpit.tui.plain import plain
from cockpit.tui.rows import Row
from cockpit.tui.widgets.pane import Pane

NAME = 8
"""Cells of an arm's name."""
KEPT, DROPPED = "✓", "✗"


class ArmChoice(Pane, can_focus=True):
    """A row for each arm of the grid. A key or a click drops the arm, or keeps it again."""

    NAME = "arm_choice"

    class Toggled(Message):
        """A message that an arm was dropped or kept."""

    def __init__(self) -> None:
        super().__init__()
        self.arms: tuple[Arm, ...] = ()
        self.dropped: set[str] = set()
        """The keys of the dropped arms."""
        self.index = 0

    def tell(self, arms: tuple[Arm, ...]) -> None:
        """Show another grid. Dropped arms stay dropped."""
        self.arms = arms
        self.index = max(0, min(self.index, len(arms) - 1))
        self.styles.height = len(arms)
        self.paint()

    def rows(self, width: int, height: int) -> list[Strip]:
        return [self._row(number, arm, width) for number, arm in enumerate(self.arms)]

    def _row(self, number: int, arm: Arm, width: int) -> Strip:
        here = self.has_focus and number == self.index
        gone = arm_key(arm) in self.dropped
        row = Row(width, self.palette, self.palette.selection if here else self.palette.box)
        row.put("▸ " if here else "  ", "accent").put(DROPPED if gone else KEPT, "bad" if gone else "good").skip()
        row.put(plain(arm.experiment) or "new", "faint" if gone else "key", NAME)
        return row.put(plain(levels_words(arm)), "faint" if gone else "text").strip()

    def step(self, steps: int) -> bool:
        """Go to another arm. Returns False beyond the first and the last."""
        if not 0 <= self.index + steps < len(self.arms):
            return False
        self.index += steps
        self.paint()
        return True

    def toggle(self) -> None:
        """Drop the chosen arm, or keep it again."""
        if self.arms:
            self.dropped ^= {arm_key(self.arms[self.index])}
            self.paint()
            self.post_message(self.Toggled())

    def on_click(self, event: events.Click) -> None:
        if event.y < len(self.arms):
            self.index = event.y
            self.toggle()
