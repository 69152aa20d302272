"""Find the absolute paths of data that a repository names, and the environment variables that it reads."""

import ast
import itertools
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from cockpit.variant.syntax import nodes_in

TEXT_CHARACTERS = 300
_SYSTEM = frozenset({"bin", "boot", "dev", "etc", "lib", "lib64", "proc", "run", "sbin", "sys", "usr"})
_SHARED = frozenset({"home", "media", "mnt", "opt", "private", "root", "srv", "tmp", "Users", "var", "Volumes"})
"""Folders at the top of a machine that hold more than data."""
_SLOT = re.compile(r"[%{*?]")
_SECRET = re.compile(
    r"(?:^|[._-])token(?:\.(?:txt|json))?$|stored_tokens|secret|passw|credential|sealed|netrc|\.(?:pem|key)$",
    re.IGNORECASE,
)
ENTRIES_SEEN = 1_000
"""Entries of a folder that are searched for a secret."""


def outside_paths(texts: Iterable[str], top: Path) -> tuple[str, ...]:
    """Return the existing files and folders outside the repository `top` that texts name by their whole path.

    A path with a slot, such as `/data/shard_%05d.bin`, stands for its folder. Folders of the system, a person's home
    and folders around it, hidden ones other than `.cache`, and names of secrets are left out, and
    folders that hold one.
    """
    found = set()
    for text in texts:
        if text.startswith(("/", "~/")) and len(text) <= TEXT_CHARACTERS and text.isprintable():
            path = _before_a_slot(text)
            if path is not None and _is_data(path, top):
                found.add(str(path))
    return tuple(sorted(path for path in found if not any(str(above) in found for above in Path(path).parents)))


def _before_a_slot(text: str) -> Path | None:
    slot = _SLOT.search(text)
    whole = text[: slot.start()].rpartition("/")[0] if slot else text
    try:
        return Path(whole).expanduser().resolve() if whole else None
    except (OSError, RuntimeError, ValueError):
        return None


def _is_data(path: Path, top: Path) -> bool:
    parts = path.parts[1:]
    if not parts or parts[0] in _SYSTEM or (len(parts) == 1 and parts[0] in _SHARED):
        return False
    home = Path.home().resolve()
    if any(place == path or place.is_relative_to(path) for place in (home, top)) or path.is_relative_to(top):
        return False
    below = PurePosixPath(path).relative_to(home).parts if path.is_relative_to(home) else parts
    if any(part.startswith(".") and part != ".cache" for part in below) or any(map(_SECRET.search, parts)):
        return False
    try:
        return path.is_file() or (path.is_dir() and below != (".cache",) and not _holds_a_secret(path))
    except OSError:
        return False


def _holds_a_secret(folder: Path) -> bool:
    """Return True if a secret lies in a folder, by its name, as a token lies beside the caches of Hugging Face."""
    with os.scandir(folder) as entries:
        return any(_SECRET.search(entry.name) for entry in itertools.islice(entries, ENTRIES_SEEN))


def read_variables(scripts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables that sources read, as `os.environ["X"]`, `os.environ.get("X")` or `os.getenv("X")`."""
    found = set()
    for source in scripts.values():
        for node in nodes_in(source):
            match node:
                case (
                    ast.Subscript(
                        value=ast.Attribute(attr="environ") | ast.Name(id="environ"),
                        slice=ast.Constant(value=str(name)),
                        ctx=ast.Load(),
                    )
                    | ast.Call(
                        func=ast.Attribute(
                            value=ast.Attribute(attr="environ") | ast.Name(id="environ"), attr="get" | "pop"
                        ),
                        args=[ast.Constant(value=str(name)), *_],
                    )
                    | ast.Call(
                        func=ast.Attribute(attr="getenv") | ast.Name(id="getenv"),
                        args=[ast.Constant(value=str(name)), *_],
                    )
                ):
                    found.add(name)
    return tuple(sorted(found))
