"""The name of the person who runs this process."""

import getpass
import os


def user_name() -> str:
    """Return the login name of this process's user, for the ledger; `uid1000` where the system has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid{os.getuid()}"
