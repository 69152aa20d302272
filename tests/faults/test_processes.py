"""A run that starts processes without end is ended at a limit, confined or not. Each tries 300 at most."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.core.session import RunAccess
from cockpit.fleet.local.fleet import processes_of
from cockpit.fleet.node import job_setup, task_limit, usage
from cockpit.fleet.node.task_limit import CONTROL_GROUPS, NAME, TASKS_A_PROCESS, TaskLimit, own_groups
from tests.fleet.test_runner import Run

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform != "linux", reason="the kinds are those of Linux"),
]
OPEN, WALLED = RunAccess(), RunAccess(confine=True)
LIMIT = 40

HEAD = "import os, signal, subprocess, sys, threading, time\n"
START = "    os.posix_spawn('/bin/sleep', ['sleep', '90'], {})\n"
WAIT = "time.sleep(90)\n"
AGAIN_BY_ITS_CHILD = """
for _ in range(300):
    time.sleep(0.002)
    if os.fork():
        time.sleep(90)
        os._exit(0)
"""
BOMBS = {
    "children": f"for _ in range(300):\n{START}{WAIT}",
    "children of children": AGAIN_BY_ITS_CHILD,
    "each in a session of its own": (
        f"for _ in range(300):\n    subprocess.Popen(['sleep', '90'], start_new_session=True)\n{WAIT}"
    ),
    "left behind by their parents": (
        "for _ in range(300):\n    if not os.fork():\n        os.setsid()\n"
        f"    {START}        os._exit(0)\n    os.wait()\n{WAIT}"
    ),
}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(job_setup, "PROCESSES_AT_MOST", LIMIT)
    return LIMIT


def gone(run: Run) -> bool:
    until = time.monotonic() + 20
    while processes_of(run.job) and time.monotonic() < until:
        time.sleep(0.05)
    return not processes_of(run.job)


@pytest.mark.parametrize("access", [OPEN, WALLED], ids=["open", "walled"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_run_that_starts_too_many_processes_ends_with_all_of_them(
    tmp_path: Path, few: int, bomb: str, access: RunAccess
) -> None:
    run = Run(tmp_path, HEAD + BOMBS[bomb], access=access)
    ended = run.ended(within_s=60)
    assert ended.reason == "limit", run.log()
    assert f"processes, past its limit of {few}" in ended.message
    assert gone(run)


@pytest.mark.parametrize("access", [OPEN, WALLED], ids=["open", "walled"])
def test_a_run_that_starts_them_once_it_is_asked_to_end_ends_at_once(
    tmp_path: Path, few: int, access: RunAccess
) -> None:
    late = f"def more(*_):\n    for _ in range(300):\n    {START}    print('started', flush=True)\n"
    run = Run(
        tmp_path,
        f"{HEAD}{late}signal.signal(signal.SIGTERM, more)\nprint('ready', flush=True)\n{WAIT * 2}",
        access=access,
    )
    until = time.monotonic() + 30
    while "ready" not in run.log():
        assert time.monotonic() < until
        time.sleep(0.02)
    run.fleet.cancel(run.job.name)
    ended = run.ended(within_s=60)
    assert ended.reason == "cancelled"
    assert gone(run)


LINKS = 200
CHAIN = f"""
import os, sys, time
from cockpit.fleet.node.ending import adopt_orphans, end_descendants
from cockpit.fleet.node.task_limit import TaskLimit

adopt_orphans()
first = os.fork()
if not first:
    for _ in range({LINKS}):
        if os.fork():
            os._exit(0)
        os.setsid()
        with open(sys.argv[1], "ab") as file:
            file.write(b"x")
    os._exit(0)
os.waitpid(first, 0)
end_descendants(first, TaskLimit(0))
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("nothing is left")
"""


def test_a_chain_of_forks_that_end_at_once_is_ended(tmp_path: Path) -> None:
    """Let each process of a chain end before a list of all processes comes to its child."""
    links = tmp_path / "links"
    links.touch()
    done = subprocess.run([sys.executable, "-c", CHAIN, links], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "nothing is left\n"
    assert links.stat().st_size < LINKS, "it came to its own end"


def of_version_2(groups: Path) -> Iterator[tuple[Path, bool]]:
    return (each for each in own_groups(groups) if not each[1])


def test_a_group_of_version_2_ends_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_limit, "own_groups", of_version_2)
    limit = TaskLimit(LINKS)
    if not limit.has_group:
        pytest.skip("control groups of version 2 of this machine are not this user's")
    started = "import os, time\nos.setsid()\nif os.fork(): os._exit(0)\ntime.sleep(90)\n"
    with limit.applied():
        child = subprocess.Popen([sys.executable, "-c", started])
    assert child.wait(30) == 0 and len(limit.remaining()) == 1
    limit.forbid_more()
    until = time.monotonic() + 20
    while limit.remaining() and time.monotonic() < until:
        time.sleep(0.02)
    assert limit.remaining() == []
    limit.remove()
    assert not list(CONTROL_GROUPS.glob(f"**/{NAME}{os.getpid()}"))


def group_of(limit: TaskLimit) -> bool:
    made = limit.has_group
    limit.remove()
    return made


CAN_GROUP = group_of(TaskLimit(1))


@pytest.mark.skipif(not CAN_GROUP, reason="control groups of this machine are not this user's")
@pytest.mark.parametrize("access", [OPEN, WALLED], ids=["open", "walled"])
def test_the_kernel_refuses_a_run_more_threads_and_the_run_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, access: RunAccess
) -> None:
    monkeypatch.setattr(job_setup, "PROCESSES_AT_MOST", 10)
    threads = f"for _ in range(200):\n    threading.Thread(target=time.sleep, args=(90,), daemon=True).start()\n{WAIT}"
    ended = Run(tmp_path, HEAD + threads, access=access).ended(within_s=60)
    assert ended.reason == "limit"
    assert ended.message == f"it was refused more tasks, past its limit of {10 * TASKS_A_PROCESS} processes and threads"


def test_processes_that_ps_lists_are_those_of_proc() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            for listed in (usage.parents, usage.listed_parents):
                assert (child.pid, os.getpid()) in list(listed())
        finally:
            child.kill()


@pytest.mark.skipif(os.geteuid() == 0, reason="the kernel limits no process of root by its user")
def test_the_kernel_refuses_a_user_s_run_more_processes() -> None:
    limit = TaskLimit(1, Path("/nonexistent"))
    with limit.applied():
        child = subprocess.run(
            [sys.executable, "-c", HEAD + f"for _ in range(60):\n{START}"], capture_output=True, check=False
        )
    assert b"Resource temporarily unavailable" in child.stderr
