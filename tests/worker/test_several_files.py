"""A night on a script and its YAML configuration: real runs, and a keep that changes one value."""

import hashlib
import sys
import time
from pathlib import Path

import pytest

from cockpit.cli.demo import AS_COCKPIT, copy_of
from cockpit.cli.steer import send_and_await
from cockpit.core.intents import Arm, Draft, Propose
from cockpit.core.model import Change, Edit, Outcome
from cockpit.create.checks import check_start
from cockpit.create.error import CreateError
from cockpit.create.new_session import SIM_EPOCH
from cockpit.session import worker_process
from cockpit.session.client import SteeringError
from cockpit.session.research_settings import ResearchSettings, files_of
from cockpit.session.setting_types import SettingsError
from cockpit.session.settings import NewSession, Settings
from cockpit.variant.store import VariantStore
from tests.worker.sessions import ROOT, git, make, state_of, wait_for

NEW = NewSession(fleet="local", clusters=1, mode="autopilot", proposer="human")
CONFIG = """\
# The run of the paper.
optimizer:
  lr: 0.5   # too high, they say
  betas: [0.9, 0.95]
model: {layers: 4}
"""
TRAIN = """
import os
import re
import sys

text = open(sys.argv[1]).read()
lr = float(re.search(r"lr: (\\S+)", text)[1])
seed = int(os.environ["SEED"])
print(f"loss={abs(lr - 0.1) + seed % 97 * 1e-6:.6f}")
"""
EVALUATE = "LIMIT = 3\n"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    (folder / "pkg").mkdir(parents=True)
    (folder / "pkg" / "__init__.py").write_text("")
    (folder / "pkg" / "train.py").write_text(TRAIN)
    (folder / "pkg" / "evaluate.py").write_text(EVALUATE)
    (folder / "cfg.yaml").write_text(CONFIG)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    return folder


def research(command: str = "python -m pkg.train cfg.yaml", confine: bool = False) -> ResearchSettings:
    return ResearchSettings(
        files=("cfg.yaml", "pkg/train.py"),
        protected=("pkg/evaluate.py",),
        command=command.replace("python", sys.executable, 1),
        metric="loss",
        confine=confine,
    )


def test_a_keep_changes_one_value_of_the_configuration(tmp_path: Path, repo: Path) -> None:
    folder = make(tmp_path, repo, NEW, time.time(), research=research(), filler=False)
    session = state_of(folder).session
    assert (session.script, session.editable) == ("pkg/train.py", ("cfg.yaml", "pkg/train.py"))
    assert session.constants["optimizer.lr"] == 0.5 and session.constants["model.layers"] == 4
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).incumbent, 120, "the baseline")
        arms = (Arm(Change(constants={"optimizer.lr": 0.1})),)
        taken = send_and_await(folder, Propose(Draft(proposer="ann", question="lower?", arms=arms)))
        assert taken is not None and not taken.refused
        touched = Change(edits=(Edit("LIMIT = 3", "LIMIT = 4", "pkg/evaluate.py"),))
        with pytest.raises(SteeringError, match=r"'pkg/evaluate.py', which is protected"):
            send_and_await(folder, Propose(Draft(proposer="ann", question="longer?", arms=(Arm(touched),))))
        wait_for(lambda: state_of(folder).incumbent == "e0001", 240, "the keep")
    finally:
        worker_process.terminate(folder)
    state = state_of(folder)
    commit = state.experiments["e0001"].commit
    assert git(repo, "show", f"{commit}:cfg.yaml") == CONFIG.replace("lr: 0.5 ", "lr: 0.1 ")
    assert git(repo, "diff", "--numstat", f"{commit}^", commit).split() == ["1", "1", "cfg.yaml"]
    assert git(repo, "rev-parse", "cockpit/night").strip() == commit
    assert (repo / "cfg.yaml").read_text() == CONFIG


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('open("cfg.yaml", "a").write("# more")', "it changed cfg.yaml while it ran"),
        (
            'os.chmod("pkg/evaluate.py", 0o644); open("pkg/evaluate.py", "w").write("LIMIT = 9")',
            "it changed pkg/evaluate.py while it ran",
        ),
    ],
)
def test_a_run_that_writes_an_editable_or_a_protected_file_has_no_result(
    tmp_path: Path, repo: Path, line: str, sentence: str
) -> None:
    (repo / "pkg" / "train.py").write_text(TRAIN + line + "\n")
    folder = make(tmp_path, repo, NEW, time.time(), research=research())
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).outcome_counts, 120, "the baseline")
    finally:
        worker_process.terminate(folder)
    first = state_of(folder).attempts["e0000.1"]
    assert first.outcome is Outcome.MISMATCH and sentence in first.message


