"""The error for a session that cannot be made."""

from cockpit.core.errors import CockpitError


class CreateError(CockpitError):
    """The session cannot be made. The message is one sentence that tells what to do."""
