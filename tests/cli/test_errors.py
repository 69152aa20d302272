"""The tree of errors is drawn as it is, and each class has an exit status."""

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cockpit
from cockpit.cli.errors import CommandError, UsageError, exit_status
from cockpit.control.values import BadArgument
from cockpit.core import errors
from cockpit.core.errors import CockpitError
from cockpit.session.ledger_errors import LedgerFull
from tests.cli.shell import environment

NOT_LOADED = ("cockpit.templates", "cockpit.__main__", "cockpit.scoring.server", "cockpit.scoring.feeder")
"""Scripts, which run when they are loaded or stand alone."""


def tree(base: type[CockpitError]) -> dict[str, str]:
    """Return each class below `base` with the name of its parent."""
    found: dict[str, str] = {}
    for each in base.__subclasses__():
        if each.__module__.startswith("cockpit."):
            found |= {each.__name__: base.__name__} | tree(each)
    return found


def drawn() -> dict[str, str]:
    parents: dict[int, str] = {0: "CockpitError"}
    found = {}
    for indent, name in re.findall(r"^    ([│ ]*)[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 4
        found[name] = parents[depth]
        parents[depth + 1] = name
    return found


def test_the_drawing_of_the_tree_has_every_error() -> None:
    for module in pkgutil.walk_packages(cockpit.__path__, "cockpit."):
        if not module.name.startswith(NOT_LOADED):
            try:
                importlib.import_module(module.name)
            except ImportError as missing:
                assert not (missing.name or "").startswith("cockpit"), missing
    assert drawn() == tree(CockpitError)
    rooms = dict(re.findall(r"^    [├└]── (\w+) +([a-z]+): ", errors.__doc__ or "", re.MULTILINE))
    assert rooms == {each.__name__: each.__module__.split(".")[1] for each in CockpitError.__subclasses__()
                     if each.__module__.startswith("cockpit.") and each.__name__ in rooms}  # fmt: skip


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CommandError("no"), 1),
        (BadArgument("no"), 1),
        (LedgerFull(Path("ledger.db")), 1),
        (UsageError("no"), 2),
        (PermissionError(13, "no"), 1),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 0),
    ],
)
def test_an_error_has_the_status_of_its_nearest_base(error: BaseException, status: int) -> None:
    assert exit_status(error) == status


def ended(place: Path, words: str, output: str) -> tuple[int, str]:
    """Return the exit status and the errors of a command whose output goes where `output` leads, in a shell."""
    told = environment(place) | {"PYTHON": sys.executable}
    told.pop("PYTHONUNBUFFERED", None)
    script = f'"$PYTHON" -m cockpit {words} {output}; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", script], cwd=place, env=told, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", ["guide", "--help", "--version", "completion bash"])
def test_a_reader_that_has_enough_ends_a_command_in_peace(tmp_path: Path, words: str) -> None:
    assert ended(tmp_path, words, "| true") == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
@pytest.mark.parametrize("words", ["guide", "completion bash", "list --json", "--version"])
def test_output_that_fits_nowhere_is_one_sentence(tmp_path: Path, words: str) -> None:
    assert ended(tmp_path, words, "> /dev/full") == (1, "cockpit: the disk is full: free some space, then try again\n")


def test_a_command_without_an_output_ends_in_peace(tmp_path: Path) -> None:
    assert ended(tmp_path, "completion bash", ">&-") == (0, "")
