"""Read the findings of a file that a person gave: a results.tsv, an export, or a report of another session.

They are unchecked claims, which suggest what to try first.
"""

import csv
import html
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from cockpit.audit.claims import AuditError
from cockpit.audit.results_tsv import CRASH, KEEP, ResultRow, read_rows
from cockpit.core.metric import Metric
from cockpit.core.model import Value
from cockpit.core.plausible import holds_plausible, is_plausible
from cockpit.core.prior import PriorFinding, PriorKind
from cockpit.core.python_syntax import literal
from cockpit.create.error import CreateError
from cockpit.read.wording import count, difference_words, signed, value
from cockpit.report.export import CONSTANT

CLAIMS, CRASHES = 16, 6
"""Most claims and crashes from one file, the newest first."""
FILE_BYTES = 64 << 20
TEXT_CHARS = 300
_GIVES = r"(?:\s*=\s*|\s+(?:\S+\s+)?(?:→|->|to)\s+)(?P<value>[^\s,;|)]+)"
_SIGNED = re.compile(r"(?<![\w.])[−+-]\d+(?:\.\d+)?(?:e[−+-]?\d+)?(?![\w.])")
_ROW_END = re.compile(r"</(?:tr|li|p|h\d|div)>|<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^<>]*>", re.IGNORECASE | re.DOTALL)
_ESCAPED = re.compile(r"\\(?=[^\w\s])")

ConstantsAt = Callable[[str], Mapping[str, Value] | None]
"""Returns the constants of the script in a commit; None if the repository does not have it."""


def file_findings(
    path: Path, metric: Metric, constants: Mapping[str, Value], constants_at: ConstantsAt
) -> list[PriorFinding]:
    """Return the claims of a file, the best first. `constants` are the baseline's. Raises CreateError."""
    text = _text(path)
    first = text.partition("\n")[0]
    if "\t" in first:
        try:
            rows = read_rows(path, metric.name)
        except AuditError as error:
            raise CreateError(f"--prior: {error}") from None
        found = _of_results(path.name, rows, metric, constants, constants_at)
    elif first.startswith("session,"):
        try:
            found = _of_export(path.name, text, metric, constants)
        except (csv.Error, KeyError, ValueError, AttributeError, TypeError) as error:
            raise CreateError(f"--prior: {path} is not an export of a session: {error!r}") from None
    else:
        found = list(_of_report(path.name, text, metric, constants))
    found = [finding for finding in found if holds_plausible(finding)]
    if not found:
        raise CreateError(
            f"--prior: {path} names no kept change of {metric.name}: give a results.tsv, an export (.csv) or a report"
            " (.md, .html) of a session"
        )
    return sorted(found, key=lambda finding: finding.difference)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > FILE_BYTES:
            raise CreateError(f"--prior: {path} has more than {FILE_BYTES >> 20} MB")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CreateError(f"--prior: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CreateError(
            f"--prior: {path} is not text: give a results.tsv, an export (.csv) or a report (.md, .html) of a session"
        ) from None


def _of_results(
    source: str, rows: Sequence[ResultRow], metric: Metric, constants: Mapping[str, Value], constants_at: ConstantsAt
) -> list[PriorFinding]:
    keeps = [row for row in rows if row.status == KEEP]
    crashes = [row for row in rows if row.status == CRASH]
    found = []
    for last, row in list(pairwise(keeps))[-CLAIMS:]:
        difference = metric.score(row.value) - metric.score(last.value)
        code, before = constants_at(row.commit), constants_at(last.commit)
        if code is not None and before is not None:
            new = {name: held for name, held in code.items() if before.get(name) != held}
            old = {name: before[name] for name in new if name in before}
        else:
            new, old = named_values(row.description, constants), {}
        found.append(
            PriorFinding(
                source,
                PriorKind.CLAIM,
                f"kept {row.description or _words(new)}"[:TEXT_CHARS],
                evidence=_line(row) + f", {metric.name} {difference_words(metric, difference)} in one run",
                constants=new,
                before=old,
                edited=not new,
                difference=difference,
                commit=row.commit if code is not None else "",
            )
        )
    for row in crashes[-CRASHES:]:
        tried = named_values(row.description, constants)
        text = f"{row.description} crashed"[:TEXT_CHARS]
        found.append(PriorFinding(source, PriorKind.CRASH, text, evidence=_line(row), constants=tried))
    return found


def _line(row: ResultRow) -> str:
    return f"line {row.number}, commit {row.commit[:12]}" + (f", {row.hardware}" if row.hardware else "")


