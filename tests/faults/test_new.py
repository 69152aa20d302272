"""A new session takes its name only once it is whole, whatever lies in its place and whenever its command ends."""

import errno
import multiprocessing
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from cockpit.cli.errors import sentence_of
from cockpit.core.errors import CockpitError
from cockpit.create import folder as create_folder
from cockpit.create.folder import LEFT_AFTER_S
from cockpit.create.new_session import SIM_EPOCH, create
from cockpit.create.plan import Plan
from cockpit.session import chain, event_stream, event_table, ledger, snapshot
from cockpit.session.paths import SessionFolder, name_problem
from cockpit.session.settings import NewSession, Settings
from tests.faults.test_room import done, filled
from tests.worker.sessions import git, repository, simulated_plan, state_of

WRITERS = {module.__file__ for module in (create_folder, ledger, event_table, event_stream, snapshot, chain)}
"""The files whose lines write a new session."""
LINES_A_KILL = 13


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return simulated_plan(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> SessionFolder:
    return SessionFolder(tmp_path / "sessions" / "night")


def refused(folder: SessionFolder, plan: Plan) -> str:
    """Make the session. Returns the sentence of its error; empty for none."""
    try:
        create(folder, plan, SIM_EPOCH)
    except (CockpitError, OSError) as error:
        sentence = sentence_of(error)
        assert sentence and "\n" not in sentence
        return sentence
    return ""


def asides(folder: SessionFolder) -> list[str]:
    return sorted(path.name for path in folder.root.parent.glob(".night.new-*"))


def in_a_child(work: Callable[[], None]) -> int:
    """Run it in a fork of this process. Returns how that ended; negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at_line(folder: SessionFolder, plan: Plan, number: int) -> bool:
    """Kill the command before that line of those that write the session. Returns True if it was killed."""
    left = number

    def trace(frame: FrameType, event: str, given: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in WRITERS:
            return None
        left -= event == "line"
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    def work() -> None:
        sys.settrace(trace)
        create(folder, plan, SIM_EPOCH)

    return in_a_child(work) == -signal.SIGKILL


@pytest.mark.timeout(240)
def test_a_kill_at_any_line_leaves_no_session_or_a_whole_one(folder: SessionFolder, plan: Plan) -> None:
    number = 0
    while killed_at_line(folder, plan, number):
        if folder.root.exists():
            assert state_of(folder).baseline == "e0000"
            folder.root.rename(folder.root.with_name(f"whole-{number}"))
        number += LINES_A_KILL
    assert number > 10 * LINES_A_KILL
    assert state_of(folder).baseline == "e0000"


@pytest.mark.timeout(240)
def test_a_kill_of_a_session_in_the_folder_of_its_repository_leaves_the_repository(tmp_path: Path) -> None:
    """Make the session where a demo makes it: around its repository, into which its files move one by one."""
    folder = SessionFolder(tmp_path / "sessions" / "night")
    repo = repository(folder.root / "repo")
    plan = Plan("night", repo, Settings(session=NewSession(fleet="sim", clusters=2)), speed=1.0)
    number = 0
    while killed_at_line(folder, plan, number):
        assert git(repo, "status", "--porcelain") == ""
        if folder.ledger.exists():
            assert state_of(folder).baseline == "e0000"
            for path in folder.root.iterdir():
                if path.name != "repo":
                    path.unlink()
        number += LINES_A_KILL
    assert state_of(folder).baseline == "e0000"


def folder_of_this_process(folder: SessionFolder) -> None:
    left = folder.root.with_name(f".night.new-{os.getpid()}")
    left.mkdir(parents=True)
    (left / "ledger.db").write_bytes(b"another machine's")


def dangling_link(folder: SessionFolder) -> None:
    folder.root.parent.mkdir()
    folder.root.with_name(".night.new-1").symlink_to("nowhere")


def file_in_its_place(folder: SessionFolder) -> None:
    folder.root.parent.mkdir()
    left = folder.root.with_name(".night.new-1")
    left.touch()
    os.utime(left, (1.0, 1.0))


def read_only_folder(folder: SessionFolder) -> None:
    left = folder.root.with_name(".night.new-1")
    (left / "deep").mkdir(parents=True)
    left.chmod(0o500)
    os.utime(left, (1.0, 1.0))


def folder_from_the_future(folder: SessionFolder) -> None:
    left = folder.root.with_name(".night.new-1")
    left.mkdir(parents=True)
    os.utime(left, (9e9, 9e9))


def link_to_a_folder(folder: SessionFolder) -> None:
    """Lay a link in the place of a leftover folder: what it leads to is another's."""
    other = folder.root.parent.with_name("other")
    other.mkdir()
    (other / "thesis.tex").write_text("mine")
    folder.root.parent.mkdir()
    folder.root.with_name(".night.new-1").symlink_to(other)
    os.utime(other, (1.0, 1.0))


def sessions_as_a_link(folder: SessionFolder) -> None:
    elsewhere = folder.root.parent.with_name("elsewhere")
    elsewhere.mkdir()
    folder.root.parent.symlink_to(elsewhere)


LEFT = {
    "a folder of the same process number": folder_of_this_process,
    "a link to nothing": dangling_link,
    "a file": file_in_its_place,
    "a folder that may not be written": read_only_folder,
    "a folder from the future": folder_from_the_future,
    "a link to a folder": link_to_a_folder,
    "a link in the place of all sessions": sessions_as_a_link,
}


@pytest.mark.parametrize("left", LEFT)
def test_leftovers_beside_a_new_session_take_no_name(folder: SessionFolder, plan: Plan, left: str) -> None:
    LEFT[left](folder)
    assert refused(folder, plan) == ""
    assert state_of(folder).baseline == "e0000"
    thesis = folder.root.parent.with_name("other") / "thesis.tex"
    assert left != "a link to a folder" or thesis.read_text() == "mine"


def test_a_leftover_that_another_command_removes_at_the_same_time_ends_nothing(
    folder: SessionFolder, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = folder.root.with_name(".night.new-1")
    left.mkdir(parents=True)
    glob = Path.glob

    def removed_meanwhile(path: Path, pattern: str) -> list[Path]:
        found = list(glob(path, pattern))
        if left in found:
            left.rmdir()
        return found

    monkeypatch.setattr(Path, "glob", removed_meanwhile)
    assert refused(folder, plan) == ""


IN_PLACE: dict[str, Callable[[Path], object]] = {
    "a file": lambda path: path.write_text("mine"),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a pipe": os.mkfifo,
}


@pytest.mark.parametrize("what", IN_PLACE)
@pytest.mark.parametrize("place", ["session", "sessions"])
def test_a_file_a_link_or_a_pipe_in_the_place_of_a_session_is_left_and_reported(
    folder: SessionFolder, plan: Plan, what: str, place: str
) -> None:
    path = folder.root if place == "session" else folder.root.parent
    path.parent.mkdir(exist_ok=True)
    IN_PLACE[what](path)
    before = os.lstat(path)
    assert str(path) in refused(folder, plan)
    assert os.lstat(path) == before
    assert asides(folder) == []


def made_by_many(folder: SessionFolder, plan: Plan, number: int, told: "multiprocessing.Queue[str]") -> None:
    told.put(refused(folder, plan))


@pytest.mark.timeout(120)
def test_one_of_many_commands_at_once_makes_the_session(folder: SessionFolder, plan: Plan) -> None:
    context = multiprocessing.get_context("fork")
    told: multiprocessing.Queue[str] = context.Queue()
    commands = [context.Process(target=made_by_many, args=(folder, plan, number, told)) for number in range(8)]
    for command in commands:
        command.start()
    words = sorted(told.get(timeout=60) for _ in commands)
    for command in commands:
        command.join(20)
    assert words[0] == "" and len(set(words[1:])) == 1
    assert words[1] == "there is a session night already: open it with `cockpit open night`"
    assert state_of(folder).baseline == "e0000"
    assert asides(folder) == []


@pytest.fixture(params=["bytes", "files", "written"])
def closed(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """Mount a disk for the sessions that has no room, or that may not be written."""
    place = tmp_path / "sessions"
    place.mkdir()
    options = {"bytes": "size=1m", "files": "size=8m,nr_inodes=20", "written": "ro"}[request.param]
    try:
        done("mount", "-t", "tmpfs", "-o", options, "small", place)
        give_back = filled(place) if request.param != "written" else (lambda: done("mount", "-o", "remount,rw", place))
        yield give_back
    finally:
        if place.is_mount():
            done("umount", "-l", place)


def test_a_disk_that_takes_nothing_is_told_and_takes_no_name(
    folder: SessionFolder, plan: Plan, closed: Callable[[], None]
) -> None:
    said = refused(folder, plan)
    assert str(folder.root.parent) in said
    assert "full" in said or "no room for another file" in said or "Read-only" in said
    assert asides(folder) == []
    closed()
    assert refused(folder, plan) == ""
    assert state_of(folder).baseline == "e0000"


WRITES: list[tuple[Any, str]] = [
    (os, "mkdir"), (os, "chmod"), (os, "fchmod"), (os, "write"), (os, "pwrite"), (os, "ftruncate"),
    (os, "fsync"), (os, "fdatasync"), (os, "rename"), (os, "replace"), (Path, "write_text"), (Path, "write_bytes"),
]  # fmt: skip
"""Calls that write a new session. `os.open` is one where it may make a file, and a statement of SQLite's is another."""
SQLITE_SAYS = {errno.ENOSPC: "database or disk is full", errno.EIO: "disk I/O error"}


class Disk:
    """A disk that fails from its n-th write on."""

    def __init__(self, number: int, error: int) -> None:
        self.left, self.error = number, error

    @property
    def fails(self) -> bool:
        self.left -= 1
        return self.left < 0

    def checked(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def write(*given: Any, **named: Any) -> Any:
            if self.fails:
                raise OSError(self.error, os.strerror(self.error))
            return call(*given, **named)

        return write

    def opened(self, call: Callable[..., int]) -> Callable[..., int]:
        def opened(path: Any, flags: int, *given: Any, **named: Any) -> int:
            if flags & os.O_CREAT and self.fails:
                raise OSError(self.error, os.strerror(self.error), os.fspath(path))
            return call(path, flags, *given, **named)

        return opened

    def connection(self) -> type[sqlite3.Connection]:
        disk = self

        class Connection(sqlite3.Connection):
            def execute(self, *given: Any) -> sqlite3.Cursor:
                if not given[0].startswith("SELECT") and disk.fails:
                    raise sqlite3.OperationalError(SQLITE_SAYS[disk.error])
                return super().execute(*given)

            def executemany(self, *given: Any) -> sqlite3.Cursor:
                if disk.fails:
                    raise sqlite3.OperationalError(SQLITE_SAYS[disk.error])
                return super().executemany(*given)

        return Connection

    def put_in(self, patch: pytest.MonkeyPatch) -> None:
        for owner, name in WRITES:
            patch.setattr(owner, name, self.checked(getattr(owner, name)))
        patch.setattr(os, "open", self.opened(os.open))
        patch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=self.connection()))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_at_any_write_leaves_no_session_or_a_whole_one(
    folder: SessionFolder, plan: Plan, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    number = 0
    while True:
        with monkeypatch.context() as patch:
            Disk(number, error).put_in(patch)
            said = refused(folder, plan)
        assert asides(folder) == [], f"write {number} left a folder"
        if not said:
            break
        if folder.root.exists():
            assert state_of(folder).baseline == "e0000"
            folder.root.rename(folder.root.with_name(f"whole-{number}"))
        number += 1
    assert number > 20
    assert state_of(folder).baseline == "e0000"


@pytest.mark.timeout(240)
def test_a_disk_that_becomes_full_at_any_page_leaves_no_session_or_a_whole_one(
    folder: SessionFolder, plan: Plan
) -> None:
    """Make disks of one page more each time: the writes of SQLite itself cannot be counted, and it maps a file."""
    place, pages = folder.root.parent, 1
    place.mkdir()

    def work() -> None:
        said = refused(folder, plan)
        assert asides(folder) == []
        assert not said or "full" in said, said
        whole = folder.root.exists() and state_of(folder).baseline == "e0000"
        os._exit(0 if whole else 3 if said and not folder.root.exists() else 2)

    ended = 3
    while ended == 3:
        done("mount", "-t", "tmpfs", "-o", f"size={pages * os.sysconf('SC_PAGE_SIZE')}", "small", place)
        try:
            ended = in_a_child(work)
        finally:
            done("umount", "-l", place)
        pages += 1
    assert ended == 0, f"a disk of {pages - 1} pages: {ended}"
    assert pages > 10


NAMES = ["", ".", "..", "a/b", "a\nb", "a\0b", "-x", "nächte", "na\u0308chte", "x" * 65, "a b"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_two_disks_would_write_in_two_ways_is_refused(tmp_path: Path, plan: Plan, name: str) -> None:
    """Refuse names with letters of several forms: a disk that knows one form only would mix two sessions up."""
    assert name_problem(name)
    if name and Path(name).name == name:
        assert "cannot name a session" in refused(SessionFolder(tmp_path / "sessions" / name), plan)


def test_a_command_that_is_killed_leaves_its_folder_for_a_minute_only(folder: SessionFolder, plan: Plan) -> None:
    assert killed_at_line(folder, plan, 20)
    (left,) = asides(folder)
    os.utime(folder.root.with_name(left), (time.time() - LEFT_AFTER_S - 1,) * 2)
    assert refused(folder, plan) == ""
    assert asides(folder) == []
