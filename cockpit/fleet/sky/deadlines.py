"""Finds the runs that are past a deadline: those that did not end, and those that their cluster does not begin.
Pure.
"""

from collections.abc import Collection, Iterable

from cockpit.fleet.base import JobEnded, JobRefused
from cockpit.fleet.notes import longest_s
from cockpit.fleet.sky.follow import SkyRun
from cockpit.fleet.sky.jobs import JobRow, plausible_time

BEGIN_WITHIN_S = 600.0
"""Seconds in which a job begins that is first in the queue; SkyPilot itself looks for such jobs every 300 s."""
UNBEGUN_AT_MOST = 2
"""Consecutive jobs that did not begin before a cluster counts as failed."""
MINUTES = f"{BEGIN_WITHIN_S / 60:g} min"


def unended(runs: Iterable[SkyRun], now: float, grace_s: float) -> list[str]:
    """Return the runs that should have ended themselves by now, and are not being cancelled."""
    return [
        run.job.name
        for run in runs
        if run.started_at
        and not run.cancelled
        and now > max(run.started_at, run.sent_at) + longest_s(run.job) + grace_s
    ]


def unbegun(runs: Iterable[SkyRun], now: float) -> list[SkyRun]:
    """Return the runs that should have begun by now, each once in a while."""
    due = [run for run in runs if run.due_at and not run.started_at and now > run.due_at + BEGIN_WITHIN_S]
    for run in due:
        run.due_at = now
    return due


def row_of(run: SkyRun, name: str, rows: Iterable[JobRow]) -> JobRow | None:
    """Return the row of a run's job, which has this name; None if the table does not have it."""
    return next((row for row in rows if (row.id, row.name) == (run.id, name)), None)


def end_of(
    run: SkyRun, row: JobRow | None, rows: Iterable[JobRow], own: Collection[int], cluster: str, now: float
) -> JobEnded | JobRefused | None:
    """Return how a run that should have begun ends; None if it has begun or ended, or waits for the job of somebody
    else. `own` are the ids of the session's jobs."""
    if row is None or row.has_ended:
        return None
    if row.started_at:
        if now < plausible_time(row.started_at, now, run.sent_at) + longest_s(run.job) + BEGIN_WITHIN_S:
            return None
        said = f"its runner said nothing on {cluster} for as long as a run may take, and {MINUTES}"
        return JobEnded(now, run.job.name, "lost", None, said)
    if any(not one.has_ended and one.id not in own and (one.started_at or one.id < row.id) for one in rows):
        return None
    return JobRefused(
        now, run.job.name, f"{cluster} did not begin {run.job.name} within {MINUTES}, with no job before it"
    )
