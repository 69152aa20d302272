"""The protocol of the wall around an agent's process. The worker implements it with this machine's means."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec


class Openings(msgspec.Struct, frozen=True):
    """The folders that an agent behind the wall sees, besides its own program, its login and the network."""

    session: Path
    """Hidden, except for the folders below."""
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
    """The reason why it is unconfined, in a clause; empty if it is confined."""

    def command(self, words: Sequence[str], openings: Openings) -> list[str]:
        """Return the command that starts `words` behind the wall; `words` unchanged without a wall."""
