"""Read and replace files in whose place another program may have put a pipe, a device or an endless sparse file."""

import errno
import os
import stat
import time
from pathlib import Path
from typing import BinaryIO


def make_way(path: Path) -> None:
    """Move a folder, a pipe or a broken link away from the place of a file that is to be written. Raises OSError."""
    if os.path.lexists(path) and not path.is_file():
        path.rename(path.with_name(f"{path.name}.moved-{time.time_ns() // 1_000_000}"))


def open_plain(path: Path) -> BinaryIO:
    """Open a file to read it. Raises OSError, also for a pipe, which would hold the reader up, and for a device."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is not a file", str(path))
    return file


def read_plain(path: Path, most_bytes: int) -> bytes:
    """Return the content of a file. Raises OSError, also for one that has more bytes."""
    with open_plain(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > most_bytes:
            raise OSError(errno.EFBIG, f"it is larger than {most_bytes:,} bytes", str(path))
        return file.read(size)
