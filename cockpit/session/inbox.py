"""The inbox, through which screens and commands send intents to the worker."""

import contextlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cockpit.core.intents import INTENT_BYTES_AT_MOST
from cockpit.session.ledger_errors import LedgerDamaged, LedgerError
from cockpit.session.paths import SessionFolder
from cockpit.session.sqlite_file import close, connect, transaction, translated_errors

INBOX_MODE = 0o600
SENDER_BUSY_TIMEOUT_S = 10.0
WORKER_BUSY_TIMEOUT_S = 0.05
"""The worker tries again at its next tick: waiting longer would delay its decisions."""
FIRST_OPEN_RETRY_S = 0.01
"""The pause before a program tries again to prepare a file that another one prepares at the same moment."""
READ_BYTES_AT_MOST = 4 * INTENT_BYTES_AT_MOST
"""Bytes of intents that are read at once."""
READ_AT_MOST = 100
"""Intents that are read at once."""
REPLACED_AT_MOST = 5
"""Consecutive times that the file is replaced under an intent before its sender gives up."""
SIDE_FILES = ("-wal", "-shm", "-journal")
_TABLE = """
CREATE TABLE IF NOT EXISTS intents (id INTEGER PRIMARY KEY AUTOINCREMENT, author TEXT NOT NULL, body BLOB NOT NULL)
"""
_TABLES = "SELECT type, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' LIMIT 2"
_SIZES = """
SELECT id, typeof(body), length(body), typeof(author)
FROM intents WHERE id > ? ORDER BY id LIMIT ?
"""
_ONE = "SELECT substr(author, 1, ?), CASE WHEN ? THEN body END FROM intents WHERE id = ?"
AUTHOR_LENGTH_AT_MOST = 200
AHEAD_AT_MOST = 1_000_000_000
"""A number this far behind the last one taken was not given by cockpit. SQLite gives none after its largest."""


class Inbox:
    """Only the session's owner can open it. Raises LedgerError with one sentence where the file cannot be used.

    `last_taken` returns the number of the last intent that the worker took. A sender needs it: numbers of an inbox that
    replaced a lost one must continue after it, and the sender may find that inbox before the worker does.
    """

    def __init__(
        self,
        path: Path,
        busy_timeout_s: float = SENDER_BUSY_TIMEOUT_S,
        last_taken: Callable[[], int] = lambda: 0,
    ) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._last_taken = last_taken
        self._db: sqlite3.Connection | None = None
        self._opened: tuple[int, ...] = ()
        self._last_put: int | None = None
        """The number of the last intent put into the open file; None until its numbers were compared with those
        taken."""

    def open(self) -> None:
        """Open the file, and create it if there is none. Raises LedgerError if this user may not."""
        self._connected()

    def put(self, author: str, body: bytes) -> int:
        """Leave an intent. Returns its number, which the ledger's IntentTaken names when it was dealt with.

        Raises LedgerError.
        """
        if len(body) > INTENT_BYTES_AT_MOST:
            raise LedgerError(f"that is too large: {len(body)} bytes, and an intent has at most {INTENT_BYTES_AT_MOST}")
        with translated_errors(self.path):
            for _ in range(REPLACED_AT_MOST):
                db = self._connected()
                with transaction(db):
                    self._continue_numbers(db)
                    row = db.execute("INSERT INTO intents (author, body) VALUES (?, ?)", (author, body))
                self._last_put = int(row.lastrowid or 0)
                if self._inodes() == self._opened:
                    return self._last_put
        raise LedgerError(f"{self.path} is replaced again and again: the intent was not left")

    def after(self, intent: int, most: int = READ_AT_MOST) -> list[tuple[int, str, bytes]]:
        """Return [(number, author, body)] of the next intents after number `intent`, oldest first.

        The body of an intent that is too large is not read, and is returned empty. Raises LedgerBusy
        while another program locks the file, LedgerDamaged where it is not an inbox.
        """
        with translated_errors(self.path):
            db = self._connected()
            _check_tables(self.path, db)
            if _last_number(db) > intent + AHEAD_AT_MOST:
                raise LedgerDamaged(f"{self.path} has numbered an intent {_last_number(db)}")
            found: list[tuple[int, str, bytes]] = []
            read_bytes = 0
            for number, body_type, size, author_type in db.execute(_SIZES, (intent, most)).fetchall():
                if (body_type, author_type) != ("blob", "text"):
                    raise LedgerDamaged(f"{self.path} holds intents that are not text")
                fits = size <= INTENT_BYTES_AT_MOST
                read_bytes += size if fits else 0
                if found and read_bytes > READ_BYTES_AT_MOST:
                    break
                author, body = db.execute(_ONE, (AUTHOR_LENGTH_AT_MOST, fits, number)).fetchone()
                found.append((number, author, body if fits else b""))
        return found

    def set_aside(self, last_taken: int) -> Path:
        """Move a damaged inbox away and begin one that numbers on from the last intent taken. Returns its new place."""
        self.close()
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns() // 1_000_000}")
        try:
            with translated_errors(self.path), _made_aside(self.path, last_taken) as made:
                # The path always holds a file: otherwise a sender would create an inbox there, with other numbers.
                if self.path.is_dir() and not self.path.is_symlink():
                    self.path.rename(aside)
                else:
                    os.link(self.path, aside, follow_symlinks=False)
                for suffix in SIDE_FILES:
                    self.path.with_name(f"{self.path.name}{suffix}").unlink(missing_ok=True)
                made.replace(self.path)
        except OSError as error:
            raise LedgerError(f"{self.path} is damaged and cannot be moved away: {error.strerror}") from error
        return aside

    def continue_after(self, last_taken: int) -> bool:
        """Give new intents numbers after the last one taken. Returns True if this inbox never gave that number.

        Such an inbox has replaced a lost one. Its earlier intents may have been taken, so they are not taken again.
        """
        with translated_errors(self.path):
            db = self._connected()
            if _last_number(db) >= last_taken:
                return False
            _set_last_number(db, last_taken)
        return True

    def close(self) -> None:
        if self._db is not None:
            close(self._db, self.path)
            self._db = None

    def _connected(self) -> sqlite3.Connection:
        """Return a connection to the file that is there now: it, or its log, may have been replaced."""
        if self._db is not None and self._inodes() == self._opened:
            return self._db
        self.close()
        with translated_errors(self.path):
            try:
                self._make_or_check()
                self._db = connect(self.path, "rw", self._busy_timeout_s)
                self._db.text_factory = _any_text
                _prepare(self._db, time.monotonic() + self._busy_timeout_s)
                self._opened = self._inodes()
                self._last_put = None
            except PermissionError as error:
                raise LedgerError(f"{self.path} cannot be opened: only its owner may leave intents") from error
            except OSError as error:
                raise LedgerError(f"{self.path} cannot be opened: {error.strerror}") from error
        return self._db

    def _continue_numbers(self, db: sqlite3.Connection) -> None:
        """Let the next number be higher than that of any intent taken.

        A file of lower numbers has replaced a lost one. The worker may still be taking intents that it read of that.
        """
        last = _last_number(db)
        if self._last_put is None or last < self._last_put:
            taken = self._last_taken()
            if last < taken:
                _write_last_number(db, taken + READ_AT_MOST)

    def _make_or_check(self) -> None:
        """Make the inbox if there is none. Raises OSError, and LedgerDamaged if something else is in its place.

        The file is not opened and closed as a test: closing it releases every lock of this process on it (POSIX locks).
        """
        if not os.path.lexists(self.path):
            _create(self.path)
        if not self.path.is_file() and self.path.parent.is_dir():
            raise LedgerDamaged(f"{self.path} is not a file")
        if not os.access(self.path, os.R_OK | os.W_OK):
            raise PermissionError
        ledger = SessionFolder(self.path.parent).ledger
        if ledger.exists() and self.path.samefile(ledger):
            raise LedgerDamaged(f"{self.path} is the ledger under another name")  # two logs would tear it

    def _inodes(self) -> tuple[int, ...]:
        """Return the inodes of the file, its log and the log's index; 0 for one that is missing or cannot be reached.

        Two programs whose index is not the same file do not see each other's intents.
        """
        found = []
        for suffix in ("", "-wal", "-shm"):
            try:
                found.append(self.path.with_name(f"{self.path.name}{suffix}").stat().st_ino)
            except OSError:
                found.append(0)
        return tuple(found)


