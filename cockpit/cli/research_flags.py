"""The flags of `cockpit new` that are settings of `[research]`, one for each row of the table."""

import argparse
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

from cockpit.cli.arguments import amount, seed
from cockpit.session.research_settings import Row, listed, rows

HEADINGS = {
    "a repository of yours": (
        "files", "protected", "command", "metric", "direction", "time_budget_s", "time_limit_s", "seed_by",
    ),
    "the output of a run": ("pattern", "progress", "loss", "constraints", "score_command"),
    "the surroundings of a run": ("setup", "confine", "network", "readable", "env", "links", "gpus_per_run"),
    "checks and files of a run": ("rescore", "artifacts", "artifacts_mb"),
}  # fmt: skip
"""The headings of `cockpit new --help`, each with its rows."""


def add_research_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each row, under the heading of its group. A flag that is not given is None."""
    groups = {title: parser.add_argument_group(title) for title in HEADINGS}
    of_field = {field: groups[title] for title, fields in HEADINGS.items() for field in fields}
    for row in rows():
        of_field[row.field].add_argument(
            row.name, dest=row.field, default=None, help=row.flag.help.replace("%", "%%"), **_how(row)
        )


def given_research_flags(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that flags give."""
    given = {row.field: value for row in rows() if (value := getattr(options, row.field)) is not None}
    return {field: tuple(value) if isinstance(value, list) else value for field, value in given.items()}


def _how(row: Row) -> dict[str, Any]:
    """Return the arguments of argparse for a row, without its name and help."""
    if row.kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if get_origin(row.kind) is Literal:
        return {"choices": list(get_args(row.kind))}
    if get_origin(row.kind) is tuple:
        return {"type": listed, "metavar": row.flag.metavar, "action": "extend"}
    return {"type": row.flag.parse or _PARSERS.get(get_origin(row.kind) or row.kind, str), "metavar": row.flag.metavar}


_PARSERS: dict[Any, Callable[[str], Any]] = {float: amount, int: seed}
