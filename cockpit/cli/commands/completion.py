"""The command that completes the others in a shell."""

from argparse import REMAINDER, ArgumentParser, Namespace
from functools import partial

from cockpit.cli.arguments import Command

SHELLS = ("bash", "zsh", "fish")


def add(command: Command, parser: ArgumentParser) -> None:
    """Add the command, which completes the words that `parser` reads."""
    it = command(
        "completion", partial(_completion, parser), "print the completion script of a shell, to be sourced by it"
    )
    it.add_argument("shell", choices=SHELLS)
    it.add_argument("--for", dest="words", nargs=REMAINDER, help="print the words that may come last in these instead")


def _completion(parser: ArgumentParser, options: Namespace) -> None:
    from cockpit.cli.completion import print_completion

    print_completion(options.shell, options.words, parser)
