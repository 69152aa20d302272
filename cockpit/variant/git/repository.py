"""Open the person's git repository, query it through git, and write refs."""

import errno
import os
import re
import subprocess
from pathlib import Path

import git
from git.exc import InvalidGitRepositoryError, NoSuchPathError

from cockpit.variant.errors import VariantError, shown

_SAFE_DIRECTORY = re.compile(r"git config --global --add safe\.directory .*")
"""The remedy in git's own words."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
GIT_WITHIN_S = 120.0
"""Seconds in which git answers. One that is stopped, or waits for a disk or a remote, is ended after them."""
REF_TRIES = 10
_FIRST_COMMIT = "`git add` on its code, then `git commit`"


def open_repository(folder: Path) -> git.Repo:
    """Open the repository that holds `folder`: a clone, a linked work tree or a submodule.

    Raises VariantError if there is no repository, for a bare one, one of another user, one without a commit, and for
    formats that cannot be read here (SHA-256 names, refs in a reftable).
    """
    try:
        repository = git.Repo(folder, search_parent_directories=True, expand_vars=False)
    except NoSuchPathError:
        raise VariantError(f"There is no folder {folder}; name a git repository with --repo.") from None
    except InvalidGitRepositoryError:
        raise VariantError(f"{folder} is not a git repository: run `git init`, {_FIRST_COMMIT}.") from None
    except (OSError, ValueError) as error:
        raise VariantError(f"The git repository {folder} cannot be opened: {git_message(error)}.") from error
    if repository.bare or repository.working_tree_dir is None:
        raise VariantError(f"{folder} is a bare git repository: clone it, and name the clone with --repo.")
    top = Path(repository.working_tree_dir).resolve()
    if refusal := ownership_problem(top):
        raise VariantError(refusal)
    config = repository.config_reader("repository")
    if str(config.get_value("extensions", "objectformat", "sha1")).lower() != "sha1":
        raise VariantError(f"{folder} names its objects by SHA-256, which is not supported: use a SHA-1 repository.")
    if str(config.get_value("extensions", "refstorage", "files")).lower() != "files":
        raise VariantError(f"{folder} keeps its refs in a reftable: run `git refs migrate --ref-format=files` there.")
    repository.git.update_environment(
        GIT_DIR=str(repository.git_dir),
        GIT_WORK_TREE=str(top),
        GIT_OBJECT_DIRECTORY=str(Path(repository.common_dir) / "objects"),
        GIT_NO_REPLACE_OBJECTS="1",
    )
    head_commit(repository)
    return repository


def ownership_problem(folder: Path) -> str:
    """Return the refusal and the remedy where git refuses a repository that belongs to another user; else ''.

    Only git itself knows: its rules depend on its version, its configuration and the file system.
    """
    command = ["git", "-C", str(folder), "rev-parse", "--git-dir"]
    environment = {name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE")}
    try:
        environment |= {"LC_ALL": "C"}
        done = subprocess.run(command, capture_output=True, env=environment, check=False, timeout=GIT_WITHIN_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    remedy = _SAFE_DIRECTORY.search(os.fsdecode(done.stderr))
    if done.returncode == 0 or remedy is None:
        return ""
    said = remedy[0] if remedy[0].isprintable() else shown(remedy[0], limit=300)
    return f"{folder} belongs to another user, and git refuses it. If you trust it: `{said}`."


def is_partial_clone(repository: git.Repo) -> bool:
    """Return True if git fetches objects of this repository from a remote when they are first read."""
    config = repository.config_reader("repository")
    remotes = (name for name in config.sections() if name.startswith("remote "))
    return any(config.get_value(name, "promisor", False) for name in remotes)


def head_commit(repository: git.Repo) -> str:
    """Return the full name of the person's current commit. Raises VariantError if there is no commit yet."""
    try:
        return git.SymbolicReference.dereference_recursive(repository, "HEAD")
    except ValueError:
        raise VariantError(f"{repository.working_tree_dir} has no commit yet: run {_FIRST_COMMIT}.") from None


def git_answer(repository: git.Repo, *arguments: str, stdin: str = "") -> str:
    """Return the output of `git ARGUMENTS`. Starts a process, so it is for rare calls. Raises VariantError if it
    fails."""
    withheld = ("GIT_", "ANTHROPIC_")  # the repository's own filters must not see a key
    environment = {name: value for name, value in os.environ.items() if not name.startswith(withheld)}
    environment |= {
        "GIT_OPTIONAL_LOCKS": "0",  # `git status` must not rewrite the person's index file
        "GIT_COMMITTER_NAME": "cockpit",
        "GIT_COMMITTER_EMAIL": "cockpit@localhost",
        "LC_ALL": "C",
    }
    # A person's hooks are about the person's own commits: one that refuses would keep a branch from moving.
    command = ["git", "-c", f"core.hooksPath={os.devnull}", "-C", str(repository.working_tree_dir), *arguments]
    try:
        done = subprocess.run(
            command, input=os.fsencode(stdin), capture_output=True, env=environment, check=True, timeout=GIT_WITHIN_S
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise VariantError(
            f"`git {arguments[0]}` failed in {repository.working_tree_dir}: {git_message(error)}."
        ) from error
    return os.fsdecode(done.stdout)


def not_written(repository: git.Repo, error: OSError) -> VariantError:
    """Return the error for an object or a ref that could not be written."""
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "make room" if is_full else "give write access, or clone it elsewhere and name the clone with --repo"
    return VariantError(f"Nothing could be stored in {repository.common_dir} ({git_message(error)}): {remedy}.")


def check_writable(repository: git.Repo) -> None:
    """Raise VariantError for a repository that cannot be written to, such as one on a read-only disk."""
    common = Path(repository.common_dir)
    for folder in (common / "objects", common / "refs"):
        if not os.access(folder, os.W_OK):
            is_read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
            code = errno.EROFS if is_read_only else errno.EACCES
            raise not_written(repository, OSError(code, os.strerror(code)))


def git_message(error: Exception) -> str:
    """Return what git, or the system, reported, in one line."""
    if isinstance(error, subprocess.CalledProcessError):
        lines = os.fsdecode(error.stderr).strip().splitlines()
        said = [line for line in lines if line.startswith(("fatal: ", "error: "))] or lines[-1:]
        return shown(said[0], limit=200) if said else f"it ended with {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it has not answered within {error.timeout:g} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return shown(str(error), limit=200) if str(error) else type(error).__name__


def write_ref(common_folder: Path, ref: str, commit: str) -> None:
    """Point `ref` at `commit` in one step, as git does: a lock file beside it, then a rename.

    An existing lock is left over from a crash, or is that of another command that makes a session of this name and is
    about to rename it. Raises OSError.
    """
    path = common_folder / ref
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f"{path.name}.lock")
    for left in reversed(range(REF_TRIES)):
        lock.write_text(f"{commit}\n", encoding="ascii")
        try:
            lock.replace(path)
            return
        except FileNotFoundError:
            if not left:
                raise


def check_name(what: str, name: str) -> None:
    """Raise VariantError for a name that cannot be a part of a ref."""
    if not _NAME.fullmatch(name) or ".." in name or name.endswith((".", ".lock")):
        raise VariantError(f"{shown(name)} cannot name {what}: use letters, digits, '-', '_' and single dots.")
