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

    def outline(self) -> str:
        """Return the text with the name of each knob in place of its value."""
        parts: list[str] = []
        at = 0
        for (start, end), name in sorted((span, name) for name, (span, _) in self._spans.items()):
            parts += (self._text[at:start], f"\0{name}\0")
            at = end
        return "".join((*parts, self._text[at:]))

    def set_values(self, values: Mapping[str, Value]) -> str:
        """Return the text with other values. A list changes element by element, and grows or shrinks at its end."""
        replaced: list[tuple[Span, str]] = []
        for name, new in values.items():
            old, (span, elements) = self.values[name], self._spans[name]
            if isinstance(new, list) and isinstance(old, list) and self._keeps_elements(new, span, elements):
                replaced += self._in_list(old, new, span, elements)
            else:
                replaced.append((span, self._spelled(new, self._text[slice(*span)])))
        parts: list[str] = []
        at = 0
        for (start, end), text in sorted(replaced):
            parts += (self._text[at:start], text)
            at = end
        return "".join((*parts, self._text[at:]))

    def _keeps_elements(self, new: list[Any], span: Span, elements: list[Span]) -> bool:
        """Return True if a list has places for its elements: as many of them, in brackets, or a line each."""
        return len(new) == len(elements) or bool(new and elements and self._text[span[0]] in "[-")

    def _in_list(self, old: list[Any], new: list[Any], span: Span, elements: list[Span]) -> list[tuple[Span, str]]:
        """Return the places in a list with their new texts: the changed elements, and the end of the longer one."""
        changed = zip(elements, old, new, strict=False)
        found = [(place, self._spelled(b, self._text[slice(*place)])) for place, a, b in changed if not is_same(a, b)]
        last = elements[-1][1]
        if len(new) < len(old):
            return [*found, ((elements[len(new) - 1][1], last), "")]
        before = ", "
        if self._text[span[0]] == "-":
            indent = self._text[self._text.rfind("\n", 0, span[0]) + 1 : span[0]]
            before = f"\n{indent if indent.isspace() else ' ' * len(indent)}- "
            last = next((at for at in range(last, len(self._text)) if self._text[at] in "\r\n"), len(self._text))
        added = "".join(f"{before}{self._spelled(each, '')}" for each in new[len(old) :])
        return [*found, ((last, last), added)] if added else found
