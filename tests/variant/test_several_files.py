"""Variants of several files: names of constants, edits by path, one fingerprint, one commit."""

import hashlib
from pathlib import Path

import pytest

from cockpit.core.model import Change, Edit
from cockpit.variant.editable import constants_in, fingerprint_of, outline_of, set_in
from cockpit.variant.errors import VariantError
from cockpit.variant.review import KeptStep, write_review
from cockpit.variant.store import VariantStore
from tests.variant.conftest import git_in

TRAIN = 'LR = 0.1\nDEPTH = 8\nprint("val_bpb:", LR)\n'
MODEL = "LR = 0.5  # of the head\nWIDTH = 64\n"
CONFIG = "# the run\noptimizer:\n  momentum: 0.9  # as in the paper\nmodel: {layers: 4}\n"
FILES = ("pkg/train.py", "pkg/model.py", "configs/base.yaml")
TEXTS = dict(zip(FILES, (TRAIN, MODEL, CONFIG), strict=True))


@pytest.fixture
def monorepo(tmp_path: Path) -> Path:
    """A repository with the project in one of its folders."""
    git = git_in(tmp_path)
    git("init", "-q")
    for path, text in {**TEXTS, "pkg/eval.py": "SHARDS = 3\n", "README.md": "hello\n"}.items():
        place = tmp_path / "projects" / "one" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    return tmp_path / "projects" / "one"


def test_names_are_plain_where_one_file_has_them() -> None:
    assert constants_in(TEXTS) == {
        "pkg/train.py:LR": 0.1, "DEPTH": 8, "pkg/model.py:LR": 0.5, "WIDTH": 64, "optimizer.momentum": 0.9,
        "model.layers": 4,
    }  # fmt: skip


def test_a_value_is_set_in_its_own_file_and_comments_stay() -> None:
    changed = set_in(TEXTS, {"pkg/model.py:LR": 0.25, "optimizer.momentum": 0.95, "pkg/model.py:WIDTH": 32})
    assert changed == {
        "pkg/train.py": TRAIN,
        "pkg/model.py": "LR = 0.25  # of the head\nWIDTH = 32\n",
        "configs/base.yaml": CONFIG.replace("0.9 ", "0.95 "),
    }


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("LR", "Several files have a constant LR: write pkg/train.py:LR or pkg/model.py:LR."),
        ("WIDHT", "did you mean WIDTH?"),
        ("configs/base.yaml:WIDTH", "There is no constant 'configs/base.yaml:WIDTH'"),
    ],
)
def test_a_name_that_is_unclear_is_refused(name: str, sentence: str) -> None:
    with pytest.raises(VariantError) as refused:
        set_in(TEXTS, {name: 1})
    assert sentence in str(refused.value)


def test_a_variant_of_three_files_is_one_commit(monorepo: Path) -> None:
    git = git_in(monorepo)
    store = VariantStore(monorepo, "night", files=FILES)
    baseline = store.baseline()
    change = Change(
        constants={"pkg/train.py:LR": 0.2, "model.layers": 6},
        edits=(Edit("WIDTH = 64", "WIDTH = 64\nHEADS = 4", "pkg/model.py"), Edit("DEPTH = 8", "DEPTH = 9")),
    )
    variant = store.put("e0001", baseline.commit, change, "three", at=1.0)
    names = git("diff", "--name-only", "--relative", baseline.commit, variant.commit).split()
    assert names == ["configs/base.yaml", "pkg/model.py", "pkg/train.py"]
    texts = store.texts(variant.commit)
    assert texts["configs/base.yaml"] == CONFIG.replace("layers: 4", "layers: 6")
    assert store.constants(variant.commit) == {
        "pkg/train.py:LR": 0.2, "DEPTH": 9, "pkg/model.py:LR": 0.5, "WIDTH": 64, "HEADS": 4,
        "optimizer.momentum": 0.9, "model.layers": 6,
    }  # fmt: skip
    assert variant.train_hash == hashlib.sha256(texts["pkg/train.py"].encode()).hexdigest()
    assert variant.file_hashes == {path: hashlib.sha256(texts[path].encode()).hexdigest() for path in FILES[1:]}
    assert (variant.lines_added, variant.lines_removed) == (4, 3)
    assert VariantStore(monorepo, "night", files=FILES).variant(variant.commit, baseline.commit) == variant
    diff = store.diff(baseline.commit, variant.commit)
    assert [line for line in diff.splitlines() if line.startswith("+++")] == [f"+++ b/{path}" for path in FILES]
    git("fsck", "--strict")


def test_the_fingerprint_covers_every_file_and_no_comment(monorepo: Path) -> None:
    store = VariantStore(monorepo, "night", files=FILES)
    baseline = store.baseline()

    def fingerprint(change: Change) -> str:
        return store.put("e0001", baseline.commit, change, "x", at=1.0).fingerprint

    comment = Change(edits=(Edit("# as in the paper", "# as we like it", "configs/base.yaml"),))
    assert fingerprint(comment) == baseline.fingerprint
    spelled = Change(edits=(Edit("{layers: 4}", "\n  layers: 4", "configs/base.yaml"),))
    assert fingerprint(spelled) == baseline.fingerprint
    by_name = fingerprint(Change(constants={"optimizer.momentum": 0.8}))
    by_edit = fingerprint(Change(edits=(Edit("0.9 ", "0.8 ", "configs/base.yaml"),)))
    assert by_name == by_edit != baseline.fingerprint
    added = Change(edits=(Edit("model: {layers: 4}", "model: {layers: 4}\nextra: null", "configs/base.yaml"),))
    assert len({fingerprint(added), baseline.fingerprint, by_name}) == 3


