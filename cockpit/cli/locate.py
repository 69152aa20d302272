"""Which repository, which sessions folder, which session: found out, not asked."""

import os
import time
from pathlib import Path

from cockpit.core.errors import CockpitError
from cockpit.core.state import State
from cockpit.session.paths import SessionFolder, name_problem
from cockpit.session.reader import LedgerReader

DEMO = "demo-"
"""How the names of demos' sessions begin."""


class CommandError(CockpitError):
    """What the command was given cannot be done; one sentence that says what to do. Exit status 1."""


def repository(given: str | None) -> Path:
    """The repository that is researched: `--repo`, or the one this folder is in."""
    start = Path(given).expanduser() if given else Path.cwd()
    if not start.is_dir():
        raise CommandError(f"{start} is not a folder: give --repo the folder of a git repository with a train.py")
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "train.py").is_file():
            return folder
        if (folder / ".git").exists():
            break
    raise CommandError(
        f"there is no train.py in {start}: run cockpit in a repository with one, name it with --repo PATH, or start a"
        " project in an empty folder with `cockpit init`"
    )


def sessions_folder() -> Path:
    """COCKPIT_SESSIONS, or `sessions` beside the train.py this folder is in, or here."""
    if given := os.environ.get("COCKPIT_SESSIONS"):
        return Path(given).expanduser().resolve()
    try:
        return repository(None) / "sessions"
    except CommandError:
        return Path.cwd() / "sessions"


def all_sessions() -> list[SessionFolder]:
    """Every session here, the newest used first."""
    found = [SessionFolder(path.parent) for path in sessions_folder().glob("[!.]*/ledger.db")]
    return sorted(found, key=_last_used, reverse=True)


def session(name: str | None) -> SessionFolder:
    """The session of that name or path, else COCKPIT_SESSION, else the one used last. Raises CommandError."""
    name = name or os.environ.get("COCKPIT_SESSION") or None
    if name and Path(name, "ledger.db").is_file():
        return SessionFolder(Path(name).resolve())
    if name:
        if "/" in name or Path(name).is_dir():
            raise CommandError(f"{name} is not a session: it has no ledger.db; `cockpit list` shows the sessions here")
        if problem := name_problem(name):
            raise CommandError(problem)
        folder = SessionFolder(sessions_folder() / name)
        if not folder.ledger.exists():
            raise CommandError(
                f"there is no session {name!r} in {sessions_folder()}: `cockpit list` shows those there are, and"
                f" `cockpit new {name}` makes it"
            )
        return folder
    found = all_sessions()
    if not found:
        raise CommandError(f"there is no session in {sessions_folder()} yet: `cockpit` makes one")
    return found[0]


def state_of(folder: SessionFolder) -> State:
    """The session's state as its ledger has it. Raises LedgerError."""
    ledger = LedgerReader(folder)
    try:
        return ledger.state()
    finally:
        ledger.close()


def session_now(state: State) -> float:
    """The session's clock as far as it is known from outside: the wall's, or a simulated one's last event."""
    return state.now if state.session.fleet.simulated else time.time()


def _last_used(folder: SessionFolder) -> float:
    paths = (folder.ledger, folder.events)
    return max(path.stat().st_mtime for path in paths if path.exists())
