"""Read the command that starts a run."""

import sys
from pathlib import Path

from cockpit.create.error import CreateError
from cockpit.session.research_settings import words_of

SHELL_WORDS = frozenset({"&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1"})


def command_words(setting: str, command: str) -> tuple[str, ...]:
    """Return the words of a command. Raises CreateError for one that only a shell can read."""
    try:
        words = words_of(command)
    except ValueError as error:
        raise CreateError(f"[research] {setting}: {command!r} is not a command: {error}") from None
    if found := next((word for word in words if word in SHELL_WORDS), ""):
        raise CreateError(
            f"[research] {setting}: {found!r} is for a shell, and none starts it: write sh -c '{command}'"
        )
    return words


def own_command(python: str, script: str) -> tuple[str, ...]:
    """Return the command that starts the script with the repository's own Python; empty if that is Cockpit's."""
    is_own = python and Path(python).parent.parent.resolve() != Path(sys.prefix).resolve()
    return (python, "-u", script) if is_own else ()
