"""Reads values below a heading that is the first part of their name: `loss: 0.3` below `eval:` is `eval/loss`.

A heading is a line without numbers that ends in `:`, `/` or `{`, or is set apart by signs: `== Validation ==`.
"""

import re
from collections.abc import Collection
from typing import NamedTuple

from cockpit.fleet.printed_names import plain, spelt

LINE_CHARACTERS = 200
_SIGNS = " \t|\u2502\u2503*#=[]\"'\u2500\u2501-:/{"
_WORDS = re.compile(r"[^\W\d](?:[^\W\d]| (?! )){0,31}")
_IS_SET_APART = re.compile(r"[:/{#]|={2}|-{2}|\u2500{2}|\u2501{2}|\*{2}|[\[\]]")
_MEANS = ("mean", "avg", "average", "value")
_VALUE = r"[\"'*]{0,3}\s{0,20}(?:[:=|\u2502\u2503]|\s)\s{0,40}(?=[-+]?[.\d])(.{1,100})"


class Below(NamedTuple):
    name: str
    """The plain spelling of the wanted name."""
    text: str
    """The value and what follows it."""


class PrintedSections:
    """The heading that a run has printed last."""

    def __init__(self, names: Collection[str]) -> None:
        self._rests: dict[str, dict[str, str]] = {}
        """By the first part of a name, its other parts and the name."""
        for name in names:
            for at in (place for place, sign in enumerate(name) if sign in "_/."):
                self._rests.setdefault(name[:at], {})[name[at + 1 :]] = name
            self._rests.setdefault(name, {}).update(dict.fromkeys(_MEANS, name))
        self._shapes = {
            head: re.compile(rf"[^\w.]{{0,40}}{spelt(rests)}{_VALUE}", re.IGNORECASE)
            for head, rests in self._rests.items()
        }
        self.heading = ""
        """Its plain spelling; empty for none."""

    def read(self, text: str) -> Below | None:
        """Read a line. Returns the value of a name that begins with the heading above it."""
        if len(text) > LINE_CHARACTERS:
            return None
        words = text.strip(_SIGNS)
        if _WORDS.fullmatch(words) and _IS_SET_APART.search(text):
            self.heading = plain(words)
            return None
        if (shape := self._shapes.get(self.heading)) and (value := shape.match(text)):
            return Below(self._rests[self.heading][plain(value[1])], value[2])
        return None
