"""A repository that takes no seed, shaped as karpathy/autoresearch: told at `new`, offered a change, then repeated."""

import textwrap
from pathlib import Path

import pytest

from cockpit.cli.steer import send_and_await
from cockpit.core.intents import Approve, Draft, Propose
from cockpit.core.model import Attempt, ExperimentStatus
from cockpit.create.error import CreateError
from cockpit.create.seeds import SeedSettingError
from cockpit.decide.evidence import evidence_of, noise_of
from cockpit.session import worker_process
from cockpit.session.paths import SessionFolder
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.settings import NewSession
from tests.worker.sessions import git, local_session, make, repository, session_of, state_of, wait_for

UPSTREAM_LIKE = textwrap.dedent("""\
    import os
    import random

    DEPTH = 8
    random.seed(42)
    luck = random.gauss(0, 0.0005)
    jitter = random.SystemRandom().gauss(0, 1e-6)  # a device that is not deterministic
    print("---")
    print(f"val_bpb:          {0.9979 + 0.002 * (DEPTH != 9) + luck + jitter:.8f}")
    print("num_steps:        953")
""")


UPSTREAM_OPENING = textwrap.dedent("""\
    import os
    import torch

    DEPTH = 8
    torch.manual_seed(42)
    torch.cuda.manual_seed(42)
    torch.set_float32_matmul_precision("high")
    print(f"val_bpb:          {0.9979:.6f}")
""")
"""The lines by which karpathy/autoresearch seeds itself. They are read here, not run."""


def runs_of(folder: SessionFolder, experiment: str) -> list[Attempt]:
    state = state_of(folder)
    return [state.attempts[name] for name in state.experiments[experiment].attempts if state.attempts[name].metrics]


def night(folder: SessionFolder, replicates: int = 4) -> SessionFolder:
    """Run a wave with a true gain, and as many repeats as asked for, to its decision."""
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).incumbent == "e0000", 60, "the baseline")
        send_and_await(folder, Propose(Draft("ann", "deeper?", factors={"DEPTH": [9]}, replicates=replicates)))
        send_and_await(folder, Approve("w001"))
        decided = (ExperimentStatus.KEPT, ExperimentStatus.DISCARDED)
        wait_for(lambda: state_of(folder).experiments["e0001"].status in decided, 120, "a decision on the deeper model")
    finally:
        worker_process.terminate(folder)
    return folder


def test_repeats_without_a_seed_are_no_evidence_and_the_change_is_offered(tmp_path: Path) -> None:
    folder = local_session(tmp_path, script=UPSTREAM_LIKE, mode="manual")
    state = state_of(folder)
    assert state.session.seed_by == "none"
    [told] = [message.text for message in state.messages if "takes no seed" in message.text]
    assert "train.py line 5" in told
    assert 'random.seed(42) -> random.seed(int(os.environ.get("SEED") or 42))' in told
    state = state_of(night(folder))
    assert state.experiments["e0001"].status is ExperimentStatus.DISCARDED
    assert "takes no seed" in state.experiments["e0001"].reason
    assert len(runs_of(folder, "e0001")) > 1
    assert len(evidence_of(state, "e0001")) == 1
    assert not noise_of(state).measured


def test_upstreams_own_seeding_lines_are_named_and_changed_on_request(tmp_path: Path) -> None:
    told = state_of(local_session(tmp_path / "as-it-is", script=UPSTREAM_OPENING)).messages
    both = (
        'torch.manual_seed(42) -> torch.manual_seed(int(os.environ.get("SEED") or 42));'
        ' torch.cuda.manual_seed(42) -> torch.cuda.manual_seed(int(os.environ.get("SEED") or 42))'
    )
    [text] = [message.text for message in told if "takes no seed" in message.text]
    assert "train.py line 5" in text
    assert text.endswith(f"with --seed-by add the session's copy of train.py has this change: {both}")
    asked = ResearchSettings(confine=True, seed_by="add")
    folder = local_session(tmp_path / "changed", script=UPSTREAM_OPENING, research=asked)
    code = state_of(folder).experiments["e0000"].commit
    train = git(tmp_path / "changed" / "repo", "show", f"{code}:train.py")
    assert train.count('int(os.environ.get("SEED") or 42)') == 2
    assert state_of(folder).session.seed_by == "added"


