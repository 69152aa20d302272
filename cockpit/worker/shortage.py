"""Recognise errors of the machine, such as a full disk, after which the worker waits and tries again."""

import errno
import os
from pathlib import Path

from cockpit.session.ledger_errors import LedgerError, is_full

SHORTAGES = {
    errno.EMFILE: "open files",
    errno.ENFILE: "open files",
    errno.EAGAIN: "processes",
    errno.ENOMEM: "memory",
}
CLOSED = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.EIO, errno.ESTALE,
    errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP,
)  # fmt: skip


def shortage(error: BaseException | None) -> str:
    """Return the resource that the machine has too little of; empty for an error of another kind."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in SHORTAGES:
            return SHORTAGES[error.errno]
        if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
            return "threads"
        error = error.__cause__
    return ""


def is_closed(error: BaseException | None) -> bool:
    """Return True if this user may not use a file now, its disk fails, or something of another kind is in its place."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in CLOSED:
            return True
        error = error.__cause__
    return False


def is_shut(error: BaseException | None, folder: Path) -> bool:
    """Return True for an error because this user may not use a whole folder for now, or its disk is read-only."""
    return is_closed(error) and not os.access(folder, os.R_OK | os.W_OK | os.X_OK)


def is_missing(error: BaseException | None) -> bool:
    """Return True if an error, or its cause, is a file or a folder that is not there."""
    while error is not None:
        if isinstance(error, FileNotFoundError):
            return True
        error = error.__cause__
    return False


def lacks_room(error: BaseException) -> bool:
    """Return True for a full disk, or for too few open files, processes or bytes of memory: it ends without a person's
    word to the session."""
    return is_full(error) or bool(shortage(error)) or isinstance(error, MemoryError)


def is_of_the_machine(error: BaseException) -> bool:
    """Return True for an error that may pass, so that the same work can be done later."""
    return lacks_room(error) or is_closed(error) or isinstance(error, LedgerError)
