"""Variants as git objects in the person's own repository, under refs of their own.

The person's checkout, index, stash, HEAD and branches are never touched: blobs, trees and commits are written as loose
objects, and named by refs/cockpit/SESSION/EXPERIMENT. One branch moves: cockpit/SESSION, which holds the kept changes.
"""

import difflib
import hashlib
import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import msgspec

from cockpit.core.editable_files import script_among
from cockpit.core.metric import VAL_BPB, Metric
from cockpit.core.model import Change, Value
from cockpit.core.session import Session
from cockpit.variant.code import Code, Rules, changed_code, check_texts, code_of
from cockpit.variant.editable import constants_in
from cockpit.variant.errors import VariantError, shown
from cockpit.variant.git.branches import move_branch
from cockpit.variant.git.large_files import large_files
from cockpit.variant.git.objects import Objects
from cockpit.variant.git.repository import (
    check_name,
    check_writable,
    git_answer,
    head_commit,
    open_repository,
)
from cockpit.variant.git.session_refs import SessionRefs
from cockpit.variant.git.submodules import Submodules
from cockpit.variant.git.tracked import TrackedFiles
from cockpit.variant.git.tree import (
    Entry,
    ObjectReader,
    entry_at,
    exporting,
    is_file,
    is_folder,
    outside_links,
    submodules_of,
    tree_entries,
    with_blobs,
)
from cockpit.variant.git.uncommitted import changed_on_disk, link_sentence, note_on
from cockpit.variant.imported_scripts import with_imported
from cockpit.variant.inputs import Inputs, find_inputs, is_configuration, is_outside, mentioned_paths
from cockpit.variant.line_changes import lines_changed, lines_of, text_of
from cockpit.variant.outside_paths import outside_paths
from cockpit.variant.own_python import own_python
from cockpit.variant.protected import hashes_of_protected
from cockpit.variant.syntax import SCRIPT, parse_with

PREPARE = "prepare.py"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_BASELINE = "baseline"
_BASES_KEPT = 64


class Variant(msgspec.Struct, frozen=True):
    """Code that can be run and that git stores."""

    commit: str
    train_hash: str
    """SHA-256 of the script, in hex."""
    prepare_hash: str
    """SHA-256 of prepare.py, in hex; empty if the repository has none."""
    fingerprint: str
    """Equal for two variants that differ only in comments, whitespace, docstrings or the spelling of a literal."""
    lines_added: int
    lines_removed: int
    file_hashes: dict[str, str] = {}
    """SHA-256, in hex, of the editable files beside the script, by path."""
    protected_hashes: dict[str, str] = {}
    """SHA-256, in hex, of the protected files by path, where it is the baseline."""
    note: str = ""
    """A message for the person about the variant's origin; empty for none."""


