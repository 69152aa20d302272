"""The parser of the command line, put together from the commands in their groups."""

from argparse import SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from cockpit import __version__
from cockpit.cli.arguments import NO_MOUSE, Command, Parser, Run
from cockpit.cli.commands import opening
from cockpit.cli.commands.groups import ALIASES, TAKE_REPO, groups_text


def parser(words: Sequence[str] = ()) -> ArgumentParser:
    """Return the parser of a command line. `options.run(options)` carries the chosen command out.

    It has every command, unless `words` begin with one: then it has those up to it. Making all takes longer than a
    status.
    """
    top = Parser(
        prog="cockpit",
        usage="cockpit [-h] [--version] [--repo PATH] [--no-mouse] [COMMAND ...]",
        description="Run parallel autoresearch. Without a command, open the current session or make one.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"cockpit {__version__}")
    top.add_argument("--repo", metavar="PATH", help="the repository to research (default: the one here)")
    top.add_argument("--no-mouse", action="store_true", help=NO_MOUSE)
    top.set_defaults(run=opening.open_session, session=None, takes_repo=True, json=False)
    commands = top.add_subparsers(metavar="COMMAND", parser_class=Parser, help=SUPPRESS, prog="cockpit")
    helps: dict[str, str] = {}

    def command(name: str, run: Run, help_text: str) -> ArgumentParser:
        described = help_text[0].upper() + help_text[1:] + "."
        made = commands.add_parser(name, aliases=ALIASES.get(name, ()), description=described)
        made.set_defaults(run=run, takes_repo=name in TAKE_REPO)
        helps[name] = help_text
        return made

    for add in _parts(top):
        add(command)
        if words and words[0] in commands.choices:
            return top
    top.epilog = f"{groups_text(helps)}\n\nAn agent begins with `cockpit guide`."
    return top


def _parts(top: ArgumentParser) -> Iterator[Callable[[Command], None]]:
    """Yield the functions that add commands. Each part is loaded in its turn, the one that loads most last."""
    yield opening.add
    from cockpit.cli.commands import printing

    yield printing.add
    from cockpit.cli.commands import agents, completion, reading, sessions, trust

    yield reading.add
    yield sessions.add
    yield agents.add
    yield trust.add
    from cockpit.cli.commands import steering

    yield steering.add
    yield partial(completion.add, parser=top)
