"""Reads the metric and the second metrics of a session from lines of output, in the usual shapes or by a pattern.

The usual shapes: `val_bpb: 0.98`, `val_bpb=0.98`, `"val_bpb": 0.98`, `VAL BPB 9.8e-1`, `val_bpb -> 0.98`, behind a
logging prefix or a progress bar, with a unit after it, a remark in brackets before it, or `tensor( )` around it. The
last value counts. A value in a step line or a table counts only if the run prints no other, and one in a sentence only
after those. If the words around values differ, the choice is left open, and a pattern is asked for.
"""

import re
import shlex
from collections import deque
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from cockpit.core.metric import Metric
from cockpit.core.plausible import LARGEST
from cockpit.core.units import factor, other_names, unit_behind_name, unit_in_name, unit_of
from cockpit.fleet.printed_names import behind_a_digit, plain, spelt
from cockpit.fleet.printed_numbers import Number, leading_number, several_in, whole_number
from cockpit.fleet.printed_objects import PrintedObjects
from cockpit.fleet.printed_reports import PrintedReports
from cockpit.fleet.printed_sections import PrintedSections
from cockpit.fleet.printed_sentences import PrintedSentences, kind_of, pattern_for
from cockpit.fleet.printed_tables import PrintedTables
from cockpit.fleet.timed_pattern import TimedPattern

VALUE_CHARACTERS = 100
"""Characters kept of a printed value; no plausible number is longer."""
VALUES_AT_MOST = 32
"""Values of a line that are read, its last ones: a line of a flood may hold thousands."""
PREFIX_CHARACTERS = 300
"""Characters before a value's name that are searched for the words of a step line."""
TRAINING_SECONDS = "training_seconds"
_A_NUMBER = re.compile(r"(?<![\w.])[-+]?\.?\d[\d.,]*(?:e[-+]?\d+)?%?(?![\w.])", re.IGNORECASE)

_BEFORE_RESULT = re.compile(r"(?:[:=]|->|\u2192|(?<!\w)(?:to|is|reached))\s{0,3}$", re.IGNORECASE)
"""The end of the text before a result: `improved from 1.00 to 0.98`, `mAP@0.5: 0.63`."""
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
"""A word right before a value's name that makes it another number: `val loss` is not `loss`."""
_OF_SPLIT = re.compile(
    r"(?<![a-z])(train|valid|val|test|eval|dev)(?:ing|ation|uation|idation)?(?![a-z_/.])", re.IGNORECASE
)
"""The name of a split in the words around a value."""
_COLUMN = re.compile(r"[|\u2502\u2503\u2551]")
"""The separator of a table."""
_COUNTER = re.compile(r"(?<![\w-])\d[\d.,:/]*$", re.ASCII)
"""The end of a progress line without a line end, which the next line adjoins: `step 3/3val_acc: 0.91`."""
_GLUED = re.compile(r"[^\W\d_]+$")
"""The rest of a word that a name ends: of Chinese, which has no blanks."""
_NEXT_CELL = re.compile(r"\s{0,20}[|\u2502\u2503\u2551]\s{0,20}[-+]?\.?\d", re.ASCII)
_REMARK = r"(?:[ ]?\([^()\d]{0,40}\)|[ ]?\[[^\[\]\d]{0,40}\]|\{\w{1,40}=\"[^{}]{0,200}\",?\})?"
"""A remark between a name and its value: in brackets, or the labels of Prometheus' text format."""
_FIELD = (
    r"[\"'],\s{0,3}[\"']value[\"']:\s{0,3}|:\s{0,3}\{\s{0,3}[\"']value[\"']:\s{0,3}"
    r"|\s{1,3}(?:\w{1,12}=[\"'][^\"'\d]{0,20}[\"']\s)?value=[\"']"
)
"""The rest of a JSON object, or of an XML element, of a name and a value."""
_SIGN = (
    r"(?::?[:=\uff1a](?!=)>?\*{0,2}|[=-]{1,3}>|>{3}|[\u4e3a\u662f\u70ba]|\u8fbe\u5230|[\u2192\u21d2\u27f6\u279c\u2248]|\.{2,60}:?|[\u2013\u2014]"
    r"|[|\u2502\u2503\u2551](?:[^\w|\u2502\u2503\u2551.+-]{0,8}[|\u2502\u2503\u2551])?|>)"
)
_SEPARATOR = rf"{_FIELD}|[\s\xa0]{{0,40}}{_SIGN}[\s\xa0]{{0,40}}[\"']?|\s{{1,40}}"
_AROUND = (
    r"[*`]{0,2}(?:(?:mean|avg|average)\s?[=:\s]\s?)?(?:[~\u2248]\s?)?"
    r"(?:(?:US|CA|AU|HK)(?=\$)|(?:(?:US|CA|AU|HK)?[$\u20ac\xa3\xa5]|USD|EUR|GBP|JPY|CHF|CNY|[num\xb5]?s|secs?|[KMG]i?B)\s(?=[-+.\d]))?"
    r"(?:<tf\.Tensor:[^<>]{0,80}numpy=)?(?:(?:\w{1,12}\.)?(?:tensor|array|float\d{0,3}|decimal)\(\s?)?[\[(]?[\"']?"
)
"""Text around a number: the name of its mean, a sign for about, a currency, a unit before it, a tensor."""
_INTERVAL = re.compile(r"\[[\d.]{1,30} \w{1,3} ([\d.]{1,30} \w{1,3}) [\d.]{1,30} \w{1,3}\]")
"""The low end, the estimate and the high end of a Criterion benchmark: `time: [1.23 ms 1.25 ms 1.27 ms]`."""
_CHANGE = re.compile(r"[^\s|,;]{1,40}\s?(?:->|=>|\u2192)\s?(?=[-+]?\.?\d)")
"""An old value and the arrow to the new one."""
_BENCHMARK = re.compile(r"Benchmark\S{0,200}\s+\d+\s", re.ASCII)
_BENCHMARK_PAIR = re.compile(r"\s([\d.eE+-]{1,40}) (\S{1,60})", re.ASCII)
"""A value of a Go benchmark with its name: `BenchmarkFFT-8  5  1.24 val_bpb  120 ns/op`."""
_PAIR_END = r"[\"']?\s?[,;]\s?[\"']?([-+]?\.?\d[^\s,;)\]\"']{0,40})(?=[\"')\],;]|\s*$)"
"""The rest of a pair: `('val_acc', 0.93)`, or `val_acc,0.93` on a line of its own."""


