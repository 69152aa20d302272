"""A score command scores what a run has left, in code and data that the run cannot change."""

import hashlib
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from cockpit.core.metric import Constraint, Direction, Metric, Relation
from cockpit.core.model import Outcome
from cockpit.core.session import RunAccess
from cockpit.fleet.base import Evidence, Job, JobEnded, Scored
from cockpit.fleet.local.devices import slots
from cockpit.fleet.local.fleet import LocalFleet
from cockpit.fleet.node.confinement import Wall, available
from cockpit.fleet.run_log import RunLog, RunVerdict

METRIC = Metric("accuracy", Direction.MAX, score_command=("python", "score.py"))
SCORE = """
truth = open("labels.txt").read().split()
guess = open("out/guess.txt").read().split()
print("accuracy:", sum(a == b for a, b in zip(truth, guess)) / len(truth))
"""
GUESSES = "import os\nos.makedirs('out', exist_ok=True)\nopen('out/guess.txt', 'w').write('a b c c')\n"
ACCESSES = [RunAccess(), *([RunAccess(confine=True)] if available().wall else [])]


def verdict(
    place: Path, train: str, score: str = SCORE, metric: Metric = METRIC, access: RunAccess = ACCESSES[0]
) -> RunVerdict:
    """Return the verdict on a run of `train` that `score` has scored."""
    source = place / "runs" / "e0001.1"
    source.mkdir(parents=True)
    (source / "train.py").write_text(train)
    (source / "score.py").write_text(score)
    (source / "labels.txt").write_text("a b c d")
    log_path = place / "e0001.1.log"
    command = (sys.executable, "-u", "train.py")
    job = Job("e0001.1", "cpu-01", source, log_path, {"SEED": "1"}, command, 30.0, score_command=metric.score_command)
    fleet = LocalFleet(slots(1), threading.Event(), access)
    fleet.submit(job)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for report in fleet.poll():
            if isinstance(report, JobEnded):
                log = RunLog(metric)
                log.feed(log_path.read_bytes(), 1.0)
                log.finish(1.0)
                code = hashlib.sha256(train.encode()).hexdigest()
                return log.verdict(report.exit_code, code, "", evidence=report.evidence)
        time.sleep(0.02)
    raise AssertionError("the run did not end")


@pytest.mark.parametrize("access", ACCESSES, ids=lambda access: "confined" if access.confine else "unconfined")
def test_the_command_scores_the_files_that_a_run_leaves(tmp_path: Path, access: RunAccess) -> None:
    found = verdict(tmp_path, GUESSES, access=access)
    assert (found.outcome, found.message) == (Outcome.VALID, "")
    assert found.metrics is not None and found.metrics.score == 0.75
    assert b"accuracy: 0.75" in (tmp_path / "e0001.1.log").read_bytes()


@pytest.mark.parametrize(
    "cheat",
    [
        "print('accuracy: 1.0')\n",
        "open('score.py', 'w').write('print(\"accuracy: 1.0\")')\n",
        "open('labels.txt', 'w').write('a b c c')\n",
        "open('builtins_.py', 'w').write('')\nopen('os.py', 'w').write('print(\"accuracy: 1.0\")')\n",
        "import os\nos.remove('labels.txt')\nos.symlink('out/guess.txt', 'labels.txt')\n",
        "print('COCKPIT_END accuracy: 1.0')\n",
    ],
)
def test_a_run_cannot_change_its_score_command_or_its_data(tmp_path: Path, cheat: str) -> None:
    found = verdict(tmp_path, GUESSES + cheat)
    if found.outcome is not Outcome.MISMATCH:
        assert found.metrics is not None and found.metrics.score == 0.75


@pytest.mark.skipif(available().wall is Wall.NONE, reason="this machine cannot confine a run")
def test_labels_that_the_command_names_by_a_whole_path_are_seen_by_it_alone(tmp_path: Path) -> None:
    labels = tmp_path / "data" / "labels"
    labels.mkdir(parents=True)
    (labels / "truth.txt").write_text("a b c d")
    access = RunAccess(confine=True, readable=(str(labels.parent),))
    metric = msgspec.structs.replace(METRIC, score_command=("python", "score.py", str(labels)))
    look = f"print('sees:', os.path.exists({str(labels / 'truth.txt')!r}), os.path.exists({str(labels.parent)!r}))\n"
    score = SCORE.replace('"labels.txt"', '__import__("sys").argv[1] + "/truth.txt"')
    found = verdict(tmp_path, GUESSES + look, score, metric, access)
    assert found.metrics is not None and found.metrics.score == 0.75
    assert b"sees: False True" in (tmp_path / "e0001.1.log").read_bytes()


@pytest.mark.parametrize("name", ["GNUmakefile", ".Rprofile", "node_modules/truth/index.js", "OS.PY", "libtruth.so"])
def test_a_run_leaves_no_file_that_the_tools_of_a_score_command_would_run(tmp_path: Path, name: str) -> None:
    left = f"os.makedirs(os.path.dirname({name!r}) or '.', exist_ok=True)\nopen({name!r}, 'w').write('1.0')\n"
    score = f"import os\nprint('accuracy:', 0.5 + os.path.exists({name!r}) - (not os.path.exists('out/guess.txt')))"
    found = verdict(tmp_path, GUESSES + left, score)
    assert found.metrics is not None and found.metrics.score == 0.5


def test_data_that_the_run_has_changed_is_reported_in_its_log(tmp_path: Path) -> None:
    verdict(tmp_path, GUESSES + "import time\ntime.sleep(0.01)\nopen('labels.txt', 'w').write('a b c c')\n")
    said = (tmp_path / "e0001.1.log").read_text()
    assert "[cockpit: it reads labels.txt as committed, not as the run left it]" in said


