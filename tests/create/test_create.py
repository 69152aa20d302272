"""A command that is killed while it makes a session leaves no session and takes no name."""

import importlib.util
import os
import sys
import time
from pathlib import Path

import pytest

from cockpit.create.error import CreateError
from cockpit.create.folder import LEFT_AFTER_S
from cockpit.create.new_session import SIM_EPOCH, create
from cockpit.create.plan import Plan
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder
from tests.worker.sessions import SCRIPT, local_session, simulated_plan, state_of


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return simulated_plan(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> SessionFolder:
    return SessionFolder(tmp_path / "sessions" / "night")


def killed_at(folder: SessionFolder, plan: Plan, step: int) -> bool:
    """Make the session in a child that dies at file system call number `step` in the sessions folder, by Python's audit
    events. Returns True if it died."""
    child = os.fork()
    if child == 0:
        left = step

        def die(event: str, given: tuple[object, ...]) -> None:
            nonlocal left
            if event.startswith(("open", "os.", "shutil.", "sqlite3.")) and str(folder.root.parent) in repr(given):
                left -= 1
                if left < 0:
                    os._exit(9)

        sys.addaudithook(die)
        try:
            create(folder, plan, SIM_EPOCH)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_a_kill_at_any_file_system_call_leaves_no_session_or_a_whole_one(folder: SessionFolder, plan: Plan) -> None:
    step = 0
    while killed_at(folder, plan, step):
        if folder.root.exists():
            assert state_of(folder).baseline == "e0000"
            folder.root.rename(folder.root.with_name(f"whole-{step}"))
        step += 1
    assert step > 10
    assert state_of(folder).baseline == "e0000"


def test_folders_of_killed_commands_are_removed_later(folder: SessionFolder, plan: Plan) -> None:
    left = folder.root.with_name(".night.new-1")
    left.mkdir(parents=True)
    (left / "ledger.db").touch()
    create(folder, plan, SIM_EPOCH)
    assert left.exists(), "its command may still run"
    os.utime(left, (time.time() - LEFT_AFTER_S - 1,) * 2)
    create(SessionFolder(folder.root.with_name("other")), plan, SIM_EPOCH)
    assert left.exists(), "it belongs to another name"
    folder.root.rename(folder.root.with_name("earlier"))
    create(folder, plan, SIM_EPOCH)
    assert not left.exists()


@pytest.mark.parametrize("events", ["no file content", "no event"])
def test_a_session_without_an_event_is_replaced(folder: SessionFolder, plan: Plan, events: str) -> None:
    if events == "no event":
        Ledger.create(folder.ledger).close()
    else:
        folder.root.mkdir(parents=True)
        folder.ledger.touch()
    create(folder, plan, SIM_EPOCH)
    assert state_of(folder).baseline == "e0000"


def test_a_session_is_never_replaced(folder: SessionFolder, plan: Plan) -> None:
    create(folder, plan, SIM_EPOCH)
    with pytest.raises(CreateError, match="there is a session night already"):
        create(folder, plan, SIM_EPOCH)


def test_a_folder_of_something_else_is_left_alone(folder: SessionFolder, plan: Plan) -> None:
    folder.root.mkdir(parents=True)
    (folder.root / "thesis.tex").write_text("mine")
    with pytest.raises(CreateError, match="is not a session"):
        create(folder, plan, SIM_EPOCH)
    assert (folder.root / "thesis.tex").read_text() == "mine"


def test_a_script_is_refused_whose_module_of_the_extra_local_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CreateError, match=r"train\.py imports torch, which is not installed: `.*\[local\]"):
        local_session(tmp_path / "refused", script=f"import torch.nn as nn\n{SCRIPT}")
    optional = f"try:\n    import torch\nexcept ImportError:\n    torch = None\n{SCRIPT}"
    assert state_of(local_session(tmp_path / "made", script=optional)).session.script == "train.py"