class _Rank(IntEnum):
    """The preference for a printed value: the highest rank counts, and of equal ranks the last value."""

    WORD = 0
    """Text where a number should be. It is kept for the message."""
    OTHER_NAME = 1
    """A value in a unit of the right kind, under another name: `peak memory: 45 GB` for `peak_vram_mb`."""
    SENTENCE = 2
    MENTION = 3
    PLAIN = 4


class _Found(NamedTuple):
    rank: _Rank
    word: str
    text: str = ""
    """The word and what follows it: a unit, the other parts of a duration."""
    unit: str = ""
    """The unit in its name or in brackets behind that: `ms` of `latency (ms): 980`."""
    kind: str = ""
    """The words around it; empty if they do not matter."""
    pattern: str = ""
    """A pattern that reads it alone."""
    longer: str = ""
    """A longer name that it alone has, by what stands around or above it; empty if its line tells it apart."""
    trouble: str = ""
    """The reason why the value that counts is left open, in a clause; empty if it is not."""
    is_whole: bool = False
    """The text is the number and nothing else, as the pattern of a person says."""

    def number(self, limit: float = LARGEST) -> Number | None:
        """Return the number that it is, in its own unit; None for none that is plausible."""
        read = whole_number if self.is_whole else leading_number
        number = None if self.trouble else read(self.text, limit)
        return number._replace(unit=self.unit) if number is not None and not number.unit else number


_NOT_FOUND = _Found(_Rank.WORD, "")


