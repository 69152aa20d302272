"""The metric's settings reach the session, and a wrong one is refused by name before anything is made."""

import subprocess
from pathlib import Path

import msgspec
import pytest

from cockpit.core.errors import CockpitError
from cockpit.core.metric import VAL_BPB, Constraint, Direction, Metric, MetricError, Relation, TieBreak
from cockpit.create.new_session import SIM_EPOCH, create
from cockpit.create.plan import Plan
from cockpit.session.metric_settings import metric_of
from cockpit.session.paths import SessionFolder
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.settings import NewSession, Settings
from tests.worker.sessions import repository, state_of

TRAIN = "DEPTH = 8\nprint('val_acc: 0.9')\n"


def made(
    tmp_path: Path, research: ResearchSettings, fleet: str = "local", scorer: str = "print('val_acc: 1')\n"
) -> SessionFolder:
    """Make a session of a repository with a committed score.py and lib.py, and a stray.py that is not committed."""
    repo = repository(tmp_path / "repo", TRAIN)
    (repo / "score.py").write_text(scorer)
    (repo / "lib.py").write_text("from train import load\n")
    for words in (["add", "score.py", "lib.py"], ["commit", "-qm", "scorer"]):
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", "-C", str(repo), *identity, *words], check=True, capture_output=True)
    (repo / "stray.py").write_text("")
    folder = SessionFolder(tmp_path / "sessions" / "night")
    settings = Settings(session=NewSession(fleet=fleet, clusters=1), research=research)
    create(folder, Plan("night", repo, settings), SIM_EPOCH)
    return folder


def test_no_setting_is_the_metric_of_autoresearch() -> None:
    assert metric_of(ResearchSettings()) == VAL_BPB


def test_every_setting_of_the_metric_reaches_the_session(tmp_path: Path) -> None:
    research = ResearchSettings(
        metric="val_acc",
        direction="max",
        pattern=r"val_acc: (\S+)",
        progress=r"(\d+)/(\d+)",
        loss=r"loss (\S+)",
        constraints=("size_mb < 9", "min latency_ms"),
        score_command="python score.py --fast",
    )
    assert state_of(made(tmp_path, research)).session.metric == Metric(
        "val_acc",
        Direction.MAX,
        r"val_acc: (\S+)",
        r"(\d+)/(\d+)",
        r"loss (\S+)",
        (Constraint("size_mb", Relation.LESS, 9.0),),
        (TieBreak("latency_ms", Direction.MIN),),
        ("python", "score.py", "--fast"),
    )


def test_a_direction_that_is_left_out_follows_the_name(tmp_path: Path) -> None:
    state = state_of(made(tmp_path, ResearchSettings(metric="val_acc")))
    assert state.session.metric.is_higher_better
    assert "The metric is val_acc, higher is better" in [message.text for message in state.messages]


def test_limits_that_leave_room_are_taken() -> None:
    found = metric_of(ResearchSettings(constraints=("acc >= 0.5", "acc <= 0.5", "memory < 1 GB", "memory > 500 MB")))
    assert len(found.constraints) == 4


def test_a_direction_against_the_name_is_told(tmp_path: Path) -> None:
    state = state_of(made(tmp_path, ResearchSettings(metric="val_acc", direction="min")))
    assert "The metric is val_acc, lower is better, as --direction min says; its name tells the other direction" in [
        message.text for message in state.messages
    ]


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("val_ac", ["train.py prints no val_ac: did you mean val_acc?"]),
        ("VAL ACC", []),
        ("a val_acc", []),
        ("throughput", []),
    ],
)
def test_a_metric_that_the_script_prints_under_nearly_that_name_is_asked_about(
    tmp_path: Path, metric: str, told: list[str]
) -> None:
    state = state_of(made(tmp_path, ResearchSettings(metric=metric)))
    assert [message.text for message in state.messages if "did you mean" in message.text] == told


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("metric", "0"),
        ("pattern", "acc"),
        ("pattern", "("),
        ("progress", r"(a)(b)(c)"),
        ("loss", "loss"),
        ("constraints", ("acc == 3",)),
        ("constraints", ("val_bpb < 3",)),
        ("constraints", ("acc >= 0.9", "acc <= 0.5")),
        ("constraints", ("acc > 0.5", "acc <= 0.5")),
        ("constraints", ("memory < 500 MB", "memory > 1 GB")),
        ("score_command", "python 'score.py"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(MetricError, match=rf"^\[research\] {setting}: "):
        metric_of(msgspec.structs.replace(ResearchSettings(), **{setting: value}))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("python stray.py", "git does not store stray.py"),
        ("python train.py --score", "score_command runs train.py, which experiments edit"),
    ],
)
def test_a_score_command_that_experiments_could_change_is_refused(tmp_path: Path, command: str, said: str) -> None:
    with pytest.raises(CockpitError, match=said):
        made(tmp_path, ResearchSettings(metric="val_acc", score_command=command))
    assert not (tmp_path / "sessions" / "night").exists()


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("acc (", "'acc (' is not a regular expression: missing ), unterminated subpattern at position 4"),
        ("acc [0-9]+", "'acc [0-9]+' has 0 groups: expected 1, around each number"),
        (r"a (\d+)|b (\d+)", r"'a (\\d+)|b (\\d+)' has 2 groups: expected 1, around each number"),
    ],
)
def test_a_wrong_pattern_is_refused_with_its_fault(tmp_path: Path, pattern: str, said: str) -> None:
    with pytest.raises(MetricError) as refused:
        made(tmp_path, ResearchSettings(metric="val_acc", pattern=pattern))
    assert str(refused.value) == f"[research] pattern: {said}"
    assert not (tmp_path / "sessions").exists()


@pytest.mark.parametrize(
    ("scorer", "command", "is_told"),
    [
        ("import train", "python score.py", True),
        ("from lib import load", "python score.py --fast", True),
        ("from lib import load", "python -m score", True),
        ("import json", "python score.py", False),
    ],
)
def test_a_scorer_that_imports_what_experiments_edit_is_told(
    tmp_path: Path, scorer: str, command: str, is_told: bool
) -> None:
    research = ResearchSettings(metric="val_acc", score_command=command)
    state = state_of(made(tmp_path, research, scorer=f"{scorer}\nprint('val_acc: 1')\n"))
    told = [message.text for message in state.messages if message.text.startswith("The score command imports")]
    assert (
        told
        == [
            (
                "The score command imports train.py, which experiments edit: an edit can change its own score;"
                " import nothing that is edited, or read such scores as the runs' own words"
            )
        ]
        * is_told
    )


def test_a_simulated_fleet_refuses_a_metric_that_it_does_not_measure(tmp_path: Path) -> None:
    with pytest.raises(CockpitError, match="a simulated fleet measures val_bpb alone"):
        made(tmp_path, ResearchSettings(metric="val_acc"), fleet="sim")
