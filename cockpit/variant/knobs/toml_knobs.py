"""Find the knobs of a TOML file: its scalars and lists of scalars, with their places in the text."""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any, NamedTuple

from cockpit.core.model import Value
from cockpit.variant.errors import VariantError
from cockpit.variant.knobs.placed_values import PlacedKnobs, Span
from cockpit.variant.knobs.typed_values import storable

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
"""Blanks, ends of lines and comments."""
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r"""([A-Za-z0-9_-]+)|"(?:[^"\\]|\\.)*"|'[^']*'""")
_TEXT = re.compile(
    r"""\"{3}(?:[^\\]|\\.)*?\"{3}"{0,2}|'{3}.*?'{3}'{0,2}|"(?:[^"\\]|\\.)*"|'[^']*'""",
    re.DOTALL,
)
_WORD = re.compile(r"\d{4}-\d\d-\d\d [\d:.+Z-]+|[^\s,\]}#]+")
"""A value that is not in quotes: a number, a switch, a date with its time."""

_Path = tuple[str, ...]


class _Place(NamedTuple):
    span: Span
    elements: list[Span]


def find_knobs(source: str, path: str) -> PlacedKnobs:
    """Return the knobs of a TOML text. Raises VariantError if it is not TOML."""
    try:
        values = list(_walk((), tomllib.loads(source)))
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise VariantError(f"{path} is not TOML: {error}.") from None
    knobs = PlacedKnobs(source, _spelled)
    places = _Scan(source).places()
    for names, value in values:
        if (place := places.get(names)) is not None:
            knobs.add(".".join(names), value, place.span, place.elements)
    return knobs


def _walk(names: _Path, value: Any) -> Iterator[tuple[_Path, Value]]:
    """Yield each scalar and each list of scalars by its keys. A key with a dot in it holds no knobs."""
    if isinstance(value, dict):
        for key, each in value.items():
            if "." not in key:
                yield from _walk((*names, key), each)
    elif isinstance(value, list):
        scalars = [storable(each) for each in value]
        if scalars and all(each is not None for each in scalars):
            yield names, [each for each in scalars if each is not None]
        else:
            for number, each in enumerate(value):
                yield from _walk((*names, str(number)), each)
    elif (scalar := storable(value)) is not None:
        yield names, scalar


class _Scan:
    """Finds the place of each value of a valid TOML text, in one pass."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[_Path, _Place] = {}
        self._tables: dict[_Path, int] = {}
        """The number of tables that each array of tables has so far."""

    def places(self) -> dict[_Path, _Place]:
        """Return the place of each value by its keys; a list's elements are numbered from 0."""
        table: _Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._found

    def _skip(self, shape: re.Pattern[str]) -> None:
        found = shape.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _header(self) -> _Path:
        """Read `[table]` or `[[table]]`, and return its keys with the numbers of the tables of arrays among them."""
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        *above, last = self._keys()
        self._at += 2 if is_array else 1
        names: _Path = ()
        for key in above:
            names = self._newest((*names, key))
        names = (*names, last)
        if is_array:
            self._tables[names] = self._tables.get(names, 0) + 1
        return self._newest(names)

    def _newest(self, names: _Path) -> _Path:
        """Add the number of the newest table if these are the keys of an array of tables."""
        count = self._tables.get(names)
        return names if count is None else (*names, str(count - 1))

    def _keys(self) -> list[str]:
        """Read the parts of a key up to the sign behind it."""
        keys: list[str] = []
        while True:
            self._skip(_SPACE)
            found = _KEY.match(self._text, self._at)
            if found is None:
                raise ValueError("a key is missing")
            keys.append(found[1] or next(iter(tomllib.loads(f"{found[0]} = 0"))))
            self._at = found.end()
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _pair(self, table: _Path) -> None:
        names = (*table, *self._keys())
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(names)

    def _value(self, names: _Path) -> Span:
        start = self._at
        elements: list[Span] = []
        if self._text[start] == "[":
            self._at += 1
            self._skip(_BLANK)
            while self._text[self._at] != "]":
                elements.append(self._value((*names, str(len(elements)))))
                self._skip_comma()
            self._at += 1
        elif self._text[start] == "{":
            self._at += 1
            self._skip(_BLANK)
            while self._text[self._at] != "}":
                self._pair(names)
                self._skip_comma()
            self._at += 1
        else:
            found = _TEXT.match(self._text, start) or _WORD.match(self._text, start)
            if found is None:
                raise ValueError("a value is missing")
            self._at = found.end()
        self._found[names] = _Place((start, self._at), elements)
        return start, self._at

    def _skip_comma(self) -> None:
        self._skip(_BLANK)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_BLANK)


def _spelled(value: Value, old: str) -> str:
    """Spell a value as TOML, a text in the old quotes if they can hold it."""
    if isinstance(value, list):
        return f"[{', '.join(_spelled(each, '') for each in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    if old[:1] == "'" and "'" not in value and value.isprintable():
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