class PrintedValues:
    """The values printed by a run so far, by name."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric.name
        self._pattern = TimedPattern(metric.pattern) if metric.pattern else None
        shaped = () if self._pattern else (metric.name,)
        named = {plain(name): name for name in (TRAINING_SECONDS, *metric.others, *shaped)}
        """Each name by its plain spelling."""
        others = {plain(other): name for name in (*metric.others, *shaped) for other in other_names(name)}
        self._names = others | named
        self._is_other = others.keys() - named.keys()
        self._shapes = _shapes(self._names)
        self._tables = PrintedTables(self._names, {plain(name) for name in (*metric.others, *shaped)})
        self._reports = PrintedReports(self._names)
        self._objects = PrintedObjects(self._names)
        self._sections = PrintedSections(self._names)
        self._sentences = PrintedSentences(self._names)
        self._adjoining = re.compile(behind_a_digit(self._names), re.ASCII | re.IGNORECASE)
        self._pairs = re.compile(rf"(?:^|[(\[])\s?[\"']?{spelt(self._names)}{_PAIR_END}", re.ASCII | re.IGNORECASE)
        self._found: dict[str, _Found] = {}
        self._unread: dict[str, str] = {}
        """The pattern for the last line with a value in no known shape."""

    def read(self, text: str) -> None:
        """Read a line without escapes."""
        if self._pattern is not None:
            for match in self._pattern.find_all(text):
                value = (match[1] or "").strip()[:VALUE_CHARACTERS]
                if value or self._metric not in self._found:
                    self._found[self._metric] = _Found(_Rank.PLAIN, value, value, is_whole=True)
        if below := self._sections.read(text):
            word = below.text.split(maxsplit=1)[0]
            self._take(below.name, _Found(_Rank.MENTION, word, below.text, unit_in_name(below.name)))
        held = self._objects.read(text)
        for one in held:
            around = " ".join(one.path)
            kind = _split_of(around, one.name) or kind_of(around)
            longer = "_".join((*one.path[-1:], one.name))
            unit = unit_in_name(one.name)
            self._take(one.name, _Found(_Rank.PLAIN, one.value, one.value, unit, kind, longer=longer))
        for report in self._reports.read(text):
            self._take(report.name, _Found(_Rank.PLAIN, report.text, report.text, kind=report.kind))
        text, is_cut = self._behind_a_counter(text)
        if not self._tables.mentions(text):
            return
        for cell in self._tables.read(text):
            unit = cell.unit or unit_in_name(cell.name)
            self._take(cell.name, _Found(_Rank.MENTION, cell.text, cell.text, unit, cell.kind))
        if _BENCHMARK.match(text):
            for value, name in _BENCHMARK_PAIR.findall(text):
                if plain(name) in self._names:
                    self._take(name, _Found(_Rank.PLAIN, value, value))
            return
        is_read = bool(held)
        for found in () if held else deque(self._shapes.finditer(text), VALUES_AT_MOST):
            shown = _value(text, found, self._sections.heading)
            if shown is not None and is_cut:
                shown = shown._replace(rank=min(shown.rank, _Rank.MENTION))
            is_read |= self._take(found[1], shown)
        for pair in deque(self._pairs.finditer(text), VALUES_AT_MOST):
            is_read |= self._take(pair[1], _Found(_Rank.MENTION, pair[2], pair[2], unit_in_name(pair[1])))
        if not is_read:
            self._read_sentences(text)

    def _behind_a_counter(self, text: str) -> tuple[str, bool]:
        """Set a name apart from the counter that it adjoins. Returns True for such a line: `top 5acc` looks alike."""
        found = self._adjoining.search(text)
        if found is None or not _COUNTER.search(text, 0, found.start()):
            return text, False
        return f"{text[: found.start()]} {text[found.start() :]}", True

    def _read_sentences(self, text: str) -> None:
        """Read a line that names a value in no other shape."""
        sentences = self._sentences.read(text)
        for one in sentences:
            word = one.text.split(maxsplit=1)[0][:VALUE_CHARACTERS]
            unit = one.unit or unit_in_name(one.name)
            follows = one.text[:VALUE_CHARACTERS]
            self._take(one.name, _Found(_Rank.SENTENCE, word, follows, unit, one.kind, one.pattern))
        if not sentences and (named := self._tables.name_in(text)):
            numbers = list(_A_NUMBER.finditer(text[:PREFIX_CHARACTERS]))
            behind = [one for one in numbers if one.start() >= named.end()] or numbers[-1:]
            if behind and (name := self._names.get(plain(named[0]))):
                signed = [one for one in behind if _BEFORE_RESULT.search(text, 0, one.start())]
                likely = next((one for one in signed or behind if "." in one[0]), behind[-1])
                self._unread[name] = pattern_for(text, likely.start())

    def _take(self, printed: str, found: _Found | None) -> bool:
        """Store a value under the name that was printed. Returns False for none."""
        spelt = plain(printed)
        name = self._names[spelt]
        if found is not None and spelt in self._is_other:
            number = found.number()
            is_alike = number is not None and number.unit and factor(number.unit, unit_in_name(name)) is not None
            found = found._replace(rank=_Rank.OTHER_NAME) if is_alike else None
        if found is None:
            return False
        known = self._found.get(name, _NOT_FOUND)
        if found.rank == known.rank and found.kind:
            is_other = bool(known.kind) and found.kind != known.kind
            trouble = known.trouble or ("is printed beside other words each time" if is_other else "")
            found = found._replace(trouble=found.trouble or trouble)
        if found.rank >= known.rank:
            self._found[name] = found
        return True

    def word(self, name: str) -> str:
        """Return the word printed as a value; empty if none was printed."""
        return self._found.get(name, _NOT_FOUND).word

    def names(self, name: str) -> bool:
        """Return True if a line has the value's name, or matches its pattern, with or without a value."""
        return name in self._found

    def question(self, name: str) -> str:
        """Return the sentence that asks for a pattern; empty if a value needs none."""
        if self._pattern is not None and self._pattern.is_too_slow and name == self._metric:
            return f"the pattern of {name} takes too long on a line of its output: give a simpler --pattern"
        found = self._found.get(name)
        if found is not None and found.trouble:
            pattern = found.pattern or r"... (\S+)"
            remedy = f"--metric {shlex.quote(found.longer)}" if found.longer else f"--pattern {shlex.quote(pattern)}"
            return f"{name} {found.trouble}: give {remedy} or another"
        pattern = self._unread.get(name, "") if found is None else ""
        return (
            f"a line names {name} in a shape that is not read: give --pattern {shlex.quote(pattern)}" if pattern else ""
        )

    def number(self, name: str, limit: float = LARGEST) -> Number | None:
        """Return a value; None if none was printed, or it is not a plausible number."""
        return self._found.get(name, _NOT_FOUND).number(limit)


