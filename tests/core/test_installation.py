"""The command that adds an extra is true for the install at hand."""

import importlib.util
import sys
from pathlib import Path

import pytest

from cockpit.core import installation
from cockpit.core.installation import install_command


@pytest.mark.parametrize("left", [[], ["cockpit.egg-info"], ["cockpit-0.1.0.dist-info", "other"]])
def test_an_installed_wheel_is_extended_in_its_own_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: list[str]
) -> None:
    for name in left:
        (tmp_path / name).mkdir()
    monkeypatch.setattr(installation, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "executable", "/a b/python")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert install_command("local") == "'/a b/python' -m pip install 'cockpit[local]'"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert install_command("local") == "uv pip install --python '/a b/python' 'cockpit[local]'"


@pytest.mark.parametrize("left", [[], ["cockpit.egg-info"]])
def test_a_checkout_is_installed_again_with_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: list[str]
) -> None:
    (tmp_path / "pyproject.toml").touch()
    for name in left:  # a build leaves it, and Python may find it before the real installation
        (tmp_path / name).mkdir()
    monkeypatch.setattr(installation, "ROOT", tmp_path)
    assert install_command("sky") == "pip install -e '.[sky]'"


def test_the_tested_code_is_a_checkout() -> None:
    assert install_command("sky") == "pip install -e '.[sky]'"
