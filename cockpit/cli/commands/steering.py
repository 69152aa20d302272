"""Commands that steer a session: one for each verb, its flags made from the verb's arguments."""

from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Callable
from functools import partial
from typing import Any

from cockpit.cli.arguments import Command, add_json, add_session, add_session_option, amount, whole
from cockpit.control.arguments import Argument, Kind
from cockpit.control.verbs import VERBS, Verb

PROPOSING = ("propose", "ablate")
"""Verbs whose wave can be approved in the same command."""
SESSION_BY_POSITION = ("ablate",)
"""Verbs without another argument by position."""
_TYPES: dict[Kind, Callable[[str], Any]] = {Kind.AMOUNT: amount, Kind.COUNT: whole}
_SEVERAL = {Kind.WORDS: "+", Kind.FACTORS: "+", Kind.NAMES: "*"}


def add(command: Command) -> None:
    for row in VERBS:
        if not row.is_command:
            continue
        it = command(row.name, partial(_steer, row), row.help)
        _add_arguments(it, row)
        if row.name in PROPOSING:
            it.add_argument("--approve", action="store_true", help="approve the wave at once")
        (add_session if row.name in SESSION_BY_POSITION else add_session_option)(it)
        add_json(it)


def _steer(row: Verb, options: Namespace) -> None:
    from cockpit.cli.steer import propose, steer

    if row.name in PROPOSING:
        propose(row, options)
    else:
        steer(row, options)


def _add_arguments(parser: ArgumentParser, row: Verb) -> None:
    """Give a command the arguments of its verb, and --yes if it asks first."""
    for argument in row.arguments:
        _add(parser, argument)
    if row.command_asks:
        parser.add_argument("--yes", action="store_true", help="do not ask")


def _add(parser: ArgumentParser, argument: Argument) -> None:
    flag = f"--{argument.name.replace('_', '-')}"
    how: dict[str, Any] = {"help": argument.help or None}
    match argument.kind:
        case Kind.FLAG:
            parser.add_argument(flag, action="store_true", **how)
            return
        case Kind.SWITCH:
            parser.add_argument(flag, action=BooleanOptionalAction, default=None, **how)
            return
        case Kind.CHOICE:
            how["choices"] = argument.choices
        case _:
            how |= {"type": _TYPES.get(argument.kind, str), "metavar": argument.metavar}
    if argument.option:
        parser.add_argument(flag, dest=argument.name, **how)
    elif argument.kind in _SEVERAL:
        parser.add_argument(argument.name, nargs=_SEVERAL[argument.kind], **how)
    elif argument.required:
        parser.add_argument(argument.name, **how)
    else:
        parser.add_argument(argument.name, nargs="?", default="", **how)
