"""Reads the metric and the second metrics of a session from lines of output, in the usual shapes or by a pattern.

The usual shapes: `val_bpb: 0.98`, `val_bpb=0.98`, `"val_bpb": 0.98`, `VAL BPB 9.8e-1`, `val_bpb -> 0.98`, behind a
logging prefix or a progress bar, with a unit after it, a remark in brackets before it, or `tensor( )` around it. The
last value counts. A value in a step line or a table counts only if the run prints no other.
"""

import re
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from cockpit.core.metric import Metric
from cockpit.core.plausible import LARGEST
from cockpit.core.units import factor, other_names, unit_behind_name, unit_in_name
from cockpit.fleet.printed_numbers import Number, leading_number
from cockpit.fleet.printed_tables import PrintedTables

VALUE_CHARACTERS = 100
"""Characters kept of a printed value; no plausible number is longer."""
PREFIX_CHARACTERS = 300
"""Characters before a value's name that are searched for the words of a step line."""
PATTERN_CHARACTERS = 4_000
"""Characters of a line that a pattern is tried on."""
TRAINING_SECONDS = "training_seconds"

_NUMERIC = re.compile(r"[-+\u2212]?[$\u20ac\xa3\xa5]?[-+]?(?:\.?\d|(?:nan|inf|infinity)\b)", re.ASCII | re.IGNORECASE)
_MENTION = re.compile(
    r"(?<![a-z])(?:steps?|iters?|iterations?|epochs?|wandb:|best|lowest|highest|high|previous|target|champion|incumbent|baseline|reference)(?![a-z])"
    r"|\[(?:rank|default)\s?[1-9]\d{0,4}\]|%\|[^\]]*$",
    re.ASCII | re.IGNORECASE,
)
"""Text before a value's name that makes it a mention: a step, the best so far, another run or rank, a bar's field."""
_SPLIT = re.compile(
    r"(?<![a-z])(?:train|training|val|valid|validation|test|eval|dev|ema)[ _/-]$", re.ASCII | re.IGNORECASE
)
"""A word before a name that makes it another name: `val loss` is not `loss`."""
_COLUMN = re.compile(r"[|\u2502\u2503]")
"""The separator of a table."""
_REMARK = r"(?:[ ]?\([^()\d]{0,40}\)|[ ]?\[[^\[\]\d]{0,40}\])?"
_FIELD = r"[\"'],\s{0,3}[\"']value[\"']:\s{0,3}|:\s{0,3}\{\s{0,3}[\"']value[\"']:\s{0,3}"
"""The rest of a JSON object of a name and a value."""
_SIGN = r"(?::?[:=\uff1a](?!=)>?|->|\u2192|\.{2,60}:?|[\u2013\u2014]|[|\u2502\u2503])"
_SEPARATOR = rf"{_FIELD}|[\s\xa0]{{0,40}}{_SIGN}[\s\xa0]{{0,40}}[\"']?|\s{{1,40}}"
_AROUND = (
    r"(?:(?:mean|avg|average)\s?[=:]\s?)?(?:(?:\w{1,12}\.)?(?:tensor|array|float\d{0,3}|decimal)\(\s?)?[\[(]?[\"']?"
)
_INTERVAL = re.compile(r"\[[\d.]{1,30} \w{1,3} ([\d.]{1,30} \w{1,3}) [\d.]{1,30} \w{1,3}\]")
"""The low end, the estimate and the high end of a Criterion benchmark: `time: [1.23 ms 1.25 ms 1.27 ms]`."""
_CHANGE = re.compile(r"[^\s|,;]{1,40}\s?(?:->|=>|\u2192)\s?(?=[-+]?\.?\d)")
"""An old value and the arrow to the new one."""
_BENCHMARK = re.compile(r"Benchmark\S{0,200}\s+\d+\s", re.ASCII)
_BENCHMARK_PAIR = re.compile(r"\s([\d.eE+-]{1,40}) (\S{1,60})", re.ASCII)
"""A value of a Go benchmark with its name: `BenchmarkFFT-8  5  1.24 val_bpb  120 ns/op`."""
_SEPARATORS = re.compile(r"[\s_-]+")


class _Rank(IntEnum):
    """The preference for a printed value: the highest rank counts, and of equal ranks the last value."""

    WORD = 0
    """Text where a number should be. It is kept for the message."""
    OTHER_NAME = 1
    """A value in a unit of the right kind, under another name: `peak memory: 45 GB` for `peak_vram_mb`."""
    MENTION = 2
    PLAIN = 3


class _Found(NamedTuple):
    rank: _Rank
    word: str
    text: str = ""
    """The word and what follows it: a unit, the other parts of a duration."""
    unit: str = ""
    """The unit in its name or in brackets behind that: `ms` of `latency (ms): 980`."""

    def number(self, limit: float = LARGEST) -> Number | None:
        """Return the number with its unit; None if it is not plausible."""
        number = leading_number(self.text, limit)
        return number._replace(unit=self.unit) if number is not None and not number.unit else number


