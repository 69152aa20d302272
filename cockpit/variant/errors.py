"""The error for a change, or a repository, that cannot be used."""

from cockpit.core.errors import CockpitError


class VariantError(CockpitError):
    """The message is one sentence that says what was wrong and what to do. Nothing was written."""


def shown(text: str, limit: int = 80) -> str:
    """Return source text as it may stand in a message: on one line, quoted, control characters as escapes."""
    text = text.strip()
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
