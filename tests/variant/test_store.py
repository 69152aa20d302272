import hashlib
import os
from pathlib import Path

import msgspec
import psutil
import pytest

from cockpit.core.model import Change, Edit
from cockpit.variant.errors import VariantError
from cockpit.variant.fingerprint import fingerprint
from cockpit.variant.store import VariantStore
from tests.tui.story import session
from tests.variant.conftest import PREPARE, SCRIPT, git_in

DEEPER = Change(constants={"DEPTH": 12}, edits=(Edit("WARM_STEPS = 10 +", "WARM_STEPS = 20 +"),))


def everything(repo: Path) -> dict[str, bytes]:
    """Return a person's files, index, HEAD, stash, branches and settings, byte for byte."""
    kept = {}
    for path in sorted(repo.rglob("*")):
        inside = path.relative_to(repo)
        ours = inside.parts[:2] == (".git", "objects") or "cockpit" in inside.parts
        if path.is_file() and not ours:
            kept[str(inside)] = path.read_bytes() + str(path.stat().st_mtime_ns).encode()
    return kept


def test_a_session_leaves_checkout_index_head_and_stash_unchanged(repo: Path, tmp_path: Path) -> None:
    git = git_in(repo)
    (repo / "prepare.py").write_text(PREPARE + "# stashed\n")
    git("stash")
    (repo / "train.py").write_text(SCRIPT + "# staged\n")
    git("add", "train.py")
    (repo / "train.py").write_text(SCRIPT + "# staged\n# dirty\n")
    (repo / "notes.txt").write_text("mine")
    status = git("status", "--porcelain")
    before = everything(repo)

    store = VariantStore(repo, "night")
    baseline = store.baseline()
    variant = store.put("e0001", baseline.commit, DEEPER, "Deeper", at=1.0)
    store.export(variant.commit, tmp_path / "run")
    assert store.advance(variant.commit) == ""
    store.diff(baseline.commit, variant.commit)
    store.forget()

    assert everything(repo) == before
    assert git("status", "--porcelain") == status
    assert git("stash", "list").count("\n") == 1
    git("fsck", "--strict")


def test_a_variant_is_a_commit_on_its_base_with_only_train_changed(repo: Path) -> None:
    git = git_in(repo)
    store = VariantStore(repo, "night")
    baseline = store.baseline()
    variant = store.put("e0042", baseline.commit, DEEPER, "Deeper, for longer", at=1_700_000_000.9)
    assert git("rev-parse", "refs/cockpit/night/e0042").strip() == variant.commit
    assert git("rev-parse", f"{variant.commit}^").strip() == baseline.commit
    assert git("diff", "--name-only", baseline.commit, variant.commit) == "train.py\n"
    shown = git("show", "--no-patch", "--format=%an <%ae> %at|%cn <%ce> %ct|%B", variant.commit).strip()
    who = "cockpit <cockpit@localhost> 1700000000"
    assert shown == f"{who}|{who}|Deeper, for longer"
    source = git("show", f"{variant.commit}:train.py")
    assert source == SCRIPT.replace("DEPTH: int = 8 ", "DEPTH: int = 12 ").replace("= 10 + DEPTH", "= 20 + DEPTH")
    assert store.source(variant.commit) == source
    assert store.source(variant.commit, "prepare.py") == PREPARE
    git("fsck", "--strict")


def test_the_description_of_a_variant_agrees_with_git_and_the_hashes(repo: Path) -> None:
    store = VariantStore(repo, "night")
    baseline = store.baseline()
    for change in (DEEPER, Change(constants={"DEPTH": 3, "MATRIX_LR": 1}), Change()):
        variant = store.put("e0001", baseline.commit, change, "x", at=1.0)
        source = store.source(variant.commit)
        assert variant.train_hash == hashlib.sha256(source.encode()).hexdigest()
        assert variant.prepare_hash == hashlib.sha256(PREPARE.encode()).hexdigest()
        assert variant.fingerprint == fingerprint(source)
        counted = git_in(repo)("diff", "--numstat", baseline.commit, variant.commit).split()[:2] or ["0", "0"]
        assert [str(variant.lines_added), str(variant.lines_removed)] == counted
        assert VariantStore(repo, "night").variant(variant.commit, baseline.commit) == variant


def test_repeating_a_put_after_a_crash_gives_the_same_commit(repo: Path) -> None:
    first = VariantStore(repo, "night")
    baseline = first.baseline()
    variant = first.put("e0001", baseline.commit, DEEPER, "Deeper", at=5.5)
    lock = repo / ".git/refs/cockpit/night/e0001.lock"
    lock.write_text("torn")
    second = VariantStore(repo, "night")
    assert second.put("e0001", baseline.commit, DEEPER, "Deeper", at=5.5) == variant
    assert second.experiments() == {"e0001": variant.commit}
    assert not lock.exists()


