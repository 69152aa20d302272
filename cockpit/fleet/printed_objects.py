"""Reads values from JSON and from the text of Python dictionaries, on one line or over several.

A value is known by its path: `{"val": {"acc": 0.93}}` holds `val_acc`, and an `acc` of `val`. An object of a name and a
value, `{"metric": "acc", "step": 3, "value": 0.93}`, and one of a mean, `{"acc": {"mean": 0.93}}`, hold `acc`.
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from cockpit.core.python_syntax import literal
from cockpit.fleet.printed_names import plain

LINE_CHARACTERS = 4_000
OBJECT_CHARACTERS = 20_000
"""Characters of an object over several lines."""
DEPTH = 8
"""Levels of an object that are searched."""
_SEPARATORS = "_/."
_NAMES = ("name", "metric", "key")
_VALUES = ("value", "val", "score", "result", "mean", "avg", "average")


class Held(NamedTuple):
    name: str
    """The plain spelling of the wanted name."""
    value: str
    path: tuple[str, ...]
    """The names around it, the outermost first."""


class PrintedObjects:
    """The object that a run is printing, if any."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        """The plain spellings of the names."""
        ends = (re.escape(re.split(r"[_/.]", name)[-1]) for name in names)
        self._ends = re.compile("|".join(ends), re.IGNORECASE)
        """The last parts of the names, one of which a text with a value holds."""
        self._lines: list[str] = []
        self._open = 0

    def read(self, text: str) -> list[Held]:
        """Read a line. Returns the values of an object that ends in it."""
        if self._lines:
            self._lines.append(text)
            self._open += _depth(text)
            if self._open > 0 and sum(map(len, self._lines)) < OBJECT_CHARACTERS:
                return []
            whole, self._lines = "\n".join(self._lines), []
            return self._held(whole) if self._open == 0 else []
        if text[:1] in ("{", "[") and text[-1:] in ("{", "[", ",") and _depth(text) > 0:
            self._lines, self._open = [text], _depth(text)
            return []
        at = text.find("{")
        if at < 0 or len(text) > LINE_CHARACTERS:
            return []
        return self._held(text[at : text.rfind("}") + 1])

    def _held(self, text: str) -> list[Held]:
        if not self._ends.search(text):
            return []
        found = _parsed(text)
        return list(self._search(found, ())) if isinstance(found, dict | list) else []

    def _search(self, node: Any, path: tuple[str, ...]) -> Iterator[Held]:
        """Yield the wanted values below a node."""
        if len(path) > DEPTH:
            return
        if isinstance(node, list):
            for item in node:
                yield from self._search(item, path)
        elif isinstance(node, dict):
            value = next((node[key] for key in _VALUES if key in node), None)
            name = next((node[key] for key in _NAMES if isinstance(node.get(key), str)), "")
            if value is not None and not isinstance(value, dict | list):
                yield from self._wanted((*path, name) if name else path, value)
            for key, item in node.items():
                yield from self._search(item, (*path, str(key)))
        else:
            yield from self._wanted(path, node)

    def _wanted(self, path: tuple[str, ...], value: Any) -> Iterator[Held]:
        """Yield a number whose path ends in a wanted name."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        for count in range(1, len(path) + 1):
            for separator in _SEPARATORS:
                if (name := plain(separator.join(path[-count:]))) in self._names:
                    yield Held(name, repr(value), path[:-count])
                    break


def _depth(text: str) -> int:
    """Return the brackets that a line opens and does not close."""
    return sum(text.count(each) for each in "{[") - sum(text.count(each) for each in "}]")


def _parsed(text: str) -> Any:
    """Return the object that a text is; None for any other text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return literal(text)
    except ValueError:
        return None
