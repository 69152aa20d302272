"""The spellings of a metric's name in output: `val_bpb` is also `val bpb` and `VAL-BPB`."""

import re
from collections.abc import Iterable

_LETTERS = "\u00c0-\u024f\u0370-\u052f"
"""Letters of alphabets. Other letters beyond ASCII, such as Chinese ones, may adjoin a name without a blank."""
_SEPARATORS = re.compile(r"[\s_-]+")


def plain(name: str) -> str:
    """Return a name without its case, and with `_` for each separator: `VAL BPB` is `val_bpb`."""
    return _SEPARATORS.sub("_", name.lower())


def spelt(names: Iterable[str]) -> str:
    """Return the pattern of any of these names, as a whole word. Its group is the name.

    Three dots or dashes before it are no part of a word.
    """
    return rf"(?:(?<![\w.{_LETTERS}-])|(?<=\.\.\.)|(?<=---)){_any_of(names)}"


def behind_a_digit(names: Iterable[str]) -> str:
    """Return the pattern of any of these names right behind a digit, with a sign for a value: `3/3val_bpb: 0.98`."""
    return rf"(?<=\d){_any_of(names)}\s?[:=]"


def _any_of(names: Iterable[str]) -> str:
    """Return the pattern of any of these names, the longest first. The case of letters beyond ASCII does not matter
    either."""
    longest_first = sorted(names, key=len, reverse=True)
    each = (r"[\s_-]{1,3}".join(map(re.escape, _SEPARATORS.split(name))) for name in longest_first)
    return rf"((?u:{'|'.join(each)}))(?![\w{_LETTERS}])"
