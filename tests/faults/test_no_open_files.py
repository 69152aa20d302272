"""A want of open files is never taken for a missing file: the work raises, and is done once there are some."""

import errno
import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cockpit.agent.claude import turn_memory
from cockpit.agent.scratch import Scratch
from cockpit.certificate.sign import session_key
from cockpit.core.metric import VAL_BPB
from cockpit.core.session import FleetSpec, RunAccess, Session
from cockpit.core.state import State
from cockpit.fleet.base import Job
from cockpit.fleet.node import runner
from cockpit.fleet.node.code_evidence import evidence
from cockpit.fleet.node.data import fingerprints, write_marks
from cockpit.fleet.sky.task import key_of, stage, write_order
from cockpit.session.paths import SessionFolder
from cockpit.variant.own_python import OwnPython, own_python
from cockpit.worker.artifacts import saving
from cockpit.worker.cleaning import left_over, removing
from cockpit.worker.reports import LogReader

PATTERNS = ["*.pt"]


@contextmanager
def no_open_files() -> Iterator[None]:
    """Let this process open no file inside."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def key(place: Path) -> str:
    return key_of(job_in(place), "s-e0001.1")


def job_in(place: Path) -> Job:
    return Job("e0001.1", "gpu-01", place / "run", place / "log", {}, (), 60.0)


def state() -> State:
    return State(Session("s", "/repo", "c0", FleetSpec("local", ()), 0.0, "ann"))


WORK: dict[str, Callable[[Path], object]] = {
    "artifacts": lambda place: list(saving(place / "run", PATTERNS, place / "kept", 1.0)),
    "code of a run": lambda place: evidence(str(place / "run"), ["train.py"]),
    "code that no rule names": lambda place: evidence(str(place / "run"), []),
    "data": lambda place: fingerprints({"data": str(place / "run")}),
    "a file of data": lambda place: fingerprints({"data": str(place / "run" / "train.py")}),
    "writes to data": lambda place: write_marks({"data": str(place / "run")}),
    "code for the scorer": lambda place: runner.copy_code(str(place / "run"), str(place / "room"), []),
    "outputs for the score command": lambda place: runner.link_outputs(str(place / "run"), str(place / "room")),
    "a folder to be removed": lambda place: list(removing([place / "run"])),
    "folders that are left over": lambda place: left_over(state(), place),
    "a log": lambda place: LogReader(place / "log", VAL_BPB).read(0.0),
    "a key": key,
    "a certificate's key": lambda place: session_key(place / "certificate.key"),
    "a model's memory": lambda place: turn_memory.load(place / "memory"),
    "an agent's checkout": lambda place: Scratch(SessionFolder(place), "codex").base,
    "a repository's own Python": own_python,
    "a text for it": lambda place: OwnPython(Path(sys.executable), (3, 9)).tree_of("a = 1\n"),
}
"""Work on the files of a run that a result or an artifact depends on."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with a run that has left an artifact, and the log of it."""
    (tmp_path / "run" / "out").mkdir(parents=True)
    (tmp_path / "run" / "train.py").write_text("print(1)\n")
    (tmp_path / "run" / "out" / "model.pt").write_bytes(b"weights")
    (tmp_path / "room").mkdir()
    (tmp_path / "log").write_text("val_bpb: 1.0\n")
    stage(job_in(tmp_path), "s-e0001.1")
    write_order(job_in(tmp_path), "s-e0001.1", "true", (), RunAccess())
    return tmp_path


@pytest.mark.parametrize("name", WORK)
def test_work_that_can_open_no_file_for_now_is_not_taken_for_done(place: Path, name: str) -> None:
    with no_open_files(), pytest.raises(OSError) as raised:
        WORK[name](place)
    assert raised.value.errno == errno.EMFILE
    WORK[name](place)


def test_artifacts_that_could_not_be_listed_or_moved_for_now_are_kept_later(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with no_open_files(), pytest.raises(OSError):
        list(saving(place / "run", PATTERNS, place / "kept", 1.0))
    with monkeypatch.context() as patch:
        patch.setattr("shutil.move", _full)
        with pytest.raises(OSError, match="No space"):
            list(saving(place / "run", PATTERNS, place / "kept", 1.0))
    list(saving(place / "run", PATTERNS, place / "kept", 1.0))
    assert (place / "kept" / "out" / "model.pt").read_bytes() == b"weights"


def _full(source: Path, target: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))


def test_a_folder_that_may_not_be_listed_is_told_with_its_run(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = os.scandir

    def closed(path: str) -> "os._ScandirIterator[str]":
        if path.endswith("/out"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", closed)
    steps = saving(place / "run", PATTERNS, place / "kept", 1.0)
    with pytest.raises(StopIteration) as end:
        while True:
            next(steps)
    assert end.value.value == "out could not be searched for artifacts: Permission denied"


def test_a_folder_that_is_gone_has_no_artifacts_and_nothing_is_told(place: Path) -> None:
    """Clean up after a run again, as each worker does after the last runs of the one before it."""
    for _ in range(2):
        steps = saving(place / "run", PATTERNS, place / "kept", 1.0)
        with pytest.raises(StopIteration) as end:
            while True:
                next(steps)
        assert end.value.value == ""
        shutil.rmtree(place / "run", ignore_errors=True)
