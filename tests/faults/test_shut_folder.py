"""A session's folder that may not be used for a while, as after `chmod 000`, costs time alone: no run and no person's
word."""

import errno
import os
import shutil
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cockpit.core.metric import VAL_BPB
from cockpit.core.model import Outcome
from cockpit.fleet.base import JobEnded
from cockpit.worker import run_folders
from cockpit.worker.reports import LogReader
from cockpit.worker.supervisor import waits_for
from tests.faults.checks import nothing_counted_twice
from tests.worker.night import BASELINE, Night

CLOSED = [errno.EACCES, errno.EROFS]


@pytest.fixture(params=CLOSED, ids=errno.errorcode.get)
def shut(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let no run's folder be made and no log be opened. A user who is root is refused by no mode of a folder."""
    opened, accessed, made, looked = os.open, os.access, Path.mkdir, Path.stat

    def refused(path: object) -> OSError:
        return OSError(request.param, os.strerror(request.param), str(path))

    def opens(path: str | Path, *how: Any, **more: Any) -> int:
        if str(path).endswith(("log", ".log")):
            raise refused(path)
        return opened(path, *how, **more)

    def makes(path: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        if "runs" in path.parts:
            raise refused(path)
        made(path, mode, parents, exist_ok)

    def looks(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path.name == "log":
            raise refused(path)
        return looked(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", looks)
    monkeypatch.setattr(os, "open", opens)
    monkeypatch.setattr(Path, "mkdir", makes)
    monkeypatch.setattr(os, "access", lambda path, mode, **more: mode == os.F_OK and accessed(path, mode))
    return monkeypatch


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def test_a_run_whose_folder_cannot_be_made_for_now_is_submitted_later(night: Night, shut: pytest.MonkeyPatch) -> None:
    with pytest.raises(Exception) as raised:
        night.tick_until_in_flight()
    assert "the worker waits until that is mended" in waits_for(raised.value, has_run=True)
    shut.undo()
    night.worker.abandon()
    night.restart(stopped=True)
    night.tick_until_ended()
    assert night.state.attempts[BASELINE].outcome is Outcome.VALID and not night.state.held
    nothing_counted_twice(night.folder)


def test_a_log_in_a_folder_that_is_shut_is_not_taken_for_a_lost_one(tmp_path: Path, shut: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").write_text("val_bpb: 1.0\n")
    reader = LogReader(tmp_path / "log", VAL_BPB)
    ended = JobEnded(1.0, "e0001.1", "exited", 0)
    for look in (partial(reader.read, 0.0), partial(reader.finish, ended)):
        with pytest.raises(OSError):
            look()
    shut.undo()
    assert reader.read(0.0) == 13
    reader.finish(ended)
    assert not reader.problem


@pytest.mark.parametrize("times", [1, 2])
def test_a_folder_that_is_removed_while_it_is_written_is_written_once_more(
    night: Night, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Hold the session the second time: such a folder may lack something that a person must mend."""
    monkeypatch.setattr(run_folders, "FILES_A_TICK", 1)
    night.tick_until_in_flight()
    for _ in range(times):
        assert night.worker._reactor._folders.has(BASELINE)
        shutil.rmtree(night.folder.runs)
        for _ in range(3):
            night.worker.tick()
    assert night.state.held == (times == 2)
    if times == 1:
        night.tick_until_ended()
        assert night.state.attempts[BASELINE].outcome is Outcome.VALID


def test_a_folder_of_logs_that_is_removed_ends_no_worker(night: Night) -> None:
    night.tick_until_in_flight()
    while night.state.attempts[BASELINE].progress is None:
        night.worker.tick()
        night.clock.wait(threading.Event(), night.clock.now() + 30.0)
    shutil.rmtree(night.folder.log(BASELINE).parent)
    night.tick_until_ended()
    assert night.state.attempts[BASELINE].outcome in (Outcome.VALID, Outcome.LOST)
    assert night.folder.log(BASELINE).exists()
