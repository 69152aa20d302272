"""What the simulated world keeps: a record a cluster and a job, in a file that outlives the worker."""

import math
import sqlite3
from enum import StrEnum
from pathlib import Path

import msgspec

from cockpit.core.model import Value
from cockpit.fleet.base import FleetError
from cockpit.fleet.sim.run import Run


class ClusterIs(StrEnum):
    DOWN = "down"
    LAUNCHING = "launching"
    UP = "up"
    LOSING = "losing"
    """Gone, and nobody has noticed yet."""
    LOST = "lost"
    STOPPING = "stopping"


class JobIs(StrEnum):
    SENDING = "sending"
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    ENDING = "ending"
    """Cancelled, and still there."""
    ENDED = "ended"
    REFUSED = "refused"


class SimCluster(msgspec.Struct):
    name: str
    hardware: str
    usd_per_hour: float
    is_: ClusterIs = ClusterIs.DOWN
    due_at: float = math.inf
    requested: int = 0
    """The order of its request among all, while it is launching."""
    launches: int = 0
    queue: list[str] = []
    occupant: str = ""
    free_at: float = -math.inf
    """When its last job ended."""
    message: str = ""


class SimJob(msgspec.Struct):
    name: str
    cluster: str
    log_path: str
    run: Run
    time_limit_s: float
    is_: JobIs = JobIs.SENDING
    due_at: float = math.inf
    requested: int = 0
    arrived_at: float = 0.0
    started_at: float = 0.0
    starts: int = 0
    """How often it was started: never more than once."""
    ended_at: float = 0.0
    silent_at: float = math.inf
    """From when on it prints nothing more: it ended, or its cluster is gone."""
    reason: str = ""
    exit_code: int | None = None
    message: str = ""


class Baseline(msgspec.Struct, frozen=True):
    """The first file that was ever submitted here: edits have their effect against it."""

    constants: dict[str, Value]
    code: str


class Origin(msgspec.Struct, frozen=True):
    """Virtual time was `start` at `real_s` on the wall's clock, and has run `speed` times as fast since."""

    start: float
    speed: float
    real_s: float


class Records:
    """The world's file: a row a cluster and job. What was kept survives the kill of any process."""

    def __init__(self, path: Path | str) -> None:
        try:
            self._db = sqlite3.connect(str(path), check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.execute("CREATE TABLE IF NOT EXISTS records (name TEXT PRIMARY KEY, is_job INTEGER, body BLOB)")
            self._db.execute("CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, body BLOB)")
            rows = self._db.execute("SELECT is_job, body FROM records ORDER BY rowid").fetchall()
            self.clusters = [msgspec.msgpack.decode(body, type=SimCluster) for is_job, body in rows if not is_job]
            self.jobs = [msgspec.msgpack.decode(body, type=SimJob) for is_job, body in rows if is_job]
            facts = dict(self._db.execute("SELECT name, body FROM facts").fetchall())
            self.now = msgspec.msgpack.decode(facts["now"], type=float) if "now" in facts else -math.inf
            self.baseline = msgspec.msgpack.decode(facts["baseline"], type=Baseline) if "baseline" in facts else None
            self.origin = msgspec.msgpack.decode(facts["origin"], type=Origin) if "origin" in facts else None
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise FleetError(f"the simulated world in {path} cannot be read ({error}): start a new session") from error
        self._path = path
        self._baseline_kept = self.baseline is not None

    def keep(self, now: float, records: list[SimCluster | SimJob], baseline: Baseline | None) -> None:
        encode = msgspec.msgpack.encode
        try:
            self._db.execute("BEGIN")
            self._db.executemany(
                "INSERT OR REPLACE INTO records VALUES (?, ?, ?)",
                [(record.name, isinstance(record, SimJob), encode(record)) for record in records],
            )
            self._db.execute("INSERT OR REPLACE INTO facts VALUES ('now', ?)", (encode(now),))
            if baseline is not None and not self._baseline_kept:
                self._db.execute("INSERT OR REPLACE INTO facts VALUES ('baseline', ?)", (encode(baseline),))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise FleetError(
                f"the simulated world in {self._path} cannot be kept ({error}): free some space"
            ) from error
        self._baseline_kept = baseline is not None

    def keep_origin(self, origin: Origin) -> None:
        self.origin = origin
        self._db.execute("INSERT OR REPLACE INTO facts VALUES ('origin', ?)", (msgspec.msgpack.encode(origin),))

    def close(self) -> None:
        self._db.close()
