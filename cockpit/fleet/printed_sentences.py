"""Reads values from sentences: `Accuracy of the model on 10000 images is 0.93`, `reached 0.93 accuracy`.

The words around the name are the kind of a sentence. Values in sentences of several kinds, such as one for each class,
leave open which one is the metric.
"""

import re
from collections.abc import Collection
from typing import NamedTuple

from cockpit.core.units import unit_of
from cockpit.fleet.printed_names import spelt

LINE_CHARACTERS = 500
PATTERN_CHARACTERS = 60
_WORDS = r"(?:\s{1,3}[^\s=]{1,30}){0,12}?"
_GAP = (
    r"(?:\s(?:score|value|result|rate)s?)?"
    rf"(?:\s(?:of|on|for|over|in|after|at|with|across|using){_WORDS}|\s\([^()]{{1,60}}\))?"
)
_NUMBER = r"[-+\u2212]?[$\u20ac\xa3\xa5]?\.?\d"
_ENDS = r"[\d.,]*\d\s?%?(?=[\s,;.!)]*$|[,;.!)]\s|\s(?:on|for|after|at|in|with|and|over|across|by|from)\s)"
_LINK = (
    rf"\s?[:=]\s{{0,3}}(?={_NUMBER})|\s(?:is|was|are|were|equals|reached|reaches|hits?)(?:\s?[:=])?\s{{1,3}}(?={_NUMBER})"
    rf"|\sof\s{{1,3}}(?=[-+]?\.?\d{_ENDS}|[-+]?\d\s?%?(?:[\s,;.!)]*$))"
)
_COMPARED = re.compile(
    r"\s?(?:percentage |%\s?)?(?:points?|pp|higher|lower|better|worse|more|less|above|below|times|x|of|to)\b",
    re.IGNORECASE,
)
"""Words behind a number that is a difference, or one of several."""
_OF_OTHERS = re.compile(
    r"(?<![a-z])(?:best|lowest|highest|previous|target|champion|incumbent|baseline|reference|goal|threshold|required"
    r"|expected|random|chance|not|never|minimum|maximum|improved|if|unless)(?![a-z])",
    re.IGNORECASE,
)
"""Words of a sentence about another run, or about none."""
_BEFORE = (
    r"(?:^|(?<=[\s(:=]))([-+]?(?:\d{1,3}(?:,\d{3})+|\d{1,40})?(?:\.\d{1,40})?(?:[eE][-+]?\d{1,3})?)"
    r"(\s?%|[x\xd7]|\s[a-z\xb5]{1,12})?\s{1,40}"
)
"""A number and its unit before a name."""
_TIMES = frozenset("xX\xd7")
_A_RATIO = re.compile(r"speed[ _-]?up|ratio|factor", re.IGNORECASE)
"""The name of a metric that is a multiple: `1.80x speedup`."""
_LETTERS = re.compile(r"[^\W\d_]{2,}")


class Sentence(NamedTuple):
    name: str
    """As it was printed."""
    text: str
    """The number and what follows it."""
    kind: str
    pattern: str
    """A pattern that reads the number of this sentence alone."""
    unit: str = ""


class PrintedSentences:
    def __init__(self, names: Collection[str]) -> None:
        name = spelt(names)
        self._behind = re.compile(rf"{name}[\"'`*]{{0,2}}({_GAP})({_LINK})", re.IGNORECASE)
        self._before = re.compile(rf"{_BEFORE}{name}", re.IGNORECASE)

    def read(self, text: str) -> list[Sentence]:
        """Return the values in a line that names one of them."""
        text = text[:LINE_CHARACTERS]
        found = [one for match in self._behind.finditer(text) if (one := _behind(text, match))]
        return found or [one for match in self._before.finditer(text) if (one := _before(text, match))]


def _behind(text: str, found: re.Match[str]) -> Sentence | None:
    """Return the value after a name and its words."""
    around = text[: found.start()] + " " + found[2]
    number = text[found.end() :]
    after = re.sub(r"^[-+\u2212$\u20ac\xa3\xa5]*[\d.,eE]+", "", number)
    if _OF_OTHERS.search(around) or _COMPARED.match(after):
        return None
    return Sentence(found[1], number, kind_of(around), pattern_for(text, found.end()))


def _before(text: str, found: re.Match[str]) -> Sentence | None:
    """Return the value that stands before a name: at the start of a line, or if it can only be a measurement."""
    number, unit, name = found[1], (found[2] or "").strip(), found[3]
    prefix, follows = text[: found.start()], text[found.end() : found.end() + 3].strip()
    if (
        not any(map(str.isdigit, number))
        or _OF_OTHERS.search(prefix)
        or follows[:1] in ("=", ":")
        or follows[:1].isdigit()
    ):
        return None
    is_known = not unit or unit == "%" or unit_of(unit) or (unit in _TIMES and _A_RATIO.search(name))
    is_measured = "." in number or unit == "%" or "/" in name or unit_of(name)
    if not is_known or (prefix.strip() and not is_measured):
        return None
    end = re.escape(f" {name}") if not unit else rf"\s?{re.escape(unit)} {re.escape(name)}"
    pattern = f"{pattern_for(text, found.start(1))}{end}".replace("\\ ", r"\s+")
    return Sentence(name, f"{number} {unit}", kind_of(prefix), pattern, unit_of(unit) or unit_of(name))


def kind_of(words: str) -> str:
    """Return the words of a text, without numbers and signs; a text without words has a kind too."""
    return " ".join(_LETTERS.findall(words.lower())) or "-"


def pattern_for(text: str, at: int) -> str:
    """Return a pattern that reads the word at a place of a line like this one, by the words before it."""
    before = text[max(0, at - PATTERN_CHARACTERS) : at]
    if at > PATTERN_CHARACTERS:
        before = before.partition(" ")[2] or before
    parts = (
        r"\d+" if part.isdigit() else r"\s+" if part.isspace() else re.escape(part)
        for part in re.split(r"(\d+|\s+)", before)
    )
    return "".join(parts) + r"(\S+)"
