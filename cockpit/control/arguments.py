"""Arguments of a verb, typed once for the command line, the screen and agents."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Given = Mapping[str, Any]
"""Argument name to its value, read; an optional argument that was left out is missing or holds its default."""


class Kind(StrEnum):
    """The type of an argument; the first four are names of things in the session."""

    WAVE = "wave"
    EXPERIMENT = "experiment"
    ATTEMPT = "attempt"
    CLUSTER = "cluster"
    TARGET = "target"
    """A wave, a cluster, or nothing for the session."""
    TEXT = "text"
    WORDS = "words"
    """All that follows, as one text."""
    NAMES = "names"
    """Any number of experiments."""
    AMOUNT = "amount"
    """Dollars or hours: a number of at least 0."""
    COUNT = "count"
    """An integer of at least 1."""
    CHOICE = "choice"
    FLAG = "flag"
    SWITCH = "switch"
    """Yes, no, or left as it is."""


@dataclass(frozen=True)
class Argument:
    """One argument. An `option` is given by name (`--before w003`), the others by place."""

    name: str
    kind: Kind
    help: str = ""
    required: bool = False
    option: bool = False
    choices: tuple[str, ...] = ()

    @property
    def metavar(self) -> str:
        return "WAVE|CLUSTER" if self.kind is Kind.TARGET else self.name.upper()


def text_of(given: Given, name: str) -> str:
    """The text given under a name; empty where it was left out."""
    return str(given.get(name) or "")
