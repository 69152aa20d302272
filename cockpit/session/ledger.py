"""The ledger: the append-only record of a session, in SQLite (WAL). Only the session's worker opens it.

`ledger.db` belongs to the session's owner alone, because a user who can read a SQLite file can lock it. Readers get
plain files beside it, which the worker writes and never locks: `events.log` (every event), `snapshot` (the state at
one event) and `progress.live` (the progress of what runs). `cockpit.session.reader` reads them.
"""

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

from cockpit.core.events import AnyEvent, Event, Progressed, decode_event, encode_event
from cockpit.core.state import State
from cockpit.session.chain import GENESIS, chained, link
from cockpit.session.event_stream import START, Place, StreamDamaged, StreamReader, StreamWriter
from cockpit.session.folding import fold_progress, fold_stored
from cockpit.session.paths import SessionFolder
from cockpit.session.progress_file import ProgressFile
from cockpit.session.snapshot import Snapshot, read_snapshot, write_snapshot
from cockpit.session.sqlite_file import (
    BUSY_TIMEOUT_S,
    LedgerBusy,
    LedgerDamaged,
    LedgerError,
    LedgerFull,
    connect,
    is_full,
    transaction,
    translated_errors,
)

SCHEMA = 2
LEDGER_MODE = 0o600
FOLDER_MODE = 0o2750

ROWS_AT_ONCE = 10_000

_TABLES = "CREATE TABLE events (seq INTEGER PRIMARY KEY, at REAL NOT NULL, body BLOB NOT NULL, chain BLOB NOT NULL)"

log = logging.getLogger("cockpit.worker")


