"""A worker that crashes is started again. One that a person ends, in any way, is not."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cockpit.session import lock, worker_process
from cockpit.session.paths import SessionFolder
from cockpit.worker import watchdog
from cockpit.worker.watchdog import CRASHES, CRASHES_AT_MOST, Watchdog, crash_of
from tests.faults.checks import a_fold_from_nothing_is_the_state, nothing_counted_twice
from tests.worker.sessions import kill, sim_session, state_of, wait_for


@pytest.fixture
def running(tmp_path: Path) -> Iterator[SessionFolder]:
    folder = sim_session(tmp_path, speed=300.0, clusters=2, mode="autopilot", proposer="search")
    worker_process.start(folder)
    wait_for(lambda: state_of(folder).in_flight, 60, "a run")
    yield folder
    worker_process.terminate(folder)
    wait_for(lambda: not processes_of(folder), 20, "the end of the session's processes")


def processes_of(folder: SessionFolder) -> list[str]:
    """Return the modules of the processes that run a session."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if words and words[-1].removeprefix("--session=") == str(folder.root):
            found += [word for word in words if word.startswith("cockpit.")]
    return sorted(found)


def crashed(folder: SessionFolder, number: int) -> int:
    """End the worker by a signal, and return the process of the next one once it writes."""
    pid, seq = lock.worker_status(folder).pid, state_of(folder).seq
    os.kill(pid, number)
    wait_for(lambda: lock.worker_status(folder).pid not in (0, pid), 60, "another worker")
    wait_for(lambda: state_of(folder).seq > seq + 5, 60, "more events")
    return lock.worker_status(folder).pid


@pytest.mark.timeout(180)
def test_a_worker_that_crashes_is_started_again_and_loses_nothing(running: SessionFolder) -> None:
    for number in (signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT):
        crashed(running, number)
        said = f"the worker was ended by {number.name} and started again from the ledger"
        assert said in [message.text for message in state_of(running).messages]
    assert worker_process.terminate(running)
    nothing_counted_twice(running)
    a_fold_from_nothing_is_the_state(running)


@pytest.mark.timeout(180)
def test_a_crash_leaves_a_line_in_the_log(running: SessionFolder) -> None:
    crashed(running, signal.SIGSEGV)
    assert "the worker was ended by SIGSEGV: it is started again" in running.worker_log.read_text(encoding="utf-8")


@pytest.mark.timeout(120)
def test_a_worker_that_a_person_kills_stays_ended(running: SessionFolder) -> None:
    assert processes_of(running) == ["cockpit.worker.main", "cockpit.worker.watchdog"]
    kill(running)
    wait_for(lambda: not processes_of(running), 20, "the end of the watchdog")
    assert lock.worker_status(running).state == "stopped"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_the_watchdog_passes_a_signal_that_asks_for_the_end_on(running: SessionFolder, number: int) -> None:
    (pid,) = (one.pid for one in psutil.Process(lock.worker_status(running).pid).parents()[:1])
    os.kill(pid, number)
    wait_for(lambda: not processes_of(running), 60, "the end of both")
    assert "ends: " in running.worker_log.read_text(encoding="utf-8").splitlines()[-1]


@pytest.mark.timeout(120)
def test_a_stop_right_after_a_crash_starts_no_other_worker(running: SessionFolder) -> None:
    os.kill(lock.worker_status(running).pid, signal.SIGSEGV)
    wait_for(lambda: lock.worker_status(running).state == "stopped", 20, "the crash")
    assert worker_process.terminate(running)
    assert processes_of(running) == []
    assert lock.worker_status(running).state == "stopped"


@pytest.mark.timeout(120)
def test_a_worker_whose_watchdog_is_killed_continues(running: SessionFolder) -> None:
    pid, seq = lock.worker_status(running).pid, state_of(running).seq
    psutil.Process(pid).parent().kill()
    wait_for(lambda: state_of(running).seq > seq + 5, 60, "more events")
    assert lock.worker_status(running).pid == pid


@pytest.mark.timeout(180)
def test_a_worker_after_a_crash_has_the_key(tmp_path: Path) -> None:
    """Run the watchdog on a stand-in of the worker's module, which prints the received key and crashes once."""
    package = tmp_path / "standin"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "main.py").write_text(
        "import os, sys\nfrom cockpit.session import api_key\napi_key.receive()\n"
        "crash = os.environ['COCKPIT_AFTER_CRASH']\n"
        "print(sys.argv[1:], api_key.held(), api_key.KEY_VARIABLE in os.environ, crash, flush=True)\n"
        "os.kill(os.getpid(), 0 if crash else 11)\n"
    )
    code = "from cockpit.worker import watchdog\nwatchdog.__package__ = 'standin'\nwatchdog.main()\n"
    done = subprocess.run(
        [sys.executable, "-c", code, "--session=FOLDER"], capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}", "ANTHROPIC_API_KEY": "sk-1"},
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "['FOLDER'] sk-1 False ",
        "the worker was ended by SIGSEGV: it is started again",
        "['FOLDER'] sk-1 False SIGSEGV",
    ]


