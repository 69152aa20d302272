"""Audit a list of repeats: JSON, `[{"record": NAME, "step": STEPS, "values": [...]}, ...]`, in the order of the claims.

The records of one track, the part of the name before the first slash, follow one another: each claims to be better
than the one before, or as good with fewer steps.
"""

import json
from pathlib import Path

import msgspec

from cockpit.audit.claims import AuditError, Finding, Group, judged


class Record(msgspec.Struct, frozen=True):
    """An entry of the list."""

    record: str
    values: list[float]
    step: int = 0


def audit_repeats(path: Path) -> list[Finding]:
    """Judge each record of the list against the one before. Raises AuditError."""
    try:
        records = msgspec.convert(json.loads(path.read_bytes()), list[Record])
    except (ValueError, RecursionError) as error:
        raise AuditError(f"{path} is not a list of repeats: {' '.join(str(error).split())}") from None
    last: dict[str, Group] = {}
    findings = []
    for record in records:
        track = record.record.partition("/")[0]
        group = Group(record.record, tuple(record.values), record.step)
        if track in last:
            findings.append(judged(group, last[track]))
        last[track] = group
    if not findings:
        raise AuditError(f"{path} holds no two records of one track, so nothing is claimed")
    return findings
