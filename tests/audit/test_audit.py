"""The audit of results from elsewhere: each claimed gain real, not shown or invalid, and bad input in one sentence."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist

import pytest

from cockpit.audit.claims import AuditError, Finding, Group, Judgement, judged
from cockpit.cli.audit import audit, audited
from tests.worker.sessions import git


def repeats(mean: float, count: int = 8, sd: float = 0.001) -> tuple[float, ...]:
    """Return values that are spread like those of a normal distribution."""
    return tuple(NormalDist(mean, sd).inv_cdf((i + 0.5) / count) for i in range(count))


def test_a_gain_beyond_the_noise_is_real_and_one_within_is_not_shown() -> None:
    old = Group("a/1", repeats(3.28))
    assert judged(Group("a/2", repeats(3.27)), old).judgement is Judgement.REAL
    assert judged(Group("a/2", repeats(3.28)), old).judgement is Judgement.NOT_SHOWN
    assert judged(Group("a/2", (3.2,)), old).reason == "one of the two was run only once, so its noise is unknown"


def test_a_gain_of_nothing_is_seldom_called_real() -> None:
    dice = random.Random(3)
    draws = [tuple(dice.gauss(3.28, 0.001) for _ in range(4)) for _ in range(800)]
    pairs = zip(draws[::2], draws[1::2], strict=True)
    tries = [judged(Group("a/2", new), Group("a/1", old)) for new, old in pairs]
    assert sum(one.judgement is Judgement.REAL for one in tries) <= 0.08 * len(tries)


def test_fewer_steps_are_a_gain_where_the_loss_is_as_good_and_more_steps_are_none() -> None:
    old = Group("a/1", repeats(3.28, 40), steps=1000)
    fewer = judged(Group("a/2", repeats(3.28, 40), steps=900), old)
    assert fewer.judgement is Judgement.REAL and "900 steps instead of 1,000" in fewer.reason
    assert judged(Group("a/2", repeats(3.29, 40), steps=900), old).reason.endswith("it is worse")
    assert judged(Group("a/2", repeats(3.2, 40), steps=1100), old).judgement is Judgement.NOT_SHOWN


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((3.2, 3.2, 3.2), "all 3 values of a/2 are equal: they are one run, or repeats of one seed"),
        ((3.2, float("nan")), "a value that is not finite"),
        ((), "a/2 has no value"),
    ],
)
def test_values_that_are_not_independent_runs_are_invalid(values: tuple[float, ...], words: str) -> None:
    found = judged(Group("a/2", values), Group("a/1", repeats(3.28)))
    assert found.judgement is Judgement.INVALID and words in found.reason


def test_a_list_of_repeats_is_judged_track_by_track(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [("x/1", 3.28), ("y/1", 3.1), ("x/2", 3.2), ("y/2", 3.1)]
    listed = [{"record": name, "step": 10, "values": repeats(mean)} for name, mean in records]
    (tmp_path / "repeats.json").write_text(json.dumps(listed))
    assert audit(str(tmp_path / "repeats.json"), as_json=False) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("real       x/2 against x/1") and said[1].startswith("not shown  y/2 against y/1")
    assert said[-1] == "2 claimed gains: 1 real, 1 not shown, 0 invalid"


# results.tsv with its history

TRAIN = "LR = 1\nSEED = 1\n# a remark\nprint('val_bpb: 1.0')\n"
Commit = Callable[..., str]


@pytest.fixture
def commit(tmp_path: Path) -> Commit:
    """Commits a train.py and a prepare.py, and returns the short name."""
    git(tmp_path, "init", "-q")

    def made(train: str = TRAIN, prepare: str = "EVAL = 1\n") -> str:
        (tmp_path / "train.py").write_text(train)
        (tmp_path / "prepare.py").write_text(prepare)
        git(tmp_path, "add", ".")
        git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x")
        return git(tmp_path, "rev-parse", "--short", "HEAD").strip()

    return made


def results(folder: Path, *rows: tuple[str, float, str]) -> list[Finding]:
    lines = ["commit\tval_bpb\tmemory_gb\tstatus\tdescription"]
    lines += [f"{name}\t{value}\t1.0\t{status}\tan idea" for name, value, status in rows]
    (folder / "results.tsv").write_text("\n".join(lines) + "\n")
    return audited(folder)


def test_a_keep_is_judged_against_luck_among_all_that_was_tried(tmp_path: Path, commit: Commit) -> None:
    one, two = commit(), commit(TRAIN.replace("LR = 1", "LR = 2"))
    clear = results(tmp_path, (one, 0.9980, "keep"), (two, 0.9900, "keep"))
    assert [found.judgement for found in clear] == [Judgement.REAL]
    assert "published repeats" in clear[0].reason
    alone = results(tmp_path, (one, 0.9980, "keep"), (two, 0.9964, "keep"))
    assert alone[0].judgement is Judgement.REAL
    many = [(f"{i:07x}", 0.9990 + i / 1e4, "discard") for i in range(30)]
    lucky = results(tmp_path, (one, 0.9980, "keep"), *many, (two, 0.9964, "keep"))
    assert lucky[0].judgement is Judgement.NOT_SHOWN and "the best of 31 runs" in lucky[0].reason


@pytest.mark.parametrize(
    ("train", "prepare", "value", "words"),
    [
        (TRAIN.replace("LR = 1", "LR = 2"), "EVAL = 2\n", 0.9, "prepare.py, which computes the score, differs"),
        (TRAIN.replace("# a remark", "# another"), "EVAL = 1\n", 0.9, "only the luck of the run differs"),
        (TRAIN.replace("SEED = 1", "SEED = 2"), "EVAL = 1\n", 0.9, "only the seed was changed"),
        (TRAIN.replace("LR = 1", "LR = 2"), "EVAL = 1\n", 0.0018, "a val_bpb of 0.0018 is impossible"),
        ("import prepare\nprepare.EVAL = 2\n" + TRAIN, "EVAL = 1\n", 0.9, "prepare.py must stay as it is"),
        ("LR = 2\n", "EVAL = 1\n", 0.9, "prints no"),
    ],
)
def test_a_keep_that_no_gain_can_explain_is_invalid(
    tmp_path: Path, commit: Commit, train: str, prepare: str, value: float, words: str
) -> None:
    one, two = commit(), commit(train, prepare)
    [found] = results(tmp_path, (one, 0.998, "keep"), (two, value, "keep"))
    assert found.judgement is Judgement.INVALID and words in found.reason


def test_a_commit_that_is_not_in_the_history_is_invalid(tmp_path: Path, commit: Commit) -> None:
    [found] = results(tmp_path, (commit(), 0.998, "keep"), ("--help", 0.9, "keep"))
    assert found.judgement is Judgement.INVALID and "is not in the repository" in found.reason


def test_logs_of_repeats_are_judged_together(tmp_path: Path) -> None:
    for name, mean in (("e0000", 1.0), ("e0001", 0.9), ("e0002", 0.8)):
        for number, value in enumerate(repeats(mean, 4), 1):
            value = 0.8 if name == "e0002" else value
            (tmp_path / f"{name}.{number}.log").write_text(f"step 1\nval_bpb: {value:.6f}\n")
    found = audited(tmp_path)
    assert [one.judgement for one in found] == [Judgement.REAL, Judgement.INVALID]
    assert "repeats of one seed" in found[1].reason


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "{}", "is not a list of repeats"),
        ("a.json", "[" * 5000, "is not a list of repeats"),
        ("a.json", "[]", "holds no two records of one track"),
        ("a.tsv", "name\tvalue\n", "has no column commit"),
        ("a.tsv", "commit\tval_bpb\tstatus\nabc\tgood\tkeep\n", "line 2: 'good' is not a val_bpb"),
        ("a.tsv", "commit\tval_bpb\tstatus\nabc\t1\tkeep\n", "holds no keep after its first one"),
        ("folder/a.log", "nothing\n", "prints a val_bpb"),
        ("missing", None, "there is no"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, name: str, text: str | None, words: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    with pytest.raises(AuditError, match=re.escape(words)) as error:
        audited(path.parent if name.startswith("folder") else path)
    assert "\n" not in str(error.value)
