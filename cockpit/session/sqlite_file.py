"""The session's SQLite files: opening them, and one sentence for each error that SQLite raises."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cockpit.core.errors import CockpitError

BUSY_TIMEOUT_S = 1.0
"""SQLite waits this long for another program's lock before it gives up."""


class LedgerError(CockpitError):
    """The ledger or the inbox cannot be used; the message is one sentence that says what to do."""


class LedgerFull(LedgerError):
    """The disk is full. The write failed as a whole and can be tried again; earlier writes are kept."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the disk that holds {path} is full: free some space, then try again")
        self.filename = str(path)


class LedgerBusy(LedgerError):
    """Another program holds a lock on the file. The write failed as a whole and can be tried again."""


class LedgerDamaged(LedgerError):
    """The file holds something that was not written to it; `cockpit verify` and `cockpit repair` say more."""


def is_full(error: BaseException | None) -> bool:
    """Return whether an error, or its cause, is a full disk."""
    while error is not None:
        if isinstance(error, LedgerFull) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def connect(path: Path, mode: str, busy_timeout_s: float) -> sqlite3.Connection:
    """Open a file in autocommit mode; `mode` is SQLite's `ro`, `rw` or `rwc`."""
    uri = path.absolute().as_uri() + f"?mode={mode}"
    return sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=busy_timeout_s, isolation_level=None)


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commit what is written inside, or nothing of it. The write lock is taken first."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


class translated_errors:
    """Turn what SQLite raises about a file into a LedgerError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, msgspec.MsgspecError):
            raise LedgerError(
                f"{self.path} holds an event this cockpit cannot read ({error}): it is torn, or from a newer cockpit;"
                " restore a copy, or upgrade"
            ) from error
        if not isinstance(error, sqlite3.Error):
            return
        text = str(error)
        if "locked" in text or "busy" in text:
            raise LedgerBusy(f"{self.path} is locked by another program: end that program, or wait") from error
        if "full" in text or "disk I/O" in text:
            raise LedgerFull(self.path) from error
        if "malformed" in text or "not a database" in text:
            raise LedgerDamaged(
                f"{self.path} is torn ({text}): `cockpit repair {self.path.parent.name}` keeps what can be read"
            ) from error
        if "unable to open" in text or "readonly" in text:
            raise LedgerError(f"{self.path} cannot be opened: check that it exists and that you may read it") from error
        raise LedgerError(f"{self.path}: {text}") from error
