"""The private names of SkyPilot are there in the installed version, which is said."""

import importlib.metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")

from sky.models import User
from sky.schemas.api.responses import APIHealthResponse, StatusResponse
from sky.server import common
from sky.utils import common_utils

from cockpit.fleet.sky import private_names


def test_the_pin_is_the_range_that_was_tested(record_property: Any) -> None:
    installed = importlib.metadata.version("skypilot")
    record_property("skypilot", installed)
    assert installed in private_names.TESTED
    pins = [text for text in importlib.metadata.requires("cockpit") or [] if text.startswith("skypilot")]
    assert pins and all(f"=={version}" in pin for pin in pins for version in private_names.TESTED)


def test_the_fields_of_a_cluster_record_that_are_not_documented_are_there() -> None:
    used = {"last_creation_yaml", "init_status_reason", "init_kind", "user_hash"}
    assert used <= set(StatusResponse.model_fields)


@pytest.mark.parametrize(("login", "owner", "is_own"), [("", "local", True), ("", "x", False), ("x", "x", True)])
def test_the_owner_of_a_cluster_is_compared_with_the_login_or_else_with_this_machines_user(
    monkeypatch: pytest.MonkeyPatch, login: str, owner: str, is_own: bool
) -> None:
    monkeypatch.setattr(common_utils, "get_user_hash", lambda: "local")
    user = User(id=login) if login else None
    sdk = SimpleNamespace(api_info=lambda: APIHealthResponse(status=common.ApiServerStatus.HEALTHY, user=user))
    assert private_names.is_of_this_user({"user_hash": owner}, sdk) is is_own


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
