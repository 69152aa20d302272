"""The command that adds an extra is true for the install at hand."""

import importlib.metadata
import importlib.util
import sys
from types import SimpleNamespace

import pytest

from cockpit.core.installation import install_command


@pytest.mark.parametrize("origin", [None, "", "{}", '{"archive_info": {}, "url": "file:///x.whl"}', "[]", "no json"])
def test_an_installed_wheel_is_extended_in_its_own_environment(
    monkeypatch: pytest.MonkeyPatch, origin: str | None
) -> None:
    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: SimpleNamespace(read_text=lambda _: origin))
    monkeypatch.setattr(sys, "executable", "/a b/python")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert install_command("local") == "'/a b/python' -m pip install 'cockpit[local]'"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert install_command("local") == "uv pip install --python '/a b/python' 'cockpit[local]'"


def test_a_checkout_is_installed_again_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    origin = '{"dir_info": {"editable": true}, "url": "file:///x"}'
    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: SimpleNamespace(read_text=lambda _: origin))
    assert install_command("sky") == "pip install -e '.[sky]'"


def test_code_that_is_not_installed_is_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    assert install_command("sky") == "pip install -e '.[sky]'"
