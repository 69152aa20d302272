"""Reads a number as programs print one: `0.98`, `12,345.5`, `9921/10000`, `$1.50`, `63 ms`, `1m 3s`."""

import math
import re
from typing import NamedTuple

from cockpit.core.plausible import LARGEST
from cockpit.core.units import seconds_of, unit_of

_NUMBER = re.compile(r"[-+]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,3})?", re.ASCII)
_GROUPED = re.compile(
    r"[-+]?[1-9]\d{0,2}([,'_\xa0\u2009\u202f])\d{3}(?:\1\d{3}){0,3}(?!\d|[,'_\xa0\u2009\u202f]\d)", re.ASCII
)
"""A number with separated thousands, or its whole part. `0,980` has a decimal comma."""
_SEVERAL = re.compile(
    r"[-+]?(?:\d{1,3}(?:\.\d{3}){1,4},\d{1,40}|\d{1,3}(?:[ \xa0\u2009\u202f']\d{3}){1,4},\d{1,40}"
    r"|\d{1,3}(?: \d{3}){1,4}|\d{1,40},\d{1,40})(?![\w,]|[.:/]\d)",
    re.ASCII,
)
"""One number in another notation, or several: `0,93`, `1.234,56`, `1 234 567`."""
_CURRENCY = re.compile(r"([-+]?)[$\u20ac\xa3\xa5]\s?(?=[-+.\d])")
_MINUS = str.maketrans("\u2212", "-")
_UNIT = re.compile(
    r"(?!x[0-9a-f]|(?-i:[ej])(?![a-z]))[a-z\xb5\u03bc%/\u20ac\xa3\xa5\xb0\xd7]{0,20}(?:[.:!*?]{0,3}$|,|\(?(?:\xb1|\+/?-)|[\u2190-\u2bff\U0001f300-\U0001faff]|\(\d{1,3}$)",
    re.IGNORECASE,
)
"""The rest of a word after its number: a unit, punctuation, an error, a sign such as a tick.

`0x1f`, `1j` and the half of `1e-5` are other numbers than the one before their letter."""
_WORD_END = re.compile(r"[\s;|)\]}\"'<>`\x00]")
_UNIT_WORD = re.compile(r"\s?(%|[A-Za-z\xb5\u03bc]{1,12}(?:/[A-Za-z]{1,12})?)(?!\w)")
_RATIO = re.compile(
    r"(\d{1,15}(?:\.\d{1,15})?)(?:\s?/\s?|\s(?:out\s)?of\s)(\d{1,15}(?:\.\d{1,15})?)(?![\w/]|\.\d)", re.ASCII
)
_CLOCK = re.compile(r"(?:(\d{1,4}) days?, )?(?:(\d{1,4}):)?(\d{1,4}):(\d{2}(?:\.\d{1,9})?)(?![\d:])", re.ASCII)
_TIME = re.compile(
    r"(\d{1,9}(?:\.\d{1,9})?)\s?([a-z\xb5\u03bc]{1,12})(?![a-z/])(?:,?\s?(?:and )?(?=\d))?", re.IGNORECASE
)
"""A part of a duration: its number and its unit."""


class Number(NamedTuple):
    value: float
    unit: str = ""
    """In the spelling of `unit_of`; empty if it is unknown."""


def number_of(text: str, limit: float = LARGEST) -> float | None:
    """Return the number in `text`; None if the text is not a number or its magnitude is over `limit`."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) and abs(value) <= limit else None


def leading_number(text: str, limit: float = LARGEST) -> Number | None:
    """Return the number that a text starts with, if only a unit or punctuation ends its word; None for any other.

    A duration in several parts is in seconds. `0,98` is refused, and so is `1 234`: they may be one number or two.
    """
    text = _CURRENCY.sub(r"\1", text.translate(_MINUS), count=1)
    if (seconds := _duration(text)) is not None:
        return Number(seconds, "s") if seconds <= limit else None
    if ratio := _RATIO.match(text):
        part, whole = float(ratio[1]), float(ratio[2])
        if not whole.is_integer():
            return None  # 0.99/0.93 are two values, such as those of two splits
        if whole:
            return Number(part / whole) if part / whole <= limit else None
    if several_in(text):
        return None
    if grouped := _GROUPED.match(text):
        text = re.sub("[,'_\xa0\u2009\u202f]", "", grouped[0]) + text[grouped.end() :]
    number = _NUMBER.match(text)
    if number is None:
        return None
    after = text[number.end() :]
    rest = _WORD_END.split(after, maxsplit=1)[0]
    if rest[:1] == "(" and "." not in number[0]:
        return None  # 0.930(12) is a value with its uncertainty, and 93(12) may be two numbers
    if not _UNIT.match(rest) or (number[0].lstrip("+-").isdigit() and rest[:1] == "," and rest[1:2].isdigit()):
        return None
    value = number_of(number[0], limit)
    unit = _UNIT_WORD.match(after)
    return None if value is None else Number(value, unit_of(unit[1]) if unit else "")


def several_in(text: str) -> str:
    """Return the start of a text that may be one number in another notation, or several; empty for any other."""
    found = _SEVERAL.match(text)
    return "" if found is None or _GROUPED.fullmatch(found[0]) else found[0]


def whole_number(text: str, limit: float = LARGEST) -> Number | None:
    """Return the number that a whole text is. A comma in it may be a decimal one, and blanks may separate thousands."""
    text = text.strip()
    several = several_in(text.translate(_MINUS))
    if several:
        whole, _, decimals = several.partition(",")
        text = re.sub(r"[. \xa0\u2009\u202f']", "", whole) + f".{decimals}" + text[len(several) :]
    return leading_number(text, limit)


def _duration(text: str) -> float | None:
    """Return the seconds of a duration in several parts, such as `1m 3s` or `0:01:03`; None for any other text."""
    if clock := _CLOCK.match(text):
        days, hours, minutes, seconds = (float(part or 0) for part in clock.groups())
        is_time = seconds < 60 and (minutes < 60 or not clock[2])
        return 86_400 * days + 3_600 * hours + 60 * minutes + seconds if is_time else None
    total, last, parts, at = 0.0, math.inf, 0, 0
    while part := _TIME.match(text, at):
        each = seconds_of(unit_of(part[2]))
        if not 0 < each < last:
            break
        total, last, parts, at = total + float(part[1]) * each, each, parts + 1, part.end()
        if not part[1].isdigit():
            break
    return total if parts > 1 else None
