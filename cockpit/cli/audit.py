"""`cockpit audit PATH`: judge each claimed gain of results from elsewhere as real, not shown or invalid."""

import json
from collections import Counter
from pathlib import Path

import msgspec

from cockpit.audit.claims import Audit, AuditError, Judgement
from cockpit.audit.logs import audit_logs
from cockpit.audit.repeats import audit_repeats
from cockpit.audit.results_file import audit_results

ONE_RUN = (".log", ".out")
"""Suffixes of a file that holds the output of one run."""


def audit(name: str, as_json: bool) -> int:
    """Print a line for each claimed gain, the counts, and what was not looked at. Raises AuditError."""
    found = audited(Path(name).expanduser())
    if as_json:
        print(json.dumps(msgspec.to_builtins(found), indent=1))
        return 0
    for finding in found.findings:
        print(f"{finding.judgement:10} {finding.claim}: {finding.reason}")
    counts = Counter(finding.judgement for finding in found.findings)
    total = len(found.findings)
    print(f"{total} claimed gain{'s' * (total != 1)}: " + ", ".join(f"{counts[one]} {one}" for one in Judgement))
    for note in found.notes:
        print(f"note: {note}")
    return 0


def audited(path: Path) -> Audit:
    """Return the findings on a results.tsv, a folder that holds one, a folder of logs, or a list of repeats."""
    if not path.exists():
        raise AuditError(f"there is no {path}: give a results.tsv, a folder of logs, or a list of repeats in JSON")
    if path.is_dir():
        return audit_results(path / "results.tsv") if (path / "results.tsv").is_file() else audit_logs(path)
    if path.suffix in ONE_RUN:
        raise AuditError(f"{path} is the log of one run: give the folder that holds the logs of all runs")
    return audit_repeats(path) if path.suffix == ".json" else audit_results(path)
