"""The complete settings of a session before it is made."""

from pathlib import Path

import msgspec

from cockpit.session.settings import Settings


class Plan(msgspec.Struct, frozen=True):
    """The complete settings of a new session."""

    name: str
    repo: Path
    settings: Settings
    corpus: str = ""
    """The label of the prepared corpus."""
    python: str = ""
    """The Python of the repository's own environment; empty for Cockpit's."""
    speed: float = 1.0
