"""A repository whose changing file is not train.py: any path, started by any command."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from cockpit.cli.errors import CommandError
from cockpit.cli.locate import repository as located
from cockpit.cli.steer import send_and_await
from cockpit.core.intents import Arm, Draft, Propose
from cockpit.core.model import Change, Outcome
from cockpit.create.error import CreateError
from cockpit.session import worker_process
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.setting_types import SettingsError
from cockpit.session.settings import NewSession
from cockpit.variant.store import VariantStore
from tests.worker.sessions import git, make, state_of, wait_for

NEW = NewSession(fleet="local", clusters=1, mode="autopilot", proposer="human")
KERNEL = "BLOCK = 8\n\n\ndef run():\n    return abs(BLOCK - 10) / 10\n"
PATTERN = r"val_bpb: ([\d.]+)"
BENCH = 'import sys\nfrom src.kernels.matmul import run\nprint(f"val_bpb: {1 + run():.4f}")\n'


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with a kernel, which variants change, and the bench that runs it."""
    folder = tmp_path / "repo"
    (folder / "src" / "kernels").mkdir(parents=True)
    (folder / "src" / "kernels" / "matmul.py").write_text(KERNEL)
    (folder / "bench.py").write_text(BENCH)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    return folder


def benched(confine: bool) -> ResearchSettings:
    return ResearchSettings(
        files=("src/kernels/matmul.py",), command=f"{sys.executable} bench.py", pattern=PATTERN, confine=confine
    )


def test_a_module_below_is_changed_and_the_command_runs_the_whole(tmp_path: Path, repo: Path) -> None:
    folder = make(tmp_path, repo, NEW, time.time(), research=benched(confine=True))
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).incumbent, 60, "the baseline")
        assert state_of(folder).session.constants == {"BLOCK": 8}
        draft = Draft(proposer="ann", question="more?", arms=(Arm(Change(constants={"BLOCK": 10})),))
        taken = send_and_await(folder, Propose(draft))
        assert taken is not None and not taken.refused
        wait_for(lambda: state_of(folder).experiments["e0001"].scores.get("CPU"), 60, "the arm's score")
    finally:
        worker_process.terminate(folder)
    state = state_of(folder)
    assert state.attempts["e0001.1"].outcome is Outcome.VALID
    assert state.experiments["e0000"].scores["CPU"][0] == 1.2
    assert state.experiments["e0001"].scores["CPU"][0] == 1.0
    commit = state.experiments["e0001"].commit
    assert git(repo, "diff", "--name-only", f"{commit}^", commit).split() == ["src/kernels/matmul.py"]
    store = VariantStore(repo, "night", files=("src/kernels/matmul.py",))
    assert "+++ b/src/kernels/matmul.py" in store.diff(state.experiments["e0000"].commit, commit)
    store.close()


def test_a_run_that_edits_its_module_has_no_result(tmp_path: Path, repo: Path) -> None:
    (repo / "bench.py").write_text(BENCH + 'open("src/kernels/matmul.py", "a").write("#")\n')
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "cheats")
    folder = make(tmp_path, repo, NEW, time.time(), research=benched(confine=False))
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).outcome_counts, 60, "the baseline")
    finally:
        worker_process.terminate(folder)
    assert state_of(folder).attempts["e0000.1"].outcome is Outcome.MISMATCH
    assert "it changed src/kernels/matmul.py while it ran" in state_of(folder).attempts["e0000.1"].message


@pytest.mark.parametrize("path", ["../other.py", "/etc/passwd.py", "model.cu"])
def test_a_file_outside_or_one_that_nothing_starts_is_refused(tmp_path: Path, repo: Path, path: str) -> None:
    with pytest.raises((SettingsError, CreateError), match=r"not the path of a file inside|give the command of a run"):
        make(tmp_path, repo, NEW, time.time(), research=ResearchSettings(files=(path,)))


def test_the_repository_is_found_by_its_settings_or_by_the_flag(repo: Path) -> None:
    with pytest.raises(CommandError, match="name another file to change with `cockpit new --files PATH`"):
        located(str(repo))
    assert located(str(repo), "bench.py") == repo
    (repo / "cockpit.toml").write_text("[research]\nfiles = ['bench.py']\n")
    assert located(str(repo / "src")) == repo


def test_the_flag_names_the_file_on_the_command_line(tmp_path: Path, repo: Path) -> None:
    (repo / "bench.py").write_text("N = 3\nprint('val_bpb:', N)\n")
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "simple")
    cockpit = [sys.executable, "-m", "cockpit"]
    words = ["new", "night", "--files", "bench.py", "--clusters", "1", "--mode", "manual"]
    done = subprocess.run([*cockpit, *words], cwd=repo, capture_output=True, text=True, timeout=120)
    try:
        assert done.returncode == 0, done.stderr
    finally:
        subprocess.run([*cockpit, "stop", "night", "--cancel", "--yes"], cwd=repo, capture_output=True, timeout=120)