def _value(text: str, found: re.Match[str], heading: str) -> _Found | None:
    """Return the value behind a name, below a heading; None for a name in a sentence."""
    if interval := _INTERVAL.match(text, found.start(3)):
        return _Found(_Rank.PLAIN, interval[1], interval[1], unit_in_name(found[1]))
    separator, around, word = found[2], found[3], found[4][:VALUE_CHARACTERS]
    if separator.strip() == ">" and text[: found.start()][-1:] != "<":
        return None  # a comparison, and no XML element
    opened = around.rstrip("\"'")[-1:].strip("~\u2248$ *`")
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
    behind = text[found.end(1) : found.start(2)]
    before = "" if word.startswith("$") else unit_of(around.strip())
    unit = before or ("%" if behind.startswith("%") else unit_behind_name(behind))
    pattern = pattern_for(text, found.start(4))
    if several := several_in(follows):
        trouble = f"{several} may be one number or two"
        pattern = pattern.removesuffix(r"(\S+)") + r"([\d., ]*\d)" if " " in several else pattern
    else:
        has_cells = _COLUMN.search(separator) and _NEXT_CELL.match(text, found.end())
        trouble = "has several values in its row" if has_cells else ""
    rank = _Rank.MENTION if is_mention else _Rank.PLAIN
    longer = ""
    if behind.startswith("{") or _COLUMN.search(separator):
        kind = kind_of(prefix + behind)
    elif glued := _GLUED.search(prefix):
        kind = glued[0]
    elif not (kind := _split_of(f"{prefix} {behind}", found[1])) and (kind := _split_of(heading, found[1])):
        longer = f"{heading}_{found[1]}"
    return _Found(rank, word, follows, unit or unit_in_name(found[1]), kind, pattern, longer, trouble)


def _split_of(around: str, name: str) -> str:
    """Return the split that the words around a name mention last; empty for none, and for a name that has one."""
    splits = [] if _OF_SPLIT.search(name.replace("_", " ")) else _OF_SPLIT.findall(around)
    return splits[-1].lower() if splits else ""


def _shapes(names: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of a name with its value."""
    return re.compile(
        rf"{spelt(names)}\]?%?[\"'`*]{{0,2}}{_REMARK}({_SEPARATOR})({_AROUND})([^\s;|)\]}}\"'<>]{{1,200}})",
        re.ASCII | re.IGNORECASE,
    )
