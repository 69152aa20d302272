"""A shortage of disk, memory or processes costs only time: the worker waits, reports it, and continues."""

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from cockpit.core.events import Said
from cockpit.create.new_session import SIM_EPOCH
from cockpit.fleet.base import Job, JobEnded, Report
from cockpit.fleet.local import fleet as local
from cockpit.fleet.local.devices import slots
from cockpit.fleet.local.fleet import LocalFleet
from cockpit.fleet.node import command
from cockpit.fleet.node.capped_log import Log
from cockpit.fleet.node.disk import RetryForRoom
from cockpit.fleet.node.job import CommandJob, ResourceLimits, RunJob
from cockpit.fleet.node.system_calls import Confinement
from cockpit.session import lock, worker_process
from cockpit.session.heartbeat import BEAT_EVERY_S
from cockpit.session.inbox import Inbox
from cockpit.session.ledger import Ledger
from cockpit.session.ledger_errors import LedgerFull
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import NewSession
from cockpit.worker.supervisor import waits_for
from tests.faults.checks import a_fold_from_nothing_is_the_state, nothing_counted_twice
from tests.worker.sessions import SCRIPT, make, repository, state_of, wait_for

DISKS = {"bytes": "size=6m", "files": "size=64m,nr_inodes=250"}
QUOTA = "24M"


@pytest.fixture(params=[*DISKS, "quota"])
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Mount a disk that has little of something, or one of which this user may have little."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        if request.param != "quota":
            done("mount", "-t", "tmpfs", "-o", DISKS[request.param], "small", place)
        else:
            with_quota(place)
        yield place / "mine" if request.param == "quota" else place
    finally:
        if place.is_mount():
            done("umount", "-l", place)


def is_silent(folder: SessionFolder) -> bool:
    """Tell if the heartbeat is late: a file system that copies on write needs room for a word in it too."""
    age = lock.worker_status(folder).heartbeat_age_s
    return age is not None and age > 2 * BEAT_EVERY_S


def done(*command: str | Path) -> None:
    """Run a command that root alone may run; skip the test elsewhere."""
    if shutil.which(command[0]) is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip(f"this machine or user has no {command[0]} for a small disk")


def with_quota(place: Path) -> None:
    """Mount a disk with room at `place`, with a folder `mine` in it that has a quota."""
    image = place.with_name("image")
    with image.open("wb") as file:
        file.truncate(160 << 20)
    done("mkfs.btrfs", "-q", "--mixed", image)
    done("mount", "-o", "loop", image, place)
    done("btrfs", "quota", "enable", place)
    done("btrfs", "subvolume", "create", place / "mine")
    done("btrfs", "qgroup", "limit", QUOTA, place / "mine")


def filled(disk: Path) -> Callable[[], None]:
    """Use up all files and bytes of a disk. Returns the function that gives them back."""
    mine = []
    for number in range(100_000):
        path = disk / f"filler-{number}"
        try:
            with path.open("wb", buffering=0) as file:
                mine.append(path)
                file.write(bytes(1 << 16))
        except OSError:
            break

    def give_back() -> None:
        for path in mine:
            path.unlink()

    return give_back


@pytest.mark.timeout(180)
@pytest.mark.parametrize("fleet", ["sim", "local"])
def test_a_disk_without_room_is_waited_out(disk: Path, tmp_path: Path, fleet: str) -> None:
    repo = repository(tmp_path / "repo", SCRIPT.replace("RUNS_FILE", repr(str(tmp_path / "runs.txt"))))
    at = SIM_EPOCH if fleet == "sim" else 1.0
    folder = make(disk, repo, NewSession(fleet=fleet, clusters=2, mode="autopilot", proposer="search"), at, speed=300.0)
    worker_process.start(folder)
    try:
        for _ in range(3):
            wait_for(lambda: state_of(folder).in_flight, 60, "a run")
            pid, give_back = lock.worker_status(folder).pid, filled(disk)
            seq = state_of(folder).seq
            wait_for(
                lambda seq=seq: lock.worker_status(folder).note or state_of(folder).seq > seq + 5 or is_silent(folder),
                60,
                "a word",
            )
            give_back()
            seq = state_of(folder).seq
            wait_for(lambda seq=seq: state_of(folder).seq > seq + 5, 90, "the session to continue")
            assert lock.worker_status(folder).pid == pid
    finally:
        worker_process.terminate(folder)
    if fleet == "local":  # simulated code may crash
        assert "crash" not in {one.outcome for one in state_of(folder).attempts.values()}
    nothing_counted_twice(folder)
    a_fold_from_nothing_is_the_state(folder)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("disk", ["quota"], indirect=True)
