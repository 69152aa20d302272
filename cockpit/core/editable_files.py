"""The editable files of a session."""

from collections.abc import Sequence


def script_among(files: Sequence[str]) -> str:
    """Return the script of a session's files: the first Python file, else the first."""
    return next((path for path in files if path.endswith(".py")), files[0])
