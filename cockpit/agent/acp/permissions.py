"""The policy for an agent's requests to use tools of its own.

Allowed are Cockpit's tools, which change nothing but by proposals, and reads, searches and edits in the agent's own
scratch checkout. Everything else is refused, or a person is asked: a shell, the network, and every file elsewhere.
"""

import re
from collections.abc import Callable, Collection

import msgspec

READS = ("read", "search")
WRITES = ("edit", "delete", "move")
QUESTION_CHARS = 1_200
"""Characters of the longest request that a person is asked for. A longer one is refused: it cannot be read in full."""
_OF_GEMINI = re.compile(r"(\w+) \(cockpit MCP Server\)", re.ASCII)
_OURS = re.compile(r"(?:mcp__|mcp[.:])?cockpit(?:__|[.:/ ]|: )(\w+)(?: \(\w+\))?", re.ASCII)


class Wish(msgspec.Struct, frozen=True):
    """A request of an agent."""

    kind: str
    title: str
    paths: tuple[str, ...]
    arguments: str = ""
    """The command, the address, or all arguments of the tool as JSON."""


def is_allowed(wish: Wish, holds: Callable[[str], bool], tools: Collection[str]) -> bool:
    """Answer a request. `holds` tells if a path is in the agent's checkout, `tools` are Cockpit's."""
    if wish.kind in ("other", ""):
        ours = _OURS.fullmatch(wish.title.strip()) or _OF_GEMINI.fullmatch(wish.title.strip())
        return ours is not None and ours[1] in tools
    if wish.kind == "think":
        return True
    if wish.kind in (*READS, *WRITES):
        return bool(wish.paths) and all(holds(path) for path in wish.paths)
    return False


def words_of(wish: Wish) -> str:
    """Return the request in words, for the ledger."""
    return _words(wish.kind, " ".join(wish.title.split())[:200])


def _words(kind: str, title: str) -> str:
    return f"use {kind or 'a tool'}" + (f": {title}" if title else "")


def question_of(wish: Wish) -> str:
    """Return the request in words with all that it does, for a person to decide; empty where it is too long to show.

    Every character that a terminal would not show is written out.
    """
    title, arguments = _written_out(wish.title), _written_out(wish.arguments)
    parts = [_words(wish.kind, title)]
    if arguments and arguments not in title:
        parts.append(f"with {arguments}")
    if wish.paths:
        parts.append(f"at {_written_out(', '.join(wish.paths))}")
    words = " ".join(parts)
    return words if len(words) <= QUESTION_CHARS else ""


def _written_out(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text.strip())
