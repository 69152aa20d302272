"""Errors of the command line, and the exit status and the sentence of every error.

0 is success, 1 a command that could not do what it was told, 2 a command line that is wrong, 130 an interrupt.
"""

import errno

from cockpit.core.errors import CockpitError

FAILED = 1
USAGE = 2
INTERRUPTED = 130


class CommandError(CockpitError):
    """The command cannot do what it was told; the message is one sentence that says what to do."""


class UsageError(CommandError):
    """The command line is wrong: an unknown command, a missing argument, an invalid value."""


def exit_status(error: Exception) -> int:
    """Return the exit status of an expected error."""
    return USAGE if isinstance(error, UsageError) else FAILED


def sentence_of(error: CockpitError | OSError) -> str:
    """Return the sentence of an expected error; empty for another, which is a defect."""
    if isinstance(error, CockpitError):
        return str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        which = f"the disk that holds {error.filename}" if error.filename else "the disk"
        return f"{which} is full: free some space, then try again"
    if not error.filename:
        return ""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"you may not use {error.filename} ({error.strerror}): check its owner and permissions"
    return f"{error.filename}: {error.strerror}"
