"""Make the folder of a new session aside, and rename it into place once it is whole."""

import contextlib
import errno
import os
import secrets
import shutil
import time
from pathlib import Path

from cockpit.core.events import Event
from cockpit.create.error import CreateError
from cockpit.session.ledger import FOLDER_MODE, Ledger
from cockpit.session.ledger_errors import LedgerError
from cockpit.session.paths import SessionFolder, name_problem
from cockpit.session.reader import LedgerReader
from cockpit.session.snapshot import SNAPSHOT_MODE

LEFT_AFTER_S = 60.0
"""A folder that a session was being made in is left over from a killed command after this."""


def check_place(folder: SessionFolder, repo: Path) -> None:
    """Raise the CreateError of a name that is taken or cannot be used."""
    if problem := name_problem(folder.name):
        raise CreateError(problem)
    if folder.ledger.exists() and not _is_leftover(folder):
        raise CreateError(f"there is a session {folder.name} already: open it with `cockpit open {folder.name}`")
    holds_its_repo = Path(os.path.realpath(repo)).is_relative_to(os.path.realpath(folder.root))
    if not folder.ledger.exists() and not holds_its_repo and folder.root.exists() and any(folder.root.iterdir()):
        raise CreateError(f"{folder.root} exists and is not a session: move it away, or name another session")


def write_session(folder: SessionFolder, events: list[Event]) -> None:
    """Write a new session with these events. Raises CreateError or LedgerError, and leaves nothing behind then."""
    if not folder.root.parent.exists():
        folder.root.parent.mkdir(parents=True, exist_ok=True)
        folder.root.parent.chmod(FOLDER_MODE)
    aside = _aside(folder)
    try:
        ledger = Ledger.create(aside.ledger)
        _ignore_in_git(aside)
        ledger.append(events)
        ledger.sync()
        ledger.close()
        _move_into_place(aside, folder)
    except Exception:  # raised again below
        shutil.rmtree(aside.root, ignore_errors=True)
        raise


def _aside(folder: SessionFolder) -> SessionFolder:
    """Return the folder that the session is made in before it is renamed, and remove those of killed commands."""
    for left in folder.root.parent.glob(f".{folder.name}.new-*"):
        with contextlib.suppress(FileNotFoundError):  # another command removes it too
            if time.time() - left.stat().st_mtime > LEFT_AFTER_S:
                shutil.rmtree(left, ignore_errors=True)
    # Sessions that share a folder may come from machines with the same process numbers.
    return SessionFolder(folder.root.with_name(f".{folder.name}.new-{os.getpid()}-{secrets.token_hex(4)}"))


def _move_into_place(aside: SessionFolder, folder: SessionFolder) -> None:
    """Rename a finished session, which another command can have made meanwhile. Raises CreateError.

    A demo's folder holds its repository already: there the files move, the ledger, which makes it a session, last.
    """
    if folder.ledger.exists() and _is_leftover(folder):
        folder.root.rename(folder.root.with_name(f".{folder.name}.left-{time.time_ns() // 1_000_000}"))
    try:
        if folder.root.exists() and not folder.ledger.exists() and any(folder.root.iterdir()):
            for path in sorted(aside.root.iterdir(), key=lambda path: path.name == folder.ledger.name):
                path.rename(folder.root / path.name)
            folder.root.chmod(FOLDER_MODE)
            aside.root.rmdir()
        else:
            aside.root.rename(folder.root)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise CreateError(f"{folder.root} cannot be made: {error.strerror}") from error
        raise CreateError(
            f"there is a session {folder.name} already: open it with `cockpit open {folder.name}`"
        ) from None


def _is_leftover(folder: SessionFolder) -> bool:
    """Return True if the folder holds a ledger without an event, as a killed `new` of an older cockpit left it."""
    if folder.ledger.stat().st_size == 0:
        return True
    try:
        reader = LedgerReader(folder)
        try:
            return not reader.since(0, 1)
        finally:
            reader.close()
    except LedgerError:
        return False


def _ignore_in_git(session: SessionFolder) -> None:
    """Keep a session's files out of `git status`. The folder around it may be one that a person tracks."""
    path = session.root / ".gitignore"
    path.write_text("*\n", encoding="utf-8")
    path.chmod(SNAPSHOT_MODE)  # a watcher's group reads all but the ledger, the inbox and the locks