def test_a_ref_left_by_an_earlier_run_is_replaced(repo: Path) -> None:
    store = VariantStore(repo, "night")
    baseline = store.baseline()
    store.put("e0001", baseline.commit, DEEPER, "Deeper", at=1.0)
    other = store.put("e0001", baseline.commit, Change(constants={"DEPTH": 4}), "Flatter", at=1.0)
    assert store.experiments() == {"e0001": other.commit}


def test_variants_build_on_variants(repo: Path) -> None:
    store = VariantStore(repo, "night")
    first = store.put("e0001", store.baseline().commit, DEEPER, "Deeper", at=1.0)
    second = store.put("e0002", first.commit, Change(constants={"HEAD_DIM": 64}), "Narrower", at=2.0)
    assert "HEAD_DIM = 64 " in store.source(second.commit) and "DEPTH: int = 12 " in store.source(second.commit)
    assert (second.lines_added, second.lines_removed) == (1, 1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (Change(constants={"DEPHT": 3}), "did you mean DEPTH?"),
        (Change(edits=(Edit("nowhere to be found", "x"),)), "Edit 1 of 1 does not occur"),
        (Change(edits=(Edit("t_start = 0.0", "t_start = (0.0"),)), "does not compile"),
        (Change(edits=(Edit("t_start = 0.0", "TIME_BUDGET = 9e9"),)), "prepare.py must stay as it is"),
        (Change(edits=(Edit("val_bpb:  ", "loss:  "),)), "prints no 'val_bpb:' line"),
    ],
)
def test_a_change_that_does_not_fit_stores_nothing(repo: Path, change: Change, sentence: str) -> None:
    store = VariantStore(repo, "night")
    baseline = store.baseline()
    objects = git_in(repo)("count-objects")
    with pytest.raises(VariantError, match=sentence.replace("?", r"\?")):
        store.put("e0001", baseline.commit, change, "x", at=1.0)
    assert git_in(repo)("count-objects") == objects
    assert store.experiments() == {}


def test_a_constant_that_holds_the_contract_cannot_remove_it(repo: Path) -> None:
    (repo / "train.py").write_text('from prepare import evaluate_bpb\nTITLE = "val_bpb:"\nprint(TITLE, 1.0)\n')
    store = VariantStore(repo, "night")
    baseline = store.baseline()
    with pytest.raises(VariantError, match="prints no 'val_bpb:' line"):
        store.put("e0001", baseline.commit, Change(constants={"TITLE": "loss:"}), "x", at=1.0)


def test_a_clean_baseline_is_the_persons_commit(repo: Path) -> None:
    store = VariantStore(repo, "night")
    baseline = store.baseline()
    assert baseline.commit == git_in(repo)("rev-parse", "HEAD").strip() == store.head()
    assert baseline.note == ""
    assert (baseline.lines_added, baseline.lines_removed) == (0, 0)


@pytest.mark.parametrize("names", [["train.py"], ["prepare.py"], ["train.py", "prepare.py"]])
def test_a_dirty_baseline_is_stored_from_disk_with_a_note(repo: Path, names: list[str]) -> None:
    for name in names:
        (repo / name).write_text((repo / name).read_text() + "# dirty\n")
    store = VariantStore(repo, "night")
    baseline = store.baseline()
    assert baseline.commit != store.head()
    assert VariantStore(repo, "night").baseline() == baseline
    assert baseline.note.startswith(" and ".join(names)) and "not committed" in baseline.note
    for name in ("train.py", "prepare.py"):
        assert store.source(baseline.commit, name) == (repo / name).read_text()
    assert baseline.prepare_hash == hashlib.sha256((repo / "prepare.py").read_bytes()).hexdigest()


def test_other_uncommitted_changes_are_left_out_with_a_note(repo: Path) -> None:
    git = git_in(repo)
    (repo / "layers.py").write_text("x = 1\n")
    git("add", ".")
    git("commit", "--quiet", "--message=Layers")
    (repo / "layers.py").write_text("x = 2\n")
    store = VariantStore(repo, "night")
    baseline = store.baseline()
    assert baseline.commit == store.head()
    assert baseline.note.startswith("Uncommitted changes ('layers.py') are not part of the baseline")


