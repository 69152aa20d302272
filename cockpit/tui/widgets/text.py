"""A pane of fixed lines, such as a diff, that scrolls and wraps."""

from collections.abc import Sequence

from textual.strip import Strip

from cockpit.tui.plain import wrap
from cockpit.tui.rows import Ink, Row, title_row
from cockpit.tui.widgets.pane import WheeledPane


class Lines(WheeledPane, can_focus=True):
    def __init__(self, name: str, title: str, hang: int = 0) -> None:
        """Prepare the pane. `hang` is the column at which the rest of a wrapped line begins."""
        super().__init__(name)
        self.title = title
        self.note = ""
        self.lines: Sequence[tuple[str, Ink]] = ()
        self.hang = hang
        self.top = 0
        self._total = 0
        self._room = 1

    def tell(self, lines: Sequence[tuple[str, Ink]], title: str = "", note: str = "") -> None:
        if title and title != self.title:
            self.top = 0
        self.lines, self.title, self.note = lines, title or self.title, note
        self.paint()

    def rows(self, width: int, height: int) -> list[Strip]:
        laid: list[Strip] = []
        for text, ink in self.lines:
            head = text[: self.hang]
            for piece in wrap(text[self.hang :], width - 1 - self.hang, 200):
                laid.append(Row(width, self.palette).put(head, "text" if piece else ink).put(piece, ink).strip())
                head = " " * self.hang
        self._total, self._room = len(laid), max(1, height - 1)
        self.top = max(0, min(self.top, self._total - self._room))
        more = self._total - self.top - self._room
        note = f"{self.note}  {more} more".strip() if more > 0 else self.note
        return [
            title_row(width, self.palette, self.title, note, self.has_focus),
            *laid[self.top : self.top + self._room],
        ]

    def move(self, key: str) -> bool:
        steps = {"up": -1, "down": 1, "page_up": -self._room, "page_down": self._room}
        places = {"top": 0, "bottom": self._total}
        if key in places:
            self.top = places[key]
        elif key in steps:
            self.top = max(0, self.top + steps[key])
        else:
            return False
        self.paint()
        return True