def _of_export(source: str, text: str, metric: Metric, constants: Mapping[str, Value]) -> list[PriorFinding]:
    """Read an export's table: one row an attempt; an experiment's verdict and constants stand in each of its rows."""
    rows: dict[str, dict[str, str]] = {}
    runs: dict[str, int] = {}
    for row in csv.DictReader(text.splitlines()):
        if row["metric"] == metric.name:
            rows.setdefault(row["experiment"], row)
            runs[row["experiment"]] = runs.get(row["experiment"], 0) + (row["outcome"] == "valid")
    kept = [row for row in rows.values() if row.get("experiment_status") == "kept" and row.get("base")]
    found = []
    for row in kept[-CLAIMS:]:
        base = rows.get(row.get("against") or row["base"], rows.get(row["base"], {}))
        new = _cells(row, base, constants)
        old = _cells(base, row, constants)
        difference = metric.score(float(row.get("difference") or 0.0))
        ends = [float(row.get(name) or "nan") for name in ("difference_low", "difference_high")]
        span = f" [{signed(ends[0])}, {signed(ends[1])}]" if row.get("difference_low") else ""
        found.append(
            PriorFinding(
                source,
                PriorKind.CLAIM,
                f"kept {row.get('change', '').strip()}"[:TEXT_CHARS],
                evidence=f"{row['experiment']} of session {row['session']}, {metric.name}"
                f" {difference_words(metric, difference)}{span}, {count(runs[row['experiment']], 'run')} on"
                f" {row['class']}",
                constants=new,
                before=old,
                edited=bool(int(row.get("lines_added") or 0) + int(row.get("lines_removed") or 0)) and not new,
                difference=difference,
                commit=base.get("commit", ""),
            )
        )
    return found


def _cells(row: Mapping[str, str], other: Mapping[str, str], constants: Mapping[str, Value]) -> dict[str, Value]:
    """Return the constants of a row whose cells differ from the other row's."""
    found = {}
    for name, now in constants.items():
        cell = row.get(f"{CONSTANT}{name}")
        if cell and cell != other.get(f"{CONSTANT}{name}"):
            read = _value(cell.strip(), now)
            if read is not None:
                found[name] = read
    return found


def _of_report(source: str, text: str, metric: Metric, constants: Mapping[str, Value]) -> list[PriorFinding]:
    """Read the lines of a report that name a change of a constant, each change from the first line with its difference.
    Markup is left out."""
    if "</" in text:
        text = html.unescape(_TAG.sub(" ", _ROW_END.sub("\n", text.replace("\n", " ").replace("<wbr>", ""))))
    else:
        text = html.unescape(text)
    steps = _steps(constants)
    claims: dict[str, PriorFinding] = {}
    for number, each in enumerate(text.splitlines(), 1):
        line = " ".join(_ESCAPED.sub("", each).replace("|", " ").split())
        new = named_values(line, constants) if "→" in line or "->" in line else {}
        words = _words(new)
        known = claims.get(words)
        if not new or (known is None and len(claims) == CLAIMS):
            continue
        last = max(found.end() for found in steps.finditer(line))
        signed = _SIGNED.search(line, last)
        if known is not None and (known.difference or not signed):
            continue
        difference = metric.score(float(signed[0].replace("−", "-"))) if signed else 0.0
        claims[words] = PriorFinding(
            source, PriorKind.CLAIM, line[:TEXT_CHARS], evidence=f"line {number}", constants=new, difference=difference
        )
    return list(claims.values())


def named_values(text: str, constants: Mapping[str, Value]) -> dict[str, Value]:
    """Return the values that a text gives to constants: `DEPTH=10`, `MATRIX_LR 0.04 → 0.05`, `LR to 0.05`."""
    found = {}
    for match in _steps(constants).finditer(text):
        read = _value(match["value"], constants[match["name"]])
        if read is not None:
            found[match["name"]] = read
    return found


def _steps(constants: Mapping[str, Value]) -> re.Pattern[str]:
    return _pattern(tuple(sorted(constants, key=len, reverse=True)))


@lru_cache(maxsize=4)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """Return the pattern of a value that a text gives to one of the constants."""
    named = "|".join(map(re.escape, names)) or r"(?!)"
    return re.compile(rf"(?<![\w.])(?P<name>{named}){_GIVES}")


def _value(text: str, now: Value) -> Value | None:
    """Return a value of the type that the constant has now; None for any other text."""
    try:
        read = literal(text)
    except ValueError:
        return text if isinstance(now, str) and text.isprintable() else None
    if isinstance(read, int | float) and not is_plausible(read):
        return None
    if isinstance(now, float) and type(read) is int:
        return float(read)
    return read if type(read) is type(now) and isinstance(read, bool | int | float | str) else None


def _words(constants: Mapping[str, Value]) -> str:
    return ", ".join(f"{name} {value(held)}" for name, held in constants.items())