def test_line_endings_changed_by_a_checkout_are_not_a_change(repo: Path) -> None:
    (repo / "train.py").write_bytes(SCRIPT.replace("\n", "\r\n").encode())
    store = VariantStore(repo, "night")
    assert store.baseline().commit == store.head()


def test_a_script_without_prepare_can_be_researched(repo: Path) -> None:
    git = git_in(repo)
    git("rm", "--quiet", "prepare.py")
    git("commit", "--quiet", "--message=Alone")
    assert VariantStore(repo, "night").baseline().prepare_hash == ""


def broken(repo: Path, how: str) -> Path:
    git = git_in(repo)
    if how == "no folder":
        return repo / "nowhere"
    if how == "no repository":
        (repo.parent / "plain").mkdir()
        return repo.parent / "plain"
    if how == "bare":
        git("clone", "--quiet", "--bare", ".", str(repo.parent / "bare"))
        return repo.parent / "bare"
    if how == "inside":
        (repo / "deep").mkdir()
        return repo / "deep"
    if how == "sha256":
        git("init", "--quiet", "--object-format=sha256", str(repo.parent / "sha256"))
        return repo.parent / "sha256"
    if how == "empty":
        git("init", "--quiet", str(repo.parent / "empty"))
        return repo.parent / "empty"
    if how == "reftable":
        git("config", "core.repositoryformatversion", "1")
        git("config", "extensions.refstorage", "reftable")
        return repo
    if how == "damaged":
        head = git("rev-parse", "HEAD").strip()
        (repo / ".git/objects" / head[:2] / head[2:]).unlink()
        return repo
    if how == "absent":
        git("rm", "--quiet", "train.py")
        git("commit", "--quiet", "--message=Gone")
    elif how == "untracked":
        git("rm", "--quiet", "--cached", "train.py")
        git("commit", "--quiet", "--message=Gone")
    elif how == "prepare untracked":
        git("rm", "--quiet", "--cached", "prepare.py")
        git("commit", "--quiet", "--message=Gone")
    elif how == "deleted":
        (repo / "train.py").unlink()
    elif how == "link":
        (repo / "train.py").rename(repo / "real.py")
        (repo / "train.py").symlink_to("real.py")
        git("add", ".")
        git("commit", "--quiet", "--message=Link")
    elif how == "latin":
        (repo / "train.py").write_bytes("# für\nprint('val_bpb: 1')\n".encode("latin-1"))
    elif how == "syntax":
        (repo / "train.py").write_text("x = (\n")
    elif how == "silent":
        (repo / "train.py").write_text("x = 1\n")
    return repo


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("no folder", "There is no folder"),
        ("no repository", "is not a git repository: run `git init`"),
        ("bare", "is a bare git repository: clone it"),
        ("inside", "There is no folder deep in commit"),
        ("sha256", "SHA-256"),
        ("reftable", "reftable"),
        ("empty", "has no commit yet"),
        ("damaged", "git fsck"),
        ("absent", "There is no train.py"),
        ("untracked", "train.py is not in the last commit"),
        ("prepare untracked", "prepare.py is not in the last commit"),
        ("deleted", "bring it back with `git restore train.py`"),
        ("link", "only a plain file can be edited: name real.py"),
        ("latin", "train.py is not UTF-8 text"),
        ("syntax", "does not compile: '(' was never closed at line 1"),
        ("silent", "prints no 'val_bpb:' line"),
    ],
)
def test_an_unusable_repository_is_refused_in_one_sentence(repo: Path, how: str, sentence: str) -> None:
    folder = broken(repo, how)
    with pytest.raises(VariantError) as caught:
        VariantStore(folder, "night").baseline()
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a/b", "..", "a..b", "", "-x", "a b", "x.lock", "a\n", "x.", "../../heads/main"])
def test_a_name_that_git_cannot_store_is_refused(repo: Path, name: str) -> None:
    with pytest.raises(VariantError, match="cannot name a session"):
        VariantStore(repo, name)
    store = VariantStore(repo, "night")
    with pytest.raises(VariantError, match="cannot name an experiment"):
        store.put(name, store.head(), Change(), "x", at=1.0)


def test_a_missing_commit_is_refused(repo: Path) -> None:
    store = VariantStore(repo, "night")
    with pytest.raises(VariantError, match="is not in"):
        store.source("0" * 39 + "1")
    with pytest.raises(VariantError, match="full name of a commit"):
        store.source("HEAD")
    with pytest.raises(VariantError, match=r"no file 'nothing\.py'"):
        store.source(store.head(), "nothing.py")


