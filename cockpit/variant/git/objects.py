"""Read and write git objects of a repository without one process per object.

One `git cat-file` process stays open for reading, because only git itself reads every kind of repository. Objects are
written as loose objects. GitPython supplies both: `Repo.git.get_object_data` keeps that process, and gitdb writes loose
objects with git's own compression and permissions.
"""

import contextlib
import os
import re
import threading
from collections import OrderedDict
from io import BytesIO
from pathlib import Path

import git
from gitdb import IStream, LooseObjectDB

from cockpit.variant.errors import VariantError
from cockpit.variant.git.repository import GIT_WITHIN_S, is_partial_clone, not_written, ownership_problem

_WHO = "cockpit <cockpit@localhost>"
KEPT = 256
"""Objects kept in memory, the last used, each of at most KEPT_BYTES."""
KEPT_BYTES = 64 << 10


class Objects:
    """Objects named by their SHA-1, in hex."""

    def __init__(self, repository: git.Repo) -> None:
        self._repository = repository
        self._known: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
        self._loose = LooseObjectDB(str(Path(repository.common_dir) / "objects"))

    def read(self, object_id: str, kind: str) -> bytes:
        """Return the bytes of a `blob`, `tree` or `commit`. Raises VariantError if none of that kind exists."""
        known = self._known.get(object_id)
        if known is not None and known[0] == kind:
            self._known.move_to_end(object_id)
            return known[1]
        try:
            found, data = self._read(object_id)
        except (ValueError, OSError):
            # A signal to the whole process group may have ended git; a new process shows if the object is missing.
            self._repository.git.clear_cache()
            try:
                found, data = self._read(object_id)
            except (ValueError, OSError) as error:
                raise self._not_found(kind, object_id) from error
        if found != kind:
            raise VariantError(f"{object_id[:12]} is a {found}, not a {kind}; give the name of a {kind}.")
        self._keep(object_id, kind, data)
        return data

    def _not_found(self, kind: str, object_id: str) -> VariantError:
        """Return the error for an object that git cannot give, with git's own remedy."""
        where = self._repository.working_tree_dir
        if refusal := ownership_problem(Path(str(where))):
            return VariantError(refusal)
        if is_partial_clone(self._repository):
            return VariantError(
                f"The {kind} {object_id[:12]} is not in the partial clone {where}, and its remote does not give it: run"
                " `git fetch --refetch --no-filter` there."
            )
        return VariantError(f"The {kind} {object_id[:12]} is not in {where}, or is damaged; run `git fsck` there.")

    def _keep(self, object_id: str, kind: str, data: bytes) -> None:
        """Cache an object: it never changes under its name, and a variant is read right after it was stored."""
        if len(data) <= KEPT_BYTES:
            self._known[object_id] = (kind, data)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)

    def _read(self, object_id: str) -> tuple[str, bytes]:
        """Ask the open git process. One that does not answer in time is killed, which ends the read with an error."""
        late = threading.Timer(GIT_WITHIN_S, self._kill_git)
        late.daemon = True
        with contextlib.suppress(RuntimeError):  # no thread is left: git answers nevertheless
            late.start()
        try:
            _, kind, _, data = self._repository.git.get_object_data(object_id)
        finally:
            late.cancel()
        return os.fsdecode(kind), data  # bytes, although it is annotated as str

    def _kill_git(self) -> None:
        """End the open git process. A stopped one takes no milder signal, and would be waited for without end."""
        process = self._repository.git.cat_file_all
        if process is not None and (running := process.proc) is not None:
            running.kill()

    def tree_of(self, commit: str) -> bytes:
        """Return the top tree of a commit. Raises VariantError."""
        return self.read(self.tree_name(commit), "tree")

    def tree_name(self, commit: str) -> str:
        """Return the name of the top tree of a commit. Raises VariantError."""
        return self._in_header(commit, rb"tree ([0-9a-f]{40})")

    def date_of(self, commit: str) -> int:
        """Return a commit's date, seconds since the epoch. Raises VariantError."""
        return int(self._in_header(commit, rb"committer .* (\d+) [+-]\d+"))

    def is_own(self, commit: str) -> bool:
        """Return True if Cockpit made a commit, by the committer that `store_commit` gives."""
        return f"\ncommitter {_WHO} ".encode() in self._header(commit)

    def _header(self, commit: str) -> bytes:
        return self.read(commit, "commit").partition(b"\n\n")[0]

    def _in_header(self, commit: str, line: bytes) -> str:
        """Return the group of a line of a commit's header. Raises VariantError if it lacks the line."""
        found = re.search(rb"^" + line + rb"$", self._header(commit), re.MULTILINE)
        if found is None:
            raise VariantError(
                f"Commit {commit[:12]} is damaged; run `git fsck` in {self._repository.working_tree_dir}."
            )
        return found[1].decode()

    def close(self) -> None:
        self._kill_git()
        self._repository.close()

    def store(self, kind: str, data: bytes) -> str:
        """Store an object and return its name. Raises VariantError if it cannot be written."""
        try:
            stored = self._loose.store(IStream(kind.encode(), len(data), BytesIO(data)))
        except OSError as error:
            raise not_written(self._repository, error) from error
        name: str = stored.hexsha.decode()
        self._keep(name, kind, data)
        return name

    def store_commit(self, tree: str, parent: str, message: str, time_s: int) -> str:
        """Store a commit that is identical wherever and whenever it is made."""
        text = message.replace("\0", "").strip()
        when = f"{_WHO} {time_s} +0000"
        header = f"tree {tree}\nparent {parent}\nauthor {when}\ncommitter {when}"
        return self.store("commit", f"{header}\n\n{text}\n".encode("utf-8", "replace"))
