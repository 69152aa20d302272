"""Read and replace files in whose place another program may have put a pipe, a device or an endless sparse file."""

import errno
import os
import stat
import time
from io import FileIO
from pathlib import Path
from typing import BinaryIO

NOTE_BYTES = 1 << 24
"""The largest note of Cockpit's own that is read."""
OUT_OF_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors of a process or machine that can open no file for now."""


def make_way(path: Path) -> None:
    """Move a folder, a pipe or a broken link away from the place of a file that is to be written. Raises OSError."""
    if os.path.lexists(path) and not path.is_file():
        path.rename(path.with_name(f"{path.name}.moved-{time.time_ns() // 1_000_000}"))


def open_plain(path: Path) -> BinaryIO:
    """Open a file to read it. Raises OSError, also for a pipe, which would hold the reader up, and for a device."""
    return os.fdopen(_of_file(path, os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)), "rb")


def open_to_append(path: Path, mode: int) -> FileIO:
    """Open a file to append to it, made with `mode`; each write is one. Raises OSError for any other kind of file."""
    flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY
    return FileIO(_of_file(path, os.open(path, flags, mode)), "ab")


def _of_file(path: Path, descriptor: int) -> int:
    """Return the descriptor of a file. Closes one of another kind, and raises OSError."""
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "it is not a file", str(path))
    return descriptor


def read_plain(path: Path, most_bytes: int) -> bytes:
    """Return the content of a file. Raises OSError, also for one that has more bytes."""
    with open_plain(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > most_bytes:
            raise OSError(errno.EFBIG, f"it is larger than {most_bytes:,} bytes", str(path))
        return file.read(size)


def read_if_there(path: Path) -> bytes:
    """Return a note of Cockpit's own; empty if it is missing or cannot be used.

    Raises OSError where this process can open no file for now: the file may be there.
    """
    try:
        return read_plain(path, NOTE_BYTES)
    except OSError as error:
        if error.errno in OUT_OF_FILES:
            raise
        return b""
