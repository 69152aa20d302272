"""A command makes its own part of the parser and loads what it needs."""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.ledger import night
from cockpit.cli.commands.groups import ALIASES, GROUPS
from cockpit.cli.parser import parser
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder

COMMANDS = [word for group in GROUPS for name in group.commands for word in (name, *ALIASES.get(name, ()))]
NOT_FOR_A_STATUS = (
    "sqlite3", "_hashlib", "tomllib", "difflib", "logging", "json", "cockpit.control.verbs",
    "cockpit.cli.commands.sessions", "cockpit.session.settings", "cockpit.session.ledger",
)  # fmt: skip
LOADED = """
import sys
before = set(sys.modules)
from cockpit.cli.main import main
try:
    main()
except SystemExit as ended:
    assert not ended.code
print(*set(sys.modules) - before, file=sys.stderr)
"""


def commands_of(found: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    choices = next(action for action in found._actions if isinstance(action, argparse._SubParsersAction)).choices
    assert isinstance(choices, dict)
    return choices


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_the_same_flags_in_its_part_of_the_parser(name: str) -> None:
    part, whole = commands_of(parser([name]))[name], commands_of(parser())[name]
    assert part.format_help() == whole.format_help()


@pytest.mark.parametrize("example", [group.example for group in GROUPS])
def test_an_example_is_read_the_same_by_its_part_of_the_parser(example: str) -> None:
    words = shlex.split(example)[1:]
    part, whole = (vars(made.parse_args(words)) for made in (parser(words), parser()))
    assert {**part, "run": None} == {**whole, "run": None}
    assert getattr(part["run"], "func", part["run"]) == getattr(whole["run"], "func", whole["run"])


def test_status_makes_few_commands() -> None:
    assert len(commands_of(parser(["status"]))) < len(commands_of(parser())) / 3


def test_status_loads_neither_a_database_nor_the_verbs(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "night")
    events = list(night(20))
    ledger = Ledger.create(folder.ledger)
    ledger.append(events)
    ledger.close()
    told, loaded = modules_after("status", str(folder.root))
    assert "20 valid" in told
    assert not loaded & set(NOT_FOR_A_STATUS)


def modules_after(*words: str) -> tuple[str, set[str]]:
    """Return the output of a command in a process of its own, and the modules that it loads there."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout, set(done.stderr.split())
