"""A real session with a known truth: the repository's own train.py with one planted error.

The wave holds the repair and placebos: a comment, a variable under another name, a product the other way round. The
repair helps by far, and the placebos change nothing.
"""

import re
import time
from pathlib import Path

import msgspec

from cockpit.cli.corpora import ready_corpus
from cockpit.cli.demo import AS_COCKPIT, copy_of
from cockpit.cli.steer import send_and_await
from cockpit.core.intents import Arm, Draft, Propose
from cockpit.core.model import Change, Edit, Estimate, ExperimentStatus, Outcome
from cockpit.core.state import State, is_open
from cockpit.create.new_session import create
from cockpit.create.plan import Plan
from cockpit.session import worker_process
from cockpit.session.paths import SessionFolder
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.settings import EnvelopeSettings, NewSession, Settings
from tests.worker.sessions import ROOT, git, state_of

SLOTS = 2
TRAINING_S = 1.0
"""Seconds of processor time: some fifty steps of the model below."""
SMALL = {"DEPTH": "2", "ASPECT_RATIO": "128", "TOTAL_BATCH_SIZE": "2**18"}
WRONG, RIGHT = "0.0004", 0.004
"""UNEMBEDDING_LR off by ten: about 0.45 val_bpb, where repeats differ by 0.04."""

COMMENT = Edit(
    "        logits = 15 * torch.tanh(", "        # Soft-capped, as Gemma 2 does.\n        logits = 15 * torch.tanh("
)
_LOGITS = """\
        logits = 15 * torch.tanh(self.head(norm(x)).float() / 15)
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)
"""
RENAMED = Edit(_LOGITS, _LOGITS.replace("logits", "capped"))
TURNED = Edit("15 * torch.tanh(self.head(norm(x)).float() / 15)", "torch.tanh(self.head(norm(x)).float() / 15) * 15")


class Told(msgspec.Struct, frozen=True):
    """The result of a night. `right` is True where the repair was kept and nothing else."""

    right: bool
    kept: list[str]
    """The kept arms beyond the baseline."""
    comment: str
    """The outcome of the arm that only adds a comment."""
    repair: Estimate | None
    repair_runs: int
    placebos: dict[str, str]
    """The reasons of the decisions on placebos that ran."""
    runs: int
    failed: int
    hours: float
    unfinished: str = ""
    """The work that was open when the time was over."""


def plant(place: Path) -> Path:
    """Make a repository with this train.py, but small and with UNEMBEDDING_LR off by ten."""
    repo = copy_of(ROOT, place)
    source = (repo / "train.py").read_text(encoding="utf-8")
    for name, value in (SMALL | {"UNEMBEDDING_LR": WRONG}).items():
        source, count = re.subn(rf"(?m)^{name} = \S+", f"{name} = {value}", source)
        assert count == 1, name
    (repo / "train.py").write_text(source, encoding="utf-8")
    git(repo, *AS_COCKPIT, "commit", "-qam", "Something is wrong")
    return repo


def wave() -> Draft:
    return Draft(
        "ann",
        "which of these is an improvement?",
        arms=(
            Arm(Change(edits=(COMMENT,)), why="comment"),
            Arm(Change(edits=(RENAMED,)), why="renamed"),
            Arm(Change(constants={"UNEMBEDDING_LR": RIGHT}), why="repair"),
            Arm(Change(edits=(TURNED,)), why="turned"),
        ),
    )


def night(place: Path, seed: int, within_s: float) -> Told:
    """Run a session in autopilot on this machine until every arm of the wave is decided, for at most `within_s`."""
    new = NewSession(fleet="local", clusters=SLOTS, mode="autopilot", proposer="ann", corpus="stdlib", seed=seed)
    research = ResearchSettings(time_budget_s=TRAINING_S)
    settings = Settings(session=new, research=research, envelope=EnvelopeSettings(patches=True, filler=False))
    repo = plant(place / "repo")
    folder = SessionFolder(place / "sessions" / "planted")
    create(folder, Plan("planted", repo, settings, corpus=ready_corpus(repo, settings, cpu=True)), time.time())
    worker_process.start(folder)
    try:
        until = time.monotonic() + within_s
        taken = None
        while time.monotonic() < until:
            state = state_of(folder)
            if taken is None and state.incumbent:
                taken = send_and_await(folder, Propose(wave()))
                assert taken is not None
            elif taken is not None and not any(is_open(e.status) for e in state.experiments.values()):
                break
            time.sleep(0.5)
    finally:
        end(folder)
    return told(state_of(folder), taken.problems if taken else [])


def end(folder: SessionFolder) -> None:
    """End the worker and its runs, which would continue without their folder."""
    from benchmarks.first_run import end_runs

    worker_process.terminate(folder)
    end_runs(folder)


def told(state: State, problems: list[str]) -> Told:
    names = {experiment.why: experiment for experiment in state.experiments.values()}
    repair = names.get("repair")
    open_ones = [experiment.why for experiment in names.values() if is_open(experiment.status)]
    placebos = {why: one for why, one in names.items() if why in ("comment", "renamed", "turned")}
    kept = [e.why for e in names.values() if e.status is ExperimentStatus.KEPT and e.id != state.baseline]
    attempts = state.attempts.values()
    return Told(
        right=kept == ["repair"] and state.incumbent == (repair.id if repair else "") and not open_ones
        and len(placebos) >= 2,
        kept=kept,
        comment=next((text for text in problems if "has the code of" in text), "ran"),
        repair=repair.estimate if repair else None,
        repair_runs=sum(map(len, repair.scores.values())) if repair else 0,
        placebos={why: f"{one.status}: {one.reason}" for why, one in placebos.items()},
        runs=len(attempts),
        failed=sum(one.outcome not in (Outcome.VALID, None) for one in attempts),
        hours=(state.now - state.session.created_at) / 3600 if state.session else 0.0,
        unfinished=", ".join(open_ones),
    )  # fmt: skip
