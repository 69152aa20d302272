"""Arguments of a verb, typed once for the command line, the screen and agents."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

Given = Mapping[str, Any]
"""Argument name to its parsed value; an omitted optional argument is missing or holds its default."""


class Kind(StrEnum):
    """The type of an argument; the first five name things in the session."""

    WAVE = "wave"
    EXPERIMENT = "experiment"
    ATTEMPT = "attempt"
    """An attempt, or an experiment with one running attempt."""
    CLUSTER = "cluster"
    TARGET = "target"
    """A wave or a cluster; empty for the session."""
    TEXT = "text"
    WORDS = "words"
    """All words that follow, as one text."""
    NAMES = "names"
    """Any number of experiments."""
    FACTORS = "factors"
    """One or more words `NAME=LEVEL,LEVEL`."""
    AMOUNT = "amount"
    """Dollars or hours: a number of at least 0."""
    COUNT = "count"
    """An integer of at least 1."""
    CHOICE = "choice"
    FLAG = "flag"
    SWITCH = "switch"
    """Yes or no; None leaves the setting unchanged."""


PATTERNS = {Kind.WAVE: r"w\d{3,}", Kind.EXPERIMENT: r"e\d{4,}", Kind.ATTEMPT: r"e\d{4,}\.\d+"}
"""The form of each name that cockpit gives."""

_METAVARS = {Kind.TARGET: "WAVE|CLUSTER", Kind.FACTORS: "NAME=LEVELS", Kind.NAMES: "EXPERIMENT", Kind.COUNT: "N"}


class Argument(msgspec.Struct, frozen=True):
    """One argument. An `option` is given by name (`--before w003`), any other by position."""

    name: str
    kind: Kind
    help: str = ""
    required: bool = False
    option: bool = False
    choices: tuple[str, ...] = ()
    limit: int = 0
    """The most characters of a text, or items of a list, that an agent may give; 0 for no limit."""

    @property
    def metavar(self) -> str:
        """The placeholder in a usage line."""
        return _METAVARS.get(self.kind, self.name.upper())


def text_of(given: Given, name: str) -> str:
    """Return the text given under a name; empty if it was omitted."""
    return str(given.get(name) or "")
