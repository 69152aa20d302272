"""Commands that steer a session: one for each verb, its flags made from the verb's arguments."""

from argparse import Namespace
from functools import partial

from cockpit.cli.arguments import Command, add_arguments, add_json, add_session, add_session_option
from cockpit.control.verbs import VERBS, Verb

PROPOSING = ("propose", "ablate")
"""Verbs whose wave can be approved in the same command."""
SESSION_BY_POSITION = ("ablate",)
"""Verbs without another argument by position."""


def add(command: Command) -> None:
    for row in VERBS:
        if not row.is_command:
            continue
        it = command(row.name, partial(_steer, row), row.help)
        add_arguments(it, row)
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
