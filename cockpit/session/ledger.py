"""The ledger: the append-only record of a session, in SQLite (WAL), and the inbox that intents come in by.

A session's folder holds `ledger.db`, which its worker alone writes and its group may read, and `inbox.db`, which only
its owner may open. A reader without write permission works beside a live writer, and on a ledger nobody has open.
"""

import gc
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec

from cockpit.core.curves import packed
from cockpit.core.events import AnyEvent, Ended, Event, Progressed, Unsubmitted, decode_event, encode_event
from cockpit.core.fold import fold
from cockpit.core.interning import unpacked
from cockpit.core.state import State
from cockpit.session.sqlite_file import LedgerError, connect, translated_errors

SCHEMA = 1
STATE_FORMAT = 4
"""Counted up when State changes its shape: older snapshots are then folded anew."""

LEDGER_MODE = 0o640
FOLDER_MODE = 0o2750

LOG_HEADER_BYTES = 32
"""https://sqlite.org/fileformat2.html#walformat"""

_TABLES = """
CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, at REAL NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS live (attempt TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS snapshots (seq INTEGER PRIMARY KEY, format INTEGER NOT NULL, body BLOB NOT NULL);
"""


class Ledger:
    """An open ledger. Raises LedgerError with one sentence on anything that is wrong with the file."""

    def __init__(self, path: Path, connection: sqlite3.Connection, frozen: bool = False) -> None:
        self.path = path
        self._db = connection
        self._wal_fd = -1
        self._frozen = frozen
        """Opened as a file that nobody writes, for want of a log to join: a writer that comes later goes unseen."""
        self._thawed = 0

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new ledger at `path`, its folder made with it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(FOLDER_MODE)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, LEDGER_MODE))
        path.chmod(LEDGER_MODE)
        with translated_errors(path):
            db = connect(path, "rwc")
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(_TABLES)
            db.execute(f"PRAGMA user_version={SCHEMA}")
            db.close()
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The ledger, to write: for its worker, which holds the session's lock."""
        if path.exists() and not os.access(path, os.W_OK):
            # SQLite would open it read-only without a word.
            raise LedgerError(f"{path} is somebody else's to write: look on with `cockpit watch`")
        with translated_errors(path):
            db = connect(path, "rw")
            _check(path, db)
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute("PRAGMA busy_timeout=10000")
        return cls(path, db)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The ledger, read-only, whoever reads."""
        # Without a log to join, SQLite would make one, which a mere reader cannot: the file is all there is.
        alone = path.is_file() and not os.access(path.parent, os.W_OK)
        frozen = alone and not _logged(path)
        if alone and not frozen and not path.with_name(path.name + "-shm").exists():
            raise LedgerError(
                f"{path} was copied together with {_log_of(path).name}, whose events can only be put back where files"
                " may be written: copy the session's folder to a place of your own, and open it there"
            )
        with translated_errors(path):
            db = connect(path, "ro", immutable=frozen)
            _check(path, db)
        return cls(path, db, frozen)

    def append(self, events: Sequence[Event]) -> None:
        """All of them or none. Progress replaces the attempt's last; everything else is kept for ever."""
        with translated_errors(self.path), self._db:
            kept = [(event.at, encode_event(event)) for event in events if not isinstance(event, Progressed)]
            self._db.executemany("INSERT INTO events (at, body) VALUES (?, ?)", kept)
            live = [(event.attempt, encode_event(event)) for event in events if isinstance(event, Progressed)]
            self._db.executemany("INSERT OR REPLACE INTO live VALUES (?, ?)", live)
            ended = [(event.attempt,) for event in events if isinstance(event, Ended | Unsubmitted)]
            self._db.executemany("DELETE FROM live WHERE attempt = ?", ended)

    def sync(self) -> None:
        """What was appended survives a power cut from here on: called before the world is touched."""
        if self._wal_fd < 0:
            self._wal_fd = os.open(_log_of(self.path), os.O_RDONLY)
        os.fdatasync(self._wal_fd)

    def since(self, seq: int, most: int = 1_000_000) -> list[AnyEvent]:
        """The events after number `seq`, in order."""
        with translated_errors(self.path):
            rows = self._db.execute(
                "SELECT seq, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (seq, most)
            ).fetchall()
            return [decode_event(body) for _, body in rows]

    def walk(self, chunk: int = 10_000) -> Iterator[AnyEvent]:
        """Every event, in order, a chunk in memory at a time."""
        seq = 0
        while events := self.since(seq, chunk):
            yield from events
            seq += len(events)

    def last_seq(self) -> int:
        with translated_errors(self.path):
            return int(self._db.execute("SELECT COALESCE(MAX(seq), 0) FROM events").fetchone()[0])

    def live(self) -> list[Progressed]:
        """The newest progress of each attempt that runs."""
        with translated_errors(self.path):
            rows = self._db.execute("SELECT body FROM live").fetchall()
        found = [decode_event(body) for (body,) in rows]
        return [event for event in found if isinstance(event, Progressed)]

    def data_version(self) -> int:
        """A number that changes when another process has written."""
        if self._frozen and _logged(self.path):
            self._thaw()
        with translated_errors(self.path):
            return int(self._db.execute("PRAGMA data_version").fetchone()[0]) + (self._thawed << 32)

    def _thaw(self) -> None:
        """Somebody has begun to write: read with them from here on."""
        with translated_errors(self.path):
            db = connect(self.path, "ro")
            try:
                _check(self.path, db)
            except sqlite3.OperationalError:
                db.close()  # its log is not whole yet
                return
        self._db.close()
        self._db, self._frozen, self._thawed = db, False, self._thawed + 1

    def state(self) -> State:
        """The state as of now: the last snapshot, and what came after it."""
        # A hundred thousand records are many small objects, none of them garbage: looking for some takes longer than
        # reading them.
        collects = gc.isenabled()
        gc.disable()
        try:
            state = self._snapshot()
            while events := self.since(state.seq if state else 0, 10_000):
                for event in events:
                    state = fold(state, event)
        finally:
            if collects:
                gc.enable()
        if state is None:
            raise LedgerError(f"{self.path} holds no session: make another with `cockpit new`")
        return self.fold_live(state)

    def _snapshot(self) -> State | None:
        """The last snapshot; None where there is none that can be used."""
        with translated_errors(self.path):
            row = self._db.execute(
                "SELECT body FROM snapshots WHERE format = ? ORDER BY seq DESC LIMIT 1", (STATE_FORMAT,)
            ).fetchone()
        if row is None:
            return None
        try:
            return unpacked(row[0])
        except (msgspec.MsgspecError, KeyError):  # torn, or it names what it does not hold
            return None

    def fold_live(self, state: State) -> State:
        """The state with the newest progress of what runs. Progress has no number: `seq` stays as it was."""
        for event in self.live():
            attempt = state.attempts.get(event.attempt)
            if attempt is not None and attempt.id in state.in_flight:
                attempt.progress, attempt.curve = event.progress, packed(event.curve)
                state.clusters[attempt.cluster].seen_at = event.at
        return state

    def snapshot(self, state: State) -> None:
        """Keep the state, so that the next reader need not fold from the start. Older snapshots go."""
        body = msgspec.msgpack.encode(state)
        with translated_errors(self.path), self._db:
            self._db.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", (state.seq, STATE_FORMAT, body))
            self._db.execute("DELETE FROM snapshots WHERE seq < ?", (state.seq,))

    def close(self) -> None:
        if self._wal_fd >= 0:
            os.close(self._wal_fd)
            self._wal_fd = -1
        self._db.close()


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _logged(path: Path) -> bool:
    """Whether the log holds anything: a writer may have been killed when its header was all there was."""
    try:
        return _log_of(path).stat().st_size > LOG_HEADER_BYTES
    except FileNotFoundError:
        return False


def _check(path: Path, db: sqlite3.Connection) -> None:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA:
        raise LedgerError(
            f"{path} was written by a newer cockpit (schema {version}, this one reads {SCHEMA}): upgrade to open it"
        )
    if version == 0:
        raise LedgerError(f"{path} is not a cockpit ledger: name another session, or move the file away")
    db.execute("SELECT 1 FROM events LIMIT 1").fetchone()
