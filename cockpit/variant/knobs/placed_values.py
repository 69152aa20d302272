"""Knobs of a configuration file by name, each with its place in the text, so that a new value changes nothing else."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from cockpit.core.model import Value
from cockpit.variant.knobs.typed_values import is_same

Span = tuple[int, int]
"""The characters of the text from the first up to the second."""

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*|\d+")
"""A part of a name. Other keys, such as those with a dot in them, hold no knobs."""
MAX_NAME_CHARACTERS = 80


class PlacedKnobs:
    """The knobs of one text."""

    def __init__(self, text: str, spelled: Callable[[Value, str], str]) -> None:
        """Take the text, and the function that spells a value in the format, given the text that it replaces."""
        self.values: dict[str, Value] = {}
        self._text = text
        self._spelled = spelled
        self._spans: dict[str, tuple[Span, list[Span]]] = {}

    def add(self, name: str, value: Any, span: Span, elements: list[Span]) -> None:
        """Take in a value with its place, and the places of its elements; a name that cannot be a knob's is left out.

        A value of None is left out too, and of two with one name the first.
        """
        if value is None or len(name) > MAX_NAME_CHARACTERS or name in self.values:
            return
        if name and all(KEY.fullmatch(part) for part in name.split(".")):
            self.values[name] = value
            self._spans[name] = span, elements

    def set_values(self, values: Mapping[str, Value]) -> str:
        """Return the text with other values. The elements of a list of equal length are replaced one by one."""
        replaced: list[tuple[Span, Value]] = []
        for name, new in values.items():
            old, (span, elements) = self.values[name], self._spans[name]
            if isinstance(new, list) and isinstance(old, list) and len(new) == len(old) == len(elements):
                changes = zip(elements, old, new, strict=True)
                replaced += [(place, after) for place, before, after in changes if not is_same(before, after)]
            else:
                replaced.append((span, new))
        text = self._text
        for (start, end), new in sorted(replaced, key=lambda each: each[0], reverse=True):
            text = text[:start] + self._spelled(new, text[start:end]) + text[end:]
        return text
