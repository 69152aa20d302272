"""Reads the metric and the second metrics of a session from lines of output, in the usual shapes or by a pattern.

The usual shapes: `val_bpb: 0.98`, `val_bpb=0.98`, `"val_bpb": 0.98`, `VAL BPB 9.8e-1`, `val_bpb -> 0.98`, behind a
logging prefix or a progress bar, with a unit after it, a remark in brackets before it, or `tensor( )` around it. The
last one counts. A value that a step line or a table mentions counts only if the run prints no other.
"""

import math
import re
from collections.abc import Iterable
from enum import IntEnum

from cockpit.core.metric import Metric

NUMBER_LIMIT = 1e12
"""The largest magnitude of a printed number. A larger one is an error, or made up."""
VALUE_CHARACTERS = 100
"""Characters kept of a printed value; no plausible number is longer."""
PREFIX_CHARACTERS = 300
"""Characters before a value's name that are searched for the words of a step line."""
PATTERN_CHARACTERS = 4_000
"""Characters of a line that a pattern is tried on."""
TRAINING_SECONDS = "training_seconds"

_NUMBER = re.compile(r"[-+]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,3})?", re.ASCII)
_NUMERIC = re.compile(r"[-+]?(?:\.?\d|(?:nan|inf|infinity)\b)", re.ASCII | re.IGNORECASE)
_MENTION = re.compile(
    r"(?<![a-z])(?:steps?|iters?|iterations?|epochs?|best|lowest|highest|previous|target|champion|incumbent|baseline|reference)(?![a-z])|%\|[^\]]*$",
    re.ASCII | re.IGNORECASE,
)
"""Text before a value's name that makes it a mention: a step line, the best so far, another run, a field of a bar."""
_SPLIT = re.compile(
    r"(?<![a-z])(?:train|training|val|valid|validation|test|eval|dev|ema)[ _/-]$", re.ASCII | re.IGNORECASE
)
"""A word right before a value's name that makes it another number: `val loss` is not `loss`."""
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:,\d{3}){1,4}(?=\.\d)|[-+]?\d{1,3}(?:,\d{3}){2,4}(?![\d,])", re.ASCII)
"""A number whose thousands are set apart; one comma alone could be a decimal one."""
_UNIT = re.compile(r"(?!x)[a-z%/]{0,20}(?:[.:]?$|,|\xb1|\+/?-)", re.IGNORECASE)
"""The rest of a word after its number: a unit, punctuation, an error."""
_COLUMN = re.compile(r"[|\u2502\u2503]")
"""The separator of a table."""
_REMARK = r"(?:[ ]?\([^()\d]{0,40}\)|[ ]?\[[^\[\]\d]{0,40}\])?"
_SEPARATOR = r"[\s\xa0]{0,40}(?:[:=\uff1a](?!=)>?|->|\u2192|[|\u2502\u2503])[\s\xa0]{0,40}[\"']?|\s{1,40}"
_AROUND = r"(?:(?:\w{1,12}\.)?(?:tensor|array|float\d{0,3}|decimal)\(\s?\[?[\"']?)?"
_SEPARATORS = re.compile(r"[\s_-]+")


class _Rank(IntEnum):
    """Standing of a printed value; a higher one is preferred, and the last of equals."""

    WORD = 0
    """Text where a number should be. It is kept for the message."""
    MENTION = 1
    PLAIN = 2


class PrintedValues:
    """The values that a run's lines have given so far, by name."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric.name
        self._pattern = re.compile(metric.pattern) if metric.pattern else None
        shaped = () if self._pattern else (metric.name,)
        self._names = {_plain(name): name for name in (TRAINING_SECONDS, *metric.others, *shaped)}
        self._shapes = _shapes(self._names.values())
        self._found: dict[str, tuple[_Rank, str]] = {}

    def read(self, text: str) -> None:
        """Take in a line without escapes."""
        if self._pattern is not None:
            for match in self._pattern.finditer(text[:PATTERN_CHARACTERS]):
                self._found[self._metric] = _Rank.PLAIN, (match[1] or "").strip()[:VALUE_CHARACTERS]
        for found in self._shapes.finditer(text):
            name, word = self._names[_plain(found[1])], found[3][:VALUE_CHARACTERS]
            prefix = text[max(0, found.start() - PREFIX_CHARACTERS) : found.start()]
            if _NUMERIC.match(word):
                is_mention = _MENTION.search(prefix) or _SPLIT.search(prefix) or _COLUMN.search(found[2])
                rank = _Rank.MENTION if is_mention else _Rank.PLAIN
            elif found[2].isspace():
                continue
            else:
                rank = _Rank.WORD
            if rank >= self._found.get(name, (_Rank.WORD, ""))[0]:
                self._found[name] = rank, word

    def word(self, name: str) -> str:
        """Return the word that stands for a value; empty where none was printed."""
        return self._found.get(name, (_Rank.WORD, ""))[1]

    def number(self, name: str) -> float | None:
        """Return a value; None where none was printed, or none that is a plausible number."""
        return leading_number(self.word(name))


def _plain(name: str) -> str:
    return _SEPARATORS.sub("_", name.lower())


def _shapes(names: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of a name with its value. `val_bpb` is also `val bpb` and `VAL-BPB`."""
    longest_first = sorted(names, key=len, reverse=True)
    spelt = (r"[\s_-]{1,3}".join(map(re.escape, _SEPARATORS.split(name))) for name in longest_first)
    return re.compile(
        rf"(?<![\w.-])({'|'.join(spelt)})(?!\w)[\"'`*]{{0,2}}{_REMARK}({_SEPARATOR}){_AROUND}([^\s;|)\]}}\"']{{1,200}})",
        re.ASCII | re.IGNORECASE,
    )


def number_of(text: str, limit: float = NUMBER_LIMIT) -> float | None:
    """Return the number that `text` is, or None if it is none or its magnitude is over `limit`."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) and abs(value) <= limit else None


def leading_number(word: str, limit: float = NUMBER_LIMIT) -> float | None:
    """Return the number that `word` starts with, if only a unit or punctuation follows; None for any other word.

    A decimal comma is refused: 0,98 is not read as 0.
    """
    if grouped := _GROUPED.match(word):
        word = grouped[0].replace(",", "") + word[grouped.end() :]
    number = _NUMBER.match(word)
    if number is None:
        return None
    rest = word[number.end() :]
    if not _UNIT.match(rest) or (number[0].lstrip("+-").isdigit() and rest[:1] == "," and rest[1:2].isdigit()):
        return None
    return number_of(number[0], limit)
