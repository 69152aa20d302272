"""Read trials from elsewhere, in the order they ran: a results.tsv, or a table of trials as JSON or CSV.

A table has a column with the metric; `status` or `success`, seconds, a description, a commit and a class where it has
them. Every other column is a constant. A JSON file may hold several nights: objects of lists, nested.
"""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from cockpit.audit.claims import AuditError
from cockpit.audit.results_tsv import CRASH, ResultRow, number_of, read_rows
from cockpit.core.model import Value
from cockpit.core.nearest import did_you_mean
from cockpit.core.plausible import is_plausible

FILE_BYTES = 256 << 20
TRIALS_AT_MOST = 100_000
TIMES = ("wt", "seconds", "total_seconds", "training_seconds")
"""Columns with the seconds of a trial; the first that the table has is taken."""
NAMED = ("tid", "trial", "commit", "status", "success", "description", "class", "memory_gb", "scored")
"""Columns that are not constants."""
NIGHTS_NAMED = 12
"""The most nights of a file that are named in a sentence."""


class Trial(msgspec.Struct, frozen=True):
    value: float | None
    """The metric as printed; None if the trial failed."""
    status: str = ""
    """`keep`, `discard` or `crash` where the table says so."""
    seconds: float = 0.0
    """0 if the table has no time."""
    constants: dict[str, Value] = {}
    description: str = ""
    commit: str = ""
    hardware: str = ""


class Night(msgspec.Struct, frozen=True):
    """Trials of one session, in the order they ran."""

    name: str
    """`TPE/0` in a file of several nights; empty in a file of one."""
    trials: tuple[Trial, ...]


def read_night(path: Path, metric: str, wanted: str = "") -> Night:
    """Return the night called `wanted` in the file, or its only one. Raises AuditError."""
    try:
        if path.stat().st_size > FILE_BYTES:
            raise AuditError(f"{path} has more than {FILE_BYTES >> 20} MB")
        if path.suffix == ".json":
            return _chosen(path, dict(_nights("", json.loads(path.read_text(encoding="utf-8-sig")))), metric, wanted)
        if path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file))
            return _night(path, "", [{name: _literal(text) for name, text in row.items()} for row in rows], metric)
    except (ValueError, RecursionError, csv.Error) as error:
        raise AuditError(f"{path} is not a table of trials: {error}") from None
    except OSError as error:
        raise AuditError(f"{path} cannot be read: {error.strerror}") from None
    return _of(path, "", [_of_result(row) for row in read_rows(path, metric)])


def _nights(name: str, found: object) -> Iterator[tuple[str, list[object]]]:
    """Yield the lists of a JSON file with the keys that lead to them."""
    if isinstance(found, list):
        yield name, found
    elif isinstance(found, dict):
        for key, inner in found.items():
            yield from _nights(f"{name}/{key}" if name else str(key), inner)


def _chosen(path: Path, nights: dict[str, list[object]], metric: str, wanted: str) -> Night:
    if not nights:
        raise AuditError(f"{path} holds no list of trials")
    if not wanted and len(nights) > 1:
        names = ", ".join(repr(name) for name in list(nights)[:NIGHTS_NAMED])
        more = f" and {len(nights) - NIGHTS_NAMED} more" if len(nights) > NIGHTS_NAMED else ""
        raise AuditError(f"{path} holds {len(nights)} nights: choose one with --night, of {names}{more}")
    name = wanted or next(iter(nights))
    if name not in nights:
        near = did_you_mean(name, nights)
        raise AuditError(f"{path} holds no night {name!r}" + (f": {near}" if near else ""))
    return _night(path, name, nights[name], metric)


def _night(path: Path, name: str, rows: list[object] | list[dict[str, object]], metric: str) -> Night:
    trials = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping) or metric not in row:
            raise AuditError(f"{path}: trial {number} has no {metric}: name its column with --metric")
        trials.append(_trial(path, number, row, metric))
    return _of(path, name, trials)


def _of(path: Path, name: str, trials: list[Trial]) -> Night:
    if not any(trial.value is not None for trial in trials):
        raise AuditError(f"{path} holds no trial with a score")
    if len(trials) > TRIALS_AT_MOST:
        raise AuditError(f"{path} has more than {TRIALS_AT_MOST:,} trials")
    return Night(name, tuple(trials))


def _trial(path: Path, number: int, row: Mapping[str, object], metric: str) -> Trial:
    said = {name: " ".join(str(row.get(name) or "").split()) for name in ("status", "description", "commit", "class")}
    failed = row.get("success") is False or said["status"].lower() == CRASH
    time = next((row[name] for name in TIMES if name in row), 0.0)
    constants = {
        name: found for name, found in row.items() if name not in (metric, *NAMED, *TIMES) and _is_constant(found)
    }
    return Trial(
        value=None if failed else _number(path, number, metric, row[metric]),
        status=said["status"].lower(),
        seconds=max(0.0, float(time)) if is_plausible(time) else 0.0,
        constants=msgspec.convert(constants, dict[str, Value]),
        description=said["description"],
        commit=said["commit"],
        hardware=said["class"],
    )


def _of_result(row: ResultRow) -> Trial:
    """Return a line of results.tsv as a trial. The code of its commit is not read, so it has no constants."""
    failed = row.status == CRASH or not math.isfinite(row.value)
    return Trial(
        value=None if failed else row.value,
        status=row.status,
        description=row.description,
        commit=row.commit,
        hardware=row.hardware,
    )


def _number(path: Path, number: int, metric: str, found: object) -> float | None:
    """Return the metric; None for an empty cell and for one that is not plausible, which is a failed trial."""
    if found is None or found == "":
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise AuditError(f"{path}: the {metric} of trial {number} is {found!r}, not a number")
    return float(found) if is_plausible(found) else None


def _is_constant(found: object) -> bool:
    return isinstance(found, str) or is_plausible(found)


def _literal(text: str | None) -> object:
    """Return a cell of a CSV file as a number or a truth value where it is one."""
    if text is None:
        return ""
    if text in ("True", "true", "False", "false"):
        return text.lower() == "true"
    try:
        number = number_of(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() and text.strip().lstrip("+-").isdecimal() else number
