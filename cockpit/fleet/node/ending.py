"""End every process of a run, also those that left its group or outlived their parents.

Only the standard library is imported: it runs on nodes that have no cockpit.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from typing import TYPE_CHECKING

from cockpit.fleet.node.usage import descendants, newest_process, parent_of

if TYPE_CHECKING:
    from cockpit.fleet.node.task_limit import TaskLimit

REAP_WITHIN_S = 5.0
CHAIN_S = 0.05
"""Seconds of looking at new processes between two lists of all."""
STARTED_AT_ONCE = 64
"""The most new processes that are examined at once."""
NUMBERED_AHEAD = 4
"""The newest processes may have a number and not be listed yet, so these are examined again."""
PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends, so that none outlives the run."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_descendants(group: int, task_limit: TaskLimit) -> None:
    """Kill the run's group, and every descendant that left it, and collect them.

    A list of all processes alone misses a chain of forks, each of which ends before the list comes to its child.
    """
    end_group(group, signal.SIGKILL)
    until = time.monotonic() + REAP_WITHIN_S
    while time.monotonic() < until:
        left = {*descendants(os.getpid())[1:], *task_limit.remaining()} - {os.getpid()}
        for pid in left:
            kill(pid)
        if collect() and not left:
            return
        end_newest(CHAIN_S)


def end_newest(seconds: float) -> None:
    """Kill for some time every descendant that starts, as soon as the system has numbered it."""
    own, until = os.getpid(), time.monotonic() + seconds
    since = newest_process()
    while time.monotonic() < until and not collect():
        newest = newest_process()
        for pid in range(newest, max(since, newest - STARTED_AT_ONCE) - NUMBERED_AHEAD, -1):
            if parent_of(pid) == own or parent_of(parent_of(pid)) == own:
                kill(pid)
        since = newest
        time.sleep(0.0 if newest else 0.01)


def collect() -> bool:
    """Collect the children that have ended. Returns True if there is no other: each process below has one above it."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


def kill(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def end_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
