"""Audit a folder of run logs: `e0042.1.log` is a run of e0042. Each program claims to beat the best before it."""

import re
from pathlib import Path
from statistics import fmean

from cockpit.audit.claims import AuditError, Finding, Group, judged, problem_of
from cockpit.core.model import Outcome
from cockpit.fleet.run_log import RunLog

LOG_BYTES = 64 << 20
_REPEAT = re.compile(r"(?:[._-](?:seed|run|s|r)?\d+)?\.(?:log|txt|out)$", re.IGNORECASE)
SUFFIXES = (".log", ".txt", ".out")


def audit_logs(folder: Path) -> list[Finding]:
    """Judge each program of the folder, in the order of their names, against the best one before. Raises AuditError."""
    found: dict[str, list[tuple[float | None, str]]] = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file()):
        found.setdefault(_REPEAT.sub("", path.name), []).append(_read(path))
    groups = [_group(name, runs) for name, runs in found.items()]
    if not any(group.values for group in groups):
        raise AuditError(f"no log in {folder} prints a val_bpb: logs end in {', '.join(SUFFIXES)}")
    best: Group | None = None
    findings = []
    for group in groups:
        if best is not None and (group.problem or (group.values and fmean(group.values) < fmean(best.values))):
            findings.append(judged(group, best))
        if not problem_of(group) and (best is None or fmean(group.values) < fmean(best.values)):
            best = group
    return findings


def _group(name: str, runs: list[tuple[float | None, str]]) -> Group:
    problem = next((problem for _, problem in runs if problem), "")
    return Group(name, tuple(value for value, _ in runs if value is not None), problem=problem)


def _read(path: Path) -> tuple[float | None, str]:
    """Return a run's score, None where it has none, and why it does not count."""
    log = RunLog()
    with path.open("rb") as file:
        log.feed(file.read(LOG_BYTES), 0.0)
    log.finish(0.0)
    hashes = log.started or log.ended or ("", "")
    if log.started and log.ended and log.started != log.ended:
        return None, f"{path.name}: its code was changed while it ran"
    log.started = log.ended = hashes
    verdict = log.verdict(log.exit_code or 0, *hashes)
    if verdict.outcome is not Outcome.VALID or verdict.metrics is None:
        return None, ""
    if verdict.metrics.score <= 0:
        return None, f"{path.name}: a val_bpb of {verdict.metrics.score:g} is impossible"
    return verdict.metrics.score, ""