_NOT_FOUND = _Found(_Rank.WORD, "")


class PrintedValues:
    """The values printed by a run so far, by name."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric.name
        self._pattern = re.compile(metric.pattern) if metric.pattern else None
        shaped = () if self._pattern else (metric.name,)
        named = {plain(name): name for name in (TRAINING_SECONDS, *metric.others, *shaped)}
        """Each name by its plain spelling."""
        others = {plain(other): name for name in (*metric.others, *shaped) for other in other_names(name)}
        self._names = others | named
        self._is_other = others.keys() - named.keys()
        self._shapes = _shapes(self._names)
        self._tables = PrintedTables(self._names)
        self._found: dict[str, _Found] = {}

    def read(self, text: str) -> None:
        """Read a line without escapes."""
        if self._pattern is not None:
            for match in self._pattern.finditer(text[:PATTERN_CHARACTERS]):
                value = (match[1] or "").strip()[:VALUE_CHARACTERS]
                self._found[self._metric] = _Found(_Rank.PLAIN, value, value)
        if not self._tables.mentions(text):
            return
        for cell in self._tables.read(text):
            self._take(cell.name, _Found(_Rank.MENTION, cell.text, cell.text, cell.unit or unit_in_name(cell.name)))
        if _BENCHMARK.match(text):
            for value, name in _BENCHMARK_PAIR.findall(text):
                if plain(name) in self._names:
                    self._take(name, _Found(_Rank.PLAIN, value, value))
            return
        for found in self._shapes.finditer(text):
            self._take(found[1], _value(text, found))

    def _take(self, printed: str, found: _Found | None) -> None:
        """Store a value under the name that was printed."""
        spelt = plain(printed)
        name = self._names[spelt]
        if found is not None and spelt in self._is_other:
            number = found.number()
            is_alike = number is not None and number.unit and factor(number.unit, unit_in_name(name)) is not None
            found = found._replace(rank=_Rank.OTHER_NAME) if is_alike else None
        if found is not None and found.rank >= self._found.get(name, _NOT_FOUND).rank:
            self._found[name] = found

    def word(self, name: str) -> str:
        """Return the word printed as a value; empty if none was printed."""
        return self._found.get(name, _NOT_FOUND).word

    def number(self, name: str, limit: float = LARGEST) -> Number | None:
        """Return a value; None if none was printed, or it is not a plausible number."""
        return self._found.get(name, _NOT_FOUND).number(limit)


def _value(text: str, found: re.Match[str]) -> _Found | None:
    """Return the value behind a name; None for a name in a sentence."""
    if interval := _INTERVAL.match(text, found.start(3)):
        return _Found(_Rank.PLAIN, interval[1], interval[1], unit_in_name(found[1]))
    separator, around, word = found[2], found[3], found[4][:VALUE_CHARACTERS]
    opened = around.rstrip("\"'")[-1:]
    closes = text[found.end() :].lstrip("\"'")[:1] == {"[": "]", "(": ")"}.get(opened)
    is_bare = opened and around.rstrip("\"'") == opened
    if not _NUMERIC.match(word) or (not closes and (opened == "[" or is_bare)):
        is_sentence = separator.isspace() or _COLUMN.search(separator)
        return None if is_sentence else _Found(_Rank.WORD, (around + word)[:VALUE_CHARACTERS])
    prefix = text[max(0, found.start() - PREFIX_CHARACTERS) : found.start()]
    is_mention = _MENTION.search(prefix) or _SPLIT.search(prefix) or _COLUMN.search(separator)
    follows = text[found.start(4) : found.start(4) + VALUE_CHARACTERS]
    if change := _CHANGE.match(follows):
        follows = follows[change.end() :]
        word = follows.split(maxsplit=1)[0]
    unit = unit_behind_name(text[found.end(1) : found.start(2)]) or unit_in_name(found[1])
    return _Found(_Rank.MENTION if is_mention else _Rank.PLAIN, word, follows, unit)


def plain(name: str) -> str:
    """Return a name without its case, and with `_` for each separator: `VAL BPB` is `val_bpb`."""
    return _SEPARATORS.sub("_", name.lower())


def _shapes(names: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of a name with its value. `val_bpb` is also `val bpb` and `VAL-BPB`."""
    longest_first = sorted(names, key=len, reverse=True)
    spelt = (r"[\s_-]{1,3}".join(map(re.escape, _SEPARATORS.split(name))) for name in longest_first)
    return re.compile(
        rf"(?<![\w.-])({'|'.join(spelt)})(?!\w)\]?[\"'`*]{{0,2}}{_REMARK}({_SEPARATOR})({_AROUND})([^\s;|)\]}}\"']{{1,200}})",
        re.ASCII | re.IGNORECASE,
    )
