"""Make room for SQLite's index of a write-ahead log, so that a full disk is an error and not a signal.

SQLite maps the index, the `-shm` file, into memory. A file system that copies on write, such as btrfs, needs room for
each mapped page that is written, and the kernel ends a process that writes where there is none (SIGBUS). Linux makes
room for mapped pages on request, and answers with an error. The kernel ends a process too that touches a page behind
the end of its file, which another program has cut.
"""

import ctypes
import errno
import os
import sys
from pathlib import Path

MADV_POPULATE_WRITE = 23
"""Make pages writable as if they were written. Linux before 5.14 answers EINVAL."""

Range = tuple[int, int]
"""The address and the bytes of a mapping."""
Version = tuple[int, int]
"""The inode and the size of an index."""

_ranges: dict[Path, tuple[Version, list[Range]]] = {}
"""For each database the version of its index, and the mappings of it."""


def forget_mappings() -> None:
    """Look the mappings up again: a connection that opens or closes changes them."""
    _ranges.clear()


def has_room(database: Path) -> bool:
    """Make room for every page of a database's index that this process maps. Returns False if the disk has none."""
    if sys.platform != "linux":
        return True
    try:
        return all(_populated(*each) for each in _mappings(database)) or all(
            _populated(*each) for each in _mappings(database, anew=True)
        )
    except OSError:
        return False


def _mappings(database: Path, anew: bool = False) -> list[Range]:
    index = database.with_name(f"{database.name}-shm")
    version = _version(index)
    if version is None:
        return []
    known, found = _ranges.get(database, ((0, 0), []))
    if anew or version != known or not found:
        found, end = _listed(version[0])
        if version[1] < end:
            os.truncate(index, end)  # SQLite finds no header in it, and makes the index again from its log
        _ranges[database] = _version(index) or version, found
    return found


def _version(index: Path) -> Version | None:
    try:
        status = index.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size


def _listed(inode: int) -> tuple[list[Range], int]:
    """Return the shared mappings of the index with this inode, and the end of the last one in the file."""
    lines = [
        line for line in Path("/proc/self/maps").read_bytes().splitlines() if b" rw-s " in line and b"-shm" in line
    ]
    found, ends = [], [0]
    for line in lines:
        place, _, offset, _, number, *_ = line.split()
        if int(number) == inode:
            start, end = (int(address, 16) for address in place.split(b"-"))
            found.append((start, end - start))
            ends.append(int(offset, 16) + end - start)
    return found, max(ends)


_system = ctypes.CDLL(None, use_errno=True)


def _populated(start: int, size: int) -> bool:
    """Return False if the pages cannot be written for want of room."""
    done = _system.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), MADV_POPULATE_WRITE)
    return not (done and ctypes.get_errno() == errno.EFAULT)