class Crashing(Watchdog):
    """A watchdog whose workers crash, each after some seconds of the test's clock."""

    def __init__(self, lasting_s: list[float], clock: list[float]) -> None:
        super().__init__("FOLDER")
        self.lasting_s, self.clock = lasting_s, clock

    def _run_worker(self, crash: str) -> int:
        if not self.lasting_s:
            return 0
        self.clock[0] += self.lasting_s.pop(0)
        return -signal.SIGBUS


@pytest.mark.parametrize(("lasting_s", "status"), [(1.0, -signal.SIGBUS), (700.0, 0)])
def test_consecutive_crashes_end_it_and_rare_ones_do_not(
    monkeypatch: pytest.MonkeyPatch, lasting_s: float, status: int
) -> None:
    clock = [0.0]
    monkeypatch.setattr("cockpit.worker.watchdog.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("cockpit.worker.watchdog.time.sleep", lambda seconds: None)
    crashing = Crashing([lasting_s] * 20, clock)
    assert crashing.run() == status
    assert len(crashing.lasting_s) == (20 - CRASHES_AT_MOST - 1 if status else 0)


def test_a_kill_is_a_crash_only_where_the_kernel_lacked_memory() -> None:
    assert crash_of(-signal.SIGKILL, was_out_of_memory=True) == "SIGKILL for want of memory"
    assert crash_of(-signal.SIGKILL, was_out_of_memory=False) == ""
    assert {crash_of(-number, was_out_of_memory=False) for number in CRASHES} == {number.name for number in CRASHES}
    for status in (0, 1, 130, -signal.SIGTERM, -signal.SIGHUP):
        assert crash_of(status, was_out_of_memory=True) == ""


GROUPS = Path("/sys/fs/cgroup")
CRAMPED_BYTES = "65536"


def parents_of_groups() -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield each group in which one with a limit of memory can be made, and the limits of that one.

    Version 1 has a tree of groups for memory. In version 2 a group of this process or above it must give its groups the
    controller, which the root alone may do while it has processes of its own.
    """
    yield GROUPS / "memory", {"memory.limit_in_bytes": CRAMPED_BYTES}
    own = next(line.split("::")[1] for line in Path("/proc/self/cgroup").read_text().splitlines() if "0::" in line)
    for root in (GROUPS, GROUPS / "unified"):
        for parent in (root, *reversed((root / own.strip("/")).parents), root / own.strip("/")):
            if parent.is_relative_to(root) and (parent / "cgroup.subtree_control").exists():
                with suppress(OSError):
                    (parent / "cgroup.subtree_control").write_text("+memory")
                if "memory" in (parent / "cgroup.subtree_control").read_text().split():
                    yield parent, {"memory.max": CRAMPED_BYTES, "memory.swap.max": "0"}


@pytest.fixture
def cramped() -> Iterator[Path]:
    """Make a control group whose processes get 64 KB of memory more than they have."""
    group = None
    for parent, limits in parents_of_groups():
        made = parent / f"cockpit-test-{os.getpid()}"
        with suppress(OSError):
            made.mkdir()
            try:
                for name, limit in limits.items():
                    if name != "memory.swap.max" or (made / name).exists():
                        (made / name).write_text(limit)
            except OSError:
                made.rmdir()
                raise
            group = made
            break
    if group is None:
        pytest.skip("no group with a limit of memory can be made here")
    yield group
    wait_for(lambda: not (group / "cgroup.procs").read_text(), 20, "the group to be empty")
    group.rmdir()


@pytest.mark.timeout(180)
def test_a_worker_that_the_kernel_ends_for_want_of_memory_is_started_again(
    running: SessionFolder, cramped: Path
) -> None:
    pid, seq = lock.worker_status(running).pid, state_of(running).seq
    (cramped / "cgroup.procs").write_text(str(pid))
    wait_for(lambda: lock.worker_status(running).pid not in (0, pid), 90, "another worker")
    wait_for(lambda: state_of(running).seq > seq + 5, 60, "more events")
    said = "the worker was ended by SIGKILL for want of memory and started again from the ledger"
    assert said in [message.text for message in state_of(running).messages]


def test_a_worker_after_a_crash_waits_for_a_process_or_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lacks = [OSError(errno.EAGAIN, "none"), OSError(errno.ENFILE, "none")]
    ran: list[str] = []

    def starts(folder: str, crash: str) -> "subprocess.Popen[bytes]":
        if crash and lacks:
            raise lacks.pop()
        ran.append(crash)
        return subprocess.Popen([sys.executable, "-c", f"import os; os.kill(os.getpid(), {0 if crash else 7})"])

    monkeypatch.setattr(watchdog, "start_worker", starts)
    monkeypatch.setattr(watchdog, "RESTART_AFTER_S", 0.0)
    assert Watchdog("FOLDER").run() == 0
    assert ran == ["", "SIGBUS"] and not lacks
    assert capsys.readouterr().out.count("cannot be started yet") == 1


def test_a_counter_that_cannot_be_read_for_now_makes_no_crash_of_a_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([-1, 5])
    monkeypatch.setattr(watchdog, "out_of_memory_kills", lambda: next(counts))
    killed = subprocess.Popen([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    monkeypatch.setattr(watchdog, "start_worker", lambda folder, crash: killed)
    assert Watchdog("FOLDER").run() == -signal.SIGKILL
