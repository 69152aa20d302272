"""Read the listing of a folder of a git repository, bounded in files, bytes and depth."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from cockpit.variant.git.repository import git_answer, open_repository
from cockpit.variant.guess.listing import BUILD_FILES, CODE_SUFFIXES, DOCUMENTS, Listing

FILES_READ = 400
FILE_BYTES = 400_000
FOLDERS_DEEP = 3
_SUFFIXES = frozenset({".py", ".md", ".rst", ".sh"})
_OTHER_SUFFIXES = CODE_SUFFIXES | {".toml", ".yaml", ".yml", ".json"}
"""Suffixes of code in other languages and of configurations, which are read after the others."""
_NAMES = frozenset({"environment.yml", "environment.yaml", *DOCUMENTS, *BUILD_FILES})


def read_listing(folder: Path) -> Listing:
    """Return the files that git stores below a folder, with the texts that may show how it is run. Raises
    VariantError."""
    repository = open_repository(folder)
    try:
        paths = [path for path in git_answer(repository, "-C", str(folder), "ls-files", "-z").split("\0") if path]
    finally:
        repository.close()
    return Listing(frozenset(paths), {path: _text(folder / path) for path in _read(paths)})


def _read(paths: Iterable[str]) -> list[str]:
    telling = [
        path
        for path in paths
        if path.count("/") < FOLDERS_DEEP and (_is_read_first(path) or PurePosixPath(path).suffix in _OTHER_SUFFIXES)
    ]
    return sorted(telling, key=lambda path: (not _is_read_first(path), path.count("/"), path))[:FILES_READ]


def _is_read_first(path: str) -> bool:
    return PurePosixPath(path).suffix in _SUFFIXES or PurePosixPath(path).name.lower() in _NAMES


def _text(path: Path) -> str:
    try:
        if path.is_symlink() or not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(FILE_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
