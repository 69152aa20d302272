"""Reads a cluster's job table: which job is which attempt's, and what a job's end means. Pure."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from cockpit.fleet.base import Job, JobEnded
from cockpit.fleet.notes import EndNote, job_ended
from cockpit.fleet.sky.task import SETUP

UNDER_WAY = frozenset({"INIT", "PENDING", "SETTING_UP", "RUNNING"})


class JobRow(msgspec.Struct, frozen=True):
    """One job of a cluster's table; times are the cluster's, 0 for not yet."""

    id: int
    name: str
    status: str
    """SkyPilot's word: one of UNDER_WAY, or SUCCEEDED, FAILED, FAILED_SETUP, FAILED_DRIVER, CANCELLED."""
    started_at: float = 0.0
    ended_at: float = 0.0
    user: str = ""
    """The person who submitted it."""

    @property
    def has_ended(self) -> bool:
        return self.status not in UNDER_WAY

    @property
    def never_ran(self) -> bool:
        """True for a job that ended before it began, as one whose exec was cancelled half of the way."""
        return self.has_ended and not self.started_at


def job_table(records: Iterable[Mapping[str, Any]]) -> list[JobRow]:
    """SkyPilot's records as rows, oldest first."""
    rows = [
        JobRow(
            id=int(record["job_id"]),
            name=str(record["job_name"]),
            status=str(getattr(record["status"], "value", record["status"])),
            started_at=float(record["start_at"] or 0.0),
            ended_at=float(record["end_at"] or 0.0),
            user=str(record.get("username") or ""),
        )
        for record in records
    ]
    return sorted(rows, key=lambda row: row.id)


def first_by_name(rows: Iterable[JobRow]) -> dict[str, JobRow]:
    """Return the first job of each name that began or may begin. Later ones of a name end at once, because the first
    has run."""
    found: dict[str, JobRow] = {}
    for row in sorted(rows, key=lambda row: row.id):
        if row.name not in found or found[row.name].never_ran:
            found[row.name] = row
    return found


def was_set_up(rows: Iterable[JobRow]) -> bool:
    """Return True if the cluster's latest set-up succeeded."""
    setups = [row for row in rows if row.name == SETUP]
    return bool(setups) and max(setups, key=lambda row: row.id).status == "SUCCEEDED"


def ended(job: Job, status: str, at: float, began: bool, note: EndNote | None, cancelled: str, remark: str) -> JobEnded:
    """Translate the end of a job.

    `began` and `note` are the word of its runner, `cancelled` is why Cockpit cancelled it (cancelled or timeout; empty
    if it did not), `remark` is SkyPilot's last word. A run that began and whose runner noted no end is lost: it may
    have ended its runner.
    """
    if note is not None:
        report = job_ended(job, note, at)
        stopped = note.reason == "cancelled"
        return msgspec.structs.replace(report, reason=cancelled) if stopped and cancelled else report
    match status:
        case "CANCELLED":
            by = "" if cancelled else "somebody cancelled it on its cluster"
            return JobEnded(at, job.name, cancelled or "cancelled", None, by)
        case "FAILED" | "SUCCEEDED" if not began and not cancelled:
            return JobEnded(at, job.name, "lost", None, f"it ended on its cluster before its code was run: {remark}")
        case "FAILED" | "SUCCEEDED":
            return JobEnded(at, job.name, cancelled or "lost", None, "" if cancelled else "its runner was killed")
        case "FAILED_SETUP":
            return JobEnded(at, job.name, "setup", None, f"its set-up failed: {remark}")
        case "FAILED_DRIVER":
            return JobEnded(at, job.name, "lost", None, f"SkyPilot's driver of it died on the cluster: {remark}")
        case _:
            return JobEnded(at, job.name, "lost", None, f"its job is gone from the cluster: {remark}")


def plausible_time(cluster_time: float, now: float, since: float) -> float:
    """Bring a cluster's time between `since`, when its cause was, and `now`: clocks differ, and jump."""
    known = math.isfinite(cluster_time) and cluster_time > 0
    return min(max(cluster_time if known else now, since), now)
