"""What a terminal shows that was sent a stream.

The screen sends only the cells that changed, so that no word need ever be whole in what is sent.
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
        """Its rows, without the blanks at their ends; what was too long for a row goes on in the same line."""
        wide = self._screen.columns
        rows = [row.rstrip() for row in self._screen.display]
        return "".join(row if len(row) == wide else row + "\n" for row in rows)
