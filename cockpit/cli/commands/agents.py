"""Commands for agents: the tools, the MCP server, and the transcript of the model."""

from argparse import Namespace

from cockpit.cli.arguments import Command, add_session, positive, whole


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
    it.add_argument("--seat", default="", metavar="NAME", help="serve the agent in the seat, which the worker starts")
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

    return serve_mcp(options.session, options.longest_wait, options.seat)


def _transcript(options: Namespace) -> int:
    from cockpit.cli.agents import print_transcript

    return print_transcript(options.session, options.turns)