def test_a_confined_run_gets_protected_files_read_only(tmp_path: Path, repo: Path) -> None:
    line = 'print("writable:", os.access("pkg/evaluate.py", os.W_OK) and os.getuid() != 0)'
    (repo / "pkg" / "train.py").write_text(TRAIN + line + "\n")
    folder = make(tmp_path, repo, NEW, time.time(), research=research(confine=True))
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).outcome_counts, 120, "the baseline")
    finally:
        worker_process.terminate(folder)
    assert state_of(folder).attempts["e0000.1"].outcome is Outcome.VALID
    assert "writable: False" in folder.log("e0000.1").read_text()


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (("a.py", "./a.py"), "'./a.py' names the same file as 'a.py'"),
        (("a.py", "A.py"), "'A.py' names the same file as 'a.py'"),
        (("../a.py",), "'../a.py' is not the path of a file inside the repository"),
        (("/a.py",), "'/a.py' is not the path of a file inside the repository"),
        (("",), "'' is not the path of a file inside the repository"),
    ],
)
def test_files_that_cannot_be_changed_are_refused(files: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        files_of(ResearchSettings(files=files))
    assert sentence in str(refused.value)


def test_a_file_that_is_a_link_is_refused(tmp_path: Path, repo: Path) -> None:
    (repo / "linked.yaml").symlink_to("cfg.yaml")
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "link")
    with pytest.raises(
        Exception,
        match=r"linked.yaml in .* is a link to .cfg.yaml., and only a plain file can be edited: name cfg.yaml with",
    ):
        VariantStore(repo, "night", files=("pkg/train.py", "linked.yaml")).check_baseline()


@pytest.mark.parametrize(
    ("new", "research", "sentence"),
    [
        (NEW, ResearchSettings(files=("a.yaml", "b.txt")), "none of a.yaml, b.txt is a Python file: give the command"),
        (NewSession(fleet="sim"), ResearchSettings(command="make"), "a simulated fleet starts nothing"),
        (NewSession(fleet="sky"), ResearchSettings(command="make"), "`run` in experiment.yaml starts each run"),
    ],
)
def test_a_start_that_the_fleet_cannot_make_is_refused(
    new: NewSession, research: ResearchSettings, sentence: str
) -> None:
    with pytest.raises(CreateError, match=sentence):
        check_start(Settings(session=new, research=research))


def test_a_simulated_session_keeps_a_value_of_the_configuration(tmp_path: Path) -> None:
    repo = copy_of(ROOT, tmp_path / "repo")
    train = (repo / "train.py").read_text()
    (repo / "train.py").write_text(train.replace("\nASPECT_RATIO = 64", "\nASPECT_RATIO = load('cfg.yaml')"))
    (repo / "cfg.yaml").write_text("ASPECT_RATIO: 64  # of the seed\n")
    git(repo, "add", ".")
    git(repo, *AS_COCKPIT, "commit", "-q", "-m", "split")
    new = NewSession(fleet="sim", clusters=16, mode="autopilot", proposer="human")
    research = ResearchSettings(files=("train.py", "cfg.yaml"), protected=("prepare.py",))
    folder = make(tmp_path, repo, new, SIM_EPOCH, 0.0, filler=False, research=research)
    assert state_of(folder).session.constants["ASPECT_RATIO"] == 64
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).incumbent, 60, "the baseline")
        arms = (Arm(Change(constants={"ASPECT_RATIO": 96})),)
        send_and_await(folder, Propose(Draft(proposer="ann", question="wider?", arms=arms)))
        wait_for(lambda: state_of(folder).incumbent == "e0001", 60, "the keep")
    finally:
        worker_process.terminate(folder)
    kept = state_of(folder).experiments["e0001"]
    assert kept.file_hashes["cfg.yaml"] == hashlib.sha256(b"ASPECT_RATIO: 96  # of the seed\n").hexdigest()
    assert git(repo, "show", "cockpit/night:cfg.yaml") == "ASPECT_RATIO: 96  # of the seed\n"
