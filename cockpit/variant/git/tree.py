"""Read the entries of git trees, replace files in a tree, and export a tree as a folder.

A tree holds, for each entry, `MODE NAME`, a NUL, and the 20 bytes of its SHA-1 (git's Documentation, "git-hash-object"
and "Git Internals: Tree Objects").
"""

import os
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Protocol

import msgspec

from cockpit.variant.errors import VariantError, shown

_ID_BYTES = 20
_FOLDER = b"40000"
_LINK = b"120000"
_SUBMODULE = b"160000"


class ObjectReader(Protocol):
    def read(self, object_id: str, kind: str) -> bytes:
        """Return the bytes of a `blob` or a `tree`. Raises VariantError."""


class ObjectStore(ObjectReader, Protocol):
    def store(self, kind: str, data: bytes) -> str:
        """Store an object. Returns its name. Raises VariantError."""


class Entry(msgspec.Struct, frozen=True):
    mode: bytes
    name: bytes
    id: str
    """SHA-1 of the object, in hex."""
    id_at: int
    """Offset of the SHA-1 in the tree, in bytes."""


def tree_entries(tree: bytes) -> Iterator[Entry]:
    """Yield the entries of a tree."""
    position = 0
    while position < len(tree):
        space = tree.index(b" ", position)
        nul = tree.index(b"\0", space)
        id_at = nul + 1
        yield Entry(
            mode=tree[position:space],
            name=tree[space + 1 : nul],
            id=tree[id_at : id_at + _ID_BYTES].hex(),
            id_at=id_at,
        )
        position = id_at + _ID_BYTES


def is_file(entry: Entry) -> bool:
    return entry.mode.startswith(b"100")


def is_link(entry: Entry) -> bool:
    return entry.mode == _LINK


def is_folder(entry: Entry) -> bool:
    return entry.mode == _FOLDER


def submodules_of(tree: bytes, objects: ObjectReader) -> Iterator[tuple[PurePosixPath, str]]:
    """Return the path and the commit of each submodule in a tree and in its folders."""
    return ((path, entry.id) for path, entry in _entries_below(tree, objects) if entry.mode == _SUBMODULE)


def replace_entries(tree: bytes, entries: Mapping[bytes, Entry], ids: Mapping[bytes, str]) -> bytes:
    """Return `tree` with the objects of the entries named in `ids` replaced; modes and order stay."""
    for name, object_id in ids.items():
        at = entries[name].id_at
        tree = tree[:at] + bytes.fromhex(object_id) + tree[at + _ID_BYTES :]
    return tree


def entry_at(tree: bytes, path: PurePosixPath, objects: ObjectReader) -> Entry | None:
    """Return the entry of a path below `tree`; None if there is none."""
    found: Entry | None = None
    for part in map(os.fsencode, path.parts):
        if found is not None:
            if not is_folder(found):
                return None
            tree = objects.read(found.id, "tree")
        found = next((entry for entry in tree_entries(tree) if entry.name == part), None)
        if found is None:
            return None
    return found


def files_below(tree: bytes, objects: ObjectReader) -> Iterator[tuple[PurePosixPath, Entry]]:
    """Return every file and symbolic link of a tree and its folders, with its path."""
    return ((path, entry) for path, entry in _entries_below(tree, objects) if entry.mode != _SUBMODULE)


def _entries_below(tree: bytes, objects: ObjectReader) -> Iterator[tuple[PurePosixPath, Entry]]:
    """Yield the entries of a tree and of its folders that are not folders, with their paths."""
    pending = [(tree, PurePosixPath())]
    while pending:
        data, into = pending.pop()
        for entry in tree_entries(data):
            path = into / os.fsdecode(entry.name)
            if is_folder(entry):
                pending.append((objects.read(entry.id, "tree"), path))
            else:
                yield path, entry


def with_blobs(tree: bytes, blobs: Mapping[PurePosixPath, str], objects: ObjectStore) -> str:
    """Store `tree` with the contents of some of its files replaced. Returns its name."""
    entries = {entry.name: entry for entry in tree_entries(tree)}
    ids: dict[bytes, str] = {}
    below: dict[bytes, dict[PurePosixPath, str]] = {}
    for path, blob in blobs.items():
        name = os.fsencode(path.parts[0])
        if len(path.parts) == 1:
            ids[name] = blob
        else:
            below.setdefault(name, {})[PurePosixPath(*path.parts[1:])] = blob
    for name, inner in below.items():
        ids[name] = with_blobs(objects.read(entries[name].id, "tree"), inner, objects)
    return objects.store("tree", replace_entries(tree, entries, ids))