def _any_text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _check_tables(path: Path, db: sqlite3.Connection) -> None:
    """Raise LedgerDamaged where another program has changed the tables: a view may have rows without end."""
    found = [(kind, " ".join(str(sql).split())) for kind, sql in db.execute(_TABLES)]
    if found != [("table", " ".join(_TABLE.replace("IF NOT EXISTS", "").split()))]:
        raise LedgerDamaged(f"{path} holds other tables than cockpit's")


def _last_number(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT MAX(seq) FROM sqlite_sequence WHERE name = 'intents'").fetchone()
    return int(row[0] or 0)


def _set_last_number(db: sqlite3.Connection, number: int) -> None:
    with transaction(db):
        _write_last_number(db, number)


def _write_last_number(db: sqlite3.Connection, number: int) -> None:
    db.execute("DELETE FROM sqlite_sequence WHERE name = 'intents'")
    db.execute("INSERT INTO sqlite_sequence VALUES ('intents', ?)", (number,))


def _create(path: Path) -> None:
    """Make an inbox in its place, unless another program was faster. Raises OSError."""
    with _made_aside(path, 0) as made, contextlib.suppress(FileExistsError):
        os.link(made, path)


@contextlib.contextmanager
def _made_aside(path: Path, last_number: int) -> Iterator[Path]:
    """Make a complete inbox beside `path`. The rename makes it visible complete."""
    with tempfile.TemporaryDirectory(prefix=".inbox-", dir=path.parent) as place:
        made = Path(place) / path.name
        os.close(os.open(made, os.O_CREAT | os.O_WRONLY, INBOX_MODE))
        db = connect(made, "rw", SENDER_BUSY_TIMEOUT_S)
        _prepare(db, time.monotonic())
        if last_number:
            _set_last_number(db, last_number)
        close(db, made)
        yield made


def _prepare(db: sqlite3.Connection, deadline_s: float) -> None:
    """Make the file a WAL database with its table. Raises sqlite3.OperationalError when locked past the deadline.

    SQLite does not wait for its busy timeout when two programs change the journal mode at once: the loser tries again.
    """
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")  # senders then never wait for the worker, nor it for them
            db.execute(_TABLE)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= deadline_s:
                raise
            time.sleep(FIRST_OPEN_RETRY_S)
        else:
            return