@pytest.mark.parametrize(
    ("score", "said"),
    [
        ("raise ValueError('no guesses')", "its score command ended with exit code 1: ValueError: no guesses"),
        ("print('done')", "its score command ended well but printed no accuracy; its last line: done"),
        ("print('accuracy: nan')", "its score command printed accuracy nan, which is not a number"),
        ("import os\nos.abort()", "its score command ended with exit code -6: "),
        ("print('accuracy: inf')", "its score command printed accuracy inf, which is not a number"),
        ("print('accuracy: 1e13')", "its score command printed accuracy 1e13, which is outside -1e+12 to 1e+12"),
        ("print('accuracy:')", "its score command ended well but printed no accuracy; its last line: accuracy:"),
        ("print('loss: 0.3')", "its score command ended well but printed no accuracy; its last line: loss: 0.3"),
        ("", "its score command ended well but printed no accuracy; it printed nothing"),
        (
            "print('accuracy on train is 0.99')\nprint('accuracy on test is 0.91')",
            "its score command ended well, and accuracy is printed beside other words each time: give --pattern ",
        ),
        (
            "open('labels/truth.txt')",
            "its score command ended with exit code 1: FileNotFoundError: [Errno 2] No such file or directory: ",
        ),
        (
            "print('accuracy: 0.75')\nfor n in range(4_000): print('sample', n, 'is right')",
            (
                "its score command ended well but printed no accuracy; 0.02 MB of its output are not in its log: print"
                " the score last, and less before"
            ),
        ),
    ],
)
def test_a_score_command_that_fails_is_a_crash_with_its_sentence(tmp_path: Path, score: str, said: str) -> None:
    found = verdict(tmp_path, GUESSES, score)
    assert (found.outcome, found.metrics) == (Outcome.CRASH, None)
    assert found.message.startswith(said)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("timeout", "its score command did not end within its time limit: it printed nothing"),
        ("cancelled", "its score command was ended before it had a score: it printed nothing"),
    ],
)
def test_a_score_command_that_does_not_end_is_a_crash_with_its_sentence(reason: str, said: str) -> None:
    files = {"train.py": "a", "prepare.py": "b"}
    evidence = Evidence(files, files, [], scored=Scored(reason))
    found = RunLog(METRIC).verdict(0, "a", "b", evidence)
    assert (found.outcome, found.message) == (Outcome.CRASH, said)


@pytest.mark.parametrize(
    ("score", "value"), [("print('accuracy: 0.5')\nprint('accuracy: 0.75')", 0.75), ("print('accuracy: -0')", 0.0)]
)
def test_the_last_of_several_scores_counts(tmp_path: Path, score: str, value: float) -> None:
    found = verdict(tmp_path, GUESSES, score)
    assert found.metrics is not None and found.metrics.score == value


def test_a_program_that_is_gone_is_named(tmp_path: Path) -> None:
    found = verdict(tmp_path, GUESSES, metric=msgspec.structs.replace(METRIC, score_command=("not-here",)))
    assert (found.outcome, found.message) == (
        Outcome.CRASH,
        "its score command could not be started: [Errno 2] No such file or directory: 'not-here'",
    )


def test_a_score_command_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cockpit.fleet.local.fleet.SCORING_LIMIT_S", 1.0)
    found = verdict(tmp_path, GUESSES, "print('scoring', flush=True)\nimport time\ntime.sleep(600)")
    assert (found.outcome, found.message) == (
        Outcome.CRASH,
        "its score command did not end within its time limit: scoring",
    )


def test_files_that_a_score_command_writes_stay_in_its_own_folder(tmp_path: Path) -> None:
    writes = "open('labels.txt', 'w').write('a b c c')\nopen('new.txt', 'w').write('1')\nopen('out/guess.txt')\n"
    found = verdict(tmp_path, GUESSES, SCORE + writes)
    assert found.metrics is not None and found.metrics.score == 0.75
    source = tmp_path / "runs" / "e0001.1"
    assert (source / "labels.txt").read_text() == "a b c d" and not (source / "new.txt").exists()


def test_a_run_that_fails_is_not_scored(tmp_path: Path) -> None:
    found = verdict(tmp_path, GUESSES + "raise SystemExit(3)\n")
    assert found.outcome is Outcome.CRASH and found.message.startswith("it ended with exit code 3")
    assert "score_command" not in (tmp_path / "e0001.1.log").read_text()


def test_a_fleet_that_runs_no_score_command_gives_no_score() -> None:
    log = RunLog(METRIC)
    log.feed(b"COCKPIT_START train_sha256=a prepare_sha256=b\naccuracy: 1.0\n", 1.0)
    log.feed(b"COCKPIT_END train_sha256=a prepare_sha256=b exit=0\n", 1.0)
    found = log.verdict(0, "a", "b")
    assert (found.outcome, found.message) == (Outcome.CRASH, "nothing ran its score command")


def test_second_metrics_come_from_the_run_if_the_command_prints_none(tmp_path: Path) -> None:
    limits = (Constraint("size_mb", Relation.LESS, 9.0), Constraint("recall", Relation.MORE, 0.1))
    metric = Metric("accuracy", Direction.MAX, constraints=limits, score_command=METRIC.score_command)
    train = GUESSES + "print('size_mb: 3')\nprint('recall: 1.0')\n"
    found = verdict(tmp_path, train, SCORE + "print('recall: 0.5')\n", metric)
    assert found.metrics is not None and found.metrics.others == {"size_mb": 3.0, "recall": 0.5}