def test_with_the_change_repeats_are_independent_and_a_true_gain_is_kept(tmp_path: Path) -> None:
    research = ResearchSettings(confine=True, seed_by="add")
    folder = night(local_session(tmp_path, script=UPSTREAM_LIKE, mode="manual", research=research))
    state = state_of(folder)
    scores = [run.metrics.score for run in runs_of(folder, "e0001") if run.metrics]
    assert max(scores) - min(scores) > 1e-4, "repeats with seeds of their own differ as seeds make them differ"
    assert len(evidence_of(state, "e0001")) > 1
    assert state.experiments["e0001"].status is ExperimentStatus.KEPT
    repo = tmp_path / "repo"
    assert git(repo, "status", "--porcelain") == ""
    assert "random.seed(42)" in (repo / "train.py").read_text()
    assert 'os.environ.get("SEED")' in git(repo, "show", f"{state.experiments['e0000'].commit}:train.py")


def test_a_seed_goes_where_the_code_takes_it(tmp_path: Path) -> None:
    script = UPSTREAM_LIKE.replace(
        "random.seed(42)",
        "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--seed', type=int, default=42)\n"
        "random.seed(parser.parse_args().seed)",
    )
    folder = local_session(tmp_path, script=script, mode="manual")
    assert state_of(folder).session.seed_by == "arg:--seed"
    night(folder)
    scores = [run.metrics.score for run in runs_of(folder, "e0001") if run.metrics]
    assert max(scores) - min(scores) > 1e-4


@pytest.mark.parametrize(
    ("command", "files", "taken_by"),
    [
        ("", {"other.py": "random.seed(42)\n"}, ""),
        ("", {"near.py": "random.seed(42)\n"}, "none"),
        ("python3 bench.py", {"bench.py": "random.seed(42)\n"}, "none"),
        ("python3 ./bench.py", {"bench.py": "import far\n", "far.py": "random.seed(42)\n"}, "none"),
        ("sh run.sh", {"run.sh": "python3 other.py\n", "other.py": "random.seed(42)\n"}, "none"),
    ],
)
def test_a_script_that_takes_no_part_in_a_run_fixes_no_seed(
    tmp_path: Path, command: str, files: dict[str, str], taken_by: str
) -> None:
    repo = repository(tmp_path / "repo", "import near\nprint('val_bpb: 1')\n")
    for path, text in ({"near.py": "", "bench.py": ""} | files).items():
        (repo / path).write_text(text)
    git(repo, "add", ".")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "more")
    new = NewSession(fleet="local", clusters=1, mode="manual")
    assert session_of(make(tmp_path, repo, new, 1.0, research=ResearchSettings(command=command))).seed_by == taken_by


@pytest.mark.parametrize(
    ("seed_by", "script", "sentence"),
    [
        ("add", "import random\nprint('val_bpb: 1')\n", "does not seed itself"),
        ("SEED", UPSTREAM_LIKE, "expected env:NAME, arg:--FLAG, arg:seed= for one word, or add"),
        ("arg:seed", UPSTREAM_LIKE, "'arg:seed' is invalid"),
        ("env:MY SEED", UPSTREAM_LIKE, "'env:MY SEED' is invalid"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(tmp_path: Path, seed_by: str, script: str, sentence: str) -> None:
    with pytest.raises((SeedSettingError, CreateError), match=sentence):
        local_session(tmp_path, script=script, research=ResearchSettings(seed_by=seed_by))


@pytest.mark.parametrize(
    ("seed_by", "line", "is_told"),
    [
        ("env:MY_SEED", "", True),
        ("env:MY_SEED", "import os\nseed = os.environ.get('MY_SEED')\n", False),
        ("arg:--rng-seed", "", True),
        ("arg:--rng-seed", "p.add_argument('--rng_seed')\n", False),
        ("arg:seed=", "class Config:\n    seed: int = 1\n", False),
    ],
)
def test_a_seed_that_no_script_reads_is_told(tmp_path: Path, seed_by: str, line: str, is_told: bool) -> None:
    script = f"DEPTH = 8\n{line}print('val_bpb: 1')\n"
    folder = local_session(tmp_path, script=script, mode="manual", research=ResearchSettings(seed_by=seed_by))
    told = [message.text for message in state_of(folder).messages if "the seed by --seed-by" in message.text]
    assert len(told) == is_told
    assert all(f"not name {seed_by.partition(':')[2]}, the seed" in text for text in told)


def test_a_seed_may_be_one_word_with_its_option(tmp_path: Path) -> None:
    script = "import sys\nDEPTH = 8\nseed = sys.argv[1].removeprefix('seed=')\nprint('val_bpb:', int(seed) / 1e6)\n"
    folder = local_session(tmp_path, script=script, mode="manual", research=ResearchSettings(seed_by="arg:seed="))
    worker_process.start(folder)
    try:
        wait_for(lambda: state_of(folder).incumbent == "e0000", 60, "the baseline")
    finally:
        worker_process.terminate(folder)
    first = runs_of(folder, "e0000")[0]
    assert first.metrics and first.metrics.score == first.seed / 1e6
