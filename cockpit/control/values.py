"""Parse typed values, by one rule for the command line, the screen and agents."""

import math
import re
import sys
from typing import TypeGuard

from cockpit.core.errors import CockpitError
from cockpit.core.knobs import KnobRange
from cockpit.core.model import Scalar, Value
from cockpit.core.python_syntax import literal

KNOB = r"[A-Za-z_][\w./:-]{0,119}"
"""The form of a constant's name: `DEPTH`, `Config.depth`, `args.lr`, `config.yaml:model.depth`."""


TEXT_CHARACTERS = 100
"""Characters of an argument that are shown in a sentence."""


class BadArgument(CockpitError):
    """An argument is invalid; the message is one sentence that says what was expected."""


def parse_value(text: str) -> Value:
    """Parse one level: a Python literal, or a bare word as text; a tuple becomes a list. Raises BadArgument."""
    text = text.strip()
    if not text:
        raise BadArgument("a level is empty: give a number, a word or a tuple")
    try:
        found = literal(text)
    except ValueError:
        return text
    if isinstance(found, tuple | list):
        items = list(found)
        if items and all(map(_is_scalar, items)):
            return items
        raise BadArgument(f"{text[:TEXT_CHARACTERS]} is not a level: a tuple holds numbers or words")
    if _is_scalar(found) and found != "":
        return found
    raise BadArgument(f"{text[:TEXT_CHARACTERS]} is not a level: give a number, a word or a tuple")


def _is_scalar(found: object) -> TypeGuard[Scalar]:
    """Tell a word, or a number that a float can hold."""
    return isinstance(found, str) or (isinstance(found, bool | int | float) and abs(found) <= sys.float_info.max)


def parse_knob(text: str) -> KnobRange:
    """Parse the setting of a knob: `pin`, `exclude`, `free`, `LOW..HIGH` with either end left out, or choices.

    Raises BadArgument.
    """
    words = text.strip()
    match words.lower():
        case "pin":
            return KnobRange(excluded="it is pinned", pinned=True)
        case "exclude":
            return KnobRange(excluded="it is excluded by hand")
        case "free":
            return KnobRange()
    low, dots, high = words.partition("..")
    if dots:
        ends = [None if not end.strip() else _number(end) for end in (low, high)]
        if ends == [None, None]:
            raise BadArgument(f"{words[:TEXT_CHARACTERS]} is not a range: expected LOW..HIGH, such as 0.01..0.1")
        return KnobRange(ends[0], ends[1])
    choices = parse_levels(words)
    if len(choices) < 2 or any(isinstance(choice, list) for choice in choices):
        raise BadArgument(
            f"{_shown(words)} is invalid: expected pin, exclude, free, a range such as 0.01..0.1, or choices as in"
            " relu,gelu"
        )
    return KnobRange(choices=tuple(choice for choice in choices if not isinstance(choice, list)))


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.inf
    if not math.isfinite(number):
        raise BadArgument(f"{text.strip()[:TEXT_CHARACTERS]} is not the end of a range: give a number")
    return number


def parse_levels(text: str) -> list[Value]:
    """Parse comma-separated levels, each alone: `1e-3,SSSL` is [0.001, "SSSL"], `(0.8,0.9),(0.9,0.95)` is two lists.

    Raises BadArgument.
    """
    return [parse_value(part) for part in _split(text)]


def parse_factor(text: str) -> tuple[str, list[Value]]:
    """Parse `NAME=LEVEL,LEVEL`. Raises BadArgument."""
    name, equals, levels = text.partition("=")
    name = name.strip()
    if not equals or not re.fullmatch(KNOB, name) or not levels.strip():
        raise BadArgument(f"{_shown(text)} is not a factor: write NAME=LEVEL,LEVEL, such as MATRIX_LR=0.02,0.04")
    return name, parse_levels(levels)


def parse_amount(text: str) -> float:
    """Parse dollars, hours or seconds: a finite number of at least 0. Raises BadArgument."""
    try:
        number = float(text.strip().removeprefix("$"))
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise BadArgument(f"{_shown(text)} is invalid: expected a number of at least 0")
    return number


def parse_count(text: str, at_least: int = 1) -> int:
    """Parse an integer of at least `at_least`. Raises BadArgument."""
    digits = text.strip()
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 16 else at_least - 1
    if number < at_least:
        raise BadArgument(f"{_shown(text)} is invalid: expected an integer of at least {at_least}")
    return number


def _split(text: str) -> list[str]:
    """Split at the commas outside brackets and quotes."""
    parts, begins, depth, quote = [], 0, 0, ""
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "," and depth <= 0:
            parts.append(text[begins:at])
            begins = at + 1
    return [*parts, text[begins:]]


def _shown(text: str) -> str:
    """Return an argument in quotes, as much of it as a sentence shows."""
    return repr(text[:TEXT_CHARACTERS])
