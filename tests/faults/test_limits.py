"""A limit of the system on a live worker costs only time: it waits, reports it, and continues once that is lifted."""

import ctypes
import errno
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from cockpit.core.intents import Draft
from cockpit.core.model import Outcome
from cockpit.fleet.base import Job, JobEnded, JobStarted, Report
from cockpit.fleet.local import fleet as local
from cockpit.fleet.local.devices import slots
from cockpit.fleet.local.fleet import LocalFleet
from cockpit.session import lock, worker_process
from cockpit.session.lock import WorkerLock
from cockpit.session.paths import SessionFolder
from cockpit.session.plain_file import open_plain
from cockpit.worker.supervisor import run_session
from tests.faults.checks import a_fold_from_nothing_is_the_state, nothing_counted_twice
from tests.faults.kills import approved, print_to_worker_log
from tests.fleet.test_runner import SCORE, Run
from tests.worker.sessions import local_session, sim_session, state_of, wait_for

A_USER = 54_323
"""A user without any other process."""
CAPABILITIES_3 = 0x20080522
SYS_ADMIN, SYS_RESOURCE = 21, 24
"""Numbers of Linux, by which a process says which rights of root it keeps."""
LIMITED, UNLIMITED = b"1", b"0"
LEVELS = [round(0.01 + 0.001 * number, 4) for number in range(12)]


FILES = ("no open files left", os.strerror(errno.EMFILE))
PROCESSES = ("no processes left", "no threads left", os.strerror(errno.EAGAIN), "can't start new thread")
"""Words that tell of a limit: the session's sentence and the system's."""


def told(folder: SessionFolder, words: tuple[str, ...]) -> int:
    """Count such words in the heartbeat, the ledger and the worker's log. One that can open no file has its log."""
    texts = [message.text for message in state_of(folder).messages]
    said = "\n".join([lock.worker_status(folder).note, *texts, folder.worker_log.read_text(errors="replace")])
    return sum(said.count(word) for word in words)


def continues(folder: SessionFolder, events: int) -> None:
    seq = state_of(folder).seq
    wait_for(lambda: state_of(folder).seq > seq + events, 90, "the session to continue")


def is_undisturbed(folder: SessionFolder) -> None:
    """Check that no run was lost, and that the session waits for no person. Only simulated code may crash."""
    state = state_of(folder)
    simulated = state.session.fleet.simulated
    may_be = {None, Outcome.VALID} | ({Outcome.CRASH, Outcome.HOPELESS, Outcome.CANCELLED} if simulated else set())
    assert {one.outcome for one in state.attempts.values()} <= may_be, state.messages[-3:]
    assert not any(event["kind"] == "Held" for event in nothing_counted_twice(folder))
    a_fold_from_nothing_is_the_state(folder)


def least_files(worker: psutil.Process) -> int:
    """Return the files that a process has open at rest. While it starts a run it has more, which would be no limit."""
    found: list[int] = []
    for _ in range(20):
        found.append(worker.num_fds())
        time.sleep(0.01)
    return min(found)


@pytest.mark.timeout(280)
@pytest.mark.parametrize("files", ["none", "those it has"])
@pytest.mark.parametrize("fleet", ["sim", "local"])
def test_open_files_that_run_out_are_waited_out(tmp_path: Path, fleet: str, files: str) -> None:
    if fleet == "sim":
        folder = sim_session(tmp_path, speed=300.0, clusters=2, mode="autopilot", proposer="search")
    else:
        folder = local_session(tmp_path, clusters=2, confine=False, mode="manual")
        approved(folder, Draft("human", "does it matter?", factors={"MATRIX_LR": list(LEVELS)}))
    worker = psutil.Process(worker_process.start(folder).pid)
    unlimited = worker.rlimit(psutil.RLIMIT_NOFILE)
    try:
        for _ in range(2):
            wait_for(lambda: state_of(folder).in_flight, 60, "a run")
            most = 3 if files == "none" else least_files(worker)
            before = told(folder, FILES)
            worker.rlimit(psutil.RLIMIT_NOFILE, (most, unlimited[1]))
            wait_for(lambda before=before: told(folder, FILES) > before, 60, "a word")
            worker.rlimit(psutil.RLIMIT_NOFILE, unlimited)
            continues(folder, 5)
            assert lock.worker_status(folder).pid == worker.pid
    finally:
        worker_process.terminate(folder)
    assert any(word in message.text for message in state_of(folder).messages for word in FILES)
    is_undisturbed(folder)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """Return a folder that any user reaches. Each start of pytest closes its own to other users."""
    with tempfile.TemporaryDirectory(prefix="cockpit-limited-") as place:
        yield Path(place)


def become_limited() -> None:
    """Count this process's tasks as another user's, and let no right of root exceed that user's limit of them."""
    system = ctypes.CDLL(None, use_errno=True)
    os.setresuid(A_USER, 0, 0)
    os.access = partial(os.access, effective_ids=True)
    header, rights = (ctypes.c_uint32 * 2)(CAPABILITIES_3, 0), (ctypes.c_uint32 * 6)()
    assert system.capget(header, rights) == 0
    for number in (SYS_ADMIN, SYS_RESOURCE):
        for kind in (0, 1):
            rights[kind] &= ~(1 << number)
    assert system.capset(header, rights) == 0


