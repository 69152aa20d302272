"""The private names of SkyPilot are there in the installed version, which is said."""

import importlib.metadata
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")

from sky.schemas.api.responses import StatusResponse
from sky.server import common

from cockpit.fleet.sky import private_names


def test_the_pin_is_the_range_that_was_tested(record_property: Any) -> None:
    installed = importlib.metadata.version("skypilot")
    record_property("skypilot", installed)
    assert installed in private_names.TESTED
    pins = [text for text in importlib.metadata.requires("cockpit") or [] if text.startswith("skypilot")]
    assert pins and all(f"=={version}" in pin for pin in pins for version in private_names.TESTED)


def test_the_fields_of_a_cluster_record_that_are_not_documented_are_there() -> None:
    assert {"last_creation_yaml", "init_status_reason"} <= set(StatusResponse.model_fields)


def test_skypilot_shows_where_its_api_server_is() -> None:
    assert not common.is_api_server_local("https://sky.example.org")
    assert common.is_api_server_local("http://127.0.0.1:46580")


def test_no_other_file_uses_a_private_module_of_skypilot() -> None:
    folder = Path(private_names.__file__).parent
    users = {
        path.name
        for path in folder.glob("*.py")
        if any(f"sky.{module}" in path.read_text() for module in ("utils", "server", "backends", "skylet", "schemas"))
    }
    assert users <= {"private_names.py"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_text_is_an_empty_task(text: str) -> None:
    assert private_names.parse_yaml(text) == {}
