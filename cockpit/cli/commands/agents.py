"""Commands for agents: the tools, the MCP server, and the transcript of the model."""

from argparse import Namespace

from cockpit.cli.arguments import Command, add_json, add_session, add_session_option, positive, whole

CLIENTS = ("claude-code", "codex", "gemini", "opencode", "qwen", "cursor", "zed")
"""Clients that `agent-setup` configures."""


def add(command: Command) -> None:
    it = command("tool", _tool, "call one of an agent's tools and print its answer as JSON")
    it.add_argument("tool", nargs="?", metavar="NAME")
    add_session(it)
    it.add_argument("--json", default="{}", metavar="{…}", help="the tool's arguments; - to read them from input")
    it.add_argument("--as", default="", dest="author", metavar="NAME", help="the agent's name (default: USER-agent)")
    it.add_argument("--list", action="store_true", help="list every tool with the schema of its arguments")
    it = command("mcp", _mcp, "serve the tools to an outside agent: MCP over standard input and output")
    add_session(it)
    it.add_argument(
        "--longest-wait", type=positive, default=50.0, metavar="SECONDS",
        help="below the client's time limit for a tool (default: 50)",
    )  # fmt: skip
    it.add_argument("--agent", default="", metavar="NAME", help="serve the hosted agent of this name")
    it = command("agent-setup", _agent_setup, "write the configuration of an agent's client, after showing it")
    it.add_argument("client", choices=CLIENTS)
    add_session(it)
    it.add_argument("--yes", action="store_true", help="do not ask")
    it = command("guide", _guide, "print the guide for an agent")
    it.add_argument("--skill", action="store_true", help="print the SKILL.md instead, for an agent's skills folder")
    it = command("start", _start, "start a session's worker; needs no terminal")
    add_session(it)
    it = command("wait", _wait, "print what happened since you last looked, or wait for the next news")
    it.add_argument("wave", nargs="?", metavar="WAVE", help="wait for its end")
    add_session_option(it)
    it.add_argument(
        "--seconds", type=positive, default=86_400.0, metavar="N", help="at most this long (default: a day)"
    )
    it.add_argument("--as", default="", dest="author", metavar="NAME", help="the agent's name (default: USER-agent)")
    add_json(it)
    it = command("transcript", _transcript, "print the exchange with the model")
    add_session(it)
    it.add_argument("--turns", type=whole, default=0, metavar="N", help="the last N turns only")


def _tool(options: Namespace) -> int:
    from cockpit.cli.agents import call_tool, list_tools

    if options.list:
        return list_tools()
    return call_tool(options.tool or "", options.session, options.json, options.author)


def _mcp(options: Namespace) -> int:
    from cockpit.cli.agents import serve_mcp

    return serve_mcp(options.session, options.longest_wait, options.agent)


def _agent_setup(options: Namespace) -> None:
    from cockpit.cli.agent_setup import agent_setup

    agent_setup(options.client, options.session, options.yes)


def _guide(options: Namespace) -> None:
    from cockpit.cli.agent_setup import guide_text

    print(guide_text("SKILL.md" if options.skill else "AGENTS.md"), end="")


def _start(options: Namespace) -> None:
    from cockpit.cli.shell import start

    start(options.session)


def _wait(options: Namespace) -> int:
    from cockpit.cli.shell import wait

    return wait(options.wave, options.session, options.seconds, options.author, options.json)


def _transcript(options: Namespace) -> int:
    from cockpit.cli.agents import print_transcript

    return print_transcript(options.session, options.turns)
