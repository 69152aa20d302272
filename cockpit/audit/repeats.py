"""Audit a list of repeats: JSON, `[{"record": NAME, "step": STEPS, "values": [...]}, ...]`, in the order of the claims.

The records of one track, the part of the name before the first slash, follow one another: each claims to be better
than the one before, or as good with fewer steps.
"""

import json
from pathlib import Path

import msgspec

from cockpit.audit.claims import Audit, AuditError, Group, judged
from cockpit.core.metric import DEFAULT_NAME, VAL_BPB, Metric

TRACKS_NAMED = 4
"""The most tracks that are named in a sentence."""


class Record(msgspec.Struct, frozen=True):
    """An entry of the list."""

    record: str
    values: list[float]
    step: int = 0


def audit_repeats(path: Path, metric: Metric = VAL_BPB) -> Audit:
    """Judge each record of the list against the one before. Raises AuditError."""
    try:
        records = msgspec.convert(json.loads(path.read_bytes(), object_pairs_hook=_once), list[Record])
    except (ValueError, RecursionError) as error:
        raise AuditError(f"{path} is not a list of repeats: {' '.join(str(error).split())}") from None
    tracks: dict[str, list[Group]] = {}
    findings = []
    for record in records:
        before = tracks.setdefault(record.record.partition("/")[0], [])
        problem = ""
        if metric.name == DEFAULT_NAME and min(record.values, default=1.0) <= 0:
            problem = f"{record.record} has a val_bpb of {min(record.values):g}, which is impossible"
        before.append(Group(record.record, tuple(map(metric.score, record.values)), record.step, problem))
        if len(before) > 1:
            findings.append(judged(before[-1], before[-2], metric))
    if not findings:
        raise AuditError(f"{path} holds no two records of one track, so nothing is claimed")
    alone = [name for name, groups in tracks.items() if len(groups) == 1]
    noted = (
        f"{len(alone)} of {len(tracks)} tracks hold one record, which claims nothing: {', '.join(alone[:TRACKS_NAMED])}"
    )
    return Audit(findings, [noted + (" and others" if len(alone) > TRACKS_NAMED else "")] if alone else [])


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object of JSON. Raises ValueError for a key that it has twice: each reader would take another value."""
    found = dict(pairs)
    if len(found) < len(pairs):
        again = next(key for at, (key, _) in enumerate(pairs) if key in dict(pairs[:at]))
        raise ValueError(f"an object has the key {again!r} twice")
    return found
