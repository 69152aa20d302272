"""Hashes of the code of a run, taken before and after it by its runner."""

import contextlib
import hashlib
import os
import stat
from typing import TYPE_CHECKING

from cockpit.fleet.node.disk import may_pass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Hashes = dict[str, tuple[str, tuple[int, ...]]]

CODE_FILES_AT_MOST = 2_000
"""Python files of a run's folder that are hashed beside those that were there before it."""
CODE_BYTES_AT_MOST = 1 << 30
"""Bytes that are hashed of all of them."""
READ_BYTES = 1 << 20


def evidence(source: str, named: "Iterable[str]") -> "Hashes":
    """Return the named files and the Python files at the top of a run's folder: name to (sha256, marks of a write).

    A write changes a file's ctime, which cannot be set, so code that was edited and restored is found too. The number
    and size of the files are bounded. Only regular files have a hash. Raises OSError where this process may open no
    file for now.
    """
    found: Hashes = {}
    left = CODE_BYTES_AT_MOST
    names = sorted({*named})
    with left_out():
        names += sorted(name for name in os.listdir(source) if name.endswith(".py"))[:CODE_FILES_AT_MOST]
    for name in names:
        path = os.path.join(source, name)
        with left_out():
            if (known := readable(name)) not in found:
                status = os.lstat(path)
                marks = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
                hashed, used = digest(path, left)
                found[known], left = (hashed, marks), left - used
    return found


@contextlib.contextmanager
def left_out() -> "Iterator[None]":
    """Leave out a file that cannot be read. Raises an OSError that may pass: the file would seem to be missing."""
    try:
        yield
    except OSError as error:
        if may_pass(error):
            raise
    except ValueError:
        pass  # a name with a NUL


def code_evidence(before: "Hashes", after: "Hashes") -> "dict[str, object]":
    """Return the hashes of the code before and after the run, and the files written in between."""
    return {
        "before": {name: digest for name, (digest, _) in before.items()},
        "after": {name: digest for name, (digest, _) in after.items()},
        "changed": sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)),
    }


def digest(path: str, most_bytes: int) -> "tuple[str, int]":
    """Return (SHA-256, bytes) of a file; a text instead of the hash if it is not one or too large. Raises OSError."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return "not a file", 0
        if status.st_size > most_bytes:
            return "too large", 0
        found, used = hashlib.sha256(), 0
        while used <= most_bytes and (data := file.read(READ_BYTES)):
            found.update(data)
            used += len(data)
        return found.hexdigest(), used


def readable(name: str) -> str:
    """Return a file's name as text, with an escape for each byte that is not UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def in_one_line(name: str) -> str:
    """Return a file's name as text that can be shown, with a question mark for each character that cannot."""
    return "".join(one if one.isprintable() else "?" for one in readable(name))