def limit_as_told(words: int) -> None:
    """Set the limit of tasks to each word that comes through a pipe. Another user's process may not set it."""
    _, most = resource.getrlimit(resource.RLIMIT_NPROC)
    while word := os.read(words, 1):
        resource.setrlimit(resource.RLIMIT_NPROC, (1 if word == LIMITED else most, most))


def limited_worker(folder: SessionFolder, words: int) -> psutil.Process:
    """Run the session in a fork of this process whose tasks the kernel limits, as it does not limit root's.

    The user gets its files: git asks for the rights of the real user.
    """
    place = folder.root.parents[1]
    for each in (place, *place.rglob("*")):
        os.chown(each, A_USER, A_USER)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            print_to_worker_log(folder)
            os.environ |= {"HOME": str(place), "SUDO_UID": str(A_USER)}
            become_limited()
            threading.Thread(target=limit_as_told, args=(words,), daemon=True).start()
            held = WorkerLock.take(folder)
            run_session(folder, threading.Event(), threading.Event())
            held.release()
            status = 0
        finally:
            os._exit(status)
    return psutil.Process(child)


@pytest.mark.timeout(280)
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user and limit its processes")
def test_processes_and_threads_that_run_out_are_waited_out(reachable: Path) -> None:
    folder = sim_session(reachable, speed=300.0, clusters=2, mode="autopilot", proposer="search")
    words, told_to = os.pipe()
    worker = limited_worker(folder, words)
    try:
        for _ in range(2):
            wait_for(lambda: state_of(folder).in_flight, 60, "a run")
            before = told(folder, PROCESSES)
            os.write(told_to, LIMITED)
            wait_for(lambda before=before: told(folder, PROCESSES) > before, 100, "a word")
            os.write(told_to, UNLIMITED)
            continues(folder, 20)
            assert worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE
    finally:
        worker.kill()
        os.waitpid(worker.pid, 0)
        os.close(words)
        os.close(told_to)
    is_undisturbed(folder)


def fails_at(number: int, call: Callable[..., Any], error: int) -> Callable[..., Any]:
    """Return the call, whose use of that number fails with an error of the system."""
    left = [number]

    def used(*given: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            raise OSError(error, os.strerror(error))
        return call(*given)

    return used


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_run_whose_notes_cannot_be_opened_now_ends_as_it_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: int
) -> None:
    go = tmp_path / "go"
    run = Run(tmp_path, f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)\n{SCORE}")
    wait_for(lambda: any(isinstance(one, JobStarted) for one in run.fleet.poll()), 30, "the run")
    with monkeypatch.context() as patch:
        patch.setattr(local, "open_plain", fails_at(number, open_plain, error))
        with pytest.raises(OSError, match=os.strerror(error)):
            run.fleet.poll()
    go.touch()
    ended = run.ended()
    assert (ended.reason, ended.exit_code) == ("exited", 0)


@pytest.mark.parametrize("error", [errno.EMFILE, errno.EAGAIN, errno.ENOMEM])
def test_a_job_that_cannot_be_started_for_now_fails_no_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """Three failures in a row would give the cluster up; the worker waits instead, and a later one submits it again."""

    def refused(*command: object, **how: object) -> None:
        raise OSError(error, os.strerror(error))

    source = tmp_path / "runs" / "e0001.1"
    source.mkdir(parents=True)
    (source / "train.py").write_text(SCORE)
    job = Job("e0001.1", "cpu-01", source, tmp_path / "log", {}, (), 60.0)
    fleet = LocalFleet(slots(1), threading.Event())
    with monkeypatch.context() as patch:
        patch.setattr("subprocess.Popen", refused)
        with pytest.raises(OSError, match=os.strerror(error)):
            fleet.submit(job)
    fleet.submit(job)
    reports: list[Report] = []

    def has_ended() -> bool:
        reports.extend(fleet.poll())
        return any(isinstance(report, JobEnded) for report in reports)

    wait_for(has_ended, 30, "the run to end")
    assert [report.reason for report in reports if isinstance(report, JobEnded)] == ["exited"]
    fleet.close()


WITHOUT_FILES = """
import resource, sys
from pathlib import Path
from cockpit.session.inbox import Inbox
from cockpit.session.ledger_errors import LedgerError
from cockpit.worker.supervisor import waits_for

used, new = Inbox(Path(sys.argv[1])), Inbox(Path(sys.argv[1]))
used.put("ann", b"a")
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
for inbox in (used, new):
    try:
        inbox.put("ann", b"b")
    except LedgerError as error:
        print(error, "/", waits_for(error, has_run=True))
"""


def test_a_file_of_sqlite_that_cannot_be_opened_for_want_of_open_files_is_no_full_disk(tmp_path: Path) -> None:
    words = [sys.executable, "-c", WITHOUT_FILES, str(tmp_path / "inbox.db")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    said = "this machine has no open files left: the worker waits until it has"
    assert done.stdout.splitlines() == [f"{tmp_path}/inbox.db cannot be used: Too many open files / {said}"] * 2
