"""The parser of the command line, put together from the commands in their groups."""

from argparse import SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter

from cockpit import __version__
from cockpit.cli.arguments import NO_MOUSE, Parser, Run
from cockpit.cli.commands import agents, completion, reading, sessions, steering, trust
from cockpit.cli.commands.groups import ALIASES, groups_text


def parser() -> ArgumentParser:
    """Return the parser with every command. `options.run(options)` carries the chosen one out."""
    top = Parser(
        prog="cockpit",
        usage="cockpit [-h] [--version] [--repo PATH] [--no-mouse] [COMMAND ...]",
        description="Run parallel autoresearch. Without a command, open the current session or make one.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"cockpit {__version__}")
    top.add_argument("--repo", metavar="PATH", help="the repository to research (default: the one here)")
    top.add_argument("--no-mouse", action="store_true", help=NO_MOUSE)
    top.set_defaults(run=sessions.open_session, session=None, takes_repo=True, json=False)
    commands = top.add_subparsers(metavar="COMMAND", parser_class=Parser, help=SUPPRESS, prog="cockpit")
    helps: dict[str, str] = {}

    def command(name: str, run: Run, help_text: str) -> ArgumentParser:
        described = help_text[0].upper() + help_text[1:] + "."
        made = commands.add_parser(name, aliases=ALIASES.get(name, ()), description=described)
        made.set_defaults(run=run, takes_repo=name in sessions.TAKE_REPO)
        helps[name] = help_text
        return made

    for part in (sessions, reading, steering, agents, trust):
        part.add(command)
    completion.add(command, top)
    top.epilog = f"{groups_text(helps)}\n\nAn agent begins with `cockpit guide`."
    return top
