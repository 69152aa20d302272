"""The base of every pane: rows made from the state. Only rows that changed are drawn again."""

from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from cockpit.tui.rows import title_row
from cockpit.tui.theme import DARK, Palette


class Pane(Widget):
    """A widget of rows. A subclass makes them in `rows`; code that changes something calls `paint`."""

    NAME = ""
    KEY = ""

    class Retitled(Message):
        """A message that the note of a bare pane changed. It is shown elsewhere."""

    class Chosen(Message):
        """The name of another pane in this place was clicked on."""

        def __init__(self, pane: str) -> None:
            super().__init__()
            self.pane = pane

    def __init__(self, name: str = "") -> None:
        super().__init__(id=name or self.NAME or None)
        self.bare = False
        """True if its title is shown elsewhere, and its first row is left out."""
        self.beside: tuple[tuple[str, str], ...] = ()
        """Key and name of each other pane that can be shown in this place."""
        self.title_note = ""
        self._drawn: list[Strip] = []
        self._drawn_size = (0, 0)

    @property
    def palette(self) -> Palette:
        palette = getattr(self.app, "palette", DARK)
        return palette if isinstance(palette, Palette) else DARK

    def rows(self, width: int, height: int) -> list[Strip]:
        """Return at most `height` rows, each `width` cells wide."""
        raise NotImplementedError

    def move(self, key: str) -> bool:
        """Carry a movement out. Returns False if it means nothing here."""
        return False

    @property
    def title_rows(self) -> int:
        return 0 if self.bare else 1

    def titled(self, width: int, note: str = "") -> Strip:
        self.title_note = note
        return title_row(width, self.palette, self.NAME, note, self.has_focus_within, self.KEY, self.beside)

    def paint(self) -> None:
        """Make the rows again, and draw those that changed."""
        if not self.is_attached or not self.display:
            return
        width, height = self.size
        if width <= 0 or height <= 0:
            return
        said = self.title_note
        rows = self.rows(width, height + 1)[1 : height + 1] if self.bare else self.rows(width, height)[:height]
        if self.bare and self.title_note != said:
            self.post_message(self.Retitled())
        blank = Strip.blank(width, self.palette.base)
        rows.extend([blank] * (height - len(rows)))
        old, self._drawn = self._drawn, rows
        if self._drawn_size != (width, height):
            self._drawn_size = (width, height)
            self.refresh()
            return
        changed = [Region(0, y, width, 1) for y in range(height) if rows[y] != old[y]]
        if changed:
            self.refresh(*changed)

    def on_click(self, event: events.Click) -> None:
        """Choose the other pane whose name in the title was clicked on."""
        title = "".join(segment.text for segment in self._drawn[0]) if event.y == 0 and self._drawn else ""
        for key, name in () if self.bare else self.beside:
            at = title.find(f" {key} {name} ") + 1
            if at and at <= event.x < at + len(f"{key} {name}"):
                self.post_message(self.Chosen(name))

    def render_line(self, y: int) -> Strip:
        if self._drawn_size != (self.size.width, self.size.height):
            self.paint()
        return self._drawn[y] if y < len(self._drawn) else Strip.blank(self.size.width, self.palette.base)

    def forget(self) -> None:
        """Draw every row at the next paint."""
        self._drawn_size = (0, 0)

    @property
    def ground(self) -> Style:
        return self.palette.base

    def on_resize(self, event: events.Resize) -> None:
        self.paint()

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self.paint()


class WheeledPane(Pane):
    """A pane of lines that the mouse wheel moves like the arrow keys."""

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.move("down")

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.move("up")
