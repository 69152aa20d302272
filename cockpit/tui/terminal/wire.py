"""The bytes sent to the terminal: only the cells that changed, in the fewest bytes.

Textual sends every refreshed widget again, from its left edge. Here the composed frame is compared, cell by cell, with
what the terminal was last sent; a frame without changes sends nothing. While the terminal has not yet taken the last
frame, newer frames replace each other, so that a key's answer never waits behind old frames.
"""

from collections.abc import Iterable

from rich.cells import cell_len, get_character_cell_size
from rich.color import Color, ColorSystem
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

MERGE_GAP = 4
"""Unchanged cells up to this many are sent again, which takes fewer bytes than a cursor move."""

_ATTRIBUTES = (("bold", "1"), ("dim", "2"), ("italic", "3"), ("underline", "4"), ("reverse", "7"), ("strike", "9"))

Look = tuple[tuple[str, ...], str, str]
"""The attribute codes, foreground code and background code of a style."""

_NO_LOOK: Look = ((), "39", "49")
_ON_BLANKS = {"4", "7", "9"}
"""The attributes that show on a blank: underline, reverse and strike."""


class Wire:
    """The terminal's cells: the wanted ones and those that were sent."""

    def __init__(self, colours: ColorSystem) -> None:
        self.width = 0
        self.height = 0
        self._colours = colours
        self._looks: list[Look] = [_NO_LOOK]
        self._look_ids: dict[Look, int] = {_NO_LOOK: 0}
        self._style_ids: dict[Style | None, tuple[int, int]] = {None: (0, 0)}
        self._texts: list[list[str]] = []
        self._inks: list[list[int]] = []
        self._sent_texts: list[list[str]] = []
        self._sent_inks: list[list[int]] = []
        self._changed: set[int] = set()

    def resize(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._texts = [[" "] * width for _ in range(height)]
        self._inks = [[0] * width for _ in range(height)]
        self.forget()

    def forget(self) -> None:
        """Send everything next time: the terminal's contents are unknown."""
        self._sent_texts = [[""] * self.width for _ in range(self.height)]
        self._sent_inks = [[-1] * self.width for _ in range(self.height)]
        self._changed = set(range(self.height))

    def take(self, update: CompositorUpdate) -> None:
        """Put a composed frame, or part of one, over the wanted cells."""
        if isinstance(update, LayoutUpdate):
            for y, strips in enumerate(update.strips, update.region.y):
                x = update.region.x
                for strip in strips:
                    x = self._lay(x, y, strip)
        elif isinstance(update, ChopsUpdate):
            for y in {y for y, _, _ in update.spans}:
                for x, piece in update.chops[y].items():
                    if piece is not None:
                        self._lay(x, y, piece)
        else:
            raise TypeError(f"not a frame: {update!r}")

    def _lay(self, x: int, y: int, strip: Strip) -> int:
        if not 0 <= y < self.height:
            return x
        texts, inks = self._texts[y], self._inks[y]
        for text, style, control in strip:
            if control or not text:
                continue
            ink, blank_ink = self._ink(style)
            if text.isspace():
                ink = blank_ink
            cells = list(text) if text.isascii() or cell_len(text) == len(text) else _cells(text)
            cells = cells[: max(0, self.width - x)]
            texts[x : x + len(cells)] = cells
            inks[x : x + len(cells)] = [ink] * len(cells)
            x += len(cells)
        self._changed.add(y)
        return x

    def _ink(self, style: Style | None) -> tuple[int, int]:
        """Return the looks of a style and of its blanks. A blank shows no foreground."""
        known = self._style_ids.get(style)
        if known is not None:
            return known
        assert style is not None
        codes = tuple(code for name, code in _ATTRIBUTES if getattr(style, name))
        foreground, background = self._code(style.color, True), self._code(style.bgcolor, False)
        look: Look = (codes, foreground, background)
        blank: Look = (tuple(code for code in codes if code in _ON_BLANKS), foreground, background)
        if not blank[0]:
            blank = ((), "39", background)
        found = (self._look_id(look), self._look_id(blank))
        if len(self._style_ids) > 10_000:
            self._style_ids = {None: (0, 0)}
        self._style_ids[style] = found
        return found

    def _look_id(self, look: Look) -> int:
        if look not in self._look_ids:
            self._look_ids[look] = len(self._looks)
            self._looks.append(look)
        return self._look_ids[look]

    def _code(self, colour: Color | None, foreground: bool) -> str:
        if colour is None or colour.is_default:
            return "39" if foreground else "49"
        return ";".join(colour.downgrade(self._colours).get_ansi_codes(foreground))

    def flush(self) -> str:
        """Return the sequence that makes the terminal show the wanted cells; empty if it does already.

        The pieces of a row are sent look by look: a cursor move takes 5 bytes, a change of colour 19.
        """
        out: list[str] = []
        look, at_x, at_y = _NO_LOOK, -1, -1
        for y in sorted(self._changed):
            texts, inks, sent_texts, sent_inks = (
                self._texts[y], self._inks[y], self._sent_texts[y], self._sent_inks[y],
            )  # fmt: skip
            if texts == sent_texts and inks == sent_inks:
                continue
            for wanted, start, stop in _by_look(self._pieces(texts, inks, sent_texts, sent_inks), look):
                if y != at_y or start < at_x:
                    out.append(f"\x1b[{y + 1};{start + 1}H")
                elif start > at_x:
                    out.append(f"\x1b[{start - at_x}C")
                out.append(_turn(look, wanted))
                out.append("".join(texts[start:stop]))
                look = wanted
                at_x, at_y = stop, y
                if at_x >= self.width:
                    at_y = -1
            self._sent_texts[y], self._sent_inks[y] = list(texts), list(inks)
        self._changed.clear()
        if out and look != _NO_LOOK:
            out.append("\x1b[m")
        return "".join(out)

    def _pieces(
        self, texts: list[str], inks: list[int], sent_texts: list[str], sent_inks: list[int]
    ) -> list[tuple[Look, int, int]]:
        """Return the look and [start, stop) of the runs of changed cells. No wide character is split.

        A blank shows only its ground, and joins any run on that ground.
        """
        pieces: list[tuple[Look, int, int]] = []
        width, taken = len(texts), 0
        for x in range(width):
            if x < taken or (texts[x] == sent_texts[x] and inks[x] == sent_inks[x]):
                continue
            start, stop = x, x + 1
            while start and not texts[start]:
                start -= 1
            while stop < width and not texts[stop]:
                stop += 1
            taken = stop
            look = self._looks[inks[start]]
            if pieces and start - pieces[-1][2] <= MERGE_GAP:
                before, first, last = pieces[-1]
                joined = self._joined(before, texts, inks, last, stop)
                if joined is None and texts[first:last] == [" "] * (last - first) and _is_ground(before, look):
                    joined = self._joined(look, texts, inks, last, stop)
                if joined is not None:
                    pieces[-1] = (joined, first, stop)
                    continue
            pieces.append((look, start, stop))
        return pieces

    def _joined(self, look: Look, texts: list[str], inks: list[int], start: int, stop: int) -> Look | None:
        """Return `look` if it can draw the cells of [start, stop), else None."""
        for x in range(start, stop):
            wanted = self._looks[inks[x]]
            if wanted != look and not (texts[x] == " " and _is_ground(wanted, look)):
                return None
        return look


def _is_ground(blank: Look, look: Look) -> bool:
    """Return True if a blank of the first look may be drawn in the second."""
    return blank[2] == look[2] and not blank[0] and not set(look[0]) & _ON_BLANKS


def _by_look(pieces: list[tuple[Look, int, int]], look: Look) -> Iterable[tuple[Look, int, int]]:
    """Yield the pieces of the current look, then of each other one, from left to right."""
    looks = dict.fromkeys([look, *(piece[0] for piece in pieces)])
    return (piece for wanted in looks for piece in pieces if piece[0] == wanted)


def _cells(text: str) -> list[str]:
    """Split the text into one string a cell. A wide character is followed by an empty string."""
    cells: list[str] = []
    for character in text:
        width = get_character_cell_size(character)
        if width:
            cells.extend([character, ""] if width == 2 else [character])
        elif cells:
            cells[-1] += character
    return cells


def _turn(look: Look, wanted: Look) -> str:
    """Return the sequence from one look to another: the difference, or a reset where attributes end."""
    codes: list[str] = []
    if look[0] != wanted[0]:
        if set(look[0]) <= set(wanted[0]):
            codes.extend(code for code in wanted[0] if code not in look[0])
        else:
            codes.extend(["", *wanted[0]])
            look = _NO_LOOK
    if look[1] != wanted[1]:
        codes.append(wanted[1])
    if look[2] != wanted[2]:
        codes.append(wanted[2])
    return f"\x1b[{';'.join(codes)}m" if codes else ""
