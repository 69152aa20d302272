"""Questions to git's index: the files that a repository stores, below the folder that is researched."""

import glob
from pathlib import PurePosixPath

import git

from cockpit.variant.errors import VariantError
from cockpit.variant.git.repository import git_answer


class TrackedFiles:
    """The files that git stores. Paths are relative to `subfolder` of the repository."""

    def __init__(self, repo: git.Repo, subfolder: str) -> None:
        self._repo = repo
        self._folder = PurePosixPath(subfolder)

    def holds(self, path: str) -> bool:
        """Return True if git stores the file at this path, or a submodule does."""
        return self._lists((self._folder / path).as_posix())

    def holds_in_any_folder(self, path: str) -> bool:
        """Return True if git stores a file at this path in the repository or in one of its folders."""
        return self._lists(f":(top,glob)**/{glob.escape(PurePosixPath(path).as_posix())}")

    def mode_of(self, path: str) -> str:
        """Return git's mode of the file at this path; empty if it stores none."""
        listed = git_answer(self._repo, "ls-files", "--stage", "--", (self._folder / path).as_posix()).split()
        return listed[0] if listed else "100755" if self.holds(path) else ""

    def mention(self, word: str) -> bool:
        """Return True if a file that git stores has a word, documents left out."""
        try:
            return bool(git_answer(self._repo, "grep", "-l", "-I", "-F", "-e", word, "--", ":/", ":!*.md"))
        except VariantError:
            return False  # git ends with 1 where no file has it

    def _lists(self, pathspec: str) -> bool:
        return bool(git_answer(self._repo, "ls-files", "--recurse-submodules", "--", pathspec))
