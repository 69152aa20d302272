"""Open the session's SQLite files, and turn each SQLite error into one sentence."""

import ctypes
import errno
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from cockpit.session.ledger_errors import LedgerBusy, LedgerDamaged, LedgerError, LedgerFull
from cockpit.session.mapped_index import forget_mappings, has_room

BUSY_TIMEOUT_S = 1.0
"""SQLite waits this long for another program's lock before it gives up."""
TRIAL_BYTES = 1 << 16
PATH_BYTES_AT_MOST = 500
"""SQLite's own limit is 512, a suffix and an end included."""


_left_open: list[tuple[sqlite3.Connection, Path]] = []
"""Connections that could not be closed for want of room."""


def connect(path: Path, mode: str, busy_timeout_s: float) -> sqlite3.Connection:
    """Open a file in autocommit mode; `mode` is SQLite's `ro`, `rw` or `rwc`.

    Raises LedgerError while a connection that `close` left open cannot be closed.
    """
    while _left_open:
        db, left = _left_open[-1]
        if not has_room(left):
            raise _not_written(left)
        del _left_open[-1]
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(db))
        db.close()
    forget_mappings()
    uri = path.absolute().as_uri() + f"?mode={mode}"
    return sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=busy_timeout_s, isolation_level=None)


def close(db: sqlite3.Connection, path: Path) -> None:
    """Close a connection to a file. Leave it open until the next one is opened where the file's index has no room.

    A connection that closes writes into the index. Such a one is not closed at the end of the process either.
    """
    if has_room(path):
        db.close()
    else:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(db))
        _left_open.append((db, path))
    forget_mappings()


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
    """Turn what SQLite raises about a file into a LedgerError. Raises one first where its index has no room."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        if not has_room(self.path):
            raise _not_written(self.path)

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
        if strange := _not_a_file(self.path):
            raise LedgerError(f"{strange} is not a file: move it away") from error
        if "full" in text:
            raise LedgerFull(self.path) from error
        if "disk I/O" in text or ("unable to open" in text and _lacks_files()):
            raise _not_written(self.path)
        if "malformed" in text or "not a database" in text:
            raise LedgerDamaged(
                f"{self.path} is torn ({text}): `cockpit repair {self.path.parent.name}` keeps what can be read"
            ) from error
        if "unable to open" in text and (length := len(os.fsencode(self.path.absolute()))) > PATH_BYTES_AT_MOST:
            raise LedgerError(
                f"{self.path} has a path of {length} bytes, and SQLite opens none above {PATH_BYTES_AT_MOST}:"
                " use a folder nearer to the root"
            ) from error
        if "unable to open" in text or "readonly" in text:
            raise LedgerError(f"{self.path} cannot be opened: check that it exists and that you may read it") from error
        if "no such" in text or "no column" in text:
            raise LedgerDamaged(f"{self.path} holds other tables than cockpit's ({text})") from error
        raise LedgerError(f"{self.path}: {text}") from error


def _not_a_file(path: Path) -> Path | None:
    """Return a file of SQLite's beside a database that is something else, such as a folder."""
    beside = [path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-shm", "-journal")]
    return next((one for one in beside if os.path.lexists(one) and not one.is_file()), None)


def _not_written(path: Path) -> LedgerError:
    """Return the error for a write that failed: the disk has no room, or this process may open no more files."""
    if number := _lacks_files():
        error = LedgerError(f"{path} cannot be used: {os.strerror(number)}")
        error.__cause__ = OSError(number, os.strerror(number), str(path))
        return error
    return LedgerFull(path, _why_not_written(path))


def _lacks_files() -> int:
    """Return the system's error for one open file more; 0 if it is opened."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno or errno.EMFILE
    return 0


def _why_not_written(path: Path) -> int:
    """Return the system's error for a write beside a file: SQLite does not report it."""
    most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = [file.stat().st_size for file in (path, path.with_name(f"{path.name}-wal")) if file.exists()]
    if most != resource.RLIM_INFINITY and max(sizes, default=0) + TRIAL_BYTES > most:
        return errno.EFBIG
    trial = path.with_name(f"{path.name}.trial")
    try:
        trial.write_bytes(bytes(TRIAL_BYTES))
    except OSError as error:
        return error.errno or errno.EIO
    finally:
        with suppress(OSError):
            trial.unlink()
    return errno.EIO