def test_a_kept_variant_moves_the_sessions_branch(repo: Path) -> None:
    git = git_in(repo)
    store = VariantStore(repo, "night")
    baseline = store.baseline()
    first = store.put("e0001", baseline.commit, DEEPER, "Deeper", at=1.0)
    second = store.put("e0002", baseline.commit, Change(constants={"DEPTH": 4}), "Flatter", at=2.0)
    for variant in (first, second, second, first):
        assert store.advance(variant.commit) == ""
        assert git("rev-parse", "refs/heads/cockpit/night").strip() == variant.commit
    assert git("symbolic-ref", "HEAD") == "refs/heads/main\n"


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_sessions_branch_does_not_move_while_checked_out(repo: Path, tmp_path: Path, elsewhere: bool) -> None:
    git = git_in(repo)
    store = VariantStore(repo, "night")
    baseline = store.baseline()
    variant = store.put("e0001", baseline.commit, DEEPER, "Deeper", at=1.0)
    if elsewhere:
        git("worktree", "add", "--quiet", "-b", "cockpit/night", str(tmp_path / "other"))
    else:
        git("checkout", "--quiet", "-b", "cockpit/night")
    assert "is checked out, so it was not moved" in store.advance(variant.commit)
    assert git("rev-parse", "cockpit/night").strip() == baseline.commit


def test_a_persons_commits_on_the_sessions_branch_are_kept(repo: Path) -> None:
    git = git_in(repo)
    store = VariantStore(repo, "night")
    baseline = store.baseline()
    variant = store.put("e0001", baseline.commit, DEEPER, "Deeper", at=1.0)
    git("checkout", "--quiet", "-b", "cockpit/night")
    git("commit", "--quiet", "--allow-empty", "--message=Mine")
    mine = git("rev-parse", "HEAD").strip()
    git("checkout", "--quiet", "main")
    assert "commits that are not this session's" in store.advance(variant.commit)
    assert git("rev-parse", "cockpit/night").strip() == mine


def test_a_branch_named_cockpit_is_reported_as_an_obstacle(repo: Path) -> None:
    git = git_in(repo)
    git("branch", "cockpit")
    store = VariantStore(repo, "night")
    with pytest.raises(VariantError, match="git update-ref` failed"):
        store.advance(store.baseline().commit)
    assert git("rev-parse", "cockpit").strip() == store.head()


def test_forgetting_a_session_keeps_other_sessions_and_kept_changes(repo: Path) -> None:
    git = git_in(repo)
    night, day = VariantStore(repo, "night"), VariantStore(repo, "day")
    baseline = night.baseline()
    kept = night.put("e0001", baseline.commit, DEEPER, "Deeper", at=1.0)
    night.advance(kept.commit)
    other = day.put("e0001", baseline.commit, DEEPER, "Deeper", at=2.0)
    git("pack-refs", "--all")
    night.put("e0002", baseline.commit, Change(), "Again", at=1.0)
    night.forget()
    night.forget()
    assert night.experiments() == {}
    assert day.experiments() == {"e0001": other.commit}
    assert git("for-each-ref", "refs/cockpit/night") == ""
    assert git("rev-parse", "cockpit/night").strip() == kept.commit


def test_variants_survive_git_pack_and_prune(repo: Path) -> None:
    git = git_in(repo)
    store = VariantStore(repo, "night")
    baseline = store.baseline()
    variants = {
        f"e{i:04d}": store.put(f"e{i:04d}", baseline.commit, Change(constants={"DEPTH": i}), "x", at=1.0).commit
        for i in range(20)
    }
    git("gc", "--quiet", "--prune=now")
    assert not (repo / ".git/refs/cockpit/night/e0000").exists()
    assert store.experiments() == variants
    assert f"DEPTH: int = {7} " in store.source(variants["e0007"])
    new = store.put("e0007", variants["e0008"], DEEPER, "x", at=1.0)
    assert store.experiments()["e0007"] == new.commit
    git("fsck", "--strict")


