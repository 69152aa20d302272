"""The output of the store: a patch that git can apply, and a folder to run in."""

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from cockpit.core.model import Change, Edit
from cockpit.variant.errors import VariantError
from cockpit.variant.store import VariantStore
from tests.variant.conftest import SCRIPT, git_in

DEEPER = Change(constants={"DEPTH": 12}, edits=(Edit("WARM_STEPS = 10 +", "WARM_STEPS = 20 +"),))


def test_a_diff_is_a_patch_git_can_apply(repo: Path, tmp_path: Path) -> None:
    (repo / "train.py").write_text(SCRIPT.rstrip("\n"))
    git = git_in(repo)
    git("commit", "--quiet", "--all", "--message=No newline")
    store = VariantStore(repo, "night")
    baseline = store.baseline()
    change = Change(constants={"DEPTH": 12}, edits=(Edit('print(f"depth:            {DEPTH}")', "print()"),))
    variant = store.put("e0001", baseline.commit, change, "x", at=1.0)
    (tmp_path / "patch").write_text(store.diff(baseline.commit, variant.commit))
    git("apply", str(tmp_path / "patch"))
    assert (repo / "train.py").read_text() == store.source(variant.commit)
    assert store.diff(baseline.commit, baseline.commit) == ""


def test_an_export_equals_git_archive(repo: Path, tmp_path: Path) -> None:
    git = git_in(repo)
    (repo / "tools/deep").mkdir(parents=True)
    for name in ("ü — x.txt", "new\nline", "back\\slash", "-rf", "tools/deep/run.sh", ".hidden", "a b"):
        (repo / name).write_bytes(b"\0\xff" + name.encode())
    (repo / os.fsdecode(b"latin-\xfc")).write_bytes(b"x")
    (repo / "empty").touch()
    (repo / "tools/deep/run.sh").chmod(0o755)
    (repo / "tools/deep/up").symlink_to("../../train.py")
    (repo / "AGENTS.md").symlink_to("train.py")
    git("add", ".")
    git("commit", "--quiet", "--message=Odd names")
    git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendored")
    git("commit", "--quiet", "--message=Submodule")
    store = VariantStore(repo, "night")
    variant = store.put("e0001", store.baseline().commit, DEEPER, "Deeper", at=1.0)
    store.export(variant.commit, tmp_path / "runs/e0001")

    git("archive", f"--output={tmp_path / 'tar'}", variant.commit)
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "tar").read_bytes())) as archive:
        archive.extractall(tmp_path / "archived", filter="fully_trusted")
    assert tree(tmp_path / "runs/e0001") == tree(tmp_path / "archived")
    assert len(tree(tmp_path / "runs/e0001")) > 12
    assert names(tmp_path / "runs") == ["e0001"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def tree(folder: Path) -> dict[str, tuple[str, bool, bytes]]:
    """Name to kind, whether its owner may run it, and content."""
    found = {}
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        content = (
            os.fsencode(path.readlink()) if stat.S_ISLNK(mode) else path.read_bytes() if stat.S_ISREG(mode) else b""
        )
        found[str(path.relative_to(folder))] = (stat.filemode(mode)[0], bool(mode & 0o100), content)
    return found


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "tools/../../outside", "..", "train.py/../../outside"])
def test_a_link_that_points_outside_is_refused_and_leaves_nothing(repo: Path, tmp_path: Path, target: str) -> None:
    git = git_in(repo)
    (repo / "link").symlink_to(target)
    git("add", ".")
    git("commit", "--quiet", "--message=Link")
    store = VariantStore(repo, "night")
    with pytest.raises(VariantError, match=r"'link' to .* points outside it"):
        store.export(store.head(), tmp_path / "run")
    assert names(tmp_path) == ["research"]


@pytest.mark.parametrize("name", ["..", ".git", ".GIT", "."])
def test_a_name_that_points_outside_is_refused_and_leaves_nothing(repo: Path, tmp_path: Path, name: str) -> None:
    git = git_in(repo)
    blob = git("rev-parse", "HEAD:train.py").strip()
    data = b"100644 " + name.encode() + b"\0" + bytes.fromhex(blob)
    data += b"100644 train.py\0" + bytes.fromhex(blob)
    (tmp_path / "tree").write_bytes(data)
    made = git("hash-object", "-t", "tree", "-w", "--literally", str(tmp_path / "tree")).strip()
    (tmp_path / "tree").unlink()
    commit = git("commit-tree", made, "-m", "Bad").strip()
    with pytest.raises(VariantError, match="forbidden name"):
        VariantStore(repo, "night").export(commit, tmp_path / "run")
    assert names(tmp_path) == ["research"]


def test_an_export_never_writes_into_an_existing_folder(repo: Path, tmp_path: Path) -> None:
    store = VariantStore(repo, "night")
    (tmp_path / "run").mkdir()
    with pytest.raises(VariantError, match="already exists"):
        store.export(store.head(), tmp_path / "run")
    assert names(tmp_path / "run") == []


def test_a_partial_export_left_by_a_crash_is_removed(repo: Path, tmp_path: Path) -> None:
    store = VariantStore(repo, "night")
    (tmp_path / ".run.partial").mkdir()
    (tmp_path / ".run.partial/left").touch()
    store.export(store.head(), tmp_path / "run")
    assert names(tmp_path) == ["research", "run"]
    assert names(tmp_path / "run") == ["prepare.py", "train.py"]
