"""What the command line may say: words with a meaning, refused in one sentence where they have none."""

import argparse
import math
import re
from difflib import get_close_matches
from typing import NoReturn

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
    """A number of things, from 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be: give a whole number from 1")
    return number


def seed(text: str) -> int:
    """A whole number from 0."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be: give a whole number from 0")
    return int(text)


def amount(text: str) -> float:
    """Dollars, hours or seconds: a number from 0."""
    try:
        number = float(text.removeprefix("$"))
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be: give a number from 0")
    return number


def positive(text: str) -> float:
    """A number above 0."""
    number = amount(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be: give a number above 0")
    return number


def port(text: str) -> int:
    """A port to listen on, 0 for any."""
    if not (text.isascii() and text.isdigit() and int(text) < 65_536):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a whole number from 0 to 65535")
    return int(text)
