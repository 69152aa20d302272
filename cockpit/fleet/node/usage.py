"""Measure and limit the resources of a run's processes, by /proc.

Only the standard library is imported: it runs on nodes that have no cockpit.
"""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from cockpit.fleet.node import folders

if TYPE_CHECKING:
    from cockpit.fleet.node.job import ResourceLimits

MEASURE_EVERY_S = 1.0
GROWTH = 0.25
"""New tasks of the machine, as a share of a run's processes, after which the run is measured at once."""
CORES_TOLERANCE = 0.25
CORES_SLACK_S = 20.0
"""Processor seconds allowed beyond a run's share of the cores and its tolerance, for imports and compilation."""
MEASURE_DISK_EVERY_S = 10.0


class Seen(NamedTuple):
    """The last measurement of a process."""

    used_s: float
    """Its processor seconds."""
    age_s: float
    times: int
    """The number of measurements that found it."""


class Limits:
    """The limits of a run, and the use of its processes so far."""

    def __init__(self, limits: ResourceLimits, folder: str) -> None:
        """Begin to measure. `folder` is the one whose size is limited."""
        self._memory_mb, self._disk_mb = limits["memory_mb"], limits["disk_mb"]
        self.processes, self._cores = int(limits["processes"]), limits["cores"]
        self._folder = folder
        self._began = time.monotonic()
        self._live: dict[tuple[int, str], Seen] = {}
        """The processes in the last measurement, by number and start time."""
        self._ended_s = 0.0
        """Processor seconds of processes that have ended."""
        self._measured_at = self._disk_measured_at = 0.0
        self._tasks = tasks_of_machine()

    def exceeded(self, runner: int, now: float) -> str:
        """Return a sentence on a limit that the run exceeds; empty if it is within all limits.

        Everything below its runner counts, since the runner adopts what a run has left behind.
        """
        if now - self._measured_at < MEASURE_EVERY_S and not self._grows():
            return ""
        since_s, self._measured_at = now - (self._measured_at or self._began), now
        self._tasks = tasks_of_machine()
        found = descendants(runner)[1:]
        if self.processes and len(found) > self.processes:
            return f"it had {len(found):,} processes, past its limit of {self.processes:,}"
        self._count(found, since_s)
        memory_mb = (sum(resident_bytes(one) for one in found) + unmapped_bytes(found)) / 2**20
        if self._memory_mb and memory_mb > self._memory_mb:
            return f"it used {memory_mb:,.0f} MB of memory, past its limit of {self._memory_mb:,.0f} MB"
        allowed_s = self._cores * (1 + CORES_TOLERANCE) * (now - self._began) + CORES_SLACK_S
        if self._cores and self.processor_s() > allowed_s:
            used = self.processor_s() / (now - self._began)
            return f"it kept {used:.1f} cores busy, past its share of {self._cores:g}, which its neighbours need"
        if self._disk_mb and now - self._disk_measured_at > MEASURE_DISK_EVERY_S:
            self._disk_measured_at = now
            held = folders.folder_bytes(self._folder) + nameless_bytes(found)
            if held >= folders.NOT_MEASURED:
                return f"its folder holds more than {folders.COUNTED:,} files and folders, or one that cannot be listed"
            if held / 2**20 > self._disk_mb:
                return f"its files hold {held / 2**20:,.0f} MB, past its limit of {self._disk_mb:,.0f} MB"
        return ""

    def processor_s(self) -> float:
        """Return the processor seconds of all processes, those that have ended included."""
        return self._ended_s + sum(one.used_s for one in self._live.values())

    def _grows(self) -> bool:
        """Return True if the machine has many more tasks than at the last measurement: the run may be the reason."""
        return bool(self.processes) and tasks_of_machine() - self._tasks > GROWTH * self.processes

    def _count(self, found: list[int], since_s: float) -> None:
        """Add up the processor time of live processes, and estimate the time of those that ended between measurements.

        A short process is seen with a probability equal to its share of the interval, so one that was seen once stands
        for those that were not. A longer one counts for half an interval after it was last seen.
        """
        tick_s, live = 1 / os.sysconf("SC_CLK_TCK"), {}
        for one in found:
            if fields := stat_fields(one):
                age_s = max(tick_s, time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) * tick_s)
                before = self._live.get((one, fields[19]))
                used_s = (int(fields[11]) + int(fields[12])) * tick_s
                live[one, fields[19]] = Seen(used_s, age_s, before.times + 1 if before else 1)
        for process in self._live.keys() - live.keys():
            last = self._live[process]
            pace = min(last.used_s / last.age_s, os.cpu_count() or 1)
            unseen_s = max(0.0, since_s - last.age_s) if last.times == 1 else since_s / 2
            self._ended_s += last.used_s + pace * unseen_s
        self._live = live