class Ledger:
    """The open ledger of a session. Raises LedgerError with one sentence where a file cannot be used."""

    def __init__(self, path: Path, connection: sqlite3.Connection, stop: threading.Event) -> None:
        self.path = path
        self.waits_for = ""
        """The reason why a write is waiting; empty while none does."""
        self.restored = 0
        """Events that ledger.db had lost and that came back from the event stream when it was opened."""
        self._folder = SessionFolder(path.parent)
        self._db = connection
        self._stop = stop
        self._wal_fd = -1
        self._end = self._last_link()
        self._snapshot = self._usable_snapshot()
        self._stream = self._open_stream()
        self._progress = ProgressFile(self._folder.progress)

    @classmethod
    def create(cls, path: Path) -> Self:
        """Create a ledger at `path`, and its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(FOLDER_MODE)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, LEDGER_MODE))
        with translated_errors(path):
            db = connect(path, "rwc", BUSY_TIMEOUT_S)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute(_TABLES)
            db.execute(f"PRAGMA user_version={SCHEMA}")
            db.close()
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, stop: threading.Event | None = None) -> Self:
        """Open the ledger for its worker, which holds the session's lock. Setting `stop` ends a wait for another
        program's lock with LedgerBusy."""
        if path.exists() and not os.access(path, os.W_OK):
            # SQLite would silently open it read-only.
            raise LedgerError(f"{path} belongs to another user: watch it with `cockpit watch`")
        with translated_errors(path):
            db = connect(path, "rw", BUSY_TIMEOUT_S)
            check_schema(path, db)
            db.execute("PRAGMA synchronous=NORMAL")
            _withdraw_from_group(path)
            _upgrade(db)
        return cls(path, db, stop or threading.Event())

    def append(self, events: Sequence[Event]) -> None:
        """Append all of the events or none. Progress replaces the attempt's last; every other event is permanent.

        Waits while another program locks the file.
        """
        kept = [event for event in events if not isinstance(event, Progressed)]
        bodies = [encode_event(event) for event in kept]
        seq, chain = self._end.seq, self._end.chain
        rows = []
        for event, body in zip(kept, bodies, strict=True):
            seq, chain = seq + 1, link(chain, body)
            rows.append((seq, event.at, body, chain))
        changed = self._progress.take(events)
        if rows:
            self._insert(rows)
            self._end = Place(seq, chain, 0)
            self._publish(bodies)
        if changed:
            self._try_to(self._progress.write)

    def sync(self) -> None:
        """Make every appended event survive a power cut; called before an effect on the world."""
        if self._wal_fd < 0:
            self._wal_fd = os.open(self.path.with_name(f"{self.path.name}-wal"), os.O_RDONLY)
        os.fdatasync(self._wal_fd)

    def since(self, seq: int, most: int = 1_000_000) -> list[AnyEvent]:
        """Return the events after number `seq`, in order. Raises LedgerDamaged where one does not fit the chain."""
        with translated_errors(self.path):
            return [decode_event(body) for body in self._bodies(seq, most)]

    def last_seq(self) -> int:
        return self._end.seq

    def live(self) -> list[Progressed]:
        """Return the newest progress of each running attempt."""
        return self._progress.events()

    def state(self) -> State:
        """Return the present state: the last snapshot and the events after it."""
        snapshot = self._snapshot
        state = fold_stored(lambda: snapshot.state() if snapshot else None, lambda seq: self.since(seq, ROWS_AT_ONCE))
        if state is None:
            raise LedgerError(f"{self.path} holds no session: make another with `cockpit new`")
        return fold_progress(state, self.live())

    def snapshot(self, state: State) -> None:
        """Write the snapshot of a state at the ledger's last event. Raises LedgerFull on a full disk."""
        if self._stream.end.seq != state.seq or self._end.seq != state.seq:
            return  # the stream is behind, on a full disk: the next snapshot will do
        try:
            write_snapshot(self._folder.snapshot, state, self._stream.start_segment())
        except OSError as error:
            if is_full(error):
                raise LedgerFull(self.path) from error
            raise LedgerError(f"{self._folder.snapshot} cannot be written: {error.strerror}") from error

    def close(self) -> None:
        if self._wal_fd >= 0:
            os.close(self._wal_fd)
            self._wal_fd = -1
        self._stream.close()
        self._db.close()

    def _insert(self, rows: Sequence[tuple[int, float, bytes, bytes]]) -> None:
        while True:
            try:
                with translated_errors(self.path), transaction(self._db):
                    self._db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
            except LedgerBusy as error:
                if self._stop.is_set():
                    raise
                self.waits_for = str(error)
            else:
                self.waits_for = ""
                return

    def _publish(self, bodies: Sequence[bytes]) -> None:
        """Write events to the stream; those that an earlier failure left out first."""
        missing = self._end.seq - len(bodies) - self._stream.end.seq
        with translated_errors(self.path):
            earlier = list(self._bodies(self._stream.end.seq, missing)) if missing else []
        self._try_to(lambda: self._stream.append([*earlier, *bodies]))

    def _try_to(self, write: Callable[[], None]) -> None:
        """Write a file for readers. It can fail without loss: the ledger has it, and the next write repeats it."""
        try:
            write()
        except OSError as error:
            log.warning("readers do not see the newest events: %s", error)

    def _bodies(self, seq: int, most: int) -> Iterator[bytes]:
        chain = self._link_at(seq)
        rows = self._db.execute(
            "SELECT seq, body, chain FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (seq, most)
        ).fetchall()
        for number, body, stored in rows:
            seq += 1
            chain = link(chain, body) if isinstance(body, bytes) else b""
            if number != seq or chain != stored:
                raise damaged(self.path, seq)
            yield body

    def _link_at(self, seq: int) -> bytes:
        """Return the chain after an event. Raises LedgerDamaged where there is no such event."""
        if seq == 0:
            return GENESIS
        row = self._db.execute("SELECT chain FROM events WHERE seq = ?", (seq,)).fetchone()
        if row is None:
            raise damaged(self.path, seq)
        return bytes(row[0])

    def _last_link(self) -> Place:
        with translated_errors(self.path):
            row = self._db.execute("SELECT seq, chain FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        return Place(int(row[0]), bytes(row[1]), 0) if row else Place(0, GENESIS, 0)

    def _usable_snapshot(self) -> Snapshot | None:
        """Return the snapshot if it is whole and of this ledger's events."""
        try:
            found = read_snapshot(self._folder.snapshot)
        except ValueError as error:
            log.warning("%s: the state is folded from the events instead", error)
            return None
        if found is None or found.place.seq > self._end.seq:
            return None
        with translated_errors(self.path):
            return found if self._link_at(found.place.seq) == found.place.chain else None

    def _open_stream(self) -> StreamWriter:
        """Open the event stream, cut off what a kill left of its last frame, and append what it lacks.

        Events that only the stream has were lost with ledger.db's log; they return to the ledger.
        """
        end, lost = self._compare(self._snapshot.place) if self._snapshot else (None, [])
        if end is None:
            end, lost = self._compare(START)
        if end is None:
            end = START
            self._folder.snapshot.unlink(missing_ok=True)  # its place is one in the stream that is written again
        if lost:
            self._restore(lost)
        try:
            stream = StreamWriter(self._folder.events, end)
            with translated_errors(self.path):
                while bodies := list(self._bodies(stream.end.seq, ROWS_AT_ONCE)):
                    stream.append(bodies)
        except OSError as error:
            if is_full(error):
                raise LedgerFull(self._folder.events) from error
            raise LedgerError(f"{self._folder.events} cannot be written: {error.strerror}") from error
        return stream

    def _compare(self, start: Place) -> tuple[Place | None, list[bytes]]:
        """Compare the stream with the ledger from a place on.

        Returns the end of the stream's whole frames, None where not even the first is whole; and the events that only
        the stream has. Raises LedgerDamaged where the two hold different events.
        """
        lost: list[bytes] = []
        try:
            reader = StreamReader(self._folder.events, start)
        except (OSError, StreamDamaged):
            return None, []
        try:
            for bodies in reader.frames():
                lost += bodies[max(0, self._end.seq - (reader.place.seq - len(bodies))) :]
        except StreamDamaged as error:
            log.warning("%s: the frames after it are written again", error)
        end, at_end = reader.place, reader.at_end()
        reader.close()
        if end == start and not at_end:
            return None, []
        with translated_errors(self.path):
            expected = chained(self._end.chain, lost) if lost else self._link_at(end.seq)
        if expected != end.chain:
            raise damaged(self.path, min(end.seq, self._end.seq))
        return end, lost

    def _restore(self, lost: Sequence[bytes]) -> None:
        seq, chain = self._end.seq, self._end.chain
        rows = []
        for body in lost:
            seq, chain = seq + 1, link(chain, body)
            rows.append((seq, decode_event(body).at, body, chain))
        self._insert(rows)
        self._end = Place(seq, chain, 0)
        self.restored = len(lost)
        log.warning("%s had lost %d events, which came back from %s", self.path, len(lost), self._folder.events)


def damaged(path: Path, seq: int) -> LedgerDamaged:
    name = path.parent.name
    return LedgerDamaged(
        f"event {seq} of {path} is not the one that was written: `cockpit verify {name}` tells what is damaged,"
        f" `cockpit repair {name}` keeps what is whole"
    )


def check_schema(path: Path, db: sqlite3.Connection) -> int:
    """Return the ledger's schema. Raises LedgerError for a newer one, and for a file that is not a ledger."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA:
        raise LedgerError(
            f"{path} was written by a newer cockpit (schema {version}, this one reads {SCHEMA}): upgrade to open it"
        )
    if version == 0:
        raise LedgerError(f"{path} is not a cockpit ledger: name another session, or move the file away")
    db.execute("SELECT 1 FROM events LIMIT 1").fetchone()
    return version


def _withdraw_from_group(path: Path) -> None:
    """Close an older session's ledger to its group, which reads the event stream instead."""
    for file in (path, *(path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-shm"))):
        if file.exists():
            file.chmod(LEDGER_MODE)


def _upgrade(db: sqlite3.Connection) -> None:
    """Chain the events of a ledger of schema 1, as they are found, and drop what is kept in files now."""
    if int(db.execute("PRAGMA user_version").fetchone()[0]) == SCHEMA:
        return
    with transaction(db):
        db.execute("ALTER TABLE events RENAME TO old_events")
        db.execute(_TABLES)
        chain = GENESIS
        rows = db.execute("SELECT seq, at, body FROM old_events ORDER BY seq")
        while found := rows.fetchmany(ROWS_AT_ONCE):
            chained = []
            for seq, at, body in found:
                body = body if isinstance(body, bytes) else str(body).encode()
                chain = link(chain, body)
                chained.append((seq, at, body, chain))
            db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", chained)
        for table in ("old_events", "live", "snapshots"):
            db.execute(f"DROP TABLE IF EXISTS {table}")
        db.execute(f"PRAGMA user_version={SCHEMA}")