def test_files_that_cannot_be_written_are_reported_and_end_no_process(disk: Path) -> None:
    """Let the kernel write all mapped pages back: the next write to one needs room, and is none of SQLite's."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if is_reported(disk) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


def is_reported(disk: Path) -> bool:
    inbox, ledger = Inbox(disk / "inbox.db"), Ledger.create(disk / "night" / "ledger.db")
    inbox.put("ann", b"a")
    ledger.append([Said(at=1.0, author="ann", text="a")])
    give_back = filled(disk)
    os.sync()
    refused = 0
    for _ in range(3):
        for write in (
            lambda: inbox.put("ann", b"b"),
            lambda: inbox.after(0),
            lambda: ledger.append([Said(at=2.0, author="ann", text="b")]),
            lambda: Inbox(disk / "inbox.db").put("bob", b"c"),
            lambda: Ledger.open(ledger.path),
        ):
            try:
                write()
            except LedgerFull as error:
                refused += "quota" in str(error)
    inbox.close()
    ledger.close()
    give_back()
    os.sync()
    again = Ledger.open(ledger.path)
    whole = [event.text for event in again.since(0) if isinstance(event, Said)] == ["a"]
    again.close()
    return refused >= 9 and whole and Inbox(disk / "inbox.db").put("ann", b"d") == 2


@pytest.mark.timeout(180)
def test_a_limit_of_the_size_of_files_is_waited_out(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", SCRIPT)
    new = NewSession(fleet="sim", clusters=2, mode="autopilot", proposer="search")
    folder = make(tmp_path, repo, new, SIM_EPOCH, speed=600.0)
    worker = psutil.Process(worker_process.start(folder).pid)
    try:
        wait_for(lambda: state_of(folder).in_flight, 60, "a run")
        worker.rlimit(psutil.RLIMIT_FSIZE, (1 << 14, resource.RLIM_INFINITY))
        wait_for(lambda: lock.worker_status(folder).note, 60, "a word")
        note = lock.worker_status(folder).note
        assert "(ulimit -f): raise that limit, and the session continues" in note
        worker.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        seq = state_of(folder).seq
        wait_for(lambda: state_of(folder).seq > seq + 5, 90, "the session to continue")
        assert lock.worker_status(folder).pid == worker.pid
    finally:
        worker_process.terminate(folder)
    nothing_counted_twice(folder)
    a_fold_from_nothing_is_the_state(folder)


UNCONFINED = Confinement("unconfined", network=True)
UNLIMITED: ResourceLimits = {"memory_mb": 0, "disk_mb": 0, "processes": 0, "cores": 0}
TELLING = """
import sys, time

def told(seconds, sleep=time.sleep):
    print("waits", flush=True)
    sleep(seconds)

