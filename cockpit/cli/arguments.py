"""Reading of the command line: each word is read, or refused in one sentence on one line."""

import argparse
import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar

from cockpit.control.arguments import Argument, Kind
from cockpit.control.values import BadArgument, parse_amount, parse_count
from cockpit.control.verbs import Verb

T = TypeVar("T")

CHOICES_LISTED = 8
_NO_CHOICE = re.compile(r"argument (\S+): invalid choice: '(.*)' \(choose from (.*)\)")


class Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one sentence, on one line."""

    def error(self, message: str) -> NoReturn:
        if found := _NO_CHOICE.fullmatch(message):
            what, word, choices = found[1].lower(), found[2], re.findall(r"[\w-]+", found[3])
            near = get_close_matches(word, choices, n=1)
            listed = f": choose {', '.join(choices)}" if len(choices) <= CHOICES_LISTED else ""
            message = f"there is no {what} {word!r}" + (f": did you mean {near[0]}?" if near else listed)
        self.exit(2, f"cockpit: {message} (see `{self.prog} --help`)\n")


def whole(text: str) -> int:
    """Read an integer of at least 1."""
    return _read(parse_count, text)


def seed(text: str) -> int:
    """Read an integer of at least 0."""
    return _read(lambda word: parse_count(word, at_least=0), text)


def amount(text: str) -> float:
    """Read dollars, hours or seconds: a number of at least 0."""
    return _read(parse_amount, text)


def positive(text: str) -> float:
    """Read a number above 0."""
    number = amount(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} is invalid: expected a number above 0")
    return number


def port(text: str) -> int:
    """Read a port to listen on; 0 for any that is free."""
    if not (text.isascii() and text.isdigit() and int(text) < 65_536):
        raise argparse.ArgumentTypeError(f"{text!r} is invalid: expected a port from 0 to 65535")
    return int(text)


def _read(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except BadArgument as error:
        raise argparse.ArgumentTypeError(str(error)) from None


_TYPES: dict[Kind, Callable[[str], Any]] = {Kind.AMOUNT: amount, Kind.COUNT: whole}
_METAVARS = {Kind.AMOUNT: "NUMBER", Kind.COUNT: "N", Kind.TARGET: "WAVE|CLUSTER"}


def add_arguments(parser: argparse.ArgumentParser, verb: Verb) -> None:
    """Give a command the flags of its verb."""
    for argument in verb.arguments:
        _add(parser, argument)
    add_common(parser)
    if verb.destroys or verb.name == "mode":
        parser.add_argument("--yes", action="store_true", help="do not ask")


def add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-s", "--session", metavar="NAME", help="default: the one used last")
    parser.add_argument("--json", action="store_true", help="answer in one JSON object")


def _add(parser: argparse.ArgumentParser, argument: Argument) -> None:
    flag = f"--{argument.name.replace('_', '-')}"
    how: dict[str, Any] = {"help": argument.help or None}
    match argument.kind:
        case Kind.FLAG:
            parser.add_argument(flag, action="store_true", **how)
            return
        case Kind.SWITCH:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, **how)
            return
        case Kind.CHOICE:
            how["choices"] = argument.choices
        case Kind.WORDS:
            how |= {"nargs": "+", "metavar": "WORD"}
        case Kind.NAMES:
            how |= {"nargs": "*", "metavar": "EXPERIMENT"}
        case _:
            how["type"] = _TYPES.get(argument.kind, str)
            how["metavar"] = _METAVARS.get(argument.kind, argument.name.upper())
    if argument.option:
        parser.add_argument(flag, dest=argument.name, **how)
    elif argument.required or argument.kind is Kind.NAMES:
        parser.add_argument(argument.name, **how)
    else:
        parser.add_argument(argument.name, nargs="?", default="", **how)
