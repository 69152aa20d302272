"""Make and move Cockpit's branches in the person's repository: one with the kept changes, one for review."""

from collections.abc import Callable

import git

from cockpit.variant.git.repository import git_answer


def branch_conflict(repository: git.Repo, branch: str, own_refs: str) -> str:
    """Return why a new session cannot use the branch `cockpit/SESSION`, with the remedy; empty if it can.

    A branch of that name is an earlier session's where `own_refs` exist.
    """
    above = branch.partition("/")[0]
    words = ("for-each-ref", "--format=%(refname)", f"refs/heads/{above}", own_refs)
    found = git_answer(repository, *words).splitlines()
    if f"refs/heads/{above}" in found:
        return (
            f"The branch {above} keeps git from making the branch {branch}: `git branch -m {above} OTHER` renames it."
        )
    place = f"refs/heads/{branch}"
    taken = next((ref for ref in found if ref == place or ref.startswith(f"{place}/")), "")
    if not taken or any(ref.startswith(f"{own_refs}/") for ref in found):
        return ""
    name = taken.removeprefix("refs/heads/")
    return f"There is a branch {name} already: name another session, or rename it with `git branch -m {name} OTHER`."


def move_branch(repository: git.Repo, branch: str, commit: str, is_own: Callable[[str], bool]) -> str:
    """Move a branch from one of Cockpit's commits to another. Returns why it was not moved, else ''."""
    ref = f"refs/heads/{branch}"
    if ref in _checked_out(repository):
        return f"The branch {branch} is checked out, so it was not moved"
    tips = git_answer(repository, "for-each-ref", "--format=%(objectname)", ref).split()
    if tips and not is_own(tips[0]):
        return f"The branch {branch} has commits that are not this session's, so it was not moved"
    git_answer(repository, "update-ref", "-m", "cockpit: keep", ref, commit, tips[0] if tips else "0" * 40)
    return ""


def _checked_out(repository: git.Repo) -> set[str]:
    """Return the branches that are checked out here and in other work trees."""
    answer = git_answer(repository, "worktree", "list", "--porcelain")
    return {line.removeprefix("branch ") for line in answer.splitlines() if line.startswith("branch ")}
