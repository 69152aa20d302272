"""Make room for SQLite's index of a write-ahead log, so that a full disk is an error and not a signal.

SQLite maps the index, the `-shm` file, into memory. A file system that copies on write, such as btrfs, needs room for
each mapped page that is written, and the kernel ends a process that writes where there is none (SIGBUS). Linux makes
room for mapped pages on request, and answers with an error.
"""

import ctypes
import errno
import sys
from pathlib import Path

MADV_POPULATE_WRITE = 23
"""Make pages writable as if they were written. Linux before 5.14 answers EINVAL."""

Range = tuple[int, int]
"""The address and the bytes of a mapping."""

_ranges: dict[Path, tuple[tuple[int, int], list[Range]]] = {}
"""For each database the inode and the size of its index, and the mappings of it."""


def forget_mappings() -> None:
    """Look the mappings up again: a connection that opens or closes changes them."""
    _ranges.clear()


def has_room(database: Path) -> bool:
    """Make room for every page of a database's index that this process maps. Returns False if the disk has none."""
    if sys.platform != "linux":
        return True
    return all(_populated(*each) for each in _mappings(database)) or all(
        _populated(*each) for each in _mappings(database, anew=True)
    )


def _mappings(database: Path, anew: bool = False) -> list[Range]:
    try:
        status = database.with_name(f"{database.name}-shm").stat()
    except OSError:
        return []
    version = status.st_ino, status.st_size
    known, found = _ranges.get(database, ((0, 0), []))
    if anew or version != known or not found:
        found = _listed(status.st_ino)
        _ranges[database] = version, found
    return found


def _listed(inode: int) -> list[Range]:
    """Return the shared mappings of the index with this inode, as Linux lists them."""
    lines = [
        line for line in Path("/proc/self/maps").read_bytes().splitlines() if b" rw-s " in line and b"-shm" in line
    ]
    found = []
    for line in lines:
        place, _, _, _, number, *_ = line.split()
        if int(number) == inode:
            start, end = (int(address, 16) for address in place.split(b"-"))
            found.append((start, end - start))
    return found


_system = ctypes.CDLL(None, use_errno=True)


def _populated(start: int, size: int) -> bool:
    """Return False if the pages cannot be written for want of room."""
    done = _system.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), MADV_POPULATE_WRITE)
    return not (done and ctypes.get_errno() == errno.EFAULT)
