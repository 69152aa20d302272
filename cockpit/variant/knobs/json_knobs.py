"""Find the knobs of a JSON file: its scalars and lists of scalars, with their places in the text."""

import json
import re
from collections.abc import Callable
from typing import Any

from cockpit.core.model import Value
from cockpit.variant.errors import VariantError
from cockpit.variant.knobs.placed_values import PlacedKnobs, Span
from cockpit.variant.knobs.typed_values import storable

_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\n\r]*")
_SCALAR = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?|true|false|null")


def find_knobs(source: str, path: str) -> PlacedKnobs:
    """Return the knobs of a JSON text. Raises VariantError if it is not JSON."""
    knobs = PlacedKnobs(source, _spelled)
    try:
        json.loads(source)
        _Walk(source, knobs.add).value("", _blank(source, 0))
    except (ValueError, RecursionError) as error:
        raise VariantError(f"{path} is not JSON: {error}.") from None
    return knobs


def _blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _text(source: str, at: int) -> tuple[str, int]:
    """Return (the text whose quote is at a place, the place after it)."""
    found, end = _DECODER.raw_decode(source, at)
    return str(found), end


class _Walk:
    """Reads a valid JSON text once, and reports each value with its place."""

    def __init__(self, text: str, add: Callable[[str, Any, Span, list[Span]], None]) -> None:
        self._text = text
        self._add = add

    def value(self, name: str, at: int) -> tuple[Any, int]:
        """Return (the value at a place, the place after it); containers of more than scalars are None."""
        match self._text[at]:
            case "{":
                return None, self._object(name, at)
            case "[":
                return self._array(name, at)
            case '"':
                text, end = _text(self._text, at)
            case _:
                word = _SCALAR.match(self._text, at)
                assert word is not None
                text, end = json.loads(word[0]), word.end()
        self._add(name, storable(text), (at, end), [])
        return text, end

    def _object(self, name: str, at: int) -> int:
        at = _blank(self._text, at + 1)
        while self._text[at] != "}":
            key, at = _text(self._text, at)
            at = _blank(self._text, _blank(self._text, at) + 1)  # over the colon
            _, at = self.value(f"{name}.{key}" if name else key, at)
            at = _blank(self._text, at)
            if self._text[at] == ",":
                at = _blank(self._text, at + 1)
        return at + 1

    def _array(self, name: str, start: int) -> tuple[Any, int]:
        at = _blank(self._text, start + 1)
        values: list[Any] = []
        places: list[Span] = []
        while self._text[at] != "]":
            value, end = self.value(f"{name}.{len(values)}" if self._text[at] in "{[" else "", at)
            values.append(storable(value))
            places.append((at, end))
            at = _blank(self._text, end)
            if self._text[at] == ",":
                at = _blank(self._text, at + 1)
        if all(value is not None for value in values):
            self._add(name, values, (start, at + 1), places)
        return None, at + 1


def _spelled(value: Value, old: str) -> str:
    """Spell a value as JSON, a text in the letters of the old one: escaped to ASCII or not."""
    return json.dumps(value, ensure_ascii=old.isascii())