def tasks_of_machine() -> int:
    """Return the number of processes and threads of this machine, at the cost of one small file; 0 without /proc."""
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/loadavg", encoding="ascii") as file:
        return int(file.read().split()[3].partition("/")[2])
    return 0


def newest_process() -> int:
    """Return the number of the newest task of this machine; 0 without /proc."""
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/loadavg", encoding="ascii") as file:
        return int(file.read().split()[4])
    return 0


def descendants(pid: int) -> list[int]:
    """Return the process and all below it, parents first; the process alone where its children are unknown."""
    children: dict[int, list[int]] = {}
    for one, parent in parents() if os.path.isdir("/proc/self") else listed_parents():
        children.setdefault(parent, []).append(one)
    found = [pid]
    for one in found:
        found.extend(children.get(one, []))
    return found


def parents() -> Iterator[tuple[int, int]]:
    """Yield each live process and its parent, by /proc."""
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit() and (parent := parent_of(int(name))):
                yield int(name), parent


def listed_parents() -> Iterator[tuple[int, int]]:
    """Yield each live process and its parent, as `ps` lists them: macOS has no /proc."""
    with contextlib.suppress(OSError, ValueError), subprocess.Popen(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], stdout=subprocess.PIPE, text=True
    ) as ps:  # fmt: skip
        for line in ps.communicate()[0].splitlines():
            one, parent, status = line.split(None, 2)
            if not status.startswith("Z") and int(one) != ps.pid:
                yield int(one), int(parent)


def parent_of(pid: int) -> int:
    """Return the parent of a live process; 0 if it has ended."""
    fields = stat_fields(pid)
    return int(fields[1]) if fields and fields[0] != "Z" else 0


def stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on (proc(5)); empty if there are none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def resident_bytes(pid: int) -> int:
    fields = stat_fields(pid)
    return int(fields[21]) * os.sysconf("SC_PAGESIZE") if fields else 0


def unmapped_bytes(pids: list[int]) -> int:
    """Return the bytes of a run's files in memory that none of its processes has mapped.

    They are in the memory file systems of its wall, and in files without a name.
    """
    own, mapped = set(memory_mounts(os.getpid())), 0
    held: dict[str, int] = {}
    for pid in pids:
        mapped += shared_bytes(pid)
        for device, place in memory_mounts(pid).items():
            if device not in own and device not in held:
                with contextlib.suppress(OSError):
                    disk = os.statvfs(f"/proc/{pid}/root{place}")
                    held[device] = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        for status in open_files(pid, in_memory=True):
            held[f"{status.st_dev}:{status.st_ino}"] = status.st_blocks * 512
    return max(0, sum(held.values()) - mapped)


def nameless_bytes(pids: list[int]) -> int:
    """Return the bytes on disk of deleted files that processes still have open."""
    held: dict[tuple[int, int], int] = {}
    for pid in pids:
        in_memory = memory_mounts(pid)
        for status in open_files(pid, in_memory=False):
            device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
            if stat.S_ISREG(status.st_mode) and not status.st_nlink and device not in in_memory:
                held[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(held.values())


def open_files(pid: int, *, in_memory: bool) -> Iterator[os.stat_result]:
    """Yield the status of each file that a process has open: of those made in memory without a name, or the others."""
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{name}").startswith("/memfd:") == in_memory:
                    yield os.stat(f"/proc/{pid}/fd/{name}")


def memory_mounts(pid: int) -> dict[str, str]:
    """Return the memory file systems that a process sees: device to mount point."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError), open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            fields, _, kind = line.partition(" - ")
            if kind.startswith(("tmpfs ", "ramfs ")):
                words = fields.split()
                found.setdefault(words[2], words[4])
    return found


def shared_bytes(pid: int) -> int:
    """Return the resident bytes of a process that lie in files in memory."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("RssShmem:"):
                return int(line.split()[1]) * 1024
    return 0
