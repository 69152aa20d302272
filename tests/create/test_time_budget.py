"""The training time of a session is the repository's own, and a setting that the code overrules is refused."""

from pathlib import Path

import pytest

from cockpit.create.clock_limits import clock_limits
from cockpit.create.error import CreateError
from cockpit.session.research_settings import ResearchSettings
from cockpit.session.settings import NewSession
from tests.worker.sessions import make, repository, state_of

SCORE = "print('val_bpb: 0.98')\n"
READS = "import os\nSECONDS = float(os.environ['COCKPIT_TIME_BUDGET_S'])\n"
LOOP = "import time\nt0 = time.time()\n"


def made(place: Path, train: str, prepare: str = "", **research: object) -> tuple[float, list[str]]:
    """Make a session, and return its training seconds and the troubles that were told."""
    settings = ResearchSettings(**research)  # type: ignore[arg-type]
    new = NewSession(fleet="local", clusters=1, mode="manual")
    state = state_of(make(place, repository(place / "repo", train + SCORE, prepare), new, 1.0, research=settings))
    return state.session.time_budget_s, [one.text for one in state.messages if "time-budget" in one.text]


@pytest.mark.parametrize(
    ("train", "prepare", "seconds"),
    [
        ("", "TIME_BUDGET = 2\n", 2.0),
        ("TIME_BUDGET = 60\n", "TIME_BUDGET = 2\n", 2.0),
        ("TIME_BUDGET = 60\n", "", 60.0),
        ("from dataclasses import dataclass\n@dataclass\nclass Config:\n    time_budget_s: float = 7.0\n", "", 7.0),
        ("training_time = 0\nEVAL_SECONDS = 3\ntrain_min = 4\n", "", 0.0),
        ("TIME_BUDGET = 60\nTRAIN_BUDGET_S = 90\n", "", 0.0),
        ("TIME_BUDGET = 60\nmax_seconds = 90\n", "", 60.0),
        ("TIME_BUDGET = 60\n", "max_seconds = 90\n", 60.0),
        ("", "def write_smoke_config():\n    cfg.max_wallclock_seconds = 60\n", 0.0),
        (LOOP + "while time.time() - t0 < 4:\n    pass\n", "", 4.0),
        (READS, "", 300.0),
        ("", "", 0.0),
    ],
)
def test_the_training_time_is_the_one_that_the_code_names(
    tmp_path: Path, train: str, prepare: str, seconds: float
) -> None:
    assert made(tmp_path, train, prepare) == (seconds, [])


@pytest.mark.parametrize(
    ("train", "name", "seconds"),
    [
        ("TRAIN_MINUTES = 5\n", "TRAIN_MINUTES", 300.0),
        ("MAX_WALLCLOCK_SECONDS = 600\n", "MAX_WALLCLOCK_SECONDS", 600.0),
        (
            "import argparse\np = argparse.ArgumentParser()\np.add_argument('--max-seconds', default=9)\n",
            "args.max_seconds",
            9.0,
        ),
    ],
)
def test_a_name_that_may_be_another_time_is_told_and_gives_way(
    tmp_path: Path, train: str, name: str, seconds: float
) -> None:
    taken = f"train.py sets {name} to {seconds:g} s, which is taken for the training time of a run"
    assert made(tmp_path / "guessed", train) == (seconds, [f"{taken}: --time-budget gives another"])
    assert made(tmp_path / "given", train, time_budget_s=30)[0] == 30.0
    assert made(tmp_path / "prepared", train, "max_seconds = 7\n")[0] == seconds


@pytest.mark.parametrize(
    ("code", "limits"),
    [
        ("while time.time() - t0 < LIMIT:\n    pass", {30.0}),
        ("while True:\n    if perf_counter() >= start + 60:\n        break", {60.0}),
        ("while True:\n    elapsed = time.monotonic() - t0\n    if elapsed > LIMIT:\n        break", {30.0}),
        ("deadline = time.time() + 45\nwhile time.time() < deadline:\n    pass", {45.0}),
        ("while step < 100:\n    if time.time() - last > 10:\n        print(step)", set()),
        ("while time.time() - t0 < f():\n    pass", set()),
        ("while (", set()),
    ],
)
def test_a_loop_that_ends_by_a_clock_has_its_limit(code: str, limits: set[float]) -> None:
    assert clock_limits(code, {"LIMIT": 30.0}) == limits


def test_an_option_of_the_command_comes_before_its_default(tmp_path: Path) -> None:
    options = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--time-budget', type=int, default=9)\n"
    assert made(tmp_path, options, command="python3 train.py --time-budget 3") == (3.0, [])


def test_a_setting_that_the_code_overrules_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(CreateError) as refused:
        made(tmp_path, "", "TIME_BUDGET = 2\n", time_budget_s=30)
    assert str(refused.value) == (
        "[research] time_budget_s: 30 s has no effect, because prepare.py sets TIME_BUDGET to 2 s, and no file reads"
        " COCKPIT_TIME_BUDGET_S: change it there and commit, and leave the setting out; if that is another time, let"
        " --command start with env COCKPIT_TIME_BUDGET_S=30"
    )
    assert not (tmp_path / "sessions").exists()
    told = made(
        tmp_path / "another",
        "",
        "TIME_BUDGET = 2\n",
        time_budget_s=30,
        command="env COCKPIT_TIME_BUDGET_S=30 python3 train.py",
    )
    assert told == (30.0, [])


@pytest.mark.parametrize(
    ("train", "prepare", "told"),
    [
        ("", "TIME_BUDGET = 30\n", []),
        (READS, "TIME_BUDGET = 2\n", []),
        (
            "",
            "",
            [
                (
                    "No file reads COCKPIT_TIME_BUDGET_S, so --time-budget 30 ends no training: it only says which runs"
                    " are too long to count"
                )
            ],
        ),
    ],
)
def test_another_setting_is_taken_and_told_where_it_ends_no_training(
    tmp_path: Path, train: str, prepare: str, told: list[str]
) -> None:
    assert made(tmp_path, train, prepare, time_budget_s=30) == (30.0, told)
