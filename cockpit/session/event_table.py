"""The events of a ledger in its SQLite file: the newest have a row each, older ones are packed a thousand to a row."""

import os
import sqlite3
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Self

from cockpit.session.chain import GENESIS, chained, link
from cockpit.session.event_bodies import joined, split
from cockpit.session.ledger_errors import LedgerDamaged, LedgerError
from cockpit.session.sqlite_file import BUSY_TIMEOUT_S, close, connect, transaction, translated_errors

SCHEMA = 2
LEDGER_MODE = 0o600
EVENTS_A_PACK = 1_000
ROWS_KEPT = 2_000
"""The newest events stay a row each: deflating one alone would save little."""
ROWS_AT_ONCE = 10_000
LEVEL = 6
_EVENTS = "CREATE TABLE events (seq INTEGER PRIMARY KEY, at REAL NOT NULL, body BLOB NOT NULL, chain BLOB NOT NULL)"
_PACKS = """
CREATE TABLE IF NOT EXISTS packs (last INTEGER PRIMARY KEY, events INTEGER NOT NULL, body BLOB NOT NULL,
                                  chain BLOB NOT NULL)
"""

EventRow = tuple[int, float, bytes, bytes]
"""Number, time, body and chain of an event."""


class EventTable:
    """Raises LedgerError with one sentence where the file cannot be used, LedgerDamaged where events do not fit."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._db = connection
        self._packed = int(self._db.execute("SELECT COALESCE(MAX(last), 0) FROM packs").fetchone()[0])
        """The number of the last packed event."""

    @classmethod
    def create(cls, path: Path) -> None:
        """Create the file. Raises FileExistsError if there is one."""
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, LEDGER_MODE))
        with translated_errors(path):
            db = connect(path, "rwc", BUSY_TIMEOUT_S)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute(_EVENTS)
            db.execute(_PACKS)
            db.execute(f"PRAGMA user_version={SCHEMA}")
            close(db, path)

    @classmethod
    def open(cls, path: Path, upgrade: bool = True) -> Self:
        """Open the file, to read and write; one of an older schema is upgraded, or else refused.

        To upgrade is also to drop what another program put in and that can change what is written.
        """
        if not os.path.lexists(path) and os.access(path.parent, os.X_OK):
            raise LedgerError(f"{path} is missing: {_repair_hint(path) or 'name another session'}")
        with translated_errors(path):
            db = connect(path, "rw", BUSY_TIMEOUT_S)
            version = _checked_schema(path, db)
            db.execute("PRAGMA synchronous=NORMAL")
            if version < SCHEMA and not upgrade:
                raise LedgerError(f"{path} was last run by an older cockpit, which kept no chain: open it once")
            _withdraw_from_group(path)
            if upgrade:
                for kind, name in _foreign(db):
                    db.execute(f"DROP {kind} {_quoted(name)}")
            if version < SCHEMA:
                _upgrade(db)
            db.execute(_PACKS)
            return cls(path, db)

    def foreign(self) -> list[str]:
        """Return what another program put into the file, and that can change what is written."""
        with translated_errors(self.path):
            return [f"{kind} {name!r}" for kind, name in _foreign(self._db)]

    def end(self) -> tuple[int, bytes]:
        """Return the number and the chain of the last event."""
        with translated_errors(self.path):
            for query in (
                "SELECT seq, chain FROM events ORDER BY seq DESC LIMIT 1",
                "SELECT last, chain FROM packs ORDER BY last DESC LIMIT 1",
            ):
                if row := self._db.execute(query).fetchone():
                    return int(row[0]), bytes(row[1])
        return 0, GENESIS

    def insert(self, rows: Sequence[EventRow], end: tuple[int, bytes]) -> None:
        """Insert all rows or none after `end`, the number and the chain of the last event that was written.

        Raises LedgerBusy while another program locks the file, LedgerError where the file ends elsewhere: a program
        has put an older copy in its place.
        """
        with translated_errors(self.path), transaction(self._db):
            if self.end() != end:
                raise LedgerError(f"{self.path} was changed by another program, and no longer ends at event {end[0]}")
            self._db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)

    def bodies(self, seq: int, most: int) -> list[bytes]:
        """Return the bodies of the events after a number, in order, each checked against the chain."""
        with translated_errors(self.path):
            return list(islice(self.bodies_after(seq), most))

    def bodies_after(self, seq: int) -> Iterator[bytes]:
        """Yield the bodies of the events after a number. Raises sqlite3.Error as well."""
        chain = GENESIS
        if seq < self._packed:
            for last, first_chain, bodies in self._packs(seq):
                yield from bodies[seq - last :]
                seq, chain = last, chained(first_chain, bodies)
        else:
            chain = self.chain_at(seq)
        while rows := self._db.execute(
            "SELECT seq, body, chain FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (seq, ROWS_AT_ONCE)
        ).fetchall():
            for number, body, stored in rows:
                seq += 1
                chain = link(chain, body) if isinstance(body, bytes) else b""
                if number != seq or chain != stored:
                    raise damaged(self.path, seq)
                yield body

    def chain_at(self, seq: int) -> bytes:
        """Return the chain after an event. Raises LedgerDamaged if there is no such event."""
        if seq == 0:
            return GENESIS
        if seq <= self._packed:
            last, chain, bodies = next(self._packs(seq - 1))
            return chained(chain, bodies[: len(bodies) - (last - seq)])
        row = self._db.execute("SELECT chain FROM events WHERE seq = ?", (seq,)).fetchone()
        if row is None:
            raise damaged(self.path, seq)
        return bytes(row[0])

    def pack(self, last_seq: int) -> bool:
        """Pack the oldest events that have a row each, if there are enough. Returns True if it did."""
        if last_seq - self._packed < EVENTS_A_PACK + ROWS_KEPT:
            return False
        self._pack_oldest()
        return True

    def compact(self, last_seq: int, until: float) -> None:
        """Pack events until a time on the monotonic clock, and give the room that this leaves back to the disk.

        Raises LedgerError.
        """
        while self._packed < last_seq and time.monotonic() < until:
            self._pack_oldest()
        if time.monotonic() >= until:
            return
        with translated_errors(self.path):
            if self._db.execute("PRAGMA freelist_count").fetchone()[0]:
                self._db.execute("VACUUM")

    def _pack_oldest(self) -> None:
        bodies = self.bodies(self._packed, EVENTS_A_PACK)
        last = self._packed + len(bodies)
        packed = zlib.compress(joined(bodies), LEVEL)
        with translated_errors(self.path):
            chain = self.chain_at(last)
            with transaction(self._db):
                self._db.execute("INSERT INTO packs VALUES (?, ?, ?, ?)", (last, len(bodies), packed, chain))
                self._db.execute("DELETE FROM events WHERE seq <= ?", (last,))
        self._packed = last

    @contextmanager
    def unchanging(self) -> Iterator[None]:
        """See the file inside as it is now, whatever the worker writes meanwhile."""
        with translated_errors(self.path):
            self._db.execute("BEGIN")
            self._packed = int(self._db.execute("SELECT COALESCE(MAX(last), 0) FROM packs").fetchone()[0])
            try:
                yield
            finally:
                self._db.execute("ROLLBACK")

    def close(self) -> None:
        close(self._db, self.path)

    def _packs(self, seq: int) -> Iterator[tuple[int, bytes, list[bytes]]]:
        """Yield (number of the last event, chain before the first, bodies) of each pack that ends after a number."""
        row = self._db.execute("SELECT last, chain FROM packs WHERE last <= ? ORDER BY last DESC LIMIT 1", (seq,))
        before, chain = row.fetchone() or (0, GENESIS)
        while found := self._db.execute(
            "SELECT last, events, body, chain FROM packs WHERE last > ? ORDER BY last LIMIT 1", (before,)
        ).fetchone():
            last, count, packed, stored = found
            try:
                bodies = split(zlib.decompress(packed))
            except (zlib.error, ValueError, TypeError):
                raise damaged(self.path, before + 1) from None
            if not len(bodies) == count == last - before or chained(chain, bodies) != stored:
                raise damaged(self.path, before + 1)
            yield last, chain, bodies
            before, chain = last, stored


def damaged(path: Path, seq: int) -> LedgerDamaged:
    """Return the error for an event that does not fit the chain."""
    name = path.parent.name
    return LedgerDamaged(
        f"event {seq} of {path} is not the one that was written: `cockpit verify {name}` tells what is damaged,"
        f" `cockpit repair {name}` keeps what is whole"
    )


def _repair_hint(path: Path) -> str:
    """Return the command that makes a lost ledger again; empty if nothing of it is left."""
    if not os.access(path.with_name("events.log"), os.R_OK):
        return ""
    return f"`cockpit repair {path.parent.name}` writes it again from events.log"


def _checked_schema(path: Path, db: sqlite3.Connection) -> int:
    """Return the schema. Raises LedgerError for a newer one, and for a file that is not a ledger."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA:
        raise LedgerError(
            f"{path} was written by a newer cockpit (schema {version}, this one reads {SCHEMA}): upgrade to open it"
        )
    if version == 0:
        way = _repair_hint(path) or "name another session, or move the file away"
        raise LedgerError(f"{path} is not a cockpit ledger: {way}")
    db.execute("SELECT 1 FROM events LIMIT 1").fetchone()
    return version


