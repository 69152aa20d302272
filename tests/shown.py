"""Emulates a terminal, to read its text from the stream that it was sent.

The screen sends only the cells that changed, so the stream may hold no whole word.
"""

import pyte


class Shown:
    """A terminal of that size that takes bytes and is looked at."""

    def __init__(self, columns: int, rows: int) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)

    def take(self, data: bytes) -> None:
        self._stream.feed(data)

    def text(self) -> str:
        """Return its rows without trailing blanks; rows that a long line was wrapped to are joined."""
        wide = self._screen.columns
        rows = [row.rstrip() for row in self._screen.display]
        return "".join(row if len(row) == wide else row + "\n" for row in rows)
