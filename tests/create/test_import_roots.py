"""A run imports its own package where an editable install leads into the person's checkout."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cockpit.cli.steer import send_and_await
from cockpit.core.intents import Arm, Draft, Propose
from cockpit.core.model import Change
from cockpit.create.error import CreateError
from cockpit.create.import_roots import import_roots
from cockpit.session import worker_process
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.settings import NewSession
from tests.worker.sessions import git, make, state_of, wait_for

NEW = NewSession(fleet="local", clusters=1, mode="autopilot", proposer="human")
MODEL = "LR = 0.5\n\n\ndef score(seed):\n    return abs(LR - 0.1) + seed % 97 * 1e-6\n"
TRAIN = """\
import os
import lab.model
print("from:", lab.model.__file__)
print(f"loss: {lab.model.score(int(os.environ['SEED'])):.6f}")
"""
FINDER = """\
import importlib.util, sys
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "lab":
            file = PLACE + "/__init__.py"
            return importlib.util.spec_from_file_location(name, file, submodule_search_locations=[PLACE])
def install():
    sys.meta_path.WHERE
"""


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with its package below src, and an environment of its own."""
    folder = tmp_path / "repo"
    (folder / "src" / "lab").mkdir(parents=True)
    (folder / "src" / "lab" / "__init__.py").write_text("")
    (folder / "src" / "lab" / "model.py").write_text(MODEL)
    (folder / "scripts").mkdir()
    (folder / "scripts" / "train.py").write_text(TRAIN)
    (folder / ".gitignore").write_text(".venv/\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / ".venv")], check=True)
    return folder


def site_packages(repo: Path) -> Path:
    return next((repo / ".venv" / "lib").glob("python3*")) / "site-packages"


def install_path(repo: Path) -> None:
    """Install the package as `pip install -e .` does for a plain src layout."""
    (site_packages(repo) / "_lab.pth").write_text(f"{repo / 'src'}\n")


def install_finder(repo: Path, where: str) -> None:
    """Install the package by a finder, as other build tools do."""
    text = FINDER.replace("PLACE", json.dumps(str(repo / "src" / "lab"))).replace("WHERE", where)
    (site_packages(repo) / "__editable___lab_finder.py").write_text(text)
    (site_packages(repo) / "__editable__.lab.pth").write_text(
        "import __editable___lab_finder; __editable___lab_finder.install()\n"
    )


def python_of(repo: Path) -> str:
    return str(repo / ".venv" / "bin" / "python")


@pytest.mark.parametrize("install", ["path", "finder"])
def test_a_run_of_an_editable_install_imports_its_own_package(tmp_path: Path, repo: Path, install: str) -> None:
    if install == "path":
        install_path(repo)
    else:
        install_finder(repo, "append(Finder)")
    research = ResearchSettings(
        files=("src/lab/model.py",), command=f"{python_of(repo)} scripts/train.py", metric="loss", confine=False
    )
    folder = make(tmp_path, repo, NEW, time.time(), research=research, filler=False)
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).incumbent, 120, "the baseline")
        arms = (Arm(Change(constants={"LR": 0.1})),)
        send_and_await(folder, Propose(Draft(proposer="ann", question="lower?", arms=arms)))
        wait_for(lambda: state_of(folder).experiments["e0001"].scores.get("CPU"), 120, "the arm's score")
    finally:
        worker_process.terminate(folder)
    state = state_of(folder)
    assert state.experiments["e0000"].scores["CPU"][0] == pytest.approx(0.4, abs=0.001)
    assert state.experiments["e0001"].scores["CPU"][0] == pytest.approx(0.0, abs=0.001)
    assert f"from: {repo}" not in folder.log("e0001.1").read_text()


def test_an_install_that_no_path_precedes_is_refused(tmp_path: Path, repo: Path) -> None:
    install_finder(repo, "insert(0, Finder)")
    with pytest.raises(CreateError, match=r"imports lab from .*/src/lab wherever it is started.*install it there"):
        import_roots(repo, (python_of(repo), "scripts/train.py"), "")


