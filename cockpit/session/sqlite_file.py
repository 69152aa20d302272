"""The session's SQLite files: opening them, and one sentence for each error that SQLite raises."""

import errno
import sqlite3
from pathlib import Path

import msgspec

from cockpit.core.errors import CockpitError


class LedgerError(CockpitError):
    """The ledger or the inbox cannot be used; the message is one sentence that says what to do."""


class LedgerFull(LedgerError):
    """The disk is full. The write failed as a whole and can be tried again; earlier writes are kept."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the disk that holds {path} is full: free some space, then try again")
        self.filename = str(path)


def is_full(error: BaseException | None) -> bool:
    """Return whether an error, or its cause, is a full disk."""
    while error is not None:
        if isinstance(error, LedgerFull) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def connect(path: Path, mode: str, immutable: bool = False) -> sqlite3.Connection:
    suffix = "&immutable=1" if immutable else ""
    uri = path.absolute().as_uri() + f"?mode={mode}{suffix}"
    return sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=10)


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
        if "full" in text or "disk I/O" in text:
            raise LedgerFull(self.path) from error
        if "malformed" in text or "not a database" in text:
            raise LedgerError(
                f"{self.path} is torn ({text}): keep a copy, then recover it with `sqlite3 {self.path} .recover`"
            ) from error
        if "unable to open" in text or "readonly" in text:
            raise LedgerError(f"{self.path} cannot be opened: check that it exists and that you may read it") from error
        raise LedgerError(f"{self.path}: {text}") from error