time.sleep = told
from cockpit.fleet.node.runner import main
main()
"""
"""A runner that tells each time that it waits."""


def job(place: Path, script: str = "", score_command: Sequence[str] = ()) -> Path:
    """Lay a job out as the fleet does. Returns the folder of its runner."""
    source, folder = place / "e0001.1", place / "e0001.1.run"
    source.mkdir()
    folder.mkdir()
    (source / "train.py").write_text(f"{script}print('val_bpb: 0.98')\n")
    scored: CommandJob = {
        "command": list(score_command), "source": str(source), "writable": str(source), "environment": {},
        "time_limit_s": 60, "confinement": UNCONFINED, "limits": UNLIMITED,
    }  # fmt: skip
    wanted: RunJob = {
        **scored, "command": [sys.executable, "train.py"], "name": "e0001.1", "script": "train.py", "hashed": [],
        "data": {}, "log_path": str(place / "log"), "scorer": None,
        "score_command": scored if score_command else None,
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps(wanted))
    return folder


def waiting_runner(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", TELLING, folder], stdout=subprocess.PIPE, text=True)


def end_of(runner: "subprocess.Popen[str]", folder: Path, give_back: Callable[[], None]) -> dict[str, Any]:
    """Give the room back once the runner waits for it. Returns its note on the end of the run."""
    assert runner.stdout is not None and runner.stdout.readline() == "waits\n", "it waits for room"
    give_back()
    assert runner.wait(60) == 0
    ended: dict[str, Any] = json.loads((folder / "ended.json").read_text())
    return ended


@pytest.mark.timeout(120)
def test_a_run_begins_once_there_is_room_for_its_files(disk: Path) -> None:
    """Losing the baseline three times ends a session."""
    folder = job(disk)
    give_back = filled(disk)
    ended = end_of(waiting_runner(folder), folder, give_back)
    assert (ended["reason"], ended["exit_code"]) == ("exited", 0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("disk", ["files"], indirect=True)
def test_a_run_is_scored_once_there_is_room_for_it(disk: Path, tmp_path: Path) -> None:
    go = tmp_path / "go"
    held = f"import os, time\nopen({str(go)!r}, 'w')\nwhile os.path.exists({str(go)!r}): time.sleep(0.05)\n"
    command = [sys.executable, "-c", "print('val_bpb: 0.5')"]
    folder = job(disk, script=held, score_command=command)
    held_up = waiting_runner(folder)
    wait_for(go.exists, 30, "the run")
    give_back = filled(disk)
    go.unlink()
    ended = end_of(held_up, folder, give_back)
    assert ended["reason"] == "exited"
    assert "val_bpb: 0.5" in ended["evidence"]["scored"]["output"]


@pytest.mark.timeout(120)
def test_output_of_a_run_on_a_full_disk_is_written_once_there_is_room(disk: Path, tmp_path: Path) -> None:
    """Fill the disk while a run prints: a baseline that is lost three times would end the session."""
    go = tmp_path / "go"
    held = f"import os, time\nopen({str(go)!r}, 'w')\nwhile os.path.exists({str(go)!r}): time.sleep(0.05)\n"
    lines = "".join(f"step {number} loss: 1.0\n" for number in range(10_000))
    folder = job(disk, script=f"{held}print({lines!r}, flush=True)\n")
    held_up = waiting_runner(folder)
    wait_for(go.exists, 30, "the run")
    give_back = filled(disk)
    go.unlink()
    assert end_of(held_up, folder, give_back)["reason"] == "exited"
    assert (disk / "log").read_text() == f"{lines}\nval_bpb: 0.98\n"


def test_a_run_that_found_no_process_to_start_in_is_lost_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*command: object, **how: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr("subprocess.Popen", refused)
    log = Log(str(tmp_path / "log"))
    wanted: CommandJob = {
        "command": [], "source": "", "environment": {}, "time_limit_s": 60, "confinement": UNCONFINED,
        "limits": UNLIMITED,
    }  # fmt: skip
    end = command.run(wanted, RetryForRoom([], 0.5), log)
    log.close()
    assert end.reason == command.LOST
    assert "[cockpit waits to start it: [Errno 11] Resource temporarily unavailable]" in (tmp_path / "log").read_text()


class SetClock:
    """A clock that a test sets."""

    seconds = 1_000_000.0

    def now(self) -> float:
        return self.seconds

    def wait(self, event: threading.Event, until: float) -> None:
        raise AssertionError("a fleet does not wait")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("disk", ["files"], indirect=True)
def test_a_runner_that_waits_for_room_is_not_lost(disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, clock = tmp_path / "go", SetClock()
    held = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)\n"
    monkeypatch.setattr(local, "RUNNER", held + local.RUNNER)
    source = disk / "runs" / "e0001.1"
    source.mkdir(parents=True)
    (source / "train.py").write_text("print('val_bpb: 0.98')\n")
    command = (sys.executable, "train.py")
    fleet = LocalFleet(slots(1), threading.Event(), clock=clock)
    fleet.submit(Job("e0001.1", "cpu-01", source, disk / "log", {}, command, 60.0))
    give_back = filled(disk)
    go.touch()
    reports: list[Report] = []
    for _ in range(5):
        clock.seconds += 10 * local.START_GRACE_S
        reports += fleet.poll()
    assert not any(isinstance(report, JobEnded) for report in reports)
    give_back()

    def ended() -> JobEnded | None:
        reports.extend(fleet.poll())
        return next((report for report in reports if isinstance(report, JobEnded)), None)

    wait_for(ended, 60, "the run to end")
    found = ended()
    assert found is not None and (found.reason, found.exit_code) == ("exited", 0)
    fleet.close()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk that holds /data/night/a is full: free some space, and the session continues"),
        (errno.EDQUOT, "this user's quota on the disk that holds /data/night/a is used up: free some space, and the"),
    ],
)
def test_each_kind_of_room_that_runs_out_has_its_sentence(number: int, said: str) -> None:
    error = OSError(number, os.strerror(number), "/data/night/a")
    assert waits_for(error, True).startswith(said)
    assert waits_for(LedgerFull(Path("/data/night/a"), number), False).startswith(said)


@pytest.mark.parametrize("disk", ["files"], indirect=True)
def test_a_disk_without_files_is_not_said_to_be_full(disk: Path) -> None:
    give_back = filled(disk)
    try:
        (disk / "runs").mkdir()
    except OSError as error:
        assert "takes no more files: remove some" in waits_for(error, True)
    else:
        raise AssertionError("there was a file left")
    finally:
        give_back()
