"""The events of a ledger in its SQLite file: the newest have a row each, older ones are packed, thousands to a row."""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

from cockpit.session.chain import GENESIS, chained, link
from cockpit.session.compressed import SMALLER, SMALLEST, compressed, decompressed
from cockpit.session.event_bodies import joined, split
from cockpit.session.ledger_errors import LedgerDamaged, LedgerError
from cockpit.session.sqlite_file import BUSY_TIMEOUT_S, close, connect, transaction, translated_errors

SCHEMA = 3
CHAINED = 2
"""The first schema whose events are chained. The packs of that one are deflated."""
LEDGER_MODE = 0o600
EVENTS_A_PACK = 1_000
EVENTS_AT_REST = 10_000
"""Events in a pack of a session that comes to rest."""
PACKED_AGAIN = 20_000
"""Events at most that a session which comes to rest packs again. They take a second of a processor."""
ROWS_KEPT = 2_000
"""The newest events stay a row each: compressing one alone would save little."""
ROWS_AT_ONCE = 10_000
_EVENTS = "CREATE TABLE events (seq INTEGER PRIMARY KEY, at REAL NOT NULL, body BLOB NOT NULL, chain BLOB NOT NULL)"
_PACKS = """
CREATE TABLE IF NOT EXISTS packs (last INTEGER PRIMARY KEY, events INTEGER NOT NULL, body BLOB NOT NULL,
                                  chain BLOB NOT NULL)
"""

EventRow = tuple[int, float, bytes, bytes]
"""Number, time, body and chain of an event."""


class Pack(NamedTuple):
    """Events that follow each other, compressed as one text."""

    last: int
    """The number of the last one."""
    before: bytes
    """The chain before the first."""
    bodies: list[bytes]
    text: bytes
    """The bodies, compressed."""
    chain: bytes
    """The chain after the last."""


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
            if version < CHAINED and not upgrade:
                raise LedgerError(f"{path} was last run by an older cockpit, which kept no chain: open it once")
            _withdraw_from_group(path)
            if upgrade:
                for kind, name in _foreign(db):
                    db.execute(f"DROP {kind} {_quoted(name)}")
            if version < CHAINED:
                _upgrade(db)
            if version < SCHEMA and upgrade:
                db.execute(f"PRAGMA user_version={SCHEMA}")
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
            for pack in self.packs_after(seq):
                yield from pack.bodies[seq - pack.last :]
                seq, chain = pack.last, pack.chain
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
            pack = next(self.packs_after(seq - 1))
            return chained(pack.before, pack.bodies[: len(pack.bodies) - (pack.last - seq)])
        row = self._db.execute("SELECT chain FROM events WHERE seq = ?", (seq,)).fetchone()
        if row is None:
            raise damaged(self.path, seq)
        return bytes(row[0])

    def ends_pack(self, seq: int) -> bool:
        """Return True if a pack ends with an event, or there is none before it."""
        with translated_errors(self.path):
            found = self._db.execute("SELECT 1 FROM packs WHERE last = ?", (seq,)).fetchone()
        return seq == 0 or found is not None

    def pack(self, last_seq: int) -> bool:
        """Pack the oldest events that have a row each, if there are enough. Returns True if it did."""
        if last_seq - self._packed < EVENTS_A_PACK + ROWS_KEPT:
            return False
        self._pack_after(self._packed, EVENTS_A_PACK, SMALLER)
        return True

    def compact(self, last_seq: int, until: float) -> None:
        """Pack events until a time on the monotonic clock, and give the room that this leaves back to the disk.

        The packs of a session that ran are packed again, as fewer and smaller ones, unless they are many. Raises
        LedgerError.
        """
        packed = self._small_packs_start(last_seq)
        while packed < last_seq and time.monotonic() < until:
            packed = self._pack_after(packed, EVENTS_AT_REST, SMALLEST)
        if time.monotonic() >= until:
            return
        with translated_errors(self.path):
            if self._db.execute("PRAGMA freelist_count").fetchone()[0]:
                self._db.execute("VACUUM")

    def _small_packs_start(self, last_seq: int) -> int:
        """Return the number of the last event that stays packed as it is."""
        with translated_errors(self.path):
            found = self._db.execute(
                "SELECT MIN(last - events) FROM packs WHERE events < ? AND last < ?", (EVENTS_AT_REST // 2, last_seq)
            ).fetchone()[0]
        return self._packed if found is None or last_seq - found > PACKED_AGAIN else int(found)

    def _pack_after(self, seq: int, most: int, level: int) -> int:
        """Pack events after one that ends a pack, also packed ones. Returns the number of the last one."""
        bodies = self.bodies(seq, most)
        with translated_errors(self.path):
            last = seq + len(bodies)
            if last < self._packed:  # the next pack does not fit as a whole
                last = self._db.execute("SELECT MAX(last) FROM packs WHERE last <= ?", (last,)).fetchone()[0]
            bodies = bodies[: last - seq]
            packed = compressed(joined(bodies), level)
            chain = self.chain_at(last)
            with transaction(self._db):
                self._db.execute("DELETE FROM packs WHERE last > ? AND last <= ?", (seq, last))
                self._db.execute("INSERT INTO packs VALUES (?, ?, ?, ?)", (last, len(bodies), packed, chain))
                self._db.execute("DELETE FROM events WHERE seq <= ?", (last,))
        self._packed = max(self._packed, last)
        return last

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

    def packs_after(self, seq: int) -> Iterator[Pack]:
        """Yield each pack that ends after a number, checked against the chain. Raises sqlite3.Error too."""
        row = self._db.execute("SELECT last, chain FROM packs WHERE last <= ? ORDER BY last DESC LIMIT 1", (seq,))
        before, chain = row.fetchone() or (0, GENESIS)
        while found := self._db.execute(
            "SELECT last, events, body, chain FROM packs WHERE last > ? ORDER BY last LIMIT 1", (before,)
        ).fetchone():
            last, count, packed, stored = found
            try:
                bodies = split(decompressed(packed))
            except (ValueError, TypeError, AttributeError):
                raise damaged(self.path, before + 1) from None
            if not len(bodies) == count == last - before or chained(chain, bodies) != stored:
                raise damaged(self.path, before + 1)
            yield Pack(last, chain, bodies, packed, stored)
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
