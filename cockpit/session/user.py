"""The user of this process: the login name, and the hints that were shown before."""

import os
from pathlib import Path


def user_name() -> str:
    """Return the login name of this process's user, for the ledger; `uid1000` where the system has no name for it."""
    import getpass  # imported here: readers have no need of it

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid{os.getuid()}"


def state_folder() -> Path:
    """Return the folder of the user's state: `$XDG_STATE_HOME/cockpit`, or `~/.local/state/cockpit`.

    Raises RuntimeError for a person without a home.
    """
    given = os.environ.get("XDG_STATE_HOME", "")
    return (Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "state") / "cockpit"


def record_shown(what: str) -> bool:
    """Record that a hint was shown. Returns False if it was recorded before or cannot be recorded."""
    try:
        folder = state_folder()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / what).touch(exist_ok=False)
    except (OSError, RuntimeError):
        return False
    return True
