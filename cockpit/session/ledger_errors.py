"""Errors of the ledger and the inbox. A reader of plain files raises them without loading SQLite."""

import errno
from pathlib import Path

from cockpit.core.errors import CockpitError


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
