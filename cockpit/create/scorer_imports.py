"""Find the editable files that a score command imports: an edit of those can change its own score."""

from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath

from cockpit.variant.guess.printed import imported_modules

FILES_READ = 50


def edited_imports(repo: Path, words: Sequence[str], editable: Collection[str]) -> list[str]:
    """Return the editable files that the Python files of a command import, directly or through others."""
    pending = [path for word in words if (path := PurePosixPath(word)).suffix == ".py" and not path.is_absolute()]
    pending += [PurePosixPath(*after.split(".")).with_suffix(".py") for _, after in _modules_run(words)]
    seen: set[str] = set()
    while pending and len(seen) < FILES_READ:
        path = pending.pop()
        if path.as_posix() in seen or not (repo / path).is_file():
            continue
        seen.add(path.as_posix())
        text = (repo / path).read_text(encoding="utf-8", errors="replace")
        modules = (PurePosixPath(*module.split(".")) for module in imported_modules(text))
        pending += [file for module in modules for file in _files_of(module, path.parent)]
    return [path for path in editable if path in seen]


def _modules_run(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of `-m` and a module."""
    return [pair for pair in pairwise(words) if pair[0] == "-m"]


def _files_of(module: PurePosixPath, folder: PurePosixPath) -> list[PurePosixPath]:
    """Return the paths that a module may have: at the top, in `src`, or beside the file that imports it."""
    places = (PurePosixPath(), PurePosixPath("src"), folder)
    return [place / name for place in places for name in (module.with_suffix(".py"), module / "__init__.py")]
