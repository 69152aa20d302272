"""The policy for an agent's requests to use tools of its own.

Allowed are Cockpit's tools, which change nothing but by proposals, and reads, searches and edits in the agent's own
scratch checkout. Everything else is refused: a shell, the network, and every file elsewhere.
"""

import re
from collections.abc import Callable, Collection

import msgspec

READS = ("read", "search")
WRITES = ("edit", "delete", "move")
_OURS = re.compile(r"(?:mcp__|mcp[.:])?cockpit(?:__|[.:/ ]|: )(\w+)(?: \(\w+\))?", re.ASCII)


class Wish(msgspec.Struct, frozen=True):
    """A request of an agent."""

    kind: str
    title: str
    paths: tuple[str, ...]


def is_allowed(wish: Wish, holds: Callable[[str], bool], tools: Collection[str]) -> bool:
    """Answer a request. `holds` tells if a path is in the agent's checkout, `tools` are Cockpit's."""
    if wish.kind in ("other", ""):
        ours = _OURS.fullmatch(wish.title.strip())
        return ours is not None and ours[1] in tools
    if wish.kind == "think":
        return True
    if wish.kind in (*READS, *WRITES):
        return bool(wish.paths) and all(holds(path) for path in wish.paths)
    return False


def words_of(wish: Wish) -> str:
    """Return the request in words, for the ledger."""
    title = " ".join(wish.title.split())[:200]
    return f"use {wish.kind or 'a tool'}: {title}" if title else f"use {wish.kind or 'a tool'}"
