"""Find the Python files of a commit that scripts import, and those that these import."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath

from cockpit.variant.inputs import imports_of

FILES_AT_MOST = 200
"""Files that are read, the scripts included."""


def with_imported(scripts: Mapping[str, str], read: Callable[[str], str | None]) -> dict[str, str]:
    """Return the scripts and the modules that they import, by path. `read` returns None for a file that is not there.

    A module is looked for from the folder that runs start in, from `src`, and from the folder of a script.
    """
    found = dict(scripts)
    roots = list(
        dict.fromkeys((PurePosixPath(), PurePosixPath("src"), *(PurePosixPath(path).parent for path in found)))
    )
    tried = set(found)
    pending = list(found)
    while pending:
        path = pending.pop()
        for candidate in _files_of(path, found[path], roots):
            if candidate in tried or len(found) >= FILES_AT_MOST:
                continue
            tried.add(candidate)
            if (text := read(candidate)) is not None:
                found[candidate] = text
                pending.append(candidate)
    return found


def _files_of(path: str, source: str, roots: list[PurePosixPath]) -> Iterator[str]:
    """Yield the paths that the modules which a script imports may have."""
    for module in sorted(imports_of(path, source)):
        for root in roots:
            place = (root / PurePosixPath(*module.split("."))).as_posix()
            yield from (f"{place}.py", f"{place}/__init__.py")
