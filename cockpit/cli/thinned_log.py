"""Thin a run's output for a reader: keep few of the steps that a carriage return overwrites."""

EVERY = 20
"""Steps in a row that overwrite each other, of which the first is shown, besides the very last."""
HELD_BYTES = 1 << 16
"""Bytes of an unfinished line that are held back; a longer one is shown as it comes."""


class ThinnedLog:
    """Thins a log that arrives in pieces."""

    def __init__(self) -> None:
        self._rest = b""
        self._overwritten = 0

    def feed(self, chunk: bytes) -> bytes:
        """Return the lines to show of the next piece. An unfinished line is held back, up to a length."""
        lines = (self._rest + chunk.replace(b"\r\n", b"\n")).split(b"\n")
        self._rest = lines.pop()
        shown = [step for line in lines for step in (*self._steps(line), line.rpartition(b"\r")[2])]
        *steps, self._rest = self._rest.split(b"\r")
        shown += self._kept(steps)
        told = b"".join(step + b"\n" for step in shown)
        if len(self._rest) > HELD_BYTES:
            told, self._rest = told + self._rest, b""
        return told

    def end(self) -> bytes:
        """Return the line that was never finished."""
        return self._rest + b"\n" if self._rest else b""

    def _steps(self, line: bytes) -> list[bytes]:
        kept = self._kept(line.split(b"\r")[:-1])
        self._overwritten = 0
        return kept

    def _kept(self, steps: list[bytes]) -> list[bytes]:
        kept = []
        for step in steps:
            if step and self._overwritten % EVERY == 0:
                kept.append(step)
            self._overwritten += bool(step)
        return kept
