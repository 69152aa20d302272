"""Variants as git objects in the person's own repository, under refs of their own.

The person's checkout, index, stash, HEAD and branches are never touched: blobs, trees and commits are written as loose
objects, and named by refs/cockpit/SESSION/EXPERIMENT. One branch moves: cockpit/SESSION, which holds the kept changes.
"""

import difflib
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import msgspec

from cockpit.core.metric import VAL_BPB, Metric
from cockpit.core.model import Change, Value
from cockpit.variant.constants import accepted_values, find_constants, set_constants
from cockpit.variant.edits import apply_edits
from cockpit.variant.errors import VariantError, shown
from cockpit.variant.fingerprint import combine, fingerprint, outline
from cockpit.variant.guard import check_variant, names_metric
from cockpit.variant.inputs import Inputs, find_inputs
from cockpit.variant.large_files import large_files
from cockpit.variant.line_changes import lines_changed, lines_of, text_of
from cockpit.variant.objects import Objects
from cockpit.variant.own_python import own_python
from cockpit.variant.repository import check_name, git_answer, head_commit, not_written, open_repository, write_ref
from cockpit.variant.submodules import Submodules
from cockpit.variant.syntax import check_text, judge_with
from cockpit.variant.tree import (
    Entry,
    ObjectReader,
    export_tree,
    is_file,
    is_folder,
    outside_links,
    replace_entries,
    submodules_of,
    tree_entries,
)

TRAIN = "train.py"
PREPARE = "prepare.py"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_BASELINE = "baseline"
_BASES_KEPT = 64


class Variant(msgspec.Struct, frozen=True):
    """Code that can be run and that git stores."""

    commit: str
    train_hash: str
    """SHA-256 of train.py, in hex."""
    prepare_hash: str
    """SHA-256 of prepare.py, in hex; empty where the repository has none."""
    fingerprint: str
    """Equal for two variants that differ only in comments, whitespace, docstrings or the spelling of a literal."""
    lines_added: int
    lines_removed: int
    note: str = ""
    """A message for the person about the variant's origin; empty for none."""


class _Base(msgspec.Struct, frozen=True):
    """A commit in the form that new variants are made from."""

    tree: bytes
    entries: dict[bytes, Entry]
    source: str
    constants: dict[str, Value]
    outline: str
    train_hash: str
    prepare_hash: str