def test_a_linked_work_tree_and_a_submodule_can_be_researched(repo: Path, tmp_path: Path) -> None:
    git = git_in(repo)
    git("worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"))
    store = VariantStore(tmp_path / "tree", "night")
    variant = store.put("e0001", store.baseline().commit, DEEPER, "Deeper", at=1.0)
    assert git("rev-parse", "refs/cockpit/night/e0001").strip() == variant.commit

    outer = tmp_path / "outer"
    outer.mkdir()
    git_in(outer)("init", "--quiet")
    git_in(outer)("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repo), "inner")
    store = VariantStore(outer / "inner", "night")
    variant = store.put("e0001", store.baseline().commit, DEEPER, "Deeper", at=1.0)
    assert git_in(outer / "inner")("rev-parse", "refs/cockpit/night/e0001").strip() == variant.commit


def test_the_environment_cannot_select_another_repository(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git_in(other)("init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    store = VariantStore(repo, "night")
    variant = store.put("e0001", store.baseline().commit, DEEPER, "Deeper", at=1.0)
    assert store.experiments() == {"e0001": variant.commit}
    assert not (other / ".git/refs/cockpit").exists()


def test_reading_continues_after_the_reading_process_was_killed(repo: Path) -> None:
    store = VariantStore(repo, "night")
    variant = store.put("e0001", store.baseline().commit, DEEPER, "Deeper", at=1.0)
    for child in psutil.Process().children():
        if "cat-file" in child.cmdline() and Path(child.cwd()) == repo:
            child.kill()
            child.wait()
    assert "DEPTH: int = 12 " in store.source(variant.commit)


def test_closing_ends_the_reading_process(repo: Path) -> None:
    store = VariantStore(repo, "night")
    store.baseline()
    readers = [child for child in psutil.Process().children() if Path(child.cwd()) == repo]
    store.close()
    assert readers and not any(reader.is_running() and reader.status() != "zombie" for reader in readers)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_repository_that_cannot_be_written_says_so(repo: Path) -> None:
    store = VariantStore(repo, "night")
    baseline = store.baseline()
    (repo / ".git/objects").chmod(0o500)
    try:
        with pytest.raises(VariantError, match="Nothing could be stored"):
            store.put("e0001", baseline.commit, DEEPER, "Deeper", at=1.0)
    finally:
        (repo / ".git/objects").chmod(0o700)


def test_a_read_only_repository_is_reported_before_anything_runs(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = VariantStore(repo, "night")
    monkeypatch.setattr("cockpit.variant.git.repository.os.access", lambda path, mode: "refs" not in str(path))
    with pytest.raises(VariantError) as caught:
        store.check_place()
    assert str(caught.value) == (
        f"Nothing could be stored in {repo}/.git (Permission denied): give write access, or clone it elsewhere and name"
        " the clone with --repo."
    )


def test_a_ref_that_cannot_be_written_says_so(repo: Path) -> None:
    store = VariantStore(repo, "night")
    baseline = store.baseline()
    (repo / ".git/refs/cockpit/night/e0001").mkdir()
    with pytest.raises(VariantError, match="Nothing could be stored"):
        store.put("e0001", baseline.commit, DEEPER, "Deeper", at=1.0)


@pytest.mark.parametrize(
    ("branch", "sentence"),
    [
        ("cockpit", "`git branch -m cockpit OTHER` renames it"),
        ("cockpit/night", "There is a branch cockpit/night already: name another session"),
        ("cockpit/night/old", "There is a branch cockpit/night/old already"),
    ],
)
def test_a_branch_of_the_person_s_in_the_way_is_named_before_anything_is_made(
    repo: Path, branch: str, sentence: str
) -> None:
    git_in(repo)("branch", branch)
    with pytest.raises(VariantError) as caught:
        VariantStore(repo, "night").check_baseline()
    assert sentence in str(caught.value)


def test_branches_of_other_sessions_and_of_an_earlier_one_of_this_name_are_not_in_the_way(repo: Path) -> None:
    git_in(repo)("branch", "cockpit/other")
    store = VariantStore(repo, "night")
    store.check_baseline()
    store.advance(store.baseline().commit)
    store.check_baseline()


def test_a_hook_of_the_person_is_not_run_and_keeps_no_branch_from_moving(repo: Path) -> None:
    git = git_in(repo)
    store = VariantStore(repo, "night")
    baseline = store.baseline()
    hooks = repo / ".git" / "refusing"
    hooks.mkdir()
    for name in ("reference-transaction", "post-checkout", "pre-commit"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {hooks}/ran\nexit 1\n")
        (hooks / name).chmod(0o755)
    git("config", "core.hooksPath", str(hooks))
    assert store.advance(baseline.commit) == ""
    assert git("-c", "core.hooksPath=/dev/null", "rev-parse", "cockpit/night").strip() == baseline.commit
    assert not (hooks / "ran").exists()


def test_a_session_whose_repository_is_gone_says_where_it_was(tmp_path: Path) -> None:
    gone = tmp_path / "moved"
    with pytest.raises(VariantError, match=f"The repository of session night is gone: put it back at {gone}"):
        VariantStore.of(msgspec.structs.replace(session("night"), repo=str(gone)))
