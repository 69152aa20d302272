"""Programs that a repository's attributes, settings and hooks name do not run for a variant, nor change its code."""

from pathlib import Path

import pytest

from cockpit.core.model import Change
from cockpit.variant.store import VariantStore
from tests.variant.conftest import SCRIPT, git_in

ATTRIBUTES = (
    "*.py filter=own diff=own ident export-subst working-tree-encoding=UTF-16 eol=crlf\nprepare.py export-ignore\n"
)
HOOKS = ("reference-transaction", "post-commit", "pre-commit", "post-checkout", "post-index-change", "pre-auto-gc")


@pytest.fixture
def marks(repo: Path, tmp_path: Path) -> Path:
    """A folder where each program that the repository names leaves a mark."""
    marks = tmp_path / "marks"
    marks.mkdir()
    git = git_in(repo)
    (repo / ".gitattributes").write_text(ATTRIBUTES)
    (repo / "train.py").write_text(SCRIPT + "# $Id$ $Format:%H$\n")
    git("-c", "core.attributesFile=/dev/null", "add", ".gitattributes")
    blob = git("hash-object", "-w", "--no-filters", "train.py").strip()
    git("update-index", "--cacheinfo", f"100644,{blob},train.py")
    git("commit", "--quiet", "--message=Attributes")
    for name in HOOKS:
        hook = repo / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {marks}/{name}\n")
        hook.chmod(0o755)
    for name in ("filter.own.smudge", "filter.own.clean", "diff.own.textconv", "diff.external", "core.fsmonitor"):
        program = tmp_path / f"program-{name}"
        program.write_text(f"#!/bin/sh\ntouch {marks}/{name}\ncat\n")
        program.chmod(0o755)
        git("config", name, str(program))
    for mark in marks.iterdir():
        mark.unlink()
    return marks


def test_no_program_of_a_repository_runs_for_a_variant_or_changes_its_code(
    repo: Path, tmp_path: Path, marks: Path
) -> None:
    store = VariantStore(repo, "night")
    store.check_place()
    base = store.baseline()
    for mark in marks.iterdir():  # git compared the person's checkout with the commit, by the person's own settings
        mark.unlink()
    variant = store.put("e0001", base.commit, Change(constants={"DEPTH": 12}), "Deeper", at=1.0)
    store.export(variant.commit, tmp_path / "run")
    store.diff(base.commit, variant.commit)
    store.advance(variant.commit)
    store.note(variant.commit, "kept")
    store.close()
    changed = SCRIPT.replace("DEPTH: int = 8", "DEPTH: int = 12") + "# $Id$ $Format:%H$\n"
    assert (tmp_path / "run" / "train.py").read_text() == changed
    assert (tmp_path / "run" / "prepare.py").exists()
    assert sorted(mark.name for mark in marks.iterdir()) == []