def test_one_file_has_the_fingerprint_that_it_always_had() -> None:
    from cockpit.variant.fingerprint import fingerprint

    assert fingerprint_of(
        {"train.py": outline_of("train.py", TRAIN)}, constants_in({"train.py": TRAIN})
    ) == fingerprint(TRAIN)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("pkg/eval.py", "Edit 1 of 1 changes 'pkg/eval.py', which is protected: [research] protected has pkg/eval.py."),
        ("pkg/../pkg/eval.py", "which is protected"),
        ("PKG/Eval.py", "which is protected"),
        ("README.md", "Edit 1 of 1 changes 'README.md', which is not editable; edits change pkg/train.py and"),
        ("../../outside.py", "which is not editable"),
        ("/etc/passwd", "which is not editable"),
    ],
)
def test_an_edit_of_another_file_is_refused_by_its_name(monorepo: Path, path: str, sentence: str) -> None:
    store = VariantStore(monorepo, "night", files=FILES, protected=("pkg/eval.py",))
    baseline = store.baseline()
    with pytest.raises(VariantError) as refused:
        store.put("e0001", baseline.commit, Change(edits=(Edit("a", "b", path),)), "x", at=1.0)
    assert sentence in str(refused.value)
    assert store.experiments() == {}


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (Edit("layers: 4}", "layers: 4", "configs/base.yaml"), "configs/base.yaml is not YAML"),
        (Edit("WIDTH = 64", "WIDTH = (64", "pkg/model.py"), "pkg/model.py does not compile"),
        (Edit("nowhere", "x", "pkg/model.py"), "does not occur in pkg/model.py"),
        (Edit('print("val_bpb:", LR)', "pass"), "pkg/train.py prints no 'val_bpb:' line"),
    ],
)
def test_a_change_that_breaks_a_file_names_it(monorepo: Path, edit: Edit, sentence: str) -> None:
    store = VariantStore(monorepo, "night", files=FILES)
    baseline = store.baseline()
    with pytest.raises(VariantError) as refused:
        store.put("e0001", baseline.commit, Change(edits=(edit,)), "x", at=1.0)
    assert sentence in str(refused.value)


def test_a_name_in_another_unicode_form_is_the_same_file(tmp_path: Path) -> None:
    git = git_in(tmp_path)
    git("init", "-q")
    (tmp_path / "caf\u00e9.py").write_text(TRAIN)
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    store = VariantStore(tmp_path, "night", files=("caf\u00e9.py",))
    baseline = store.baseline()
    edit = Edit("DEPTH = 8", "DEPTH = 9", "cafe\u0301.py")
    assert "DEPTH = 9" in store.source(store.put("e0001", baseline.commit, Change(edits=(edit,)), "x", at=1.0).commit)


def test_changes_that_are_not_committed_are_taken_from_each_file(monorepo: Path) -> None:
    (monorepo / "configs/base.yaml").write_text(CONFIG.replace("0.9", "0.7"))
    (monorepo / "README.md").write_text("changed\n")
    store = VariantStore(monorepo, "night", files=FILES)
    baseline = store.baseline()
    assert store.constants(baseline.commit)["optimizer.momentum"] == 0.7
    assert "configs/base.yaml has changes that are not committed" in baseline.note
    assert "README.md" in baseline.note


def test_a_text_without_constants_is_changed_by_edits(tmp_path: Path) -> None:
    git = git_in(tmp_path)
    git("init", "-q")
    (tmp_path / "prompt.txt").write_text("Think step by step.\n")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    store = VariantStore(tmp_path, "night", files=("prompt.txt",))
    baseline = store.baseline()
    assert store.constants(baseline.commit) == {}
    edit = Change(edits=(Edit("step by step", "first", "prompt.txt"),))
    variant = store.put("e0001", baseline.commit, edit, "x", at=1.0)
    assert store.source(variant.commit) == "Think first.\n"
    assert variant.fingerprint != baseline.fingerprint


def test_a_branch_for_review_has_the_changes_of_each_file(monorepo: Path) -> None:
    store = VariantStore(monorepo, "night", files=FILES)
    baseline = store.baseline()
    one = store.put("e0001", baseline.commit, Change(constants={"model.layers": 6}), "layers", at=1.0)
    two = store.put(
        "e0002", baseline.commit, Change(constants={"WIDTH": 32, "optimizer.momentum": 0.8}), "width", at=2.0
    )
    both = store.put("e0003", one.commit, Change(constants={"WIDTH": 32, "optimizer.momentum": 0.8}), "both", at=3.0)
    steps = (KeptStep(baseline.commit, one.commit, "layers", 1.0), KeptStep(baseline.commit, two.commit, "width", 2.0))
    made = write_review(store, "review/night", baseline.commit, steps, both.commit, "arrive")
    assert made.subjects == ("layers", "width") and not made.problem
    assert store.texts(made.commit) == store.texts(both.commit)
