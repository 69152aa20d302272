"""List the files below a folder that a run has written, however deep its folders are.

`os.walk` calls itself for each level before Python 3.12, so that a thousand levels would end its caller. Only the
standard library is imported: it runs on nodes that have no cockpit.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from cockpit.fleet.node.disk import may_pass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COUNTED = 20_000
"""The most files and folders that are counted."""
NOT_MEASURED = 1 << 62
"""The size of a folder that cannot be measured. It is past any limit."""


def walk(
    top: str, on_error: Callable[[OSError], None] = lambda error: None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each folder with the names of its folders and of its other entries, as `os.walk` does.

    Folders that the caller removes from the list are left out, and so are those that cannot be listed: `on_error` gets
    their errors, unless they are gone. Raises OSError where this process may open no folder for now, and all of them
    would seem empty.
    """
    pending = [top]
    while pending:
        where = pending.pop()
        folders: list[str] = []
        names: list[str] = []
        try:
            with os.scandir(where) as entries:
                for entry in entries:
                    (folders if entry.is_dir(follow_symlinks=False) else names).append(entry.name)
        except OSError as error:
            if may_pass(error):
                raise
            if not isinstance(error, FileNotFoundError):
                on_error(error)
        yield where, folders, names
        pending.extend(os.path.join(where, name) for name in reversed(folders))


def folder_bytes(folder: str) -> int:
    """Return the bytes below a folder; NOT_MEASURED if it has too many entries, or a folder that cannot be listed.

    A folder whose path is longer than the system allows, or that its owner may not read, could hide files.
    """
    total, found, pending = 0, 0, [folder]
    while pending:
        where = pending.pop()
        try:
            with os.scandir(where) as entries:
                for entry in entries:
                    found += 1
                    if found > COUNTED:
                        return NOT_MEASURED
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                        continue
                    with contextlib.suppress(OSError):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except (FileNotFoundError, NotADirectoryError):
            continue  # the run has removed it
        except OSError:
            return NOT_MEASURED
    return total
