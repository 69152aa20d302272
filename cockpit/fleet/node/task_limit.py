"""Limit the processes and threads of a run in the kernel, where this machine lets the run's owner set a limit.

The limit is that of a control group (`pids.max`), and the owner's `RLIMIT_NPROC`, which counts every task of the owner
and does not bind root. A group of version 2 counts only where its parent group lets it; it can be killed as a whole
all the same. Elsewhere the runner alone counts a run's processes.

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
        """Refuse the run every further task, or kill all it has at once, so that none is left to start another."""
        if self._group is not None:
            _told(self._group / "pids.max", "0")
            _told(self._group / "cgroup.kill", "1")

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
    """Make a group below one of this process's own. Returns both; nothing where that is not allowed."""
    for own, must_count in own_groups(groups):
        group = own / f"{NAME}{os.getpid()}"
        with contextlib.suppress(OSError):
            group.mkdir(exist_ok=True)
            if _told(group / "pids.max", str(tasks)) or not must_count:
                return own, group
            group.rmdir()
    return None, None


def own_groups(groups: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the folders of this process's groups that help: of version 1 the one that counts tasks, then version 2's.

    The second value is True where a group is of use only if it counts. One of version 2 with processes of its own has
    none below it that count, and they can be killed as a whole.
    """
    with contextlib.suppress(OSError):
        lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines()]
        yield from (
            (groups / "pids" / path.lstrip("/"), True) for _, kinds, path in lines if "pids" in kinds.split(",")
        )
        for _, kinds, path in lines:
            if not kinds:
                for place in (groups / "unified", groups):
                    if (place / "cgroup.controllers").exists():
                        yield place / path.lstrip("/"), False


def _told(file: Path, text: str) -> bool:
    """Write a text into a file of the kernel's. Returns False where that is not allowed, or the file is missing."""
    try:
        descriptor = os.open(file, os.O_WRONLY)
    except OSError:
        return False
    try:
        os.write(descriptor, text.encode())
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


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
