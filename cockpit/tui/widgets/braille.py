"""A grid of braille dots, two across and four down in a cell. Each cell has the ink of the last dot put into it."""

from cockpit.tui.rows import Ink

BLANK = 0x2800
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot of a cell, by row and column."""


def is_braille(letter: str) -> bool:
    return BLANK < ord(letter) < BLANK + 0x100


class Braille:
    def __init__(self, across: int, down: int) -> None:
        """Prepare an empty grid of `across` times `down` cells."""
        self.dots_across, self.dots_down = 2 * across, 4 * down
        self._bits = [[0] * across for _ in range(down)]
        self._inks: list[list[Ink]] = [[""] * across for _ in range(down)]

    def put(self, x: int, y: int, ink: Ink) -> None:
        """Put one dot, counted from the upper left; none outside the grid."""
        if 0 <= x < self.dots_across and 0 <= y < self.dots_down:
            self._bits[y // 4][x // 2] |= _BITS[y % 4][x % 2]
            self._inks[y // 4][x // 2] = ink

    def draw(self, ys: list[int | None], ink: Ink, every: int = 1) -> None:
        """Draw a curve of one height a column, joined where it is steep; with `every` above 1 single dots of it."""
        before: int | None = None
        for x, y in enumerate(ys):
            if y is not None and x % every == 0:
                joined = before is not None and every == 1 and abs(y - before) > 1
                reach = range(min(y, before + 1), max(y, before - 1) + 1) if joined and before is not None else (y,)
                for dot in reach:
                    self.put(x, dot, ink)
            before = y

    def cell(self, column: int, row: int) -> tuple[str, Ink]:
        """Return the letter of a cell and its ink; a blank if it has no dot."""
        bits = self._bits[row][column]
        return (chr(BLANK + bits), self._inks[row][column]) if bits else (" ", "")