class VariantStore:
    """The variants of one session. For use by one thread.

    `repo` is a folder of a git repository, its top or one below. `script` is the path there of the file that variants
    change, and the last commit has it. Raises VariantError, with one sentence that says what to do, for anything else.
    Opening writes nothing.
    """

    def __init__(self, repo: Path, session: str, metric: Metric = VAL_BPB, script: str = TRAIN) -> None:
        check_name("a session", session)
        self._repo = open_repository(repo)
        self._start = Path(repo).resolve()
        self._folder = self._start / PurePosixPath(script).parent
        self._script = script
        self._name = PurePosixPath(script).name
        self._top = Path(str(self._repo.working_tree_dir)).resolve()
        self.subfolder = self._start.relative_to(self._top).as_posix().removeprefix(".")
        """The path in the repository of the folder that runs start in; empty for the top."""
        self._place = PurePosixPath(self.subfolder) / PurePosixPath(script).parent
        """The path in the repository of the folder that holds the script."""
        judge_with(own_python(self._start))
        self._objects = Objects(self._repo)
        self._submodules = Submodules(self._top)
        self._metric = metric
        self._refs = f"refs/cockpit/{session}"
        self._branch = f"cockpit/{session}"
        self._base = lru_cache(maxsize=_BASES_KEPT)(self._read_base)
        self._checked = lru_cache(maxsize=_BASES_KEPT)(self._check_source)

    def close(self) -> None:
        self._submodules.close()
        self._repo.close()

    def head(self) -> str:
        """Return the person's current commit, which `baseline` starts from."""
        return head_commit(self._repo)

    def check_baseline(self) -> None:
        """Raise the VariantError that `baseline` would raise for the current code; writes nothing."""
        _, entries, _ = self._read_tree(self.head())
        name = self._name.encode()
        data = self._changed(entries).get(name)
        source = text_of(self._script, self._objects.read(entries[name].id, "blob") if data is None else data)
        check_variant(source, self._contract(source))

    def baseline(self, rewrite: Callable[[str], str] | None = None) -> Variant:
        """Store the current code as the session's baseline; called when a session is made.

        Later `variant` returns it again. It is the person's last commit, with train.py and prepare.py as they are on
        disk. Where they, or other files, were changed since that commit, the note says so. `rewrite` edits train.py.
        """
        head = self.head()
        tree, entries, time_s = self._read_tree(head)
        uncommitted = self._changed(entries)
        changed = dict(uncommitted)
        if rewrite is not None:
            name = self._name.encode()
            data = changed[name] if name in changed else self._objects.read(entries[name].id, "blob")
            changed[name] = rewrite(text_of(self._script, data)).encode()
        commit = head
        if changed:
            blobs = {name: self._objects.store("blob", data) for name, data in changed.items()}
            tree_id = self._root_with(head, self._objects.store("tree", replace_entries(tree, entries, blobs)))
            commit = self._objects.store_commit(tree_id, head, "Baseline, with changes that are not committed", time_s)
        self._check_source(commit)
        self._write_ref(_BASELINE, commit)
        note = " ".join(filter(None, (self._note([*uncommitted]), self._submodule_note(commit))))
        return msgspec.structs.replace(self.variant(commit), note=note)

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
        source = self._base(commit).source
        check_variant(source, self._contract(source))

    def _contract(self, base_source: str) -> str:
        """Return the name that a variant must print; empty where its base's train.py does not print it either."""
        read_otherwise = self._metric.pattern or self._metric.score_command
        name = "" if read_otherwise else self._metric.name
        return name if name == VAL_BPB.name or names_metric(base_source, name) else ""

    def variant(self, commit: str, base_commit: str = "") -> Variant:
        """Describe a commit's code; lines are counted against `base_commit`, where one is given."""
        code = self._base(commit)
        added, removed = lines_changed(self._base(base_commit).source if base_commit else code.source, code.source)
        return Variant(
            commit=commit,
            train_hash=code.train_hash,
            prepare_hash=code.prepare_hash,
            fingerprint=combine(code.outline, code.constants),
            lines_added=added,
            lines_removed=removed,
        )

    def put(self, experiment: str, base_commit: str, change: Change, message: str, *, at: float) -> Variant:
        """Store the result of `change` on `base_commit` under refs/cockpit/SESSION/`experiment`.

        Edits are applied first, then constants, then the guard checks the result; every file but train.py is the
        base's. The same arguments give the same commit, so the call can be repeated after a crash; a ref that an
        earlier run left for `experiment` is replaced. `at` is the commit's date, seconds since the epoch. Raises
        VariantError, and stores nothing, where the change does not fit or the guard refuses the result.
        """
        check_name("an experiment", experiment)
        if experiment == _BASELINE:
            raise VariantError("An experiment cannot be called baseline: that name is reserved.")
        base = self._base(base_commit)
        edited = apply_edits(base.source, change.edits)
        values = accepted_values(edited, change.constants)
        source = set_constants(edited, values)
        contract = self._contract(base.source)
        printed = contract and any(names_metric(str(base.constants.get(name)), contract) for name in values)
        if change.edits or printed:
            check_variant(source, contract)
            code = fingerprint(source)
        else:
            self._checked(base_commit)
            check_text(source)
            code = combine(base.outline, {**base.constants, **values})
        data = source.encode()
        added, removed = lines_changed(base.source, source)
        blob = self._objects.store("blob", data)
        tree = self._objects.store("tree", replace_entries(base.tree, base.entries, {self._name.encode(): blob}))
        commit = self._objects.store_commit(self._root_with(base_commit, tree), base_commit, message, int(at))
        self._write_ref(experiment, commit)
        return Variant(
            commit=commit,
            train_hash=hashlib.sha256(data).hexdigest(),
            prepare_hash=base.prepare_hash,
            fingerprint=code,
            lines_added=added,
            lines_removed=removed,
        )

    def restore(self, experiment: str, commit: str) -> None:
        """Point an experiment's ref at a commit that is already stored."""
        self._write_ref(experiment, commit)

    def source(self, commit: str, path: str = TRAIN) -> str:
        """Return the text of a file at the top of a commit's tree. Raises VariantError where it is missing or not
        UTF-8."""
        if path in (TRAIN, self._script):
            return self._base(commit).source
        entry = self._read_tree(commit)[1].get(path.encode())
        if entry is None or not is_file(entry):
            raise VariantError(f"There is no file {shown(path)} at the top of commit {commit[:12]}.")
        return text_of(path, self._objects.read(entry.id, "blob"))

    def diff(self, a_commit: str, b_commit: str) -> str:
        """Return the unified diff of train.py from `a_commit` to `b_commit`; empty where they are equal."""
        before = lines_of(self.source(a_commit))
        after = lines_of(self.source(b_commit))
        lines = difflib.unified_diff(before, after, f"a/{self._script}", f"b/{self._script}")
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

    def is_tracked(self, path: str) -> bool:
        """Tell if git stores the file at this path below the folder of the repository."""
        return bool(git_answer(self._repo, "ls-files", "--", (PurePosixPath(self.subfolder) / path).as_posix()))

    def scripts(self, commit: str) -> dict[str, str]:
        """Return the Python files at the top of a commit: name to text."""
        return {
            name.decode(): self.source(commit, name.decode())
            for name, entry in self._read_tree(commit)[1].items()
            if name.endswith(b".py") and is_file(entry)
        }

    def inputs(self, commit: str) -> Inputs:
        """Return what the Python files at the top of a commit need of the person's checkout that git does not store."""
        words = ("ls-files", "--others", "--directory", "--no-empty-directory", "-z")
        listed = git_answer(self._repo, "-C", str(self._start), *words)
        return find_inputs((path.rstrip("/") for path in listed.split("\0") if path), self.scripts(commit))

    def export(self, commit: str, folder: Path, links: Mapping[str, str] = MappingProxyType({})) -> None:
        """Write the whole tree of a commit into `folder`, which appears only once it is complete.

        `links` gives the targets of symbolic links that may point outside the repository, by path.

        Raises VariantError where `folder` exists, or where a name or a symbolic link in the tree would reach out of it.
        """
        try:
            export_tree(self._objects.tree_of(commit), self._objects, folder, links, self._submodules.read)
        except OSError as error:
            error.filename = error.filename or str(folder)
            raise VariantError(f"Commit {commit[:12]} cannot be written to {folder}: {error.strerror}.") from error

    def advance(self, commit: str) -> str:
        """Move the branch cockpit/SESSION to a kept commit. Returns a sentence where it was not moved, else ''.

        It is not moved where the person has it checked out, or has added a commit to it.
        """
        known = {*self.experiments().values(), *self._read_refs().values()}
        problem = self._move_branch(self._branch, commit, known.__contains__)
        return f"{problem}; {commit[:12]} was kept." if problem else ""

    def commit_train(self, parent: str, source: str, message: str, at: float) -> str:
        """Store a commit on `parent` with this train.py and its other files. It has no ref yet."""
        base = self._base(parent)
        blob = self._objects.store("blob", source.encode())
        tree = replace_entries(base.tree, base.entries, {self._name.encode(): blob})
        root = self._root_with(parent, self._objects.store("tree", tree))
        return self._objects.store_commit(root, parent, message, int(at))

    def commit_code(self, parent: str, code: str, message: str, at: float) -> str:
        """Store a commit on `parent` with all files of the commit `code`. It has no ref yet."""
        return self._objects.store_commit(self._tree_name(code), parent, message, int(at))

    def same_code(self, one: str, other: str) -> bool:
        """Tell if two commits have the same files."""
        return self._tree_name(one) == self._tree_name(other)

    def point_review(self, branch: str, commit: str) -> str:
        """Point a branch for review at a commit of this store. Returns a sentence where it was not moved, else ''.

        It is not moved where the person has it checked out, or has added a commit to it.
        """
        return self._move_branch(branch, commit, self._is_own)

    def _is_own(self, commit: str) -> bool:
        """Tell if a commit was made by Cockpit, by the committer that `store_commit` gives."""
        header = self._objects.read(commit, "commit").partition(b"\n\n")[0]
        return re.search(rb"^committer cockpit <cockpit@localhost> ", header, re.MULTILINE) is not None

    def _move_branch(self, branch: str, commit: str, is_own: Callable[[str], bool]) -> str:
        """Move a branch from one of Cockpit's commits to another. Returns why it was not moved, else ''."""
        self._read_tree(commit)
        ref = f"refs/heads/{branch}"
        if ref in self._checked_out():
            return f"The branch {branch} is checked out, so it was not moved"
        tips = git_answer(self._repo, "for-each-ref", "--format=%(objectname)", ref).split()
        if tips and not is_own(tips[0]):
            return f"The branch {branch} has commits that are not this session's, so it was not moved"
        git_answer(self._repo, "update-ref", "-m", "cockpit: keep", ref, commit, tips[0] if tips else "0" * 40)
        return ""

    def _tree_name(self, commit: str) -> str:
        header = self._objects.read(commit, "commit").partition(b"\n\n")[0]
        found = re.search(rb"^tree ([0-9a-f]{40})$", header, re.MULTILINE)
        if found is None:
            raise VariantError(f"Commit {commit[:12]} is damaged; run `git fsck` in {self._folder}.")
        return found[1].decode()

    def note(self, commit: str, text: str) -> None:
        """Note a line on a commit, under refs/notes/cockpit: `git log --notes=cockpit` shows it. Raises VariantError.

        The commit itself was stored before the experiment ran, and stays as it is.
        """
        who = ("-c", "user.name=cockpit", "-c", "user.email=cockpit@localhost")
        git_answer(self._repo, *who, "notes", "--ref=cockpit", "add", "-f", "-m", text, commit)

    def experiments(self) -> dict[str, str]:
        """Return experiment -> commit for every stored experiment."""
        return {name: commit for name, commit in self._read_refs().items() if name != _BASELINE}

    def forget(self) -> None:
        """Remove the session's refs, the baseline's included; git then prunes the objects in due time.

        The branch cockpit/SESSION, with the kept changes, stays.
        """
        lines = [f"delete {self._refs}/{name} {commit}\n" for name, commit in self._read_refs().items()]
        if lines:
            git_answer(self._repo, "update-ref", "--stdin", stdin="".join(lines))

    def _read_refs(self) -> dict[str, str]:
        answer = git_answer(self._repo, "for-each-ref", "--format=%(refname) %(objectname)", f"{self._refs}/")
        pairs = (line.split(" ") for line in answer.splitlines())
        return {ref.removeprefix(f"{self._refs}/"): commit for ref, commit in pairs}

    def _checked_out(self) -> set[str]:
        """Return the branches that are checked out here and in other work trees."""
        answer = git_answer(self._repo, "worktree", "list", "--porcelain")
        return {line.removeprefix("branch ") for line in answer.splitlines() if line.startswith("branch ")}

    def _changed(self, entries: dict[bytes, Entry]) -> dict[bytes, bytes]:
        """Return the bytes of those of train.py and prepare.py that differ on disk from the commit."""
        found = {name.encode(): self._changed_on_disk(name, entries) for name in (self._name, PREPARE)}
        return {name: data for name, data in found.items() if data is not None}

    def _changed_on_disk(self, name: str, entries: dict[bytes, Entry]) -> bytes | None:
        """Return the bytes of a file that differs on disk from the commit; None where it does not."""
        path = self._folder / name
        entry = entries.get(name.encode())
        try:
            data = path.read_bytes() if path.exists() else None
        except OSError as error:
            raise VariantError(f"{path} cannot be read: {error.strerror}.") from error
        if entry is None:
            if data is None and name == PREPARE:
                return None
            if data is None:
                raise VariantError(f"There is no {name} in {self._folder}; name a repository that has one with --repo.")
            raise VariantError(
                f"{name} is not in the last commit of {self._folder}: run `git add {name}` and `git commit` there."
            )
        if not is_file(entry):
            raise VariantError(f"{name} in {self._folder} is a link or a folder; it must be a plain file.")
        if data is None:
            raise VariantError(f"{name} was deleted from {self._folder}: bring it back with `git restore {name}`.")
        committed = self._objects.read(entry.id, "blob")
        # A checkout may end lines in CR LF where the commit has LF: git did that, not the person.
        return None if committed in (data, data.replace(b"\r\n", b"\n")) else data

    def _note(self, stored: list[bytes]) -> str:
        """Return the sentences about uncommitted changes; `stored` are the files taken from disk."""
        others = [
            line[3:]
            for line in git_answer(self._repo, "status", "--porcelain", "--untracked-files=no").splitlines()
            if line[3:] not in {(self._place / name).as_posix() for name in (self._name, PREPARE)}
        ]
        sentences = []
        if stored:
            names = " and ".join(name.decode() for name in stored)
            verb = "has" if len(stored) == 1 else "have"
            sentences.append(
                f"{names} {verb} changes that are not committed; the baseline was taken from disk, and your "
                f"checkout was not touched."
            )
        if others:
            listed = ", ".join(shown(name) for name in others[:3]) + (", …" if len(others) > 3 else "")
            sentences.append(
                f"Other uncommitted changes ({listed}) are not part of it: commit what {self._script} needs."
            )
        return " ".join(sentences)

    def _read_base(self, commit: str) -> _Base:
        tree, entries, _ = self._read_tree(commit)
        train = entries.get(self._name.encode())
        if train is None or not is_file(train):
            where = f"in {self._place}" if self._place.parts else "at the top"
            raise VariantError(f"There is no file {self._name} {where} of commit {commit[:12]}.")
        data = self._objects.read(train.id, "blob")
        prepare = entries.get(PREPARE.encode())
        has_prepare = prepare is not None and is_file(prepare)
        source = text_of(self._script, data)
        return _Base(
            tree=tree,
            entries=entries,
            source=source,
            constants=find_constants(source),
            outline=outline(source),
            train_hash=hashlib.sha256(data).hexdigest(),
            prepare_hash=(
                hashlib.sha256(self._objects.read(prepare.id, "blob")).hexdigest() if prepare and has_prepare else ""
            ),
        )

    def _read_tree(self, commit: str) -> tuple[bytes, dict[bytes, Entry], int]:
        """Return the researched folder's tree in a commit, its entries by name, and the commit's date in seconds."""
        if not _COMMIT.fullmatch(commit):
            raise VariantError(f"{shown(commit)} is not the full name of a commit.")
        tree = self._objects.tree_of(commit)
        for name in self._steps():
            tree = self._objects.read(self._folder_entry(tree, name, commit).id, "tree")
        date = re.search(rb"^committer .* (\d+) [+-]\d+$", self._objects.read(commit, "commit"), re.MULTILINE)
        if date is None:
            raise VariantError(f"Commit {commit[:12]} is damaged; run `git fsck` in {self._folder}.")
        return tree, {entry.name: entry for entry in tree_entries(tree)}, int(date[1])

    def _root_with(self, commit: str, tree_id: str) -> str:
        """Store the top tree of `commit` with its researched folder replaced by a tree. Returns its name."""
        trees = [self._objects.tree_of(commit)]
        for name in self._steps():
            trees.append(self._objects.read(self._folder_entry(trees[-1], name, commit).id, "tree"))
        for tree, name in zip(reversed(trees[:-1]), reversed(self._steps()), strict=True):
            entries = {entry.name: entry for entry in tree_entries(tree)}
            tree_id = self._objects.store("tree", replace_entries(tree, entries, {name: tree_id}))
        return tree_id

    def _steps(self) -> list[bytes]:
        return [os.fsencode(part) for part in self._place.parts]

    def _folder_entry(self, tree: bytes, name: bytes, commit: str) -> Entry:
        entry = next((entry for entry in tree_entries(tree) if entry.name == name and is_folder(entry)), None)
        if entry is None:
            raise VariantError(
                f"There is no folder {self._place} in commit {commit[:12]} of {self._top}: run `git add {self._place}`"
                " and `git commit` there."
            )
        return entry

    def _write_ref(self, name: str, commit: str) -> None:
        try:
            write_ref(Path(self._repo.common_dir), f"{self._refs}/{name}", commit)
        except OSError as error:
            raise not_written(self._repo, error) from error
