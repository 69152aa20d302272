"""A diff in the syntax's colours: its two sides beside each other if there is room, in one column elsewhere."""

from collections.abc import Sequence

from textual.strip import Strip

from cockpit.tui.rows import Ink, Row, side_by_side, title_row
from cockpit.tui.views.diff_rows import DiffLine, Side, diff_of, pairs
from cockpit.tui.views.diffs import Line
from cockpit.tui.views.spans import Span, wrap_spans
from cockpit.tui.widgets.pane import WheeledPane

BESIDE_FROM = 160
"""Columns from which the two sides are beside each other."""
NUMBER = 5
"""Cells of a line's number."""
_SIGN_INKS = {Side.ADDED: "good", Side.REMOVED: "bad"}


class Diff(WheeledPane, can_focus=True):
    def __init__(self, name: str = "diff") -> None:
        super().__init__(name)
        self.title, self.note, self.top = "diff", "", 0
        self.lines: list[DiffLine] = []
        self._rows: list[Strip] = []
        self._rows_for: tuple[object, ...] = ()
        self._told = 0
        self._room = 1

    def tell(self, lines: Sequence[Line], script: str, title: str, note: str = "") -> None:
        """Show the lines of a unified diff."""
        if title != self.title:
            self.top = 0
        self.lines, self.title, self.note = diff_of(lines, script), title, note
        self._told += 1
        self.paint()

    def rows(self, width: int, height: int) -> list[Strip]:
        wanted = (width, self.palette.name, self._told)
        if self._rows_for != wanted:
            self._rows = self._beside(width) if width >= BESIDE_FROM else self._unified(width)
            self._rows_for = wanted
        self._room = max(1, height - 1)
        self.top = max(0, min(self.top, len(self._rows) - self._room))
        more = len(self._rows) - self.top - self._room
        note = f"{self.note}  {more} more".strip() if more > 0 else self.note
        title = title_row(width, self.palette, self.title, note, self.has_focus)
        return [title, *self._rows[self.top : self.top + self._room]]

    def _unified(self, width: int) -> list[Strip]:
        return [row for line in self.lines for row in self._side(line, width)]

    def _beside(self, width: int) -> list[Strip]:
        half = (width - 1) // 2
        rule = Row(1, self.palette).put("│", "track").strip()
        numbered = any(line.old or line.new for line in self.lines)
        rows: list[Strip] = []
        for old, new in pairs(self.lines):
            if old is not None and old.side is Side.HEAD:
                rows.extend(self._side(old, width))
                continue
            numbers = (old.old if old else 0, new.new if new else 0) if numbered else (None, None)
            sides = [self._side(line, half, number) for line, number in zip((old, new), numbers, strict=True)]
            blank = Strip.blank(half, self.palette.base)
            for n in range(max(map(len, sides))):
                left, right = (side[n] if n < len(side) else blank for side in sides)
                rows.append(side_by_side([left, rule, right], width, self.palette.base))
        return rows

    def _side(self, line: DiffLine | None, width: int, number: int | None = None) -> list[Strip]:
        """Return the rows of one line: its number, its sign and its text, wrapped; empty without a line."""
        if line is None:
            return []
        if line.side is Side.HEAD:
            return [self._put(Row(width, self.palette), spans) for spans in wrap_spans([], list(line.spans), width)]
        grounds = {Side.ADDED: self.palette.added_ground, Side.REMOVED: self.palette.removed_ground}
        lead = (0 if number is None else NUMBER) + 1
        rows = []
        for n, spans in enumerate(wrap_spans([], list(line.spans), width - lead)):
            row = Row(width, self.palette, grounds.get(line.side))
            if number is not None:
                row.put(str(number) if number and not n else "", "faint", NUMBER - 1, right=True).skip()
            ink: Ink = _SIGN_INKS.get(line.side, "dim")
            row.put(line.side.value if not n else "…", ink)
            rows.append(self._put(row, spans))
        return rows

    def _put(self, row: Row, spans: Sequence[Span]) -> Strip:
        for text, ink in spans:
            row.put(text, ink)
        return row.strip()

    def move(self, key: str) -> bool:
        steps = {"up": -1, "down": 1, "page_up": -self._room, "page_down": self._room}
        steps |= {"top": -len(self._rows), "bottom": len(self._rows)}
        if key not in steps:
            return False
        self.top = max(0, self.top + steps[key])
        self.paint()
        return True
