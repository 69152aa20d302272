"""Printing JSON for scripts and agents. docs/json.md has every field, which a test checks."""

from collections.abc import Mapping, Sequence

SCHEMA = 1
"""The version of the output of --json. It grows when a field is removed, renamed or gets another meaning."""


def print_json(found: Mapping[str, object] | Sequence[Mapping[str, object]], indent: int | None = 2) -> None:
    """Print an object, or an array of objects, each with the version of the schema first."""
    import json  # imported here: most commands print none

    if isinstance(found, Mapping):
        print(json.dumps({"schema": SCHEMA, **found}, indent=indent))
    else:
        print(json.dumps([{"schema": SCHEMA, **each} for each in found], indent=indent))
