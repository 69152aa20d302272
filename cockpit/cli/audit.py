"""`cockpit audit PATH`: judge each claimed gain of results from elsewhere as real, not shown or invalid."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec

from cockpit.audit.claims import Audit, AuditError, Judgement
from cockpit.audit.logs import audit_logs
from cockpit.audit.repeats import audit_repeats
from cockpit.audit.results_file import audit_results
from cockpit.core.metric import DEFAULT_NAME, VAL_BPB, Direction, Metric, check_name, direction_of
from cockpit.fleet.node.code_evidence import in_one_line
from cockpit.fleet.node.folders import walk

ONE_RUN = (".log", ".out")
"""Suffixes of a file that holds the output of one run."""
TABLES = ("results.tsv", "results.csv")
TABLES_NAMED = 4
"""The most tables that are named in a sentence."""


def audit(name: str, as_json: bool, metric: str = DEFAULT_NAME, direction: str = "") -> int:
    """Print a line for each claimed gain, the counts, and all that was not read. Raises AuditError, MetricError."""
    known = Direction(direction) if direction else direction_of(metric)
    found = audited(Path(name).expanduser(), Metric(check_name(metric), known))
    if as_json:
        print(json.dumps(msgspec.to_builtins(found), indent=1))
        return 0
    for finding in found.findings:
        print(in_one_line(f"{finding.judgement:10} {finding.claim}: {finding.reason}"))
    counts = Counter(finding.judgement for finding in found.findings)
    total = len(found.findings)
    print(f"{total} claimed gain{'s' * (total != 1)}: " + ", ".join(f"{counts[one]} {one}" for one in Judgement))
    for note in found.notes:
        print(in_one_line(f"note: {note}"))
    return 0


def audited(path: Path, metric: Metric = VAL_BPB) -> Audit:
    """Return the findings on a results.tsv, a folder that holds one, a folder of logs, or a list of repeats."""
    if not path.exists():
        raise AuditError(f"there is no {path}: give a results.tsv, a folder of logs, or a list of repeats in JSON")
    if path.is_dir():
        tables = list(islice(_tables(path), TABLES_NAMED + 1))
        if len(tables) > 1:
            names = ", ".join(str(table.relative_to(path)) for table in tables[:TABLES_NAMED])
            more = " and others" if len(tables) > TABLES_NAMED else ""
            raise AuditError(f"{path} holds several tables of results: give one of {names}{more}")
        return audit_results(tables[0], metric) if tables else audit_logs(path, metric)
    if path.suffix in ONE_RUN:
        raise AuditError(f"{path} is the log of one run: give the folder that holds the logs of all runs")
    return audit_repeats(path, metric) if path.suffix == ".json" else audit_results(path, metric)


def _tables(folder: Path) -> Iterator[Path]:
    """Yield the tables of results of a folder: its own, or those of the folders below."""
    for name in TABLES:
        if (folder / name).is_file():
            yield folder / name
            return
    for where, folders, names in walk(str(folder)):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(where, name) for name in TABLES if name in names)
