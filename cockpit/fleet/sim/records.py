"""The records of the simulated world, one for each cluster and job, in a file that outlives the worker."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import msgspec

from cockpit.core.model import Value
from cockpit.fleet.base import FleetError
from cockpit.fleet.sim.run import SimRun
from cockpit.session.ledger_errors import LedgerDamaged
from cockpit.session.sqlite_file import BUSY_TIMEOUT_S, close, connect, transaction, translated_errors


class ClusterIs(StrEnum):
    DOWN = "down"
    LAUNCHING = "launching"
    UP = "up"
    LOSING = "losing"
    """Lost, but not noticed yet."""
    LOST = "lost"
    STOPPING = "stopping"


class JobIs(StrEnum):
    SENDING = "sending"
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    ENDING = "ending"
    """Cancelled, and still running."""
    ENDED = "ended"
    REFUSED = "refused"


class SimCluster(msgspec.Struct):
    """A cluster. Its next change is due at `due_at`."""

    name: str
    hardware: str
    usd_per_hour: float
    is_: ClusterIs = ClusterIs.DOWN
    due_at: float = math.inf
    requested: int = 0
    """The number of its launch among all requests."""
    launches: int = 0
    queue: list[str] = []
    occupant: str = ""
    free_at: float = -math.inf
    """The time its last job ended."""
    launch_began: float = 0.0
    """The time at which the scheduler began its last launch."""
    up_at: float = 0.0
    """The end of that launch."""
    message: str = ""


class SimJob(msgspec.Struct):
    """A job. Its next change is due at `due_at`."""

    name: str
    cluster: str
    log_path: str
    run: SimRun
    time_limit_s: float
    is_: JobIs = JobIs.SENDING
    due_at: float = math.inf
    requested: int = 0
    arrived_at: float = 0.0
    started_at: float = 0.0
    starts: int = 0
    """The number of times it was started: at most once."""
    ended_at: float = 0.0
    silent_at: float = math.inf
    """The time after which it prints nothing: it ended, or its cluster is gone."""
    reason: str = ""
    exit_code: int | None = None
    message: str = ""


class SimBaseline(msgspec.Struct, frozen=True):
    """The first code that was submitted: the effects of edits are relative to it."""

    constants: dict[str, Value]
    code: str


class TimeOrigin(msgspec.Struct, frozen=True):
    """The origin of virtual time: it was `start` at `real_s` on the wall clock, and runs `speed` times as fast."""

    start: float
    speed: float
    real_s: float
    boot: str = ""
    """The id of the system's start in which the wall clock was read; empty if it is unknown."""
    clock_origin: float = 0.0
    """The time on that clock when the steady clock of that start read 0."""


class WorldFile:
    """The world's file: a row for each cluster and job. Saved rows survive the kill of any process."""

    def __init__(self, path: Path | str) -> None:
        self._path = path
        with self._read():
            self._open(path)
        self._baseline_saved = self.baseline is not None

    def _open(self, path: Path | str) -> None:
        self._db = connect(Path(path), "rwc", BUSY_TIMEOUT_S)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("CREATE TABLE IF NOT EXISTS records (name TEXT PRIMARY KEY, is_job INTEGER, body BLOB)")
        self._db.execute("CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, body BLOB)")
        rows = self._db.execute("SELECT body FROM records WHERE NOT is_job ORDER BY rowid").fetchall()
        self.clusters = [msgspec.msgpack.decode(body, type=SimCluster) for (body,) in rows]
        facts = dict(self._db.execute("SELECT name, body FROM facts").fetchall())
        self.now = msgspec.msgpack.decode(facts["now"], type=float) if "now" in facts else -math.inf
        self.baseline = msgspec.msgpack.decode(facts["baseline"], type=SimBaseline) if "baseline" in facts else None
        self.origin = msgspec.msgpack.decode(facts["origin"], type=TimeOrigin) if "origin" in facts else None

    @contextmanager
    def _read(self) -> Iterator[None]:
        """Raise FleetError for a file that is damaged."""
        try:
            with translated_errors(Path(self._path)):
                yield
        except (LedgerDamaged, msgspec.MsgspecError) as error:
            raise FleetError(
                f"the simulated world in {self._path} cannot be read ({error}): start a new session"
            ) from error

    def jobs(self) -> list[SimJob]:
        """Return every job, the oldest first."""
        with self._read():
            rows = self._db.execute("SELECT body FROM records WHERE is_job ORDER BY rowid")
            return [msgspec.msgpack.decode(body, type=SimJob) for (body,) in rows]

    def job(self, name: str) -> SimJob | None:
        with self._read():
            row = self._db.execute("SELECT body FROM records WHERE is_job AND name = ?", (name,)).fetchone()
        return msgspec.msgpack.decode(row[0], type=SimJob) if row else None

    def save(self, now: float, records: list[SimCluster | SimJob], baseline: SimBaseline | None) -> None:
        """Save everything or nothing. Raises LedgerFull on a full disk, LedgerBusy if the file is locked."""
        encode = msgspec.msgpack.encode
        with translated_errors(Path(self._path)), transaction(self._db):
            self._db.executemany(
                "INSERT OR REPLACE INTO records VALUES (?, ?, ?)",
                [(record.name, isinstance(record, SimJob), encode(record)) for record in records],
            )
            self._db.execute("INSERT OR REPLACE INTO facts VALUES ('now', ?)", (encode(now),))
            if baseline is not None and not self._baseline_saved:
                self._db.execute("INSERT OR REPLACE INTO facts VALUES ('baseline', ?)", (encode(baseline),))
        self._baseline_saved = baseline is not None

    def save_origin(self, origin: TimeOrigin) -> None:
        self.origin = origin
        with translated_errors(Path(self._path)):
            self._db.execute("INSERT OR REPLACE INTO facts VALUES ('origin', ?)", (msgspec.msgpack.encode(origin),))

    def close(self) -> None:
        close(self._db, Path(self._path))
