"""Limit the processes and threads of a run in the kernel, where this machine lets the run's owner set a limit.

The limit is that of a control group of version 1 (`pids.max`), and the owner's `RLIMIT_NPROC`, which counts every task
of the owner and does not bind root. Elsewhere the runner alone counts a run's processes.

Only the standard library is imported: it runs on nodes that have no cockpit.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from cockpit.fleet.node.usage import stat_fields

TASKS_A_PROCESS = 8
"""Tasks that the kernel allows for each process of the limit: it counts threads as well."""
CONTROL_GROUPS = Path("/sys/fs/cgroup")
NAME = "cockpit-"


class TaskLimit:
    """The kernel's limit of the tasks of one run."""

    def __init__(self, processes: int, groups: Path = CONTROL_GROUPS) -> None:
        """Make a control group for a run of at most `processes`; 0 for no limit."""
        self.tasks = processes * TASKS_A_PROCESS
        self._own, self._group = _made_group(groups, self.tasks) if self.tasks else (None, None)

    @property
    def has_group(self) -> bool:
        return self._group is not None

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Limit the processes that are started inside. This one enters the group and leaves it again."""
        before = resource.getrlimit(resource.RLIMIT_NPROC)
        self._enter(self._group)
        if self.tasks:
            _limit_owner(self.tasks, *before)
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NPROC, before)
            self._enter(self._own)

    def exceeded(self) -> str:
        """Return in a sentence that the group has refused the run a task; empty if it has not."""
        with contextlib.suppress(OSError, ValueError):
            if self._group is not None:
                for line in (self._group / "pids.events").read_text("ascii").splitlines():
                    name, _, count = line.partition(" ")
                    if name == "max" and int(count):
                        return f"it was refused more tasks, past its limit of {self.tasks:,} processes and threads"
        return ""

    def forbid_more(self) -> None:
        """Refuse the run every further task, so that all that it has can be ended."""
        with contextlib.suppress(OSError):
            if self._group is not None:
                (self._group / "pids.max").write_text("0", "ascii")

    def remaining(self) -> list[int]:
        """Return the live processes of the group, also those that have left the run's tree."""
        with contextlib.suppress(OSError, ValueError):
            if self._group is not None:
                return [int(pid) for pid in (self._group / "cgroup.procs").read_text("ascii").split()]
        return []

    def remove(self) -> None:
        """Remove the group; one that still holds a process stays until a later run's end."""
        if self._group is not None:
            _remove_empty(self._group.parent)

    def _enter(self, group: Path | None) -> None:
        with contextlib.suppress(OSError):
            if group is not None and self._group is not None:
                (group / "cgroup.procs").write_text("0", "ascii")


def _made_group(groups: Path, tasks: int) -> tuple[Path | None, Path | None]:
    """Make a group below this process's own. Returns both; nothing where that is not allowed."""
    own = _own_group(groups)
    if own is None:
        return None, None
    group = own / f"{NAME}{os.getpid()}"
    try:
        group.mkdir(exist_ok=True)
        (group / "pids.max").write_text(str(tasks), "ascii")
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        return None, None
    return own, group


def _own_group(groups: Path) -> Path | None:
    """Return the folder of the group that counts this process's tasks; nothing where version 2 counts them.

    There a group with processes of its own has none below it that count.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines():
            _, kinds, path = line.split(":", 2)
            if "pids" in kinds.split(","):
                return groups / "pids" / path.lstrip("/")
    return None


def _remove_empty(folder: Path) -> None:
    """Remove the groups of runs that have ended; those of killed runners too."""
    with contextlib.suppress(OSError):
        for group in folder.glob(f"{NAME}*"):
            with contextlib.suppress(OSError):  # it is in use
                group.rmdir()


def _limit_owner(tasks: int, soft: int, hard: int) -> None:
    """Allow the owner of the run this number of tasks more than now, within the limit that is set already."""
    have = _tasks_of_owner()
    limits = [limit for limit in (soft, hard, have + tasks) if limit != resource.RLIM_INFINITY]
    with contextlib.suppress(OSError, ValueError):
        if have:
            resource.setrlimit(resource.RLIMIT_NPROC, (min(limits), hard))


def _tasks_of_owner() -> int:
    """Count the tasks of this user; 0 if there is no /proc."""
    count, user = 0, os.getuid()
    with contextlib.suppress(OSError):
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if process.name.isdigit() and process.stat().st_uid == user:
                    count += int((stat_fields(int(process.name)) or ["0"] * 18)[17])
    return count
