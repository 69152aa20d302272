"""The parts around the panes of the main screen: their area, their names, a divider, a notice of too small a size."""

from collections.abc import Callable, Mapping

from textual import events
from textual.geometry import NULL_OFFSET, Region, Size
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.strip import Strip
from textual.widget import Widget

from cockpit.tui.actions.subjects import PANES
from cockpit.tui.plain import width_of, wrap
from cockpit.tui.rows import Row, whole_parts
from cockpit.tui.widgets.pane import Pane

RULED_FROM = 100
"""Columns from which a rule is between two names of panes. In fewer the note of the pane needs them."""


class PaneArea(Widget):
    """The area of the panes. `regions` gives the place of each child by its id; a child without one is not shown."""

    def __init__(self, *children: Widget, regions: Callable[[Size], Mapping[str, Region]]) -> None:
        super().__init__(*children)
        self._layout = _RegionLayout(regions)

    @property
    def layout(self) -> Layout:
        return self._layout


class _RegionLayout(Layout):
    name = "regions"

    def __init__(self, regions: Callable[[Size], Mapping[str, Region]]) -> None:
        super().__init__()
        self._regions = regions

    def arrange(self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True) -> ArrangeResult:
        regions = self._regions(size)
        return [
            WidgetPlacement(regions[child.id or ""], NULL_OFFSET, child.styles.margin, child, int(child.id == "footer"))
            for child in children
            if (child.id or "") in regions
        ]


class Divider(Pane):
    """The line between the left and the right panes."""

    NAME = "divider"

    def rows(self, width: int, height: int) -> list[Strip]:
        return [Row(width, self.palette).put("│", "track").strip() for _ in range(height)]


class Tabs(Pane):
    """The names of the panes, where one is shown at a time. A click on a name posts `Chosen`."""

    NAME = "tabs"

    def __init__(self) -> None:
        super().__init__()
        self._shown, self._note = "", ""
        self._ends: list[int] = []
        """The column behind each name."""

    def tell(self, pane: str, note: str) -> None:
        """Show that this pane is shown, with its note."""
        self._shown, self._note = pane, note
        self.paint()

    def rows(self, width: int, height: int) -> list[Strip]:
        row = Row(width, self.palette)
        self._ends = []
        for index, name in enumerate(PANES, start=1):
            here = name == self._shown
            if here or width >= RULED_FROM:
                row.put("━ " if here else "─ ", "accent" if here else "track")
            row.put(f"{index} ", "dim").put(name, "focus" if here else "title").skip()
            self._ends.append(row.at)
        note = whole_parts(self._note, max(0, row.left - 3))
        row.put("─" * (row.left - (width_of(note) + 1 if note else 0)), "track")
        if note:
            row.skip().put(note, "dim")
        return [row.strip()]

    def on_click(self, event: events.Click) -> None:
        clicked = (name for name, end in zip(PANES, self._ends, strict=True) if event.x < end)
        if name := next(clicked, ""):
            self.post_message(self.Chosen(name))


class TooSmall(Pane):
    """The notice that is shown alone in a terminal below the smallest size."""

    NAME = "too_small"

    def __init__(self, columns: int, lines: int) -> None:
        super().__init__()
        self._smallest = f"{columns}×{lines}"

    def rows(self, width: int, height: int) -> list[Strip]:
        size = self.app.size
        text = f"Too small at {size.width}×{size.height}: make it {self._smallest}, or q to leave."
        said = wrap(text, width)
        blank = Row(width, self.palette).strip()
        above = [blank] * max(0, (height - len(said)) // 2)
        return [*above, *(Row(width, self.palette).put(line).strip() for line in said)]
