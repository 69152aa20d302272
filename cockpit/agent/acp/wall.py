"""The protocol of the wall around an agent's process. The worker has the walls of this machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec


class Openings(msgspec.Struct, frozen=True):
    """The places that an agent behind the wall sees, beside its own program, its login and the network."""

    session: Path
    """Hidden, but for the places below."""
    checkout: Path
    """Writable; the process starts in it."""
    temporary: Path
    """Writable."""
    tools: Path
    """The folder of the socket to Cockpit's tools."""


class AgentWall(Protocol):
    name: str
    """`bubblewrap`, `landlock` or `unconfined`."""
    reason: str
    """Why it is unconfined, in a clause; empty where it is not."""

    def command(self, words: Sequence[str], openings: Openings) -> list[str]:
        """Return the command that starts `words` behind the wall; `words` where there is none."""