def test_the_top_comes_first_where_it_is_installed_and_src_wherever_it_holds_packages(repo: Path) -> None:
    command = (python_of(repo), "scripts/train.py")
    assert import_roots(repo, command, "") == ("src",)
    (site_packages(repo) / "_lab.pth").write_text(f"{repo}\n")
    (repo / "tools").mkdir()
    (repo / "tools" / "__init__.py").write_text("")
    assert import_roots(repo, command, "") == ("src", ".")


SETUPTOOLS_FINDER = """\
import sys
from importlib.util import spec_from_file_location
from pathlib import Path
MAPPING: "dict[str, str]" = {"lab": PLACE}
NAMESPACES: "dict[str, list[str]]" = {}
class _EditableFinder:
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname in MAPPING:
            place = Path(MAPPING[fullname])
            for candidate in (place / "__init__.py", place.with_suffix(".py")):
                if candidate.exists():
                    return spec_from_file_location(fullname, candidate)
def install():
    if not any(finder == _EditableFinder for finder in sys.meta_path):
        sys.meta_path.append(_EditableFinder)
"""
"""The finder of setuptools, shortened."""
REDIRECTOR = """\
import importlib.util, sys
class RedirectingFinder:
    _redirections = {"lab": PLACE + "/__init__.py"}
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname in cls._redirections:
            return importlib.util.spec_from_file_location(fullname, cls._redirections[fullname])
sys.meta_path.append(RedirectingFinder)
"""
"""The finder of `editables`, which hatchling and pdm-backend use, shortened."""


def deep(repo: Path, name: str = "lab") -> Path:
    """Move the package to a place that no search of the tree finds."""
    place = repo / "a" / "b" / "c" / "python" / name
    place.parent.mkdir(parents=True)
    (repo / "src" / "lab").rename(place)
    return place


@pytest.mark.parametrize("tool", ["a path", "setuptools", "editables"])
def test_a_package_is_found_at_any_depth_by_the_file_that_installs_it(repo: Path, tool: str) -> None:
    place, site = deep(repo), site_packages(repo)
    if tool == "a path":
        (site / "__editable__.lab-0.1.pth").write_text(f"{place.parent}\n")
    else:
        text = SETUPTOOLS_FINDER if tool == "setuptools" else REDIRECTOR
        (site / "__editable___lab_0_1_finder.py").write_text(text.replace("PLACE", json.dumps(str(place))))
        start = ".install()" if tool == "setuptools" else ""
        (site / "__editable__.lab-0.1.pth").write_text(
            f"import __editable___lab_0_1_finder; __editable___lab_0_1_finder{start}\n"
        )
    assert import_roots(repo, (python_of(repo), "scripts/train.py"), "") == ("a/b/c/python",)


def test_the_links_of_an_install_in_strict_mode_are_followed(repo: Path) -> None:
    place, links = deep(repo), repo / "build" / "__editable__.lab-0.1-py3-none-any"
    (links / "lab").mkdir(parents=True)
    (links / "lab" / "__init__.py").symlink_to(place / "__init__.py")
    (site_packages(repo) / "__editable__.lab-0.1.pth").write_text(f"{links}\n")
    assert "a/b/c/python" in import_roots(repo, (python_of(repo), "scripts/train.py"), "")


def test_a_package_in_a_folder_of_another_name_is_refused(repo: Path) -> None:
    finder = SETUPTOOLS_FINDER.replace("PLACE", json.dumps(str(deep(repo, "python_sources"))))
    (site_packages(repo) / "__editable___lab_0_1_finder.py").write_text(finder)
    (site_packages(repo) / "__editable__.lab-0.1.pth").write_text(
        "import __editable___lab_0_1_finder; __editable___lab_0_1_finder.install()\n"
    )
    with pytest.raises(CreateError, match=r"imports lab from .*/python_sources .*install it there without -e"):
        import_roots(repo, (python_of(repo), "scripts/train.py"), "")


def test_a_repository_without_packages_needs_no_path(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    assert import_roots(tmp_path, (), "") == ()


def test_a_python_that_cannot_be_asked_leaves_the_usual_folder(repo: Path) -> None:
    assert import_roots(repo, ("/no/such/python", "scripts/train.py"), "") == ("src",)
