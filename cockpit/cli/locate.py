"""Finding the repository, the sessions folder and the session that a command is about."""

import contextlib
import os
import shlex
import time
from pathlib import Path

from cockpit.cli.errors import CommandError
from cockpit.core.events import SessionCreated
from cockpit.core.model import IMPORTED
from cockpit.core.nearest import did_you_mean
from cockpit.core.session import Session
from cockpit.core.state import State
from cockpit.session.clock import session_time
from cockpit.session.paths import FILE_NAME_BYTES, SETTINGS_FILE, SessionFolder, name_problem
from cockpit.session.reader import LedgerReader
from cockpit.session.setting_types import SettingsError
from cockpit.variant.guess.listing import CODE_SUFFIXES

DEMO = "demo-"
"""Prefix of the names of demo sessions."""

PROGRAMS = ("program.md", "CLAUDE.md", "AGENTS.md")
"""Documents that tell an agent what it edits and runs, in any language."""


def here() -> Path:
    """Return the current folder. Raises CommandError if it was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise CommandError("the current folder was removed: `cd` to another, then try again") from None


def repository(given: str | None, script: str = "") -> Path:
    """Return the repository to research: `--repo`, or the one around the current folder. Raises CommandError.

    It has a train.py, or `script`, or a cockpit.toml that names another file to change.
    """
    start = Path(given).expanduser() if given else here()
    if not start.is_dir():
        raise CommandError(f"{start} is not a folder: give --repo the folder of a git repository with a train.py")
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "train.py").is_file() or (script and (folder / script).is_file()) or _names_a_script(folder):
            return folder
        if (folder / ".git").exists():
            break
    if (start / "HEAD").is_file() and (start / "objects").is_dir():
        raise CommandError(f"{start} is a bare git repository: clone it, and name the clone with --repo")
    found = next((path for pattern in ("*.ipynb", "*/*.ipynb") for path in sorted(start.glob(pattern))), None)
    if found is not None:
        path = shlex.quote(found.relative_to(start).as_posix())
        raise CommandError(
            f"{found} is a notebook, which nothing here starts: make it a file with `jupyter nbconvert --to"
            f" script {path}`, commit that, and name it with --files"
        )
    raise CommandError(
        f"there is no train.py in {start}: run cockpit in a repository with one, name it with --repo PATH, name another"
        " file to change with `cockpit new --files PATH`, or start a project in an empty folder with `cockpit init`"
    )


def researched(given: str | None, script: str = "") -> Path:
    """Return the repository to research as `repository` does, else a folder of a git repository that can be guessed.

    Raises CommandError for a folder that git does not store, or that holds neither code nor an agent's program.
    """
    try:
        return repository(given, script)
    except CommandError:
        start = Path(given).expanduser().resolve() if given else here()
        if not start.is_dir() or not _tells_something(start):
            raise
        return start


def _tells_something(folder: Path) -> bool:
    """Return True if a folder in a git repository holds an agent's program, or code up to three levels down."""
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return False
    found = (path for pattern in ("*", "*/*", "*/*/*", "*/*/*/*") for path in folder.glob(pattern))
    return any((folder / name).is_file() for name in PROGRAMS) or any(path.suffix in CODE_SUFFIXES for path in found)


def _names_a_script(folder: Path) -> bool:
    """Return True if the folder's cockpit.toml names the file to change, or cannot be read."""
    if not (folder / SETTINGS_FILE).is_file():
        return False
    from cockpit.session.settings import read_settings  # imported here: a status has no need of them

    try:
        return bool(read_settings(folder).research.files)
    except SettingsError:
        return True


def sessions_folder() -> Path:
    """Return COCKPIT_SESSIONS, or `sessions` in the repository around the current folder, or `sessions` here."""
    if given := os.environ.get("COCKPIT_SESSIONS"):
        return Path(given).expanduser().resolve()
    try:
        return repository(None) / "sessions"
    except CommandError:
        return here() / "sessions"


def all_sessions() -> list[SessionFolder]:
    """Return every session here, the last one used first."""
    found = [SessionFolder(path.parent) for path in sessions_folder().glob("[!.]*/ledger.db")]
    return sorted(found, key=_last_used, reverse=True)


def session(name: str | None) -> SessionFolder:
    """Return the session of that name or path, else COCKPIT_SESSION, else the last one used. Raises CommandError."""
    name = name or os.environ.get("COCKPIT_SESSION") or None
    if name and "/" not in name and len(os.fsencode(name)) > FILE_NAME_BYTES:
        raise CommandError(name_problem(name))
    if name and Path(name, "ledger.db").is_file():
        return SessionFolder(Path(name).resolve())
    if name:
        problem = name_problem(name)
        folder = SessionFolder(sessions_folder() / name)
        is_session = not problem and folder.ledger.exists()
        if "/" in name or (Path(name).is_dir() and not is_session):
            raise CommandError(f"{name} is not a session: it has no ledger.db; `cockpit list` shows the sessions here")
        if problem:
            raise CommandError(problem)
        if not is_session:
            ways = f"`cockpit list` shows the sessions here, `cockpit new {name}` makes one"
            near = did_you_mean(name, [known.name for known in all_sessions()])
            raise CommandError(f"there is no session {name!r} in {sessions_folder()}: {near or ways}")
        return folder
    found = all_sessions()
    if not found:
        raise CommandError(f"there is no session in {sessions_folder()} yet: `cockpit` makes one")
    return found[0]


def state_of(folder: SessionFolder) -> State:
    """Return the session's state from its files. Raises LedgerError."""
    ledger = LedgerReader(folder)
    try:
        return ledger.state()
    finally:
        ledger.close()


def glance_at(folder: SessionFolder) -> State:
    """Return the session's state for a look at a few of its records. Raises LedgerError."""
    ledger = LedgerReader(folder)
    try:
        return ledger.glance()
    finally:
        ledger.close()


def session_now(state: State) -> float:
    """Return the session's time: what its clock reads, or the last event of a simulated session."""
    return state.now if state.session.fleet.simulated else session_time(state.boot, state.clock_origin, time.time())


def _last_used(folder: SessionFolder) -> float:
    times = [0.0]
    for path in (folder.ledger, folder.events):
        with contextlib.suppress(OSError):  # it is removed meanwhile
            times.append(path.stat().st_mtime)
    return max(times)


def as_set_up(folder: SessionFolder) -> Session | None:
    """Return the session as it was made, from its first event alone; None for an empty ledger."""
    ledger = LedgerReader(folder)
    try:
        first = ledger.since(0, 1)
    finally:
        ledger.close()
    return first[0].session if first and isinstance(first[0], SessionCreated) else None


def is_imported(folder: SessionFolder) -> bool:
    found = as_set_up(folder)
    return found is not None and found.fleet.kind == IMPORTED


def refuse_imported(folder: SessionFolder) -> None:
    """Raise CommandError for a session that was made from a table: it has no worker, and takes no intents."""
    if is_imported(folder):
        name = folder.name
        raise CommandError(f"{name} was imported and is read-only: `cockpit watch {name}` shows it")


def session_repo(folder: SessionFolder) -> str:
    """Return the path of the session's repository; empty for an empty ledger."""
    found = as_set_up(folder)
    return found.repo if found is not None else ""
