"""The policy for an agent's requests to use tools of its own.

Cockpit's tools are allowed, since they change the session by proposals only. Reads, searches and edits in the agent's
own scratch checkout are allowed. A shell, the network and files elsewhere are refused, or a person is asked.
"""

import re
from collections.abc import Callable, Collection

import msgspec

READS = ("read", "search")
WRITES = ("edit", "delete", "move")
QUESTION_CHARS = 1_200
"""The longest request, in characters, that a person is asked about. A longer one cannot be shown, and is refused."""
_GEMINI_TITLE = re.compile(r"(\w+) \(cockpit MCP Server\)", re.ASCII)
_COCKPIT_TITLE = re.compile(r"(?:mcp__|mcp[.:])?cockpit(?:__|[.:/ ]|: )(\w+)(?: \(\w+\))?", re.ASCII)


class PermissionRequest(msgspec.Struct, frozen=True):
    """An agent's request to use a tool."""

    kind: str
    title: str
    paths: tuple[str, ...]
    arguments: str = ""
    """The command, the address, or all arguments of the tool as JSON."""


def is_allowed(request: PermissionRequest, holds: Callable[[str], bool], tools: Collection[str]) -> bool:
    """Return True if the policy allows the request.

    `holds` returns True for a path in the agent's checkout; `tools` are Cockpit's.
    """
    if request.kind in ("other", ""):
        ours = _COCKPIT_TITLE.fullmatch(request.title.strip()) or _GEMINI_TITLE.fullmatch(request.title.strip())
        return ours is not None and ours[1] in tools
    if request.kind == "think":
        return True
    if request.kind in (*READS, *WRITES):
        return bool(request.paths) and all(holds(path) for path in request.paths)
    return False


def request_words(request: PermissionRequest) -> str:
    """Return the request in words, for the ledger."""
    return _words(request.kind, " ".join(request.title.split())[:200])


def _words(kind: str, title: str) -> str:
    return f"use {kind or 'a tool'}" + (f": {title}" if title else "")


def request_question(request: PermissionRequest) -> str:
    """Return the request in full, for a person to decide; empty if it is too long to show.

    Characters that a terminal would not show are escaped.
    """
    title, arguments = _written_out(request.title), _written_out(request.arguments)
    parts = [_words(request.kind, title)]
    if arguments and arguments not in title:
        parts.append(f"with {arguments}")
    if request.paths:
        parts.append(f"at {_written_out(', '.join(request.paths))}")
    words = " ".join(parts)
    return words if len(words) <= QUESTION_CHARS else ""


def _written_out(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text.strip())
