"""Suggest the known name nearest to a mistyped one."""

import re
from collections.abc import Iterable
from itertools import islice

NUMBERED = re.compile(r"([a-z]?)0*(\d+)")
NAMES_COMPARED = 200
"""At most this many names are compared by their letters, so that the work is bounded in a long session."""


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return `did you mean NAME?` for the name nearest to `word`; empty if none is near.

    A number is completed first: `e42` and `42` mean e0042, `w7` means w007. `names` needs a fast `in` for that.
    """
    if found := NUMBERED.fullmatch(word.strip().lower()):
        letter, number = found[1], int(found[2][:9])
        for full in (f"{letter or 'e'}{number:04d}", f"{letter or 'w'}{number:03d}", f"gpu-{number:02d}"):
            if full in names:
                return f"did you mean {full}?"
        return ""  # every other number is as near as any
    from difflib import get_close_matches  # imported here: it is needed for a mistyped name only, and loads slowly

    near = get_close_matches(word, islice(names, NAMES_COMPARED), n=1)
    return f"did you mean {near[0]}?" if near else ""
