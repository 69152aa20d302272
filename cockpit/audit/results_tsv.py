"""Read results.tsv, autoresearch's table of experiments: tab-separated, one line per experiment."""

import csv
import math
from pathlib import Path

import msgspec

from cockpit.audit.claims import AuditError
from cockpit.core.metric import DEFAULT_NAME
from cockpit.core.plausible import is_plausible

KEEP, DISCARD, CRASH = "keep", "discard", "crash"
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
    """`keep`, `discard` or `crash`, in lower case."""
    description: str
    hardware: str = ""
    """The hardware class; empty if the file has no such column, as autoresearch's own."""
    decimals: int = 0
    """Those that the metric is written with."""


def read_rows(path: Path, metric: str = DEFAULT_NAME) -> list[ResultRow]:
    """Return the lines of a file whose values are in the column `metric`. Raises AuditError."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t")
            wanted = ("commit", metric, "status")
            if missing := [name for name in wanted if name not in (reader.fieldnames or ())]:
                raise AuditError(f"{path} is not a results.tsv: its first line has no column {missing[0]}")
            rows = [_row(path, number, fields, metric) for number, fields in enumerate(reader, 2)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise AuditError(f"{path} is not a results.tsv: {error}") from None
    except OSError as error:
        raise AuditError(f"{path} cannot be read: {error.strerror}") from None
    if len(rows) > ROWS_AT_MOST:
        raise AuditError(f"{path} has more than {ROWS_AT_MOST:,} lines")
    return rows


def _row(path: Path, number: int, fields: dict[str, str | None], metric: str) -> ResultRow:
    try:
        value = float(fields[metric] or "nan")
        value = value if is_plausible(value) else math.nan
    except ValueError:
        raise AuditError(f"{path}, line {number}: {fields[metric]!r} is not a {metric}") from None
    names = ("commit", "status", "description", "class")
    words = {name: " ".join((fields.get(name) or "").split()) for name in names}
    description = words["description"][:DESCRIPTION_CHARS]
    decimals = len((fields[metric] or "").partition(".")[2].strip())
    return ResultRow(number, words["commit"], value, words["status"].lower(), description, words["class"], decimals)
