"""Another kind of file in the place of a session's file or folder: one true sentence, nothing lost or blocked."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cockpit.agent.claude import turn_memory, turn_status
from cockpit.agent.claude.transcript import Transcript, rendered
from cockpit.certificate.sign import CertificateError, read, session_key
from cockpit.core.events import Trouble
from cockpit.core.model import Outcome
from cockpit.session import worker_process
from cockpit.session.event_stream import START, StreamWriter
from cockpit.session.ledger_errors import LedgerError
from cockpit.session.lock import WorkerError, is_locked
from cockpit.session.paths import SessionFolder
from cockpit.session.plain_file import open_plain
from cockpit.session.small_files import end_of_file, replace_file
from cockpit.tui.log_index import last_lines
from cockpit.worker.set_aside import SetAside
from cockpit.worker.supervisor import waits_for
from tests.faults.checks import nothing_counted_twice
from tests.worker.night import BASELINE, Night
from tests.worker.sessions import sim_session

FOLDERS = ["logs", "runs"]
KINDS: dict[str, Callable[[Path], object]] = {
    "a file": Path.touch,
    "a pipe": os.mkfifo,
    "a link to nothing": lambda path: path.symlink_to("/nonexistent/place"),
    "a link to itself": lambda path: path.symlink_to(path.name),
}


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_whose_place_is_taken_is_waited_for_and_costs_no_run(
    night: Night, name: str, kind: str, runs: bool
) -> None:
    path, away = night.folder.root / name, night.folder.root / "away"
    if runs:
        night.tick_until_in_flight()
        while night.worker._reactor.has_work:
            night.worker.tick()
        path.rename(away)
    KINDS[kind](path)
    with pytest.raises(LedgerError) as raised:
        night.worker.tick()
    assert waits_for(raised.value, has_run=True).startswith(f"{path} is not a folder: move it away")
    path.unlink()
    if runs:
        away.rename(path)
    night.worker.abandon()
    night.restart(stopped=True)
    night.tick_until_in_flight()
    night.tick_until_ended()
    assert night.state.attempts[BASELINE].outcome is Outcome.VALID and not night.state.held
    nothing_counted_twice(night.folder)


@pytest.mark.timeout(120)
def test_a_session_that_starts_names_what_is_in_the_place_of_its_folder(tmp_path: Path) -> None:
    folder = sim_session(tmp_path, speed=300.0, clusters=1, mode="manual")
    folder.logs.touch()
    with pytest.raises(WorkerError, match="logs is not a folder: move it away"):
        worker_process.start(folder)
    folder.logs.unlink()
    worker_process.start(folder)
    assert worker_process.terminate(folder)


def stream_copy(path: Path) -> None:
    writer = StreamWriter(path.with_name("events.log"), START)
    writer.copied(path, START).close()
    writer.close()


def is_refused(path: Path) -> None:
    with pytest.raises(OSError):
        open_plain(path)


def read_certificate(path: Path) -> None:
    with pytest.raises(CertificateError):
        read(path)


def key_of(path: Path) -> None:
    with pytest.raises(OSError):
        session_key(path)


def set_aside(path: Path) -> None:
    SetAside(path)._keep(Trouble(at=0.0, text="a"), ValueError())
    assert path.is_file()


def transcript(path: Path) -> None:
    Transcript(path, set()).write("said", 1.0, text="words")
    assert path.is_file() and list(rendered(path))


def replaced(path: Path) -> None:
    replace_file(path.with_suffix(""), b"data")
    assert path.with_suffix("").read_bytes() == b"data"


WORK: dict[str, Callable[[Path], object]] = {
    "a file that is read": is_refused,
    "the end of a file": lambda path: end_of_file(path, 10),
    "the end of a log": lambda path: last_lines(path, 3),
    "a certificate": read_certificate,
    "its key": key_of,
    "what was set aside": set_aside,
    "a transcript": transcript,
    "a copy of the stream": stream_copy,
    "a new note": replaced,
    "a model's memory": turn_memory.load,
    "a model's words": turn_status.read,
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["a pipe", "a folder"])
@pytest.mark.parametrize("name", WORK)
def test_a_pipe_or_a_folder_in_the_place_of_a_file_blocks_no_work(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / "note.new"
    os.mkfifo(path) if kind == "a pipe" else path.mkdir()
    WORK[name](path)


def test_a_folder_in_the_place_of_the_lock_is_named_and_leaves_no_file_open(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path)
    folder.lock.mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        with pytest.raises(OSError, match=r"worker.lock"):
            is_locked(folder)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
