"""Match and hash the protected files, which no edit may change, by globs over paths in the repository.

`*` and `?` stay within a folder, `**` crosses folders, and a folder's name stands for all files below it. Case and the
Unicode form of a name make no difference: to some file systems they name the same file.
"""

import hashlib
import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import PurePosixPath

from cockpit.variant.errors import VariantError
from cockpit.variant.git.large_files import POINTER, POINTER_BYTES
from cockpit.variant.git.tree import Entry, ObjectReader, entry_at, files_below, is_file, is_link

LINKS_AT_MOST = 8
"""Symbolic links that are followed from one to the next."""


def folded(path: str) -> str:
    """Return a path in the form in which two names of one file are equal, whatever the file system."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", posixpath.normpath(path)).casefold())


def pattern_of(path: str, patterns: Iterable[str]) -> str:
    """Return the first pattern that covers a path; empty for none."""
    name = folded(path)
    return next((pattern for pattern in patterns if _expression(pattern).fullmatch(name)), "")


@lru_cache
def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", folded(pattern))
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    body = "".join(words.get(part) or re.escape(part) for part in parts)
    return re.compile(f"{body}(?:/.*)?", re.DOTALL)


def hashes_of_protected(
    tree: bytes, objects: ObjectReader, patterns: Sequence[str], files: Sequence[str]
) -> dict[str, str]:
    """Return the SHA-256, in hex, of each protected file of a tree by path.

    A symbolic link counts as the file that it leads to. Raises VariantError for a pattern that covers no file or an
    editable one, and for a link that leads to neither a file of the tree nor to a protected one.
    """
    for editable in files:
        if pattern := pattern_of(editable, patterns):
            raise VariantError(
                f"[research] protected: {pattern} covers {editable}, which is in files: take one of them out."
            )
    found: dict[str, str] = {}
    used: set[str] = set()
    for path, entry in files_below(tree, objects):
        name = path.as_posix()
        if pattern := pattern_of(name, patterns):
            used.add(pattern)
            found[name] = _content_hash(tree, objects, path, entry, files)
    for pattern in patterns:
        if pattern not in used and not any(_expression(pattern).fullmatch(folded(name)) for name in found):
            raise VariantError(f"[research] protected: {pattern} covers no file of the last commit.")
    return found


def _content_hash(tree: bytes, objects: ObjectReader, path: PurePosixPath, entry: Entry, files: Sequence[str]) -> str:
    """Return the SHA-256 of the content that a run reads at a path, links and Git LFS included."""
    at, steps = path, 0
    while is_link(entry):
        target = posixpath.normpath((at.parent / os.fsdecode(objects.read(entry.id, "blob"))).as_posix())
        next_entry = None if target.startswith(("/", "..")) else entry_at(tree, PurePosixPath(target), objects)
        steps += 1
        if next_entry is None or steps > LINKS_AT_MOST or not (is_link(next_entry) or is_file(next_entry)):
            raise VariantError(f"[research] protected: {path} is a link to {target}, but git stores no such file.")
        if folded(target) in map(folded, files):
            raise VariantError(f"[research] protected: {path} is a link to {target}, which is in files.")
        at, entry = PurePosixPath(target), next_entry
    data = objects.read(entry.id, "blob")
    pointer = POINTER.match(data) if len(data) <= POINTER_BYTES else None
    return pointer[1].decode() if pointer else hashlib.sha256(data).hexdigest()
