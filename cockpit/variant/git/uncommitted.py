"""Find uncommitted changes in the person's checkout: those that a baseline takes, and those that it leaves out."""

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePosixPath

from cockpit.variant.errors import VariantError, shown
from cockpit.variant.git.tree import Entry, is_file


def changed_on_disk(path: Path, entry: Entry | None, blob: Callable[[str], bytes], optional: bool) -> bytes | None:
    """Return the bytes of a file that differs on disk from its entry in the commit; None if it does not.

    `blob` reads an object of git. Raises VariantError for a file that is missing, unless it is `optional`, for one that
    the commit lacks, and for a link or a folder.
    """
    folder, name = path.parent, path.name
    try:
        data = path.read_bytes() if path.exists() else None
    except OSError as error:
        raise VariantError(f"{path} cannot be read: {error.strerror}.") from error
    if entry is None:
        if data is None and optional:
            return None
        if data is None:
            raise VariantError(f"There is no {name} in {folder}; name a repository that has one with --repo.")
        raise VariantError(
            f"{name} is not in the last commit of {folder}: run `git add -f {name}` and `git commit` there."
        )
    if not is_file(entry):
        raise VariantError(
            link_sentence(folder, name) or f"{name} in {folder} is a link or a folder; it must be a plain file."
        )
    if data is None:
        raise VariantError(f"{name} was deleted from {folder}: bring it back with `git restore {name}`.")
    committed = blob(entry.id)
    # A checkout may end lines in CR LF where the commit has LF: git did that, not the person.
    return None if committed in (data, data.replace(b"\r\n", b"\n")) else data


def link_sentence(folder: Path, path: str) -> str:
    """Return the sentence for a path that is a link or passes through one; empty if it does not."""
    parts = PurePosixPath(path).parts
    for count in range(1, len(parts) + 1):
        at = Path(folder, *parts[:count])
        if at.is_symlink():
            link, target = "/".join(parts[:count]), at.readlink().as_posix()
            leads_to = os.path.normpath(PurePosixPath(*parts[: count - 1], target, *parts[count:]))
            is_outside = leads_to.startswith(("/", ".."))
            remedy = "copy it into the repository" if is_outside else f"name {leads_to} with --files"
            return f"{link} in {folder} is a link to {shown(target)}, and only a plain file can be edited: {remedy}."
    return ""


def note_on(status: str, stored: Sequence[str], taken: Collection[str], script: str) -> str:
    """Return the sentences about uncommitted changes, given the output of `git status --porcelain`.

    `stored` are the files that the baseline takes from disk, `taken` the paths that it looks at.
    """
    others = [line[3:] for line in status.splitlines() if line[3:] not in taken]
    sentences = []
    if stored:
        verb = "has" if len(stored) == 1 else "have"
        sentences.append(
            f"{' and '.join(stored)} {verb} changes that are not committed; the baseline was taken from disk, and your "
            f"checkout was not touched."
        )
    if others:
        listed = ", ".join(shown(name) for name in others[:3]) + (", …" if len(others) > 3 else "")
        changes = "Other uncommitted changes" if stored else "Uncommitted changes"
        sentences.append(f"{changes} ({listed}) are not part of the baseline: commit what {script} needs.")
    return " ".join(sentences)