class VariantStore:
    """The variants of one session. For use by one thread.

    `repo` is a folder of a git repository, its top or one below. `files` are the paths there of the files that variants
    change; the last commit has them. `protected` are globs of the files that no variant may change. Raises
    VariantError, with one sentence that says what to do, for anything else. Opening writes nothing.
    """

    def __init__(
        self,
        repo: Path,
        session: str,
        metric: Metric = VAL_BPB,
        files: Sequence[str] = (SCRIPT,),
        protected: Sequence[str] = (),
    ) -> None:
        self._repo = open_repository(repo)
        self._start = Path(repo).resolve()
        self.files = tuple(files)
        self.script = script_among(self.files)
        self._protected = tuple(protected)
        self._top = Path(str(self._repo.working_tree_dir)).resolve()
        self.subfolder = self._start.relative_to(self._top).as_posix().removeprefix(".")
        """The path in the repository of the folder that runs start in; empty for the top."""
        self.tracked = TrackedFiles(self._repo, self.subfolder)
        self._rules = Rules(self.script, self._protected, metric)
        self._prepare = (PurePosixPath(self.script).parent / PREPARE).as_posix()
        parse_with(own_python(self._start))
        self._objects = Objects(self._repo)
        self._submodules = Submodules(self._top)
        self._refs = SessionRefs(self._repo, session)
        self._base = lru_cache(maxsize=_BASES_KEPT)(self._read_base)
        self._checked = lru_cache(maxsize=_BASES_KEPT)(self._check_source)

    @classmethod
    def of(cls, session: Session) -> "VariantStore":
        """Open the store of a session. Raises VariantError, also if its repository is gone."""
        repo = Path(session.repo)
        if not repo.is_dir():
            raise VariantError(f"The repository of session {session.name} is gone: put it back at {repo}.")
        return cls(repo, session.name, session.metric, session.editable, session.protected)

    def close(self) -> None:
        self._submodules.close()
        self._objects.close()

    def head(self) -> str:
        """Return the person's current commit, which `baseline` starts from."""
        return head_commit(self._repo)

    def check_place(self) -> None:
        """Raise VariantError for a repository that cannot be written to, or with a branch in the session's way."""
        check_writable(self._repo)
        if taken := self._refs.conflict():
            raise VariantError(taken)

    def check_baseline(self) -> None:
        """Raise the VariantError that `baseline` would raise for the current code; writes nothing."""
        self.check_place()
        head = self.head()
        on_disk = self._changed(head)
        texts = {path: text_of(path, on_disk.get(path) or self._committed(head, path)) for path in self.files}
        check_texts(texts, texts, self._rules)
        constants_in(texts)
        self._hashes_of_protected(head)

    def baseline(self, rewrite: Callable[[str], str] | None = None) -> Variant:
        """Store the current code as the session's baseline; called when a session is made.

        Later `variant` returns it again. It is the person's last commit, with the editable files and prepare.py as they
        are on disk. Where they, or other files, were changed since that commit, the note says so. `rewrite` edits the
        script.
        """
        head = self.head()
        uncommitted = self._changed(head)
        changed = dict(uncommitted)
        if rewrite is not None:
            data = changed[self.script] if self.script in changed else self._committed(head, self.script)
            changed[self.script] = rewrite(text_of(self.script, data)).encode()
        commit = head
        if changed:
            tree = self._tree_with(head, changed)
            message = "Baseline, with changes that are not committed"
            commit = self._objects.store_commit(tree, head, message, self._objects.date_of(head))
        self._check_source(commit)
        protected = self._hashes_of_protected(commit)
        self._refs.write(_BASELINE, commit)
        note = " ".join(filter(None, (self._note([*uncommitted]), self._submodule_note(commit))))
        return msgspec.structs.replace(self.variant(commit), note=note, protected_hashes=protected)

    def _hashes_of_protected(self, commit: str) -> dict[str, str]:
        """Return the SHA-256 of each protected file by path. Raises VariantError for one that cannot be protected."""
        if not self._protected:
            return {}
        tree = self._objects.tree_of(commit)
        for part in PurePosixPath(self.subfolder).parts:
            entry = entry_at(tree, PurePosixPath(part), self._objects)
            assert entry is not None
            tree = self._objects.read(entry.id, "tree")
        return hashes_of_protected(tree, self._objects, self._protected, self.files)

    def _submodule_note(self, commit: str) -> str:
        absent = self.absent_submodules(commit)
        if not absent:
            return ""
        names = ", ".join(shown(name) for name in absent[:3]) + (", …" if len(absent) > 3 else "")
        return (
            f"Not checked out, so runs get an empty folder: the submodule {names}. `git submodule update --init"
            " --recursive` brings it."
        )

    def _check_source(self, commit: str) -> None:
        texts = self._base(commit).texts
        check_texts(texts, texts, self._rules)

    def variant(self, commit: str, base_commit: str = "") -> Variant:
        """Describe a commit's code; lines are counted against `base_commit`, where one is given."""
        code = self._base(commit)
        return self._described(commit, code, self._base(base_commit).texts if base_commit else code.texts)

    def _described(self, commit: str, code: Code, base: Mapping[str, str]) -> Variant:
        changes = [lines_changed(base[path], text) for path, text in code.texts.items() if base[path] != text]
        return Variant(
            commit=commit,
            train_hash=code.hashes[self.script],
            prepare_hash=code.hashes.get(self._prepare) or self._prepare_hash(commit),
            fingerprint=code.fingerprint,
            lines_added=sum(added for added, _ in changes),
            lines_removed=sum(removed for _, removed in changes),
            file_hashes={path: digest for path, digest in code.hashes.items() if path != self.script},
        )

    def _prepare_hash(self, commit: str) -> str:
        entry = self._entry(commit, self._prepare)
        if entry is None or not is_file(entry):
            return ""
        return hashlib.sha256(self._objects.read(entry.id, "blob")).hexdigest()

    def put(self, experiment: str, base_commit: str, change: Change, message: str, *, at: float) -> Variant:
        """Store the result of `change` on `base_commit` under refs/cockpit/SESSION/`experiment`.

        Edits are applied first, then constants, then the guard checks the result; every file that is not editable is
        the base's. The same arguments give the same commit, so the call can be repeated after a crash; a ref that an
        earlier run left for `experiment` is replaced. `at` is the commit's date, seconds since the epoch. Raises
        VariantError, and stores nothing, where the change does not fit or the guard refuses the result.
        """
        check_name("an experiment", experiment)
        if experiment == _BASELINE:
            raise VariantError("An experiment cannot be called baseline: that name is reserved.")
        base = self._base(base_commit)
        if not change.edits:
            self._checked(base_commit)
        code = changed_code(base, change, self._rules)
        changed = {path: text.encode() for path, text in code.texts.items() if text != base.texts[path]}
        tree = self._tree_with(base_commit, changed)
        commit = self._objects.store_commit(tree, base_commit, message, int(at))
        self._refs.write(experiment, commit)
        return self._described(commit, code, base.texts)

    def restore(self, experiment: str, commit: str) -> None:
        """Point an experiment's ref at a commit that is already stored."""
        self._refs.write(experiment, commit)

    def texts(self, commit: str) -> dict[str, str]:
        """Return the texts of the editable files in a commit, by path."""
        return dict(self._base(commit).texts)

    def constants(self, commit: str) -> dict[str, Value]:
        """Return the constants of the editable files in a commit, by name."""
        return dict(self._base(commit).constants)

    def source(self, commit: str, path: str = "") -> str:
        """Return the text of a file in a commit, by its path from the folder that runs start in; empty for the script.

        Raises VariantError if it is missing or not UTF-8.
        """
        texts = self._base(commit).texts
        known = path or self.script
        return texts[known] if known in texts else text_of(known, self._committed(commit, known))

    def diff(self, a_commit: str, b_commit: str) -> str:
        """Return the unified diff of the editable files from `a_commit` to `b_commit`; empty if they are equal."""
        before, after = self._base(a_commit).texts, self._base(b_commit).texts
        lines = [
            line
            for path in self.files
            for line in difflib.unified_diff(lines_of(before[path]), lines_of(after[path]), f"a/{path}", f"b/{path}")
        ]
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def outside_links(self, commit: str) -> dict[str, str]:
        """Return the symbolic links in a commit that point outside the repository: path to absolute target."""
        found = outside_links(self._objects.tree_of(commit), self._objects)
        return {path: os.path.normpath(self._top / Path(path).parent / target) for path, target in found.items()}

    def large_files(self, commit: str) -> dict[str, str]:
        """Return the files of a commit that Git LFS stores: path to the absolute path of its content.

        Raises VariantError for one whose content is not here.
        """
        return large_files(self._repo, self._objects, commit)

    def absent_submodules(self, commit: str) -> list[str]:
        """List the submodules of a commit, and theirs, that are not checked out: a run gets empty folders for them.

        Raises VariantError for one that does not have its recorded commit.
        """
        return [*self._absent(self._objects, self._objects.tree_of(commit), PurePosixPath())]

    def _absent(self, objects: ObjectReader, tree: bytes, path: PurePosixPath) -> Iterator[str]:
        for at, commit in submodules_of(tree, objects):
            found = self._submodules.read(path / at, commit)
            if found is None:
                yield (path / at).as_posix()
            else:
                yield from self._absent(*found, path / at)

    def scripts(self, commit: str) -> dict[str, str]:
        """Return the Python files beside the script in a commit, and the editable ones: path to text."""
        folder = PurePosixPath(self.script).parent
        tree = self._objects.tree_of(commit)
        if (self._at(self.script).parent).parts:
            holder = entry_at(tree, self._at(self.script).parent, self._objects)
            assert holder is not None
            tree = self._objects.read(holder.id, "tree")
        beside = [
            (folder / entry.name.decode()).as_posix()
            for entry in tree_entries(tree)
            if entry.name.endswith(b".py") and is_file(entry)
        ]
        paths = dict.fromkeys([*beside, *(path for path in self.files if path.endswith(".py"))])
        return {path: self.source(commit, path) for path in paths}

    def inputs(self, commit: str, command: Sequence[str] = ()) -> Inputs:
        """Return the inputs of a run in the person's checkout that git does not store. The Python files beside the
        script name them, and those that these import, the configurations beside it and among the editable files, and
        the words of the command.
        """
        words = ("ls-files", "--others", "--directory", "--no-empty-directory", "-z")
        listed = git_answer(self._repo, "-C", str(self._start), *words)
        unstored = [path.rstrip("/") for path in listed.split("\0") if path]
        links = self.outside_links(commit).items()
        broken = [os.path.relpath(self._top / path, self._start) for path, at in links if not Path(at).exists()]
        said = mentioned_paths(self._configurations(commit), command)
        scripts = with_imported(self.scripts(commit), lambda path: self._text(commit, path))
        found = find_inputs([*unstored, *broken], scripts, said, lambda path: (self._start / path).is_file())
        missing = tuple(path for path in found.data if path in broken)
        found = found._replace(missing=missing, data=tuple(path for path in found.data if path not in broken))
        starts = self._start, (self._start / self.script).parent
        above = tuple(path for path in found.above if is_outside(path, starts, self._top))
        return found._replace(above=above, absolute=outside_paths(found.absolute, self._top))

    def _configurations(self, commit: str) -> Iterator[bytes]:
        """Yield the configurations beside the script, and the editable ones."""
        beside = (self._start / self.script).parent.glob("*")
        on_disk = (path.relative_to(self._start).as_posix() for path in beside)
        for path in sorted({*filter(is_configuration, on_disk), *filter(is_configuration, self.files)}):
            if (entry := self._entry(commit, path)) and is_file(entry):
                yield self._objects.read(entry.id, "blob")

    def export(self, commit: str, folder: Path, links: Mapping[str, str] = MappingProxyType({})) -> None:
        """Write the whole tree of a commit at once, as `exporting` does in steps. Raises VariantError."""
        for _ in self.exporting(commit, folder, links):
            pass

    def exporting(
        self, commit: str, folder: Path, links: Mapping[str, str] = MappingProxyType({})
    ) -> Generator[int, None, None]:
        """Write the whole tree of a commit into `folder`, which appears only once it is complete.

        Yields the bytes of each file once it is written. `links` gives the targets of symbolic links that may point
        outside the repository, by path.

        Raises VariantError if `folder` exists, or if a name or a symbolic link in the tree would reach out of it.
        """
        try:
            yield from exporting(self._objects.tree_of(commit), self._objects, folder, links, self._submodules.read)
        except OSError as error:
            error.filename = error.filename or str(folder)
            raise VariantError(f"Commit {commit[:12]} cannot be written to {folder}: {error.strerror}.") from error

    def advance(self, commit: str) -> str:
        """Move the branch cockpit/SESSION to a kept commit. Returns a sentence where it was not moved, else ''.

        It is not moved where the person has it checked out, or has added a commit to it.
        """
        known = set(self._refs.read().values())
        self._objects.date_of(commit)  # raises for a commit that is missing or damaged
        problem = move_branch(self._repo, self._refs.branch, commit, known.__contains__)
        return f"{problem}; {commit[:12]} was kept." if problem else ""

    def commit_texts(self, parent: str, texts: Mapping[str, str], message: str, at: float) -> str:
        """Store a commit on `parent` with these editable files and its other files. It has no ref yet."""
        tree = self._tree_with(parent, {path: text.encode() for path, text in texts.items()})
        return self._objects.store_commit(tree, parent, message, int(at))

    def commit_code(self, parent: str, code: str, message: str, at: float) -> str:
        """Store a commit on `parent` with all files of the commit `code`. It has no ref yet."""
        return self._objects.store_commit(self._objects.tree_name(code), parent, message, int(at))

    def same_code(self, one: str, other: str) -> bool:
        """Return True if two commits have the same files."""
        return self._objects.tree_name(one) == self._objects.tree_name(other)

    def point_review(self, branch: str, commit: str) -> str:
        """Point a branch for review at a commit of this store. Returns a sentence where it was not moved, else ''.

        It is not moved where the person has it checked out, or has added a commit to it.
        """
        self._objects.date_of(commit)  # raises for a commit that is missing or damaged
        return move_branch(self._repo, branch, commit, self._objects.is_own)

    def note(self, commit: str, text: str) -> None:
        """Note a line on a commit, under refs/notes/cockpit: `git log --notes=cockpit` shows it. Raises VariantError.

        The commit itself was stored before the experiment ran, and stays as it is.
        """
        who = ("-c", "user.name=cockpit", "-c", "user.email=cockpit@localhost")
        git_answer(self._repo, *who, "notes", "--ref=cockpit", "add", "-f", "-m", text, commit)

    def experiments(self) -> dict[str, str]:
        """Return experiment -> commit for every stored experiment."""
        return {name: commit for name, commit in self._refs.read().items() if name != _BASELINE}

    def forget(self) -> None:
        """Remove the session's refs, the baseline's included. The branch with the kept changes stays."""
        self._refs.remove()

    def _changed(self, commit: str) -> dict[str, bytes]:
        """Return the bytes of those editable files, and of prepare.py, that differ on disk from the commit, by path."""
        found = {
            path: changed_on_disk(
                self._start / path,
                self._entry(commit, path),
                lambda blob: self._objects.read(blob, "blob"),
                optional=path not in self.files,
            )
            for path in dict.fromkeys((*self.files, self._prepare))
        }
        return {path: data for path, data in found.items() if data is not None}

    def _note(self, stored: list[str]) -> str:
        """Return the sentences about uncommitted changes; `stored` are the files taken from disk."""
        taken = {self._at(path).as_posix() for path in (*self.files, self._prepare)}
        status = git_answer(self._repo, "status", "--porcelain", "--untracked-files=no")
        return note_on(status, stored, taken, self.script)

    def _read_base(self, commit: str) -> Code:
        return code_of({path: text_of(path, self._committed(commit, path)) for path in self.files})

    def _committed(self, commit: str, path: str) -> bytes:
        """Return the bytes of a file in a commit. Raises VariantError if there is none."""
        entry = self._entry(commit, path)
        if entry is None or not is_file(entry):
            folder = self._at(path).parent
            where = f"in {folder}" if folder.parts else "at the top"
            raise VariantError(f"There is no file {shown(PurePosixPath(path).name)} {where} of commit {commit[:12]}.")
        return self._objects.read(entry.id, "blob")

    def _text(self, commit: str, path: str) -> str | None:
        """Return the text of a file in a commit; None if there is none."""
        entry = entry_at(self._objects.tree_of(commit), self._at(path), self._objects)
        if entry is None or not is_file(entry):
            return None
        return self._objects.read(entry.id, "blob").decode("utf-8", "replace")

    def _entry(self, commit: str, path: str) -> Entry | None:
        """Return the entry of a file in a commit, by its path from the folder that runs start in."""
        if not _COMMIT.fullmatch(commit):
            raise VariantError(f"{shown(commit)} is not the full name of a commit.")
        root = self._objects.tree_of(commit)
        folder = self._at(path).parent
        if path in self.files and folder.parts:
            holder = entry_at(root, folder, self._objects)
            if holder is None or not is_folder(holder):
                raise VariantError(
                    link_sentence(self._start, path)
                    or f"There is no folder {folder} in commit {commit[:12]} of {self._top}: run `git add {folder}`"
                    " and `git commit` there."
                )
        return entry_at(root, self._at(path), self._objects)

    def _at(self, path: str) -> PurePosixPath:
        """Return the path in the repository of a path from the folder that runs start in."""
        return PurePosixPath(self.subfolder) / path

    def _tree_with(self, commit: str, files: Mapping[str, bytes]) -> str:
        """Store the top tree of `commit` with the contents of some files replaced. Returns its name."""
        blobs = {self._at(path): self._objects.store("blob", data) for path, data in files.items()}
        return with_blobs(self._objects.tree_of(commit), blobs, self._objects)
