"""A cluster's job table, matched to attempts by name, and what a job's end means. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from cockpit.fleet.base import Job, JobEnded
from cockpit.fleet.sky.task import SETUP, TIMED_OUT

UNDER_WAY = frozenset({"INIT", "PENDING", "SETTING_UP", "RUNNING"})


class Row(msgspec.Struct, frozen=True):
    """One job of a cluster's table; times are the cluster's, 0 for not yet."""

    id: int
    name: str
    status: str
    """SkyPilot's word: one of UNDER_WAY, or SUCCEEDED, FAILED, FAILED_SETUP, FAILED_DRIVER, CANCELLED."""
    started_at: float = 0.0
    ended_at: float = 0.0

    @property
    def ended(self) -> bool:
        return self.status not in UNDER_WAY


def table(records: Iterable[Mapping[str, Any]]) -> list[Row]:
    """SkyPilot's records as rows, oldest first."""
    rows = [
        Row(
            id=int(record["job_id"]),
            name=str(record["job_name"]),
            status=str(getattr(record["status"], "value", record["status"])),
            started_at=float(record["start_at"] or 0.0),
            ended_at=float(record["end_at"] or 0.0),
        )
        for record in records
    ]
    return sorted(rows, key=lambda row: row.id)


def by_name(rows: Iterable[Row]) -> dict[str, Row]:
    """The job of each name. Of several the first: the others left at once, as they found that it had run."""
    found: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row.id):
        found.setdefault(row.name, row)
    return found


def was_set_up(rows: Iterable[Row]) -> bool:
    """Whether the cluster's latest set-up succeeded."""
    setups = [row for row in rows if row.name == SETUP]
    return bool(setups) and max(setups, key=lambda row: row.id).status == "SUCCEEDED"


def ended(
    job: Job, status: str, at: float, began: bool, exit_code: int | None, cancelled: str, remark: str
) -> JobEnded:
    """What the end of a job means. `began` and `exit_code` are what the run itself printed (None if no code);
    `cancelled` is why we cancelled it (cancelled or timeout), empty if we did not; `remark` is SkyPilot's last word."""
    if exit_code == TIMED_OUT:
        return JobEnded(at, job.name, "timeout", exit_code)
    if exit_code is not None:
        return JobEnded(at, job.name, "exited", exit_code)
    match status:
        case "CANCELLED":
            by = "" if cancelled else "somebody cancelled it on its cluster"
            return JobEnded(at, job.name, cancelled or "cancelled", None, by)
        case "FAILED" | "SUCCEEDED" if not began and not cancelled:
            return JobEnded(at, job.name, "lost", None, f"it ended on its cluster before its code was run: {remark}")
        case "FAILED" | "SUCCEEDED":
            return JobEnded(at, job.name, cancelled or "exited", None, remark)
        case "FAILED_SETUP":
            return JobEnded(at, job.name, "setup", None, f"its set-up failed: {remark}")
        case "FAILED_DRIVER":
            return JobEnded(at, job.name, "lost", None, f"SkyPilot's driver of it died on the cluster: {remark}")
        case _:
            return JobEnded(at, job.name, "lost", None, f"its job is gone from the cluster: {remark}")


def believable(cluster_time: float, now: float, since: float) -> float:
    """The cluster's time of something that happened after `since`, brought between `since` and `now`: clocks differ,
    and jump."""
    return min(max(cluster_time or now, since), now)
