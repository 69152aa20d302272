"""Errors of the command line, and the exit status and the sentence of every error."""

import errno

from cockpit.core.errors import CockpitError
from cockpit.session.ledger_errors import full_sentence


class CommandError(CockpitError):
    """The command cannot be carried out; the message is one sentence that says what to do."""


class UsageError(CommandError):
    """The command line is wrong: an unknown command, a missing argument, an invalid value."""


EXIT_STATUS: dict[type[BaseException], int] = {
    CockpitError: 1,  # the command could not be carried out
    OSError: 1,
    UsageError: 2,
    KeyboardInterrupt: 130,
    BrokenPipeError: 0,  # the reader of the output has enough
}
"""Classes of errors to exit statuses. A class without a row has the status of its nearest base."""


def exit_status(error: BaseException) -> int:
    """Return the exit status of an expected error."""
    return next(EXIT_STATUS[base] for base in type(error).__mro__ if base in EXIT_STATUS)


def sentence_of(error: CockpitError | OSError) -> str:
    """Return the sentence of an expected error; empty for another, which is a defect."""
    if isinstance(error, CockpitError):
        return str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        return f"{full_sentence(error.filename or '', error.errno)}, then try again"
    if not error.filename:
        return ""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"you may not use {error.filename} ({error.strerror}): check its owner and permissions"
    return f"{error.filename}: {error.strerror}"
