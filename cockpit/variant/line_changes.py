"""Decode a file, split its lines as git does, and count the lines that an edit adds and removes."""

import difflib
import re

from cockpit.variant.errors import VariantError


def lines_of(text: str) -> list[str]:
    """Split lines as git counts them: ended by LF alone."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def lines_changed(before: str, after: str) -> tuple[int, int]:
    """Return (lines added, lines removed)."""
    old, new = lines_of(before), lines_of(after)
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    old, new = old[start : len(old) - end], new[start : len(new) - end]
    kept = sum(block.size for block in difflib.SequenceMatcher(None, old, new).get_matching_blocks())
    return len(new) - kept, len(old) - kept


def text_of(path: str, data: bytes) -> str:
    """Decode a file. Raises VariantError."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise VariantError(f"{path} is not UTF-8 text; save it as UTF-8.") from None
