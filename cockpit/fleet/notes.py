"""The notes that a runner makes about its job: on its start, and on its end."""

from typing import Annotated, Literal, TypeVar

import msgspec

from cockpit.core.plausible import holds_plausible
from cockpit.fleet.base import Evidence, Job, JobEnded
from cockpit.fleet.node.job_setup import SCORING_LIMIT_S

MESSAGE_CHARACTERS = 500
LARGEST_NOTED = 1e15
"""The largest number in a note. A run may print terabytes."""


class StartNote(msgspec.Struct):
    """The start of a runner's job, in the file `started`."""

    pid: int
    at: float
    steady: float = 0.0
    boot: str = ""
    wall: str = ""


class EndNote(msgspec.Struct):
    """The end of a runner's job, in the file `ended.json`."""

    at: float
    reason: Literal["exited", "timeout", "cancelled", "limit", "lost"]
    exit_code: Annotated[int, msgspec.Meta(ge=-255, le=255)] | None
    message: str
    evidence: Evidence | None = None
    log_bytes: int = 0
    """Bytes of its output in the log that the runner wrote, before those of a score command."""
    steady: float = 0.0
    boot: str = ""


Note = TypeVar("Note", StartNote, EndNote)


def read_note(data: bytes, kind: type[Note]) -> Note | None:
    """Return a note; None for anything else, which an unconfined run may have written in its place.

    Its times may have any value: the fleets bound them by their clocks.
    """
    try:
        note = msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return note if isinstance(note, StartNote) or holds_plausible(note.evidence, LARGEST_NOTED) else None


def job_ended(job: Job, note: EndNote, at: float) -> JobEnded:
    """Return the report on a job whose runner has noted its end."""
    return JobEnded(at, job.name, note.reason, note.exit_code, note.message[:MESSAGE_CHARACTERS], note.evidence)


def longest_s(job: Job) -> float:
    """Return the seconds that a job and all its scoring may take."""
    return job.time_limit_s + SCORING_LIMIT_S * (bool(job.rescore) + bool(job.score_command))