def _foreign(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return (kind, name) of each trigger, view and index in the file: Cockpit makes none."""
    found = db.execute("SELECT type, name FROM sqlite_schema WHERE type != 'table' AND sql IS NOT NULL").fetchall()
    return [(str(kind), str(name)) for kind, name in found]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _withdraw_from_group(path: Path) -> None:
    """Close an older session's ledger to its group, which reads the event stream instead."""
    for file in (path, *(path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-shm"))):
        if file.exists():
            file.chmod(LEDGER_MODE)


def _upgrade(db: sqlite3.Connection) -> None:
    """Chain the events of a ledger of schema 1, as they are found, and drop what is kept in files now."""
    with transaction(db):
        db.execute("ALTER TABLE events RENAME TO old_events")
        db.execute(_EVENTS)
        chain = GENESIS
        old = db.execute("SELECT seq, at, body FROM old_events ORDER BY seq")
        while found := old.fetchmany(ROWS_AT_ONCE):
            rows = []
            for seq, at, body in found:
                body = body if isinstance(body, bytes) else str(body).encode()
                chain = link(chain, body)
                rows.append((seq, at, body, chain))
            db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
        for table in ("old_events", "live", "snapshots"):
            db.execute(f"DROP TABLE IF EXISTS {table}")
        db.execute(f"PRAGMA user_version={SCHEMA}")
