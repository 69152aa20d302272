"""Hosted agents, which the worker starts and asks: their names, and the commands that speak the Agent Client
Protocol."""

import re
import shlex
from pathlib import PurePath

import msgspec

from cockpit.core.errors import CockpitError
from cockpit.core.model import PROPOSERS

RESERVED_NAMES = (*PROPOSERS, "human", "plan", "cockpit", "baseline", "filler", "ablate", "rebase")
"""Names of cockpit's own authors and proposers, which no agent may take."""
NAME_CHARS = 40


class AgentError(CockpitError):
    """The words name no agent; the message is one sentence."""


class HostedAgent(msgspec.Struct, frozen=True):
    """An agent that the worker starts and asks as a proposer."""

    name: str
    command: tuple[str, ...]


class KnownAgent(msgspec.Struct, frozen=True):
    command: tuple[str, ...]
    """The command that speaks the protocol."""
    install: str
    login: str
    folders: tuple[str, ...]
    """Its own settings and login, which it reads and changes behind its wall."""
    environment: dict[str, str] = {}
    """Variables that its process gets."""
    inherits: tuple[str, ...] = ()
    """Names and patterns of its own variables, which it inherits from the worker: its settings and its account."""


KNOWN_AGENTS = {
    "claude-code": KnownAgent(
        ("claude-agent-acp",),
        "npm install -g @agentclientprotocol/claude-agent-acp",
        "run `claude` and `/login` in it",
        ("~/.claude", "~/.claude.json"),
        inherits=("CLAUDE_*", "ANTHROPIC_BASE_URL", "ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_*", "IS_SANDBOX"),
    ),
    "codex": KnownAgent(
        ("codex-acp",),
        "npm install -g @agentclientprotocol/codex-acp",
        "run `codex login`",
        ("~/.codex",),
        inherits=("CODEX_*", "OPENAI_API_KEY", "OPENAI_BASE_URL"),
    ),
    "gemini": KnownAgent(
        ("gemini", "--acp"),
        "npm install -g @google/gemini-cli",
        "run `gemini` once and log in",
        ("~/.gemini",),
        {"GEMINI_CLI_TRUST_WORKSPACE": "true"},  # it takes tools in trusted folders alone; the checkout is Cockpit's
        inherits=("GEMINI_*", "GOOGLE_GEMINI_BASE_URL", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"),
    ),
    "opencode": KnownAgent(
        ("opencode", "acp"),
        "npm install -g opencode-ai",
        "run `opencode auth login`",
        ("~/.config/opencode", "~/.local/share/opencode", "~/.local/state/opencode", "~/.cache/opencode"),
        inherits=("OPENCODE_*",),
    ),
}


_SHARED = re.compile(r"([\w.-]+)=(\d{1,3}(?:\.\d+)?)")


def with_share(words: str) -> tuple[str, float]:
    """Return `codex=2` as `codex` and 2; a share of 1 for other words. Raises AgentError."""
    match = _SHARED.fullmatch(words.strip())
    if match is None:
        return words, 1.0
    if float(match[2]) <= 0:
        raise AgentError(f"{words}: a share is a number above 0")
    return match[1], float(match[2])


def agent_of(words: str, command: tuple[str, ...] = ()) -> HostedAgent:
    """Return the agent that the words name, by a known name or by its command; with `command` the words are its name.

    Raises AgentError.
    """
    words = words.strip()
    if command:
        return HostedAgent(words, command)
    if known := KNOWN_AGENTS.get(words):
        return HostedAgent(words, known.command)
    try:
        command = tuple(shlex.split(words))
    except ValueError as error:
        raise AgentError(f"{words!r} is not a command: {error}") from None
    if not command:
        raise AgentError(f"name an agent: {', '.join(KNOWN_AGENTS)}, or a command that speaks ACP")
    return HostedAgent(name_of(command), command)


def name_of(command: tuple[str, ...]) -> str:
    """Return the name of the agent that a command starts: the known one's, or the program's."""
    if known := _known_by(command):
        return known
    scripts = [word for word in command[1:] if word.endswith((".py", ".js", ".mjs"))]
    name = PurePath(scripts[0] if scripts else command[0]).stem[:NAME_CHARS] or "agent"
    return f"agent-{name}" if name.lower() in RESERVED_NAMES else name


def _known_by(command: tuple[str, ...]) -> str:
    """Return the known agent whose program the command starts; empty for none."""
    program = PurePath(command[0]).name
    return next((name for name, known in KNOWN_AGENTS.items() if program == known.command[0]), "")


def known_agent(agent: HostedAgent) -> KnownAgent | None:
    """Return the known agent: by its name, or by its program where the person chose the name."""
    return KNOWN_AGENTS.get(agent.name) or KNOWN_AGENTS.get(_known_by(agent.command))


def install_hint(agent: HostedAgent) -> str:
    """Return how to install the agent's adapter, in a clause; empty for a command of the person's own."""
    known = known_agent(agent)
    return f"`{known.install}` installs it" if known else ""
