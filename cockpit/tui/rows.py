"""A row of the screen, built from left to right to an exact width."""

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from cockpit.tui.plain import cut, width_of, wrap
from cockpit.tui.theme import Palette

Ink = str | Style
"""A role of the palette, or a style."""


class Row:
    """A row of `width` cells. Texts put into it must be plain; one that does not fit is cut with an ellipsis."""

    def __init__(self, width: int, palette: Palette, ground: Style | None = None) -> None:
        self.width = width
        self.at = 0
        self._palette = palette
        # In a selected row that is drawn in reverse, a colour would be a block.
        self._colourless = palette.ansi and ground is not None and ground == palette.selection
        self._base = palette.base if ground is None else palette.base + ground
        self._segments: list[Segment] = []

    @property
    def left(self) -> int:
        """The cells that are still free."""
        return self.width - self.at

    def put(self, text: str, ink: Ink = "text", width: int = 0, right: bool = False) -> "Row":
        """Add text, in a column of `width` cells if given, aligned right if asked."""
        room = min(width or self.left, self.left)
        if room <= 0:
            return self
        text = cut(text, room)
        taken = width_of(text)
        if width and right:
            self.skip(room - taken)
        if taken:
            style = self._palette[ink] if isinstance(ink, str) else ink
            if self._colourless:
                style = style.without_color
            self._segments.append(Segment(text, self._base + style))
            self.at += taken
        if width and not right:
            self.skip(room - taken)
        return self

    def skip(self, cells: int = 1) -> "Row":
        cells = min(cells, self.left)
        if cells > 0:
            self._segments.append(Segment(" " * cells, self._base))
            self.at += cells
        return self

    def to(self, column: int) -> "Row":
        """Add blanks up to `column`; none if the row is past it."""
        return self.skip(column - self.at)

    def end(self, text: str, ink: Ink = "text") -> "Row":
        """Add text at the right end of the row, if it fits."""
        if width_of(text) < self.left:
            self.to(self.width - width_of(text))
            self.put(text, ink)
        return self

    def bar(self, fraction: float, cells: int, ink: Ink = "bar") -> "Row":
        """Add a progress bar of `cells` cells, drawn in half cells."""
        halves = round(max(0.0, min(1.0, fraction)) * cells * 2)
        whole, half = divmod(halves, 2)
        self.put("━" * whole, ink) if whole else None
        if half:
            self.put("╸", ink)
        rest = cells - whole - half
        return self.put("─" * rest, "track") if rest else self

    def segments(self) -> list[Segment]:
        self.skip(self.left)
        return self._segments

    def strip(self) -> Strip:
        return Strip(self.segments(), self.width)


def hint_rows(width: int, palette: Palette, *paragraphs: str) -> list[Strip]:
    """Return the rows of a hint in an empty pane."""
    lines = [line for text in paragraphs for line in wrap(text, max(1, width - 1))]
    return [Row(width, palette).skip().put(line, "dim").strip() for line in lines]


def title_row(
    width: int,
    palette: Palette,
    title: str,
    note: str,
    focused: bool,
    key: str = "",
    beside: Sequence[tuple[str, str]] = (),
) -> Strip:
    """Return the row above a pane: its name, those of other panes in its place, a thin rule and a note."""
    row = Row(width, palette)
    row.put("━━ " if focused else "── ", "accent" if focused else "track")
    if key:
        row.put(key + " ", "dim")
    row.put(title, "focus" if focused else "title").skip()
    if sum(len(name) + 3 for _, name in beside) + width_of(note) + 6 <= row.left:
        for other_key, name in beside:
            row.put(f"{other_key} {name}", "faint").skip()
    note = whole_parts(note, max(0, row.left - 4))
    rule = row.left - (width_of(note) + 1 if note else 0)
    row.put(("━" if focused else "─") * max(0, rule), "accent" if focused else "track")
    if note:
        row.skip().put(note, "dim")
    return row.strip()


def whole_parts(note: str, cells: int) -> str:
    """Return the parts of a note, separated by two blanks, that fit whole; at least the beginning of the first."""
    while width_of(note) > cells and "  " in note.strip():
        note = note.rpartition("  ")[0].rstrip()
    return cut(note, cells)


def side_by_side(strips: list[Strip], width: int, base: Style) -> Strip:
    joined = Strip.join(strips)
    return joined.adjust_cell_length(width, base)
