"""Searches for a person's regular expression in lines of output, each for a limited time.

Repetitions that nest take exponential time on some lines, and Python's `re` cannot be interrupted: a run could hold up
its worker by one line.
"""

import re
from typing import Protocol

LINE_S = 0.1
"""Processor time for a line. An ordinary pattern takes microseconds."""
LINE_CHARACTERS = 4_000
"""Characters of a line that a pattern is tried on."""

_BRACE = re.compile(r"(\\N\{[^}]*\}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\])|\{(?!\d*,?\d*\})", re.DOTALL)
"""A brace that is text for `re` and opens a fuzzy match for `regex`; or, in the group, a part that stays as it is."""


class Found(Protocol):
    """A place that matches."""

    def __getitem__(self, group: int) -> str | None: ...

    def groups(self) -> tuple[str | None, ...]: ...


class TimedPattern:
    """A compiled pattern. The constructor raises no error for a pattern that `check_pattern` accepts."""

    def __init__(self, pattern: str) -> None:
        import regex  # most sessions have no pattern

        self._pattern = regex.compile(_BRACE.sub(lambda found: found[1] or r"\{", pattern))
        self.is_too_slow = False
        """True once a line took too long. No further line is searched."""

    def find_all(self, line: str) -> list[Found]:
        """Return all places in a line that match; none from the first line on that takes too long."""
        if self.is_too_slow:
            return []
        try:
            return list(self._pattern.finditer(line[:LINE_CHARACTERS], timeout=LINE_S))
        except TimeoutError:
            self.is_too_slow = True
            return []

    def find(self, line: str) -> Found | None:
        """Return the first place in a line that matches."""
        return next(iter(self.find_all(line)), None)
