"""The refs of a session in the person's repository: refs/cockpit/SESSION/NAME, one for each commit of the session."""

from pathlib import Path

import git

from cockpit.variant.git.branches import branch_conflict
from cockpit.variant.git.repository import check_name, git_answer, not_written, write_ref


class SessionRefs:
    """The refs of one session, by name. Raises VariantError for a session's name that git does not take."""

    def __init__(self, repository: git.Repo, session: str) -> None:
        check_name("a session", session)
        self._repository = repository
        self._folder = f"refs/cockpit/{session}"
        self.branch = f"cockpit/{session}"
        """The branch with the kept changes."""

    def conflict(self) -> str:
        """Return why a new session cannot use its branch, with the remedy; empty if it can."""
        return branch_conflict(self._repository, self.branch, self._folder)

    def read(self) -> dict[str, str]:
        """Return name -> commit for every ref."""
        answer = git_answer(self._repository, "for-each-ref", "--format=%(refname) %(objectname)", f"{self._folder}/")
        pairs = (line.split(" ") for line in answer.splitlines())
        return {ref.removeprefix(f"{self._folder}/"): commit for ref, commit in pairs}

    def write(self, name: str, commit: str) -> None:
        """Point a ref at a commit. Raises VariantError if it cannot be written."""
        try:
            write_ref(Path(self._repository.common_dir), f"{self._folder}/{name}", commit)
        except OSError as error:
            raise not_written(self._repository, error) from error

    def remove(self) -> None:
        """Remove all refs; git then prunes the objects in due time. The branch stays."""
        lines = [f"delete {self._folder}/{name} {commit}\n" for name, commit in self.read().items()]
        if lines:
            git_answer(self._repository, "update-ref", "--stdin", stdin="".join(lines))
