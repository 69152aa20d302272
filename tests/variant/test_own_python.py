"""The repository's own Python judges the syntax of its files."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.variant.errors import VariantError
from cockpit.variant.fingerprint import fingerprint
from cockpit.variant.guard import check_variant
from cockpit.variant.knobs.constants import find_constants, set_constants
from cockpit.variant.own_python import OwnPython, own_python
from cockpit.variant.syntax import parse_with
from tests.variant.conftest import SCRIPT

NEWER = 'type Rate = float\nDEPTH = 8  # blocks\nprint(f"val_bpb: {"é" + str(DEPTH)}")\n'
"""Syntax of Python 3.12."""


@pytest.fixture(autouse=True)
def cockpits_python_afterwards() -> Iterator[None]:
    yield
    parse_with(None)


def this_python() -> OwnPython:
    """Return this Python as if it were another one: the tree then comes from a process of its own."""
    return OwnPython(Path(sys.executable), (3, 99))


def python(version: str) -> OwnPython:
    """Return a Python of this version. Skips the test where the machine has none."""
    found = shutil.which(f"python{version}")
    works = found and subprocess.run([found, "-c", ""], capture_output=True, timeout=60, check=False).returncode == 0
    if not found or not works:
        pytest.skip(f"there is no Python {version} here")
    major, minor = version.split(".")
    return OwnPython(Path(found), (int(major), int(minor)))


def test_a_tree_from_another_process_gives_the_same_knobs_and_the_same_fingerprint() -> None:
    knobs, meaning = find_constants(SCRIPT), fingerprint(SCRIPT)
    parse_with(this_python())
    tree = this_python().tree_of(SCRIPT)
    assert tree is not None and ast.dump(tree) == ast.dump(ast.parse(SCRIPT))
    check_variant(SCRIPT)
    assert fingerprint(SCRIPT) == meaning
    assert find_constants(SCRIPT) == knobs


def test_a_syntax_error_is_reported_with_its_line_and_the_python_that_refuses_it() -> None:
    parse_with(this_python())
    with pytest.raises(
        VariantError, match=r"^train\.py does not compile under Python 3\.99: .* at line 2 \('DEPTH = ="
    ):
        check_variant("x = 1\nDEPTH = =\n")


def test_a_python_that_cannot_be_started_leaves_the_judgement_to_cockpits() -> None:
    parse_with(OwnPython(Path("/nowhere/python"), (3, 99)))
    assert find_constants("DEPTH = 8\n# of its own text\n") == {"DEPTH": 8}


@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_newer_syntax_than_cockpits_is_read_and_edited(version: str) -> None:
    parse_with(python(version))
    check_variant(NEWER)
    assert find_constants(NEWER) == {"DEPTH": 8}
    assert set_constants(NEWER, {"DEPTH": 9}) == NEWER.replace("= 8", "= 9")
    assert fingerprint(NEWER) == fingerprint(NEWER.replace("  # blocks", ""))


@pytest.mark.parametrize("version", ["3.8", "3.9"])
def test_newer_syntax_than_the_repositorys_is_refused(version: str) -> None:
    parse_with(python(version))
    with pytest.raises(VariantError, match=f"does not compile under Python {version}"):
        check_variant("match 3:\n    case 3: print('val_bpb: 1')\n")
    assert find_constants("DEPTH = [1, 2][0]\nx[0] = 1\nLR = 0.1\n") == {"LR": 0.1}


@pytest.mark.parametrize(
    ("settings", "version"),
    [
        ("version = 3.99.1\n", (3, 99)),
        ("home = /x\nversion_info = 3.99.1.final.0\n", (3, 99)),
        (f"version = {sys.version_info[0]}.{sys.version_info[1]}.0\n", None),
        ("version = 3.7.1\n", None),
        ("home = /x\n", None),
    ],
)
def test_the_environments_version_shows_if_it_judges(
    tmp_path: Path, settings: str, version: tuple[int, int] | None
) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "pyvenv.cfg").write_text(settings)
    found = own_python(tmp_path)
    assert (found.version if found else None) == version
