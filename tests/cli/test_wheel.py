"""The wheel does the main job in an empty folder: it carries the default project and needs no checkout."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.worker.sessions import ROOT


def run(folder: Path, *words: str) -> str:
    """Run a command in the folder, away from this checkout. Returns its output."""
    away = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "COCKPIT_SESSIONS")}
    done = subprocess.run(words, cwd=folder, env=away, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source distribution, a wheel from it, and install that. Returns the new environment's `cockpit`.

    The dependencies are those of this Python, which saves their download.
    """
    place = tmp_path_factory.mktemp("wheel")
    run(place, sys.executable, "-m", "build", "--outdir", str(place / "dist"), str(ROOT))
    (wheel,) = (place / "dist").glob("*.whl")
    run(place, sys.executable, "-m", "venv", "--without-pip", "environment")
    python = place / "environment" / "bin" / "python"
    run(place, sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", str(wheel))
    site = run(place, str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    Path(site, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.with_name("cockpit")


def test_the_code_that_runs_is_in_the_environment(installed: Path, tmp_path: Path) -> None:
    where = run(tmp_path, str(installed.with_name("python")), "-c", "import cockpit; print(cockpit.__file__)")
    assert Path(where.strip()).is_relative_to(installed.parents[1])


def test_a_session_is_made_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    run(tmp_path, str(installed), "init", "--yes")
    assert (tmp_path / "train.py").read_bytes() == (ROOT / "train.py").read_bytes()
    run(tmp_path, str(installed), "new", "DRY", "--fleet", "sim", "--clusters", "2")
    try:
        assert "DRY" in run(tmp_path, str(installed), "status")
        assert run(tmp_path, "git", "status", "--porcelain") == ""
    finally:
        run(tmp_path, str(installed), "stop", "DRY", "--cancel", "--wait", "60")


def test_the_wheel_names_the_command_that_extends_its_own_environment(installed: Path, tmp_path: Path) -> None:
    python = installed.with_name("python")
    asked = "from cockpit.core.installation import install_command; print(install_command('local'))"
    said = run(tmp_path, str(python), "-c", asked)
    assert said.strip() == f"{python} -m pip install 'cockpit[local]'"


def test_the_wheel_writes_the_report_and_the_page_that_plays(installed: Path, tmp_path: Path) -> None:
    run(tmp_path, str(installed), "init", "--yes")
    run(tmp_path, str(installed), "new", "DRY", "--fleet", "sim", "--clusters", "2")
    try:
        for words in (("report",), ("report", "--md"), ("report", "--png"), ("replay", "--html"), ("export",)):
            assert "written to DRY" in run(tmp_path, str(installed), words[0], "DRY", *words[1:])
    finally:
        run(tmp_path, str(installed), "stop", "DRY", "--cancel", "--wait", "60")


def test_the_wheel_has_the_guide_for_agents(installed: Path, tmp_path: Path) -> None:
    assert run(tmp_path, str(installed), "guide").startswith("# Research in a Cockpit session")
    assert run(tmp_path, str(installed), "guide", "--skill").startswith("---\nname: cockpit\n")
