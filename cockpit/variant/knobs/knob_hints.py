"""Read a file's hints on its knobs: ranges in comments and definitions, and defaults that no call uses."""

import ast
import io
import math
import re
import tokenize
from collections.abc import Iterator

from cockpit.core.knobs import KnobRange
from cockpit.core.model import Scalar, Value
from cockpit.variant.knobs.constants import find_constants
from cockpit.variant.knobs.definitions import choices_in, help_in, limits_in
from cockpit.variant.knobs.python_knobs import Knob, find_knobs
from cockpit.variant.syntax import parse

_NUMBER = r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(
    rf"(?:\b(?:range|between|from|in|try)\b\W{{0,3}}({_NUMBER})\s*(?:,|to|and|-|–|\.\.+)\s*({_NUMBER}))"
    rf"|(?:({_NUMBER})\s*(?:\.\.+|\bto\b)\s*({_NUMBER}))",
    re.IGNORECASE,
)
_WORD = r"[\w.+-]+"
_CHOICES = re.compile(
    rf"\b(?:one of|choices?|options?|either)\b\W{{0,3}}({_WORD}(?:\s*(?:,|\||/|\bor\b)\s*(?:or\s+)?{_WORD})+)"
    rf"|(?:^|[\s(:])({_WORD}(?:\s*\|\s*{_WORD})+)",
    re.IGNORECASE,
)

_COMMENTED_KEY = re.compile(
    r"""^[ \t]*(?:- )?["']?([^\s:=#"'-][^:=#"'\n]{0,99}?)["']?[ \t]*[:=].*?\s#[ \t]*(.*)$""", re.MULTILINE
)
"""A line of a configuration: its key, and the comment at its end."""


def stated_ranges(source: str, path: str) -> dict[str, KnobRange]:
    """Return the range of each knob whose choices, comment or help state one that holds its value."""
    values = find_constants(source, path)
    knobs = _knobs(source, path)
    found = {
        name: KnobRange(choices=choices)
        for name, knob in knobs.items()
        if values[name] in (choices := choices_in(knob.definitions))
    }
    texts = [*comments(source, path).items(), *((name, help_in(knob.definitions)) for name, knob in knobs.items())]
    for name, text in texts:
        stated = range_in(text, values[name]) if name not in found else None
        if stated is not None:
            found[name] = stated
    return found


def limits(source: str, path: str) -> dict[str, tuple[float, float]]:
    """Return the least and the greatest valid value of each knob whose definition limits it to a range around it."""
    values = find_constants(source, path)
    found = ((name, values[name], knob.definitions) for name, knob in _knobs(source, path).items())
    limited = ((name, value, limits_in(definitions, value)) for name, value, definitions in found)
    return {
        name: (low, high)
        for name, value, (low, high) in limited
        if isinstance(value, int | float) and low <= value <= high and (math.isfinite(low) or math.isfinite(high))
    }


def range_in(comment: str, value: Value) -> KnobRange | None:
    """Return the range or the choices in a comment; None if it states none that hold the value."""
    if isinstance(value, bool | list):
        return None
    if choices := _CHOICES.search(comment):
        words = re.split(r"\s*(?:,|\||/|\bor\b)\s*", choices[1] or choices[2])
        options = [option for word in words if word and (option := _like(value, word)) is not None]
        if value in options and len(options) > 1:
            return KnobRange(choices=tuple(options))
    if isinstance(value, int | float) and (found := _RANGE.search(comment)):
        low, high = (float(end.replace("_", "")) for end in found.groups() if end)
        if low <= value <= high and low < high:
            return KnobRange(low=low, high=high)
    return None


def _like(value: Scalar, word: str) -> Scalar | None:
    """Return a word as a value of the knob's type; None if it is not one."""
    try:
        return word if isinstance(value, str) else type(value)(word)
    except ValueError:
        return None


def comments(source: str, path: str) -> dict[str, str]:
    """Return the comment at the end of each knob's line, where it has one."""
    if path.endswith(".py"):
        lines = dict(_python_comments(source))
        at = {name: knob.node.end_lineno or knob.node.lineno for name, knob in _knobs(source, path).items()}
        return {name: lines[line] for name, line in at.items() if line in lines}
    by_key: dict[str, list[str]] = {}
    for line in _COMMENTED_KEY.finditer(source):
        by_key.setdefault(line[1], []).append(line[2])
    lines_by_name = {
        name: by_key.get(name) or by_key.get(name.rpartition(".")[2], []) for name in find_constants(source, path)
    }
    return {name: found[0] for name, found in lines_by_name.items() if len(found) == 1}


def _python_comments(source: str) -> Iterator[tuple[int, str]]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string.lstrip("# ")
    except (tokenize.TokenError, SyntaxError):
        return


def _knobs(source: str, path: str) -> dict[str, Knob]:
    return find_knobs(parse(source, path)).knobs if path.endswith(".py") else {}


def given_by_callers(source: str, path: str) -> set[str]:
    """Return the defaults that no call uses, by name: every call in the file gives the field or parameter a value."""
    if not path.endswith(".py"):
        return set()
    parsed = parse(source, path)
    calls: dict[str, list[set[str]]] = {}
    for node in parsed.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            calls.setdefault(called, []).append({keyword.arg or "" for keyword in node.keywords})
    found = set()
    for name in find_knobs(parsed).knobs:
        *holder, own = name.replace(".__init__", "").split(".")
        given = calls.get(holder[-1]) if holder else None
        if given and all(own in keywords for keywords in given):
            found.add(name)
    return found
