"""Read a table of experiments, one line each: autoresearch's results.tsv, or one with other names and separators."""

import csv
import math
import re
from collections import Counter
from collections.abc import Mapping
from itertools import chain, islice
from pathlib import Path

import msgspec

from cockpit.audit.claims import AuditError
from cockpit.core.metric import DEFAULT_NAME
from cockpit.core.plausible import is_plausible

KEEP, DISCARD, CRASH = "keep", "discard", "crash"
WORDS = {
    KEEP: ("kept", "accept", "accepted", "yes", "true", "1", "merged"),
    DISCARD: ("discarded", "drop", "dropped", "reject", "rejected", "revert", "reverted", "no", "false", "0"),
    CRASH: ("crashed", "fail", "failed", "failure", "error", "oom", "timeout"),
}
"""Other words for a status."""
NAMES = {
    "commit": ("sha", "hash", "commit_hash", "commit_sha", "git_commit", "git_sha", "rev", "revision"),
    "status": ("decision", "outcome", "verdict", "kept", "keep", "accepted"),
    "description": ("desc", "change", "idea", "hypothesis", "message", "notes", "note", "summary"),
    "class": ("gpu", "hardware", "device"),
}
"""Other names of a column."""
SEPARATORS = "\t;,|"
ABSENT = ("", "-", "n/a", "na", "none", "null")
"""Words for a value that is missing."""
_POINT = re.compile(r"(?<=^\d),(?=\d+$)|(?<=^-\d),(?=\d+$)")
"""The comma of a number below 10, as some languages write it."""
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|[+-]?inf(?:inity)?", re.IGNORECASE | re.ASCII)
"""A number as programs print it. Python reads more as one, such as `0_9.9` and the digits of other scripts."""
DESCRIPTION_CHARS = 400
ROWS_AT_MOST = 200_000


class ResultRow(msgspec.Struct, frozen=True):
    """A line of results.tsv."""

    number: int
    """The line's number in the file, from 1; the header is line 1."""
    commit: str
    value: float
    """The metric as printed; a crash has 0."""
    status: str
    """`keep`, `discard` or `crash`, or another word of the file in lower case."""
    description: str
    hardware: str = ""
    """The hardware class; empty if the file has no such column, as autoresearch's own."""
    decimals: int = 0
    """Those that the metric is written with."""


def read_rows(path: Path, metric: str = DEFAULT_NAME) -> list[ResultRow]:
    """Return the lines of a file whose values are in the column `metric`. Raises AuditError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            separator = next((one for one in SEPARATORS if one in head), "\t")
            if separator not in head and metric in head.split():
                raise AuditError(f"{path} has blank space between its columns: separate them by tabs or commas")
            # A mark that opens a description, and that nothing closes, would hide the lines that follow.
            reader = csv.DictReader(
                chain([head], file),
                delimiter=separator,
                quoting=csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL,
                strict=True,
            )
            columns = _columns(path, list(reader.fieldnames or ()), metric)
            last = columns.get("description") == (reader.fieldnames or [""])[-1]
            rows = [
                _row(path, number, _cells(path, number, fields, columns, last), metric)
                for number, fields in enumerate(islice(reader, ROWS_AT_MOST + 1), 2)
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        why = "it is compressed; unpack it first" if is_compressed(path) else str(error)
        raise AuditError(f"{path} is not a results.tsv: {why}") from None
    except OSError as error:
        raise AuditError(f"{path} cannot be read: {error.strerror}") from None
    if len(rows) > ROWS_AT_MOST:
        raise AuditError(f"{path} has more than {ROWS_AT_MOST:,} lines")
    return rows


def is_compressed(path: Path) -> bool:
    """Return True if a file is one of gzip."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _cells(
    path: Path, number: int, fields: Mapping[str | None, object], columns: Mapping[str, str], description_is_last: bool
) -> dict[str, str]:
    """Return the cells of a line by the usual names of their columns. Raises AuditError if it has too many cells.

    A description that nothing follows may hold the separator.
    """
    further = fields.get(None) or []
    if isinstance(further, list) and any(map(str.strip, further)) and not description_is_last:
        raise AuditError(f"{path}, line {number} has more cells than the first line: one of them holds the separator")
    return {name: str(fields.get(column) or "") for name, column in columns.items()}


def _columns(path: Path, heads: list[str], metric: str) -> dict[str, str]:
    """Return the columns of the file by their usual names. Raises AuditError without a metric or a status."""
    plain = {_plain(head): head for head in reversed(heads)}
    for name, number in Counter(map(_plain, heads)).items():
        if number > 1 and name in (_plain(metric), "commit", "status"):
            raise AuditError(f"{path} is not a results.tsv: its first line has {number} columns {name}")
    found = {}
    for name, others in NAMES.items():
        if head := next((plain[one] for one in (name, *others) if one in plain), ""):
            found[name] = head
    if _plain(metric) in plain:
        found["metric"] = plain[_plain(metric)]
    if "metric" in found and "status" in found:
        return found
    told = f"{path} is not a results.tsv: its first line has no column"
    if "metric" in found:
        raise AuditError(f"{told} status")
    left = ", ".join(head for head in heads if head and head not in found.values())
    raise AuditError(f"{told} {metric}" + (f": name one with --metric, of {left}" if left else ""))


def _plain(head: str) -> str:
    return re.sub(r"[\s-]+", "_", _unquoted(head).lower())


def _unquoted(cell: str) -> str:
    """Return a cell without blank space and quotation marks around it; those of a table with tabs are text to csv."""
    text = cell.strip()
    return text[1:-1].replace('""', '"').strip() if len(text) > 1 and text[0] == text[-1] == '"' else text


def number_of(text: str) -> float:
    """Return a number that a program printed. Raises ValueError."""
    if not NUMBER.fullmatch(text.strip()):
        raise ValueError(text)
    return float(text)


def _row(path: Path, number: int, fields: Mapping[str, str], metric: str) -> ResultRow:
    text = _POINT.sub(".", _unquoted(fields["metric"]))
    try:
        value = math.nan if text.lower() in ABSENT else number_of(text)
        value = value if is_plausible(value) else math.nan
    except ValueError:
        raise AuditError(f"{path}, line {number}: {text[:40]!r} is not a {metric}") from None
    words = {name: " ".join(_unquoted(fields.get(name, "")).split()) for name in NAMES}
    status = words["status"].lower()
    status = next((name for name, others in WORDS.items() if status in others), status)
    decimals = len(text.partition(".")[2])
    description = words["description"][:DESCRIPTION_CHARS]
    return ResultRow(number, words["commit"], value, status, description, words["class"], decimals)
