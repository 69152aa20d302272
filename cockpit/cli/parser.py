"""The parser of the command line, put together from the groups of commands."""

from argparse import ArgumentParser

from cockpit import __version__
from cockpit.cli.arguments import NO_MOUSE, Parser, Run
from cockpit.cli.commands import agents, reading, sessions, steering, trust


def parser() -> ArgumentParser:
    """Return the parser with every command. `options.run(options)` carries the chosen one out."""
    top = Parser(
        prog="cockpit",
        description="Run parallel autoresearch. Without a command, open the current session or make one.",
    )
    top.add_argument("--version", action="version", version=f"cockpit {__version__}")
    top.add_argument("--repo", metavar="PATH", help="the repository to research (default: the one here)")
    top.add_argument("--no-mouse", action="store_true", help=NO_MOUSE)
    top.set_defaults(run=sessions.open_session, session=None, takes_repo=True, json=False)
    commands = top.add_subparsers(metavar="COMMAND", parser_class=Parser)

    def command(name: str, run: Run, help_text: str) -> ArgumentParser:
        made = commands.add_parser(name, help=help_text, description=help_text[0].upper() + help_text[1:] + ".")
        made.set_defaults(run=run, takes_repo=name in sessions.TAKE_REPO)
        return made

    for group in (sessions, reading, steering, agents, trust):
        group.add(command)
    return top
