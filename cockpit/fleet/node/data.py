"""The fingerprint of the data that a run reads, measured outside the run, before its start and after its end.

It covers the files' names, sizes and content: all of a small content, parts of a large one. Times are left out, so that
a copy is the same data. Hidden files are left out, because tools keep locks and caches in them. Raises OSError where
this process may open no file for now.

Only the standard library is imported: it runs on nodes that have no cockpit.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator, Mapping

from cockpit.fleet.node.disk import may_pass

FILES_AT_MOST = 10_000
"""The most files of one path that are covered, in the order of their names."""
READ_FILES, READ_BYTES = 64, 16 << 20
"""Files of one path whose content is read, evenly chosen, and the bytes read of all together."""
BLOCK_BYTES = 1 << 14
NOT_DATA = (".lock", ".tmp", ".part", ".pyc")
MISSING = "missing"


def fingerprints(paths: Mapping[str, str]) -> dict[str, str]:
    """Return the fingerprint of each path, by the name that it has in the session."""
    return {name: fingerprint(os.path.expanduser(path)) for name, path in paths.items()}


def write_marks(paths: Mapping[str, str]) -> dict[str, str]:
    """Return a digest of each path that changes with every write to its files, even if the content is restored.

    A write changes a file's ctime, which cannot be set.
    """
    found = {}
    for name, path in paths.items():
        digest = hashlib.sha256()
        for _, file in itertools.islice(_files(os.path.expanduser(path)), FILES_AT_MOST):
            try:
                status = os.stat(file)
            except OSError as error:
                raise_if_it_may_pass(error)
                continue
            mark = f"{file}\0{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}\0"
            digest.update(mark.encode("utf-8", "surrogateescape"))
        found[name] = digest.hexdigest()
    return found


def fingerprint(path: str) -> str:
    """Return the number of files, their bytes and a digest, as text."""
    found = []
    for name, file in _files(path):
        try:
            found.append((name, file, os.stat(file).st_size))
        except OSError as error:
            raise_if_it_may_pass(error)
            found.append((name, "", 0))  # a link that leads nowhere
        if len(found) == FILES_AT_MOST:
            break
    if not found:
        return MISSING if not os.path.exists(path) else "empty"
    digest = hashlib.sha256()
    for name, _, size in found:
        digest.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape"))
    every = -(-len(found) // READ_FILES)
    read = found[::every]
    for _, file, size in read:
        _add_content(digest, file, size, READ_BYTES // len(read))
    total = sum(size for _, _, size in found)
    first = "the first " if len(found) == FILES_AT_MOST else ""
    files = "1 file" if len(found) == 1 else f"{first}{len(found)} files"
    return f"{files}, {total} bytes, {digest.hexdigest()[:16]}"


def _files(path: str) -> Iterator[tuple[str, str]]:
    """Yield (name inside the path, path) of each file, in order. A folder behind several links counts once."""
    if not os.path.isdir(path):
        if os.path.lexists(path):
            yield "", path
        return
    seen = set()
    for where, folders, names in os.walk(path, onerror=raise_if_it_may_pass, followlinks=True):
        status = os.stat(where)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        inside = where[len(path) :].strip("/")  # os.path.relpath of each file takes most of the time
        for name in sorted(names):
            if not name.startswith(".") and not name.endswith(NOT_DATA):
                yield f"{inside}/{name}" if inside else name, f"{where}/{name}"


def _add_content(digest: hashlib._Hash, file: str, size: int, most_bytes: int) -> None:
    """Add a file to a digest: all of it, or evenly spaced blocks with the first and the last."""
    try:
        if not os.path.isfile(file):
            raise OSError("a pipe or a device, which may have no end")
        with open(file, "rb") as opened:
            if size <= most_bytes:
                digest.update(opened.read(most_bytes))
                return
            blocks = max(2, most_bytes // BLOCK_BYTES)
            for number in range(blocks):
                opened.seek((size - BLOCK_BYTES) * number // (blocks - 1))
                digest.update(opened.read(BLOCK_BYTES))
    except OSError as error:
        raise_if_it_may_pass(error)
        digest.update(b"unreadable")


def raise_if_it_may_pass(error: OSError) -> None:
    """Raise an error for want of open files: the data would seem to be other data."""
    if may_pass(error):
        raise error
