"""`cockpit agent-setup`: the configuration of an agent's client in its own format, shown before it is written."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from cockpit.cli.confirm import confirm
from cockpit.cli.errors import CommandError
from cockpit.cli.locate import session, session_repo
from cockpit.session.small_files import replace_file

Json = dict[str, Any]
SHORT_WAIT_S, LONG_WAIT_S = 50, 600
"""The longest `wait`: in a client whose time limit for a tool cannot be set, and in one whose limit can."""
MARGIN_S = 60
"""Seconds by which a client's limit exceeds the longest `wait`."""


class Client(msgspec.Struct, frozen=True):
    """A client's configuration file, and its text with Cockpit's server added."""

    path: Callable[[Path], Path]
    """Takes the repository."""
    added: Callable[[str, list[str]], str]
    """Takes the file's text and the server's command. Raises CommandError for a text that it cannot extend."""
    wait_s: int = SHORT_WAIT_S


def agent_setup(client: str, session_name: str | None, yes: bool) -> None:
    """Write the client's configuration for a session, after showing it. Raises CommandError."""
    folder = session(session_name)
    repo = Path(session_repo(folder)).resolve()
    chosen = CLIENTS[client]
    program = shutil.which("cockpit")
    start = [program] if program else [sys.executable, "-m", "cockpit"]
    command = [*start, "mcp", str(folder.root.resolve()), "--longest-wait", str(chosen.wait_s)]
    files = {chosen.path(repo): chosen.added}
    written = {path: added(_text(path), command) for path, added in files.items()}
    if client == "claude-code":
        written[repo / ".claude" / "skills" / "cockpit" / "SKILL.md"] = guide_text("SKILL.md")
    for path, text in written.items():
        print(f"--- {path}\n{text.rstrip()}\n")
    confirm(f"Write {' and '.join(str(path) for path in written)}.", yes)
    for path, text in written.items():
        _replace(path, text)
    print(f"written: start {client} in {repo}, and tell it to do the research")


def guide_text(name: str) -> str:
    """Return a page of the guide for agents, which the package holds."""
    return (resources.files("cockpit.agent") / "guide" / name).read_text(encoding="utf-8")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not text: move it away") from None


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.encode())


def _in_json(
    key: str, entry: Callable[[list[str]], Json], first: Json | None = None
) -> Callable[[str, list[str]], str]:
    """Return the function that puts the server under `key` of a JSON file, with `first` in a file that is new."""

    def added(text: str, command: list[str]) -> str:
        try:
            found = json.loads(text) if text.strip() else dict(first or {})
        except ValueError as error:
            shown = json.dumps({key: {"cockpit": entry(command)}}, indent=2)
            raise CommandError(f"the file is not plain JSON ({error}): add this to it by hand\n{shown}") from None
        if not isinstance(found, dict) or not isinstance(found.get(key, {}), dict):
            raise CommandError(f"the file holds no JSON object with {key!r}: move it away")
        found[key] = {**found.get(key, {}), "cockpit": entry(command)}
        return json.dumps(found, indent=2, ensure_ascii=False) + "\n"

    return added


def _in_toml(text: str, command: list[str]) -> str:
    """Put the server into Codex's TOML. Its strings are those of JSON."""
    if "[mcp_servers.cockpit" in text:
        before, _, rest = text.partition("[mcp_servers.cockpit")
        after = rest.find("\n[")
        text = before + (rest[after + 1 :] if after >= 0 else "")
    table = [
        "[mcp_servers.cockpit]",
        f"command = {json.dumps(command[0])}",
        f"args = {json.dumps(command[1:])}",
        "required = true",  # it waits for the tools before its first turn
        "startup_timeout_sec = 30",
        f"tool_timeout_sec = {LONG_WAIT_S + MARGIN_S}",
    ]
    return text.rstrip() + ("\n\n" if text.strip() else "") + "\n".join(table) + "\n"


def _plain(command: list[str]) -> Json:
    return {"command": command[0], "args": command[1:]}


def _with_timeout(command: list[str]) -> Json:
    return {**_plain(command), "timeout": (LONG_WAIT_S + MARGIN_S) * 1000}


def _codex_home() -> Path:
    return Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex")


_SERVERS = "mcpServers"
CLIENTS = {
    "claude-code": Client(
        lambda repo: repo / ".mcp.json",
        _in_json(_SERVERS, lambda command: {"type": "stdio", **_plain(command)}),
        LONG_WAIT_S,
    ),
    "codex": Client(lambda repo: _codex_home() / "config.toml", _in_toml, LONG_WAIT_S),
    "gemini": Client(lambda repo: repo / ".gemini" / "settings.json", _in_json(_SERVERS, _with_timeout), LONG_WAIT_S),
    "opencode": Client(
        lambda repo: repo / "opencode.json",
        _in_json(
            "mcp",
            lambda command: {"type": "local", "command": command, "enabled": True},
            {"$schema": "https://opencode.ai/config.json"},
        ),
    ),
    "qwen": Client(lambda repo: repo / ".qwen" / "settings.json", _in_json(_SERVERS, _with_timeout), LONG_WAIT_S),
    "cursor": Client(lambda repo: repo / ".cursor" / "mcp.json", _in_json(_SERVERS, _plain)),
    "zed": Client(lambda repo: Path.home() / ".config" / "zed" / "settings.json", _in_json("context_servers", _plain)),
}
"""Client to its configuration."""
