"""Parsing of the command line: each word is read, or refused in one sentence on one line."""

import argparse
import re
from collections.abc import Callable
from typing import NoReturn, TypeVar

from cockpit.cli.errors import UsageError
from cockpit.control.values import BadArgument, parse_amount, parse_count
from cockpit.core.nearest import did_you_mean

T = TypeVar("T")
Run = Callable[[argparse.Namespace], int | None]
Command = Callable[[str, Run, str], argparse.ArgumentParser]
"""Adds a command by its name, its work and its help. Returns its parser."""

NO_MOUSE = "leave the mouse to the terminal"
CHOICES_LISTED = 8
_NO_CHOICE = re.compile(r"argument (\S+): invalid choice: '(.*)' \(choose from (.*)\)")


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError with one sentence."""

    def error(self, message: str) -> NoReturn:
        if found := _NO_CHOICE.fullmatch(message):
            what, word, choices = found[1].lower(), found[2], re.findall(r"[\w-]+", found[3])
            listed = f"choose {', '.join(choices)}" if len(choices) <= CHOICES_LISTED else ""
            hint = did_you_mean(word, choices) or listed
            message = f"there is no {what} {word!r}" + (f": {hint}" if hint else "")
        raise UsageError(f"{message} (see `{self.prog} --help`)")


def whole(text: str) -> int:
    """Parse an integer of at least 1."""
    return _parsed(parse_count, text)


def seed(text: str) -> int:
    """Parse an integer of at least 0."""
    return _parsed(lambda word: parse_count(word, at_least=0), text)


def amount(text: str) -> float:
    """Parse dollars, hours or seconds: a number of at least 0."""
    return _parsed(parse_amount, text)


def positive(text: str) -> float:
    """Parse a number above 0."""
    number = amount(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} is invalid: expected a number above 0")
    return number


def port(text: str) -> int:
    """Parse a port to listen on; 0 for any free one."""
    if not (text.isascii() and text.isdigit() and int(text) < 65_536):
        raise argparse.ArgumentTypeError(f"{text!r} is invalid: expected a port from 0 to 65535")
    return int(text)


def _parsed(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except BadArgument as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_session(
    parser: argparse.ArgumentParser, metavar: str = "SESSION", help_text: str = "default: the last one used"
) -> None:
    parser.add_argument("session", nargs="?", metavar=metavar, help=help_text)
    parser.add_argument("-s", "--session", dest="named_session", metavar="NAME", help=argparse.SUPPRESS)


def add_session_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-s", "--session", metavar="NAME", help="default: the last one used")


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts and agents")


def add_no_mouse(parser: argparse.ArgumentParser) -> None:
    # Without a default of its own: it may come before the command as well.
    parser.add_argument("--no-mouse", action="store_true", default=argparse.SUPPRESS, help=NO_MOUSE)
