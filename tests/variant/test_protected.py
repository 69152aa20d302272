"""Protected files: their globs, and the hashes that runs are held to."""

import hashlib
from pathlib import Path

import pytest

from cockpit.variant.errors import VariantError
from cockpit.variant.protected import pattern_of
from cockpit.variant.store import VariantStore
from tests.variant.conftest import PREPARE, git_in


@pytest.mark.parametrize(
    ("path", "pattern", "covered"),
    [
        ("eval.py", "eval.py", True),
        ("EVAL.PY", "eval.py", True),
        ("./x/../eval.py", "eval.py", True),
        ("caf\u00e9.py", "cafe\u0301.py", True),
        ("x/eval.py", "eval.py", False),
        ("x/eval.py", "*.py", False),
        ("x/eval.py", "**/*.py", True),
        ("eval.py", "**/*.py", True),
        ("tests/a/b.txt", "tests", True),
        ("tests/a/b.txt", "tests/", True),
        ("tests2/b.txt", "tests", False),
        ("data/x1.bin", "data/x?.bin", True),
        ("data/x/1.bin", "data/x?1.bin", False),
        ("a+b.py", "a+b.py", True),
    ],
)
def test_a_glob_covers_files_by_path(path: str, pattern: str, covered: bool) -> None:
    assert pattern_of(path, [pattern]) == (pattern if covered else "")


def committed(repo: Path) -> None:
    git = git_in(repo)
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "more")


def test_the_baseline_holds_the_hash_of_each_protected_file(repo: Path) -> None:
    (repo / "tests").mkdir()
    (repo / "tests" / "check.py").write_text("pass\n")
    (repo / "score.py").symlink_to("tests/check.py")
    committed(repo)
    store = VariantStore(repo, "night", protected=("prepare.py", "tests", "score.py"))
    check = hashlib.sha256(b"pass\n").hexdigest()
    assert store.baseline().protected_hashes == {
        "prepare.py": hashlib.sha256(PREPARE.encode()).hexdigest(),
        "tests/check.py": check,
        "score.py": check,
    }


def test_a_file_that_git_lfs_stores_has_the_hash_of_its_content(repo: Path) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    (repo / "model.bin").write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 7\n")
    committed(repo)
    assert VariantStore(repo, "night", protected=("model.bin",)).baseline().protected_hashes == {"model.bin": digest}


@pytest.mark.parametrize(
    ("protected", "sentence"),
    [
        ("evel.py", "evel.py covers no file of the last commit"),
        ("*.py", "*.py covers train.py, which is in files"),
        ("TRAIN.py", "TRAIN.py covers train.py, which is in files"),
        ("outside.txt", "outside.txt is a link to /etc/hostname, but git stores no such file"),
        ("up.txt", "up.txt is a link to ../x, but git stores no such file"),
        ("other.py", "other.py is a link to train.py, which is in files"),
        ("loop", "loop is a link to loop, but git stores no such file"),
    ],
)
def test_a_pattern_that_cannot_protect_is_refused(repo: Path, protected: str, sentence: str) -> None:
    (repo / "outside.txt").symlink_to("/etc/hostname")
    (repo / "up.txt").symlink_to("../x")
    (repo / "other.py").symlink_to("train.py")
    (repo / "loop").symlink_to("loop")
    committed(repo)
    with pytest.raises(VariantError) as refused:
        VariantStore(repo, "night", protected=(protected,)).check_baseline()
    assert sentence in str(refused.value)
