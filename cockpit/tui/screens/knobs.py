"""The knobs, opened by `:knob`: what search varies and in which range, and why it leaves the others alone."""

from textual.app import ComposeResult

from cockpit.read.knobs import knob_table, said_from
from cockpit.tui.plain import plain
from cockpit.tui.rows import Ink
from cockpit.tui.screens.base import CockpitScreen, ScreenContext
from cockpit.tui.widgets.bars import Footer
from cockpit.tui.widgets.text import Lines


class KnobsScreen(CockpitScreen):
    PLACE = "knobs"

    def __init__(self, context: ScreenContext) -> None:
        super().__init__(context)
        self.lines = Lines("help", "knobs")

    def compose(self) -> ComposeResult:
        yield self.lines
        yield Footer()

    def on_mount(self) -> None:
        self.set_focus(self.lines)
        self.show()

    def show(self) -> None:
        state = self.session.state
        if state is None or not self.lines.is_attached:
            return
        self.lines.hang = said_from(state)
        head, *rows = knob_table(state, ":knob")
        lines: list[tuple[str, Ink]] = [(plain(row), "dim" if "not searched: " in row else "text") for row in rows]
        self.lines.tell(lines, head)
        self.update_footer()
