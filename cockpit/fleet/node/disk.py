"""Room on a run's disk. A full disk delays a run, and does not cost it its result.

Only the standard library is imported: it runs on nodes that have no cockpit.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

FULL_BELOW_FILES = 4
"""Files below which a disk counts as full: the last ones come and go."""
RETRY_S = 1.0
FULL = (errno.ENOSPC, errno.EDQUOT)
SHORT = (errno.EAGAIN, errno.ENOMEM, errno.ENFILE, errno.EMFILE)
"""The machine has no process, memory or open file left for now."""

Made = TypeVar("Made")


def lacks(disk: os.statvfs_result, below_bytes: int) -> str:
    """Return the thing that a disk has too little of: `bytes`, `files`, or an empty text."""
    bytes_free, files_free = (disk.f_bavail, disk.f_favail) if os.geteuid() else (disk.f_bfree, disk.f_ffree)
    if disk.f_blocks and bytes_free * disk.f_frsize < below_bytes:
        return "bytes"
    return "files" if disk.f_files and files_free < FULL_BELOW_FILES else ""


class RetryForRoom:
    """Retries while the disk is full or the machine is out of processes, memory or files, for a limited time.

    It stops when the run is cancelled.
    """

    def __init__(self, cancelled: list[int], seconds: float) -> None:
        self.cancelled = cancelled
        self._seconds = seconds

    def call(
        self,
        make: Callable[[], Made],
        at_most_s: float = float("inf"),
        on_first_error: Callable[[OSError], None] = lambda error: None,
    ) -> Made:
        """Return the result of `make`, which is retried while there is no room.

        `on_first_error` gets the first error. Raises the last one when the time is over, and any other error at once.
        """
        reported, until = False, time.monotonic() + min(self._seconds, at_most_s)
        while True:
            try:
                return make()
            except OSError as error:
                if self.cancelled or time.monotonic() >= until or not may_pass(error):
                    raise
                if not reported:
                    on_first_error(error)
                reported = True
            time.sleep(RETRY_S)


def may_pass(error: OSError) -> bool:
    """Return True if the error ends once there is room. `shutil.Error` holds the errors of its files as text only."""
    if isinstance(error, shutil.Error):
        return any(f"[Errno {number}]" in str(error) for number in (*FULL, *SHORT))
    return error.errno in (*FULL, *SHORT)
