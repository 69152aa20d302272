"""Apply a proposer's search-and-replace edits: each search text must occur exactly once."""

import difflib
import heapq
from collections.abc import Sequence

from cockpit.core.model import Edit
from cockpit.variant.errors import VariantError, shown

_LIKE = 0.6
"""Similarity above which a line is worth showing."""


def apply_edits(source: str, edits: Sequence[Edit], path: str = "train.py") -> str:
    """Return one file with `edits`, each applied to the text that the earlier ones left. Raises VariantError."""
    for number, edit in enumerate(edits, start=1):
        source = apply_edit(source, edit, path, f"Edit {number} of {len(edits)}")
    return source


def apply_edit(source: str, edit: Edit, path: str, which: str) -> str:
    """Return `source` with an edit; `which` names it, such as `Edit 2 of 3`.

    In a text whose every line ends in CR LF, an edit written with LF means CR LF. Raises VariantError for an edit whose
    search text does not occur exactly once, naming the edit, the number of its occurrences, and where they are or which
    lines are similar.
    """
    search, replace = edit.search, edit.replace
    if _ends_in_crlf(source):
        search, replace = _with_crlf(search), _with_crlf(replace)
    if not search:
        raise VariantError(f"{which} has an empty search text; give the lines to replace.")
    found = _occurrences(source, search)
    if not found:
        raise VariantError(f"{which} does not occur in {path} ({shown(search)}): {_nearest(source, search, path)}")
    if len(found) > 1:
        lines = ", ".join(str(source.count("\n", 0, place) + 1) for place in found[:5])
        more = ", …" if len(found) > 5 else ""
        raise VariantError(
            f"{which} occurs {len(found)} times in {path} ({shown(search)}, at lines {lines}{more}): "
            f"put more of the lines around the place into its search text."
        )
    return source[: found[0]] + replace + source[found[0] + len(search) :]


def _ends_in_crlf(text: str) -> bool:
    return "\r\n" in text and text.count("\n") == text.count("\r\n")


def _with_crlf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def _occurrences(text: str, search: str) -> list[int]:
    """Return the offsets of each occurrence. Overlapping occurrences count separately, since either could be meant."""
    places = []
    place = text.find(search)
    while place >= 0:
        places.append(place)
        place = text.find(search, place + 1)
    return places


def _nearest(source: str, search: str, path: str) -> str:
    lines = [line.strip() for line in source.splitlines()]
    wanted = [line.strip() for line in search.splitlines() if line.strip()]
    if not wanted:
        return "it is only whitespace; give the lines to replace."
    for start in range(len(lines)):
        if lines[start] != wanted[0]:
            continue
        following = [(at, line) for at, line in enumerate(lines[start:], start=start) if line]
        if [line for _, line in following[: len(wanted)]] == wanted:
            end = following[len(wanted) - 1][0]
            return f"lines {start + 1} to {end + 1} differ from it only in whitespace; copy them exactly."
    missing = next((line for line in wanted if line not in lines), "")
    if not missing:
        return "its lines exist, but not consecutively; read the file again."
    likeness = {line: _likeness(line, missing) for line in lines if line}
    near = [line for line in heapq.nlargest(3, likeness, key=likeness.__getitem__) if likeness[line] > 0]
    if not near:
        return f"no line of {path} is similar; read the file again."
    listed = "; ".join(f"line {lines.index(line) + 1} is {shown(line)}" for line in near)
    return f"most similar to {shown(missing)}: {listed}."


def _likeness(line: str, wanted: str) -> float:
    """Return the similarity from 0 to 1 of the whole line or of its beginning, since a comment may follow; 0 below
    _LIKE."""
    matchers = [difflib.SequenceMatcher(None, text, wanted) for text in (line, line[: len(wanted)])]
    return max(
        (matcher.ratio() for matcher in matchers if matcher.quick_ratio() >= _LIKE and matcher.ratio() >= _LIKE),
        default=0.0,
    )
