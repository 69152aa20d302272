"""Errors of the ledger and the inbox. A reader of plain files raises them without loading SQLite."""

import errno
from pathlib import Path

from cockpit.core.errors import CockpitError


class LedgerError(CockpitError):
    """The ledger or the inbox cannot be used; the message is one sentence that says what to do."""


class LedgerFull(LedgerError):
    """The disk takes no more. The write failed as a whole and can be tried again; earlier writes are kept."""

    def __init__(self, path: Path, number: int = errno.ENOSPC) -> None:
        """Take the file, and the number of the system's error, as in errno."""
        self.problem = full_sentence(path, number)
        super().__init__(f"{self.problem}, then try again")


def full_sentence(path: Path | str, number: int) -> str:
    """Return why a file takes no more, and what to do. Empty path: a file that is not known."""
    where = f" that holds {path}" if str(path) else ""
    match number:
        case errno.EFBIG:
            return f"{path} is as large as this process may write a file (ulimit -f): raise that limit"
        case errno.EDQUOT:
            return f"this user's quota on the disk{where} is used up: free some space"
        case errno.EIO:
            return f"the disk{where} fails: look at the system's log, mend it"
    return f"the disk{where} is full: free some space"


def no_files_sentence(path: Path | str) -> str:
    """Return what to do about a disk that has bytes left and no files."""
    return f"the disk that holds {path} takes no more files: remove some"


class LedgerBusy(LedgerError):
    """Another program holds a lock on the file. The write failed as a whole and can be tried again."""


class LedgerDamaged(LedgerError):
    """The file holds something that was not written to it; `cockpit verify` and `cockpit repair` say more."""


def is_full(error: BaseException | None) -> bool:
    """Return True if an error, or its cause, is a full disk."""
    while error is not None:
        if isinstance(error, LedgerFull) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False
