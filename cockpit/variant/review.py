"""Write a branch for review: one commit for each kept change, on the baseline, in the person's repository.

Only objects and one branch are written. The person's checkout, index and other branches stay as they are.
"""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cockpit.variant.errors import VariantError
from cockpit.variant.knobs.constants import find_constants, set_constants
from cockpit.variant.store import VariantStore
from cockpit.variant.syntax import tree_of


class KeptStep(msgspec.Struct, frozen=True):
    """One kept change, from the code it was measured against to its own."""

    before: str
    """The commit of the code that it replaced."""
    after: str
    message: str
    at: float


class Review(msgspec.Struct, frozen=True):
    branch: str
    commit: str
    """Its tip. Its files are those of the best variant."""
    subjects: tuple[str, ...]
    """The first line of each commit, oldest first."""
    joined: tuple[str, ...]
    """The subjects of changes that could not be separated from later ones, and that are in the last commit."""
    problem: str
    """Why the branch was not moved, in a sentence; empty if it was."""


def write_review(
    store: VariantStore, branch: str, baseline: str, steps: Sequence[KeptStep], best: str, last_message: str
) -> Review:
    """Write the branch, whose last commit has exactly the files of `best`. The same arguments give the same commits.

    A step whose predecessor is the code it was measured against becomes exactly its own code. Where an earlier step was
    left out, its change is applied to the code so far. A change that does not apply there is part of a last commit, and
    so is everything else that is missing to `best`; `last_message` opens that commit's message.
    """
    parent, subjects = baseline, list[str]()
    joined: list[KeptStep] = []
    for step in steps:
        made = _commit(store, parent, step)
        if made is None:
            joined.append(step)
        elif made != parent:
            parent = made
            subjects.append(_subject(step.message))
    if not store.same_code(parent, best):
        message = "\n\n".join([last_message, *(step.message for step in joined)])
        parent = store.commit_code(parent, best, message, steps[-1].at if steps else 0.0)
        subjects.append(_subject(last_message))
    problem = store.point_review(branch, parent)
    return Review(branch, parent, tuple(subjects), tuple(_subject(step.message) for step in joined), problem)


def _commit(store: VariantStore, parent: str, step: KeptStep) -> str | None:
    """Store a step on `parent`: the new commit, `parent` where it changes nothing there, None if it conflicts."""
    if store.same_code(parent, step.before):
        return store.commit_code(parent, step.after, step.message, step.at)
    current, before, after = (store.texts(commit) for commit in (parent, step.before, step.after))
    texts: dict[str, str] = {}
    for path, text in current.items():
        applied = _applied(path, text, before[path], after[path])
        if applied is None:
            return None
        texts[path] = applied
    return parent if texts == current else store.commit_texts(parent, texts, step.message, step.at)


def _applied(path: str, current: str, before: str, after: str) -> str | None:
    """Return `current` with the change from `before` to `after`; None if it does not apply.

    Constants are set by name, and the three texts have the same values while they are merged: constants stand in
    neighbouring lines, where a merge of text sees conflicts.
    """
    try:
        here, old, new = (find_constants(text, path) for text in (current, before, after))
        changed = {name: value for name, value in new.items() if name in old and old[name] != value and name in here}
        alike = [
            set_constants(text, {name: here[name] for name in constants if name in here}, path)
            for text, constants in ((before, old), (after, new))
        ]
        merged = _merged(current, *alike)
        if merged is None:
            return None
        source = set_constants(merged, changed, path)
    except (VariantError, ValueError):
        return None
    return None if path.endswith(".py") and tree_of(source) is None else source


def _merged(current: str, before: str, after: str) -> str | None:
    """Return git's merge of two changes of one text; None for a conflict."""
    if before in (after, current):
        return after if before == current else current
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, text in (("current", current), ("before", before), ("after", after)):
            paths.append(Path(folder, name))
            paths[-1].write_text(text, encoding="utf-8", newline="")
        done = subprocess.run(["git", "merge-file", "-p", *map(str, paths)], capture_output=True, cwd=folder)
    return done.stdout.decode() if done.returncode == 0 else None


def _subject(message: str) -> str:
    return message.split("\n", 1)[0]
