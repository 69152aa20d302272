"""The shipped examples: each is a short session of real runs, with an improvement that is kept."""

import shutil
import time
from pathlib import Path

import pytest

from cockpit.cli.steer import send_and_await
from cockpit.core.intents import Arm, Draft, Propose
from cockpit.core.model import Change, Value
from cockpit.create.new_session import create
from cockpit.create.plan import Plan
from cockpit.session import worker_process
from cockpit.session.paths import SessionFolder
from cockpit.session.settings import EnvelopeSettings, NewSession, Settings, read_settings
from tests.worker.sessions import ROOT, git, state_of, wait_for

NIGHTS: list[tuple[str, dict[str, Value]]] = [
    ("classifier", {"LEARNING_RATE": 0.05}),
    ("sorting", {"CUTOFF": 16}),
    ("simulation", {"GAIN": 2.0, "DAMPING": 2.0}),
]


@pytest.mark.parametrize(("example", "better"), NIGHTS)
def test_an_example_keeps_a_better_variant(tmp_path: Path, example: str, better: dict[str, Value]) -> None:
    repo = tmp_path / example
    shutil.copytree(ROOT / "examples" / example, repo)
    git(repo, "init", "-q")
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    new = NewSession(fleet="local", clusters=2, mode="autopilot", proposer="human")
    research = read_settings(repo).research
    settings = Settings(session=new, research=research, envelope=EnvelopeSettings(usd=1e6, filler=False))
    folder = SessionFolder(tmp_path / "sessions" / "night")
    create(folder, Plan("night", repo, settings), time.time())
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).incumbent, 60, "the baseline")
        draft = Draft(proposer="ann", question="better?", arms=(Arm(Change(constants=better)),))
        assert send_and_await(folder, Propose(draft)) is not None
        wait_for(lambda: state_of(folder).incumbent == "e0001", 240, "the better variant to be kept")
        kept = state_of(folder).experiments["e0001"].commit
        wait_for(lambda: git(repo, "rev-parse", "cockpit/night").strip() == kept, 30, "the branch to move")
    finally:
        worker_process.terminate(folder)