FindSubmodule = Callable[[PurePosixPath, str], tuple[ObjectReader, bytes] | None]
"""Returns the objects and the tree of the submodule at a path, in a commit; None without them."""


def exporting(
    tree: bytes,
    objects: ObjectReader,
    folder: Path,
    links: Mapping[str, str] = MappingProxyType({}),
    submodule: FindSubmodule | None = None,
) -> Generator[int, None, None]:
    """Write `tree` into `folder`, as `git archive` would: into a folder beside it that is then renamed.

    Yields the bytes of each file once it is written. If it is closed before its end, it leaves nothing behind.

    A submodule that `submodule` does not find becomes an empty folder. `links` gives the targets of symbolic links that
    may point outside, by path; such a link replaces a file. Raises VariantError if `folder` exists, or if a name or a
    symbolic link would lead out of it; OSError if it cannot be written.
    """
    if folder.exists():
        raise VariantError(f"{folder} already exists; remove it, or export into another folder.")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield from _write_tree(tree, objects, partial, links, submodule)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _write_tree(
    tree: bytes, objects: ObjectReader, folder: Path, links: Mapping[str, str], submodule: FindSubmodule | None
) -> Generator[int, None, None]:
    """Write the entries of a tree and of the trees below it into an empty folder. Yields the bytes of each file."""
    pending = [(objects, tree, folder, 0)]
    while pending:
        reader, data, into, depth = pending.pop()
        for entry in tree_entries(data):
            path = into / os.fsdecode(_safe_name(entry.name))
            relative = path.relative_to(folder)
            allowed = links.get(relative.as_posix())
            if entry.mode == _FOLDER:
                path.mkdir()
                pending.append((reader, reader.read(entry.id, "tree"), path, depth + 1))
            elif entry.mode == _SUBMODULE:
                path.mkdir()
                found = submodule(PurePosixPath(relative), entry.id) if submodule is not None else None
                if found is not None:
                    pending.append((*found, path, depth + 1))
            elif allowed is not None:
                path.symlink_to(allowed)
            elif entry.mode == _LINK:
                path.symlink_to(os.fsdecode(_safe_target(entry.name, reader.read(entry.id, "blob"), depth)))
            else:
                content = reader.read(entry.id, "blob")
                _write(path, content, executable=entry.mode == b"100755")
                yield len(content)


def outside_links(tree: bytes, objects: ObjectReader) -> dict[str, str]:
    """Return the symbolic links of a tree that point outside it: path to target."""
    found = {}
    pending: list[tuple[bytes, PurePosixPath, int]] = [(tree, PurePosixPath(), 0)]
    while pending:
        data, into, depth = pending.pop()
        for entry in tree_entries(data):
            path = into / os.fsdecode(entry.name)
            if entry.mode == _FOLDER:
                pending.append((objects.read(entry.id, "tree"), path, depth + 1))
            elif entry.mode == _LINK:
                target = objects.read(entry.id, "blob")
                try:
                    _safe_target(entry.name, target, depth)
                except VariantError:
                    found[path.as_posix()] = os.fsdecode(target)
    return found


def _safe_name(name: bytes) -> bytes:
    if name in (b"", b".", b"..") or b"/" in name or name.lower() == b".git":
        raise VariantError(f"The repository holds a file with the forbidden name {shown(os.fsdecode(name))}.")
    return name


def _safe_target(name: bytes, target: bytes, depth: int) -> bytes:
    """Return a link's target if it is relative, climbs only at its start, and no higher than the exported folder.

    Every later part of its path is then inside, links included. A link into git's own folder, as git-annex makes them
    for its files, leads out: an exported folder has none.
    """
    parts = PurePosixPath(os.fsdecode(target)).parts
    climbs = next((at for at, part in enumerate(parts) if part != ".."), len(parts))
    is_of_git = any(part.lower() == ".git" for part in parts)
    if not parts or parts[0] == "/" or climbs > depth or ".." in parts[climbs:] or b"\0" in target or is_of_git:
        raise VariantError(
            f"The repository holds a symbolic link {shown(os.fsdecode(name))} to "
            f"{shown(os.fsdecode(target))}, which points outside it: replace it with a file, or remove it."
        )
    return target


def _write(path: Path, data: bytes, executable: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o777 if executable else 0o666), "wb") as file:
        file.write(data)
