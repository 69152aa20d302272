"""The commands of the report, run by a shell as they are printed, give the best code and its score again."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from cockpit.core.events import Ended, IncumbentSet, Proposed, Queued, SessionCreated, Started, Submitted, Submitting
from cockpit.core.fold import fold_all
from cockpit.core.model import Attempt, AttemptKind, Change, Envelope, Experiment, Metrics, Mode, Outcome, Wave
from cockpit.core.session import ClusterSpec, FleetSpec, RunAccess, Session
from cockpit.core.state import State
from cockpit.report.reproduce import commands, commands_place, git_in
from cockpit.session.paths import SessionFolder
from cockpit.variant.store import VariantStore
from tests.worker.sessions import git, repository, state_of

pytestmark = pytest.mark.timeout(120)
SCRIPT = """
import os

LR = 2

print(f"val_bpb: {LR + int(os.environ['SEED'])}", os.environ["COCKPIT_TIME_BUDGET_S"], open("data.txt").read())
"""


def shell(line: str, folder: Path, **variables: str) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **variables}
    done = subprocess.run(
        ["bash", "-ec", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def real_session(place: Path) -> State:
    """Return a session on this machine whose best variant has LR 3, with a data file that git does not store."""
    repo = repository(place / "my repo", SCRIPT)
    (repo / "data.txt").write_text("the data")
    store = VariantStore(repo, "night")
    base = store.baseline()
    best = store.put("e0001", base.commit, Change({"LR": 3}), "a rate", at=1.0)
    store.close()
    fleet = FleetSpec("local", (ClusterSpec("gpu-01"),))
    access = RunAccess(links={"data.txt": str(repo / "data.txt")})
    session = Session("night", str(repo), base.commit, fleet, 0.0, "ann", time_budget_s=7.0, access=access)
    made = [
        Experiment(name, "w000", parent, change, variant.commit, variant.train_hash, variant.prepare_hash, name)
        for name, parent, change, variant in (
            ("e0000", "", Change(), base), ("e0001", "e0000", Change({"LR": 3}), best),
        )
    ]  # fmt: skip
    attempt = Attempt("e0001.1", "e0001", AttemptKind.ARM, seed=41)
    return fold_all(
        [
            SessionCreated(at=0.0, session=session, mode=Mode.MANUAL, envelope=Envelope()),
            Proposed(at=0.0, wave=Wave("w000", "ann", "?", arms=["e0000", "e0001"]), experiments=made),
            Queued(at=1.0, attempt=attempt),
            Submitting(at=1.0, attempt="e0001.1", cluster="gpu-01", hardware="CPU"),
            Submitted(at=1.0, attempt="e0001.1"),
            Started(at=1.0, attempt="e0001.1"),
            Ended(at=2.0, attempt="e0001.1", outcome=Outcome.VALID, metrics=Metrics(44.0)),
            IncumbentSet(at=3.0, experiment="e0001", reason="better"),
        ]
    )


def test_the_printed_commands_train_the_best_code_with_its_seed_and_data(tmp_path: Path) -> None:
    state = real_session(tmp_path)
    repo = Path(state.session.repo)
    before = git(repo, "status", "--porcelain")
    lines = [one.line for one in commands(state) if not one.line.startswith("cockpit ")]
    said = shell("\n".join(lines), repo)
    assert "val_bpb: 44 7 the data" in said
    assert (repo.parent / "night-e0001" / "train.py").read_text() == SCRIPT.replace("LR = 2", "LR = 3")
    assert git(repo, "status", "--porcelain") == before


def test_a_python_of_the_repository_is_found_from_beside_it(tmp_path: Path) -> None:
    state = real_session(tmp_path)
    python = Path(state.session.repo) / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    state.session = msgspec.structs.replace(state.session, run_command=(str(python), "-u", "train.py"))
    lines = [one.line for one in commands(state) if not one.line.startswith("cockpit ")]
    assert str(tmp_path) not in "\n".join(lines)
    assert "val_bpb: 44" in shell("\n".join(lines), Path(state.session.repo))


def test_the_commands_of_a_simulated_night_check_out_its_code_and_check_its_certificate(
    night_folder: SessionFolder, tmp_path: Path
) -> None:
    state = state_of(night_folder)
    lines = [one.line for one in commands(state)]
    assert not any("SEED" in line for line in lines) and len(lines) == 3
    (tmp_path / "sessions").symlink_to(night_folder.root.parent)
    repo = Path(state.session.repo)
    git(tmp_path, "clone", "-q", "--no-hardlinks", str(repo), "copy")
    git(tmp_path / "copy", "fetch", "-q", "origin", "refs/cockpit/*:refs/cockpit/*")
    (tmp_path / "copy" / "sessions").symlink_to(night_folder.root.parent)
    said = shell("\n".join(lines), tmp_path / "copy", COCKPIT_SESSIONS=str(night_folder.root.parent))
    assert (tmp_path / f"{state.session.name}-{state.incumbent}" / "train.py").exists()
    assert "+++ b/train.py" in said and f"certificate {state.certificates[state.incumbent]}" in said


def test_a_demo_is_reproduced_in_the_folder_that_has_its_session(tmp_path: Path) -> None:
    state = real_session(tmp_path)
    repo = tmp_path / "sessions" / "night" / "repo"
    repo.parent.mkdir(parents=True)
    Path(state.session.repo).rename(repo)
    assert commands_place(state) == "In the researched repository" and git_in(state) == "git"
    fleet = msgspec.structs.replace(state.session.fleet, kind="sim")
    state.session = msgspec.structs.replace(state.session, repo=str(repo), fleet=fleet)
    assert commands_place(state) == "In the folder that has sessions/"
    shell(commands(state)[0].line, tmp_path)
    assert (tmp_path / "night-e0001" / "train.py").read_text() == SCRIPT.replace("LR = 2", "LR = 3")
    assert state.experiments["e0001"].commit in shell(
        f"{git_in(state)} rev-parse {state.experiments['e0001'].commit}", tmp_path
    )
