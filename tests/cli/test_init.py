"""`cockpit init` starts a research project in an empty folder, and `cockpit` offers it there."""

from pathlib import Path

import pytest

from tests.cli.shell import cockpit, refusal, terminal
from tests.worker.sessions import ROOT, git

FILES = ["experiment.yaml", "prepare.py", "program.md", "train.py"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    return made


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_init_copies_the_default_project_and_commits_it(tmp_path: Path, folder: Path) -> None:
    done = cockpit(tmp_path, "init", "--yes", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert visible(folder) == FILES
    assert all((folder / name).read_bytes() == (ROOT / name).read_bytes() for name in FILES)
    assert git(folder, "ls-files").split() == FILES
    assert not git(folder, "status", "--porcelain")


def test_init_commits_to_a_new_repository_without_commits(tmp_path: Path, folder: Path) -> None:
    git(folder, "init", "-q", "-b", "trunk")
    assert cockpit(tmp_path, "init", "--yes", cwd=folder).returncode == 0
    assert git(folder, "log", "--format=%s", "trunk").strip() == "Start from the template autoresearch"


def test_init_commits_if_git_knows_no_author(tmp_path: Path, folder: Path) -> None:
    nameless = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "user.useConfigOnly", "GIT_CONFIG_VALUE_0": "true"}  # fmt: skip
    done = cockpit(tmp_path, "init", "--yes", cwd=folder, **nameless)
    assert done.returncode == 0, done.stderr
    assert git(folder, "log", "--format=%an").strip() == "cockpit"


def test_init_leaves_a_folder_with_files_alone(tmp_path: Path, folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    assert "is not empty" in refusal(cockpit(tmp_path, "init", "--yes", cwd=folder))
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_init_refuses_an_unknown_template_and_lists_the_others(tmp_path: Path, folder: Path) -> None:
    assert "choose autoresearch" in refusal(cockpit(tmp_path, "init", "--yes", "--template", "nothing", cwd=folder))
    assert not list(folder.iterdir())


def test_init_asks_before_it_copies(tmp_path: Path, folder: Path) -> None:
    assert "add --yes" in refusal(cockpit(tmp_path, "init", cwd=folder))
    assert not list(folder.iterdir())


def test_cockpit_offers_the_project_in_an_empty_folder(tmp_path: Path, folder: Path) -> None:
    with terminal(tmp_path, columns=120, rows=30, cwd=folder) as shown:
        shown.until("Start it? [y/N]")
        shown.keys("n\n")
        assert shown.ended() == 1
    assert not list(folder.iterdir())
    with terminal(tmp_path, columns=120, rows=30, cwd=folder, COCKPIT_DATA_DIR=str(tmp_path / "data")) as shown:
        shown.until("Start it? [y/N]")
        shown.keys("y\n")
        shown.until("corpus")
    assert visible(folder) == FILES


def test_cockpit_offers_nothing_in_a_folder_with_files(tmp_path: Path, folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    with terminal(tmp_path, columns=200, rows=30, cwd=folder) as shown:
        assert shown.ended() == 1
        assert "there is no train.py" in shown.shown()
