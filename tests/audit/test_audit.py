"""The audit of results from elsewhere: each claimed gain real, not shown or invalid, and bad input in one sentence."""

import gzip
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
    return audited(folder).findings


def test_a_keep_is_judged_against_luck_among_all_that_was_tried(tmp_path: Path, commit: Commit) -> None:
    one, two = commit(), commit(TRAIN.replace("LR = 1", "LR = 2"))
    clear = results(tmp_path, (one, 0.9980, "keep"), (two, 0.9900, "keep"))
    assert [found.judgement for found in clear] == [Judgement.REAL]
    assert "published repeats" in clear[0].reason
    alone = results(tmp_path, (one, 0.9980, "keep"), (two, 0.9964, "keep"))
    assert alone[0].judgement is Judgement.REAL
    many = [(f"{i:07x}", 0.9990 + i / 1e4, "discard") for i in range(30)]
    lucky = results(tmp_path, (one, 0.9980, "keep"), *many, (two, 0.9964, "keep"))
    assert lucky[0].judgement is Judgement.NOT_SHOWN and "the best of 31 experiments" in lucky[0].reason


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


def test_a_commit_that_is_not_in_the_history_shows_nothing(tmp_path: Path, commit: Commit) -> None:
    first, other = commit(), commit(TRAIN.replace("LR = 1", "LR = 2"), "EVAL = 2\n")
    found = results(tmp_path, (first, 0.998, "keep"), ("--help", 0.95, "keep"), (other, 0.9, "keep"))
    assert found[0].judgement is Judgement.NOT_SHOWN and "is not in the repository" in found[0].reason
    assert found[1].judgement is Judgement.INVALID, (
        "its code is compared with that of the last keep whose code is there"
    )
    assert "prepare.py" in found[1].reason


def test_scores_far_from_the_published_ones_need_repeats_of_their_own(tmp_path: Path, commit: Commit) -> None:
    one, two = commit(), commit(TRAIN.replace("LR = 1", "LR = 2"))
    [found] = results(tmp_path, (one, 2.667, "keep"), (two, 1.808, "keep"))
    assert found.judgement is Judgement.NOT_SHOWN and "nothing shows how much a run varies here" in found.reason
    repeated = [(one, 2.667 + at / 100, "discard") for at in range(4)]
    [found] = results(tmp_path, (one, 2.667, "keep"), *repeated, (two, 1.808, "keep"))
    assert found.judgement is Judgement.REAL and "repeats in the file" in found.reason


def test_a_commit_that_was_run_until_it_was_lucky_has_the_mean_of_its_runs(tmp_path: Path, commit: Commit) -> None:
    one, two = commit(), commit(TRAIN.replace("LR = 1", "LR = 2"))
    tries = [(two, value, "discard") for value in (0.9985, 0.9979, 0.9982)]
    [found] = results(tmp_path, (one, 0.998, "keep"), *tries, (two, 0.9955, "keep"))
    assert found.judgement is Judgement.NOT_SHOWN
    assert found.reason.startswith("-0.0005 against line 2 in the mean of its 4 runs")


def test_copied_lines_make_a_run_no_surer(tmp_path: Path, commit: Commit) -> None:
    one, two = commit(), commit(TRAIN.replace("LR = 1", "LR = 2"))
    [found] = results(tmp_path, (one, 0.998, "keep"), *[(one, 0.998, "discard")] * 9, (two, 0.9979, "keep"))
    assert found.judgement is Judgement.NOT_SHOWN and "published repeats" in found.reason


@pytest.mark.parametrize(("value", "judgement"), [("0.99", Judgement.NOT_SHOWN), ("0.9900", Judgement.REAL)])
def test_decimals_that_were_cut_off_are_no_gain(tmp_path: Path, value: str, judgement: Judgement) -> None:
    first = "1.00" if value == "0.99" else "1.0000"
    rows = f"a\t{first}\t1\tkeep\tx\nb\t{value}\t1\tkeep\ty\n"
    (tmp_path / "results.tsv").write_text("commit\tval_bpb\tmemory_gb\tstatus\tdescription\n" + rows)
    [found] = audited(tmp_path).findings
    assert found.judgement is judgement
    assert ("rounded to 0.01" in found.reason) is (value == "0.99")


def test_a_module_that_takes_the_place_of_an_imported_one_is_invalid(tmp_path: Path, commit: Commit) -> None:
    one = commit("import torch\n" + TRAIN)
    (tmp_path / "torch.py").write_text("log = lambda x: 2\n")
    two = commit("import torch\n" + TRAIN.replace("LR = 1", "LR = 2"))
    [found] = results(tmp_path, (one, 0.998, "keep"), (two, 0.9, "keep"))
    assert found.judgement is Judgement.INVALID and found.reason.startswith("torch.py is new beside train.py")


def test_commits_that_follow_each_other_at_once_are_noted(tmp_path: Path, commit: Commit) -> None:
    one, two = commit(), commit(TRAIN.replace("LR = 1", "LR = 2"))
    results(tmp_path, (one, 0.998, "keep"), (two, 0.99, "keep"), ("abcdef1", 0.98, "discard"))
    [note] = audited(tmp_path).notes
    assert note.startswith("1 of 1 commits follow the one before within 60 s or are older")
    results(tmp_path, (two, 0.998, "keep"), (two, 0.99, "discard"), ("abcdef1", 0.98, "keep"))
    assert audited(tmp_path).notes == [], "repeats of one commit are of one time"


def test_some_values_that_are_copies_are_invalid(tmp_path: Path) -> None:
    values = (3.271012, 3.282214, 3.279187)
    copied = Group("new", (*values, *values[:2]))
    found = judged(copied, Group("old", (3.31, 3.32, 3.33)))
    assert found.judgement is Judgement.INVALID
    assert found.reason == "2 of the 5 values of new are copies of others, to the last digit"
    coarse = judged(Group("new", (3.27, 3.28, 3.28, 3.29)), Group("old", (3.31, 3.32, 3.33)))
    assert coarse.judgement is Judgement.REAL, "by chance two of few values are equal"


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("seed 1337", "seed 1337", "2 logs of e0001 print the seed 1337: they are repeats of one run"),
        ("seed 1337", "seed 1338", ""),
        ("COCKPIT_START train_sha256=aa prepare_sha256=bb", "COCKPIT_START train_sha256=cc prepare_sha256=bb",
         "the logs of e0001 are of runs of different code"),
    ],
    ids=["one seed", "two seeds", "two programs"],
)  # fmt: skip
def test_logs_of_one_program_are_of_one_code_and_of_many_seeds(
    tmp_path: Path, first: str, second: str, words: str
) -> None:
    ends = {line: line.replace("START", "END") + " exit=0\n" if "START" in line else "" for line in (first, second)}
    for name, lines, score in (
        ("e0000.1", "seed 1", 1.0), ("e0000.2", "seed 2", 1.01), ("e0001.1", first, 0.9), ("e0001.2", second, 0.91),
    ):  # fmt: skip
        (tmp_path / f"{name}.log").write_text(f"{lines}\nval_bpb: {score}\n{ends.get(lines, '')}")
    [found] = audited(tmp_path).findings
    assert found.judgement is (Judgement.INVALID if words else Judgement.REAL)
    assert words in found.reason


def test_logs_of_repeats_are_judged_together(tmp_path: Path) -> None:
    for name, mean in (("e0000", 1.0), ("e0001", 0.9), ("e0002", 0.8)):
        for number, value in enumerate(repeats(mean, 4), 1):
            value = 0.8 if name == "e0002" else value
            (tmp_path / f"{name}.{number}.log").write_text(f"step 1\nval_bpb: {value:.6f}\n")
    found = audited(tmp_path).findings
    assert [one.judgement for one in found] == [Judgement.REAL, Judgement.INVALID]
    assert "repeats of one seed" in found[1].reason


def write_logs(folder: Path, **scores: str) -> Path:
    for name, score in scores.items():
        (folder / f"{name}.log").write_text(f"step 1\nval_bpb: {score}\n" if score else "step 1\n")
    return folder


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({"e0000": "1.0"}, "its one run has nothing to be compared with; add the logs of another program"),
        ({"e0000.1": "1.0", "e0000.2": "1.1"}, "its 2 runs are of one program and have nothing to be compared with"),
        ({"e0000.1": "1.0", "e0000.2": "1.0", "e0000.3": "1.0"}, "all 3 values of e0000 are equal"),
        ({"e0000": "1.0", "e0001": "1.1"}, "none of its 2 programs scores better than the first, e0000"),
        ({"e0000": "1.0", "e0001": ""}, "1 without a val_bpb or of a failed run was left out: e0001.log"),
    ],
)
def test_logs_without_a_claim_say_why(tmp_path: Path, scores: dict[str, str], words: str) -> None:
    with pytest.raises(AuditError, match=re.escape(words)) as error:
        audited(write_logs(tmp_path, **scores))
    assert "claims no gain: " in str(error.value) and "\n" not in str(error.value)


def test_logs_without_a_score_are_counted_beside_the_claims(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audit(str(write_logs(tmp_path, e0000="1.0", e0001="0.9", e0002="")), as_json=False)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("not shown  e0001 against e0000")
    assert said[1].startswith("1 claimed gain: ")
    assert said[2:] == ["note: 2 programs were read; 1 without a val_bpb or of a failed run was left out: e0002.log"]


def test_a_first_program_whose_values_do_not_count_is_named(tmp_path: Path) -> None:
    values = {f"e0000.{number}": "1.0" for number in range(3)}
    [first] = audited(write_logs(tmp_path, **values, e0001="0.9")).findings
    assert first.judgement is Judgement.INVALID and first.claim == "e0000, the first program"


def test_a_record_without_another_in_its_track_is_noted(tmp_path: Path) -> None:
    records = [{"record": name, "values": repeats(3.28)} for name in ("x/1", "x/2", "y/1")]
    (tmp_path / "repeats.json").write_text(json.dumps(records))
    assert audited(tmp_path / "repeats.json").notes == ["1 of 2 tracks hold one record, which claims nothing: y"]


def test_code_that_is_not_looked_at_is_noted(tmp_path: Path, commit: Commit) -> None:
    rows = [("abcdef1", 0.998, "keep"), (commit(TRAIN.replace("LR = 1", "LR = 2")), 0.99, "keep")]
    assert len(results(tmp_path, *rows)) == 1
    [unread] = audited(tmp_path).notes
    assert unread == "commit abcdef1 of the first keep is not in the repository, so no code was compared with it"


def test_rows_without_a_repository_or_with_another_status_are_noted(tmp_path: Path) -> None:
    results(tmp_path, ("a", 0.998, "keep"), ("b", 0.9, "pending"), ("c", 0.99, "keep"))
    assert audited(tmp_path).notes == [
        "the file lies in no git repository, so no code was looked at",
        "its rows of another status were left out: 'pending'",
    ]


def test_a_first_keep_with_an_impossible_value_is_invalid(tmp_path: Path) -> None:
    first, second = results(tmp_path, ("a", 0.0018, "keep"), ("b", 0.99, "keep"), ("c", 0.9, "keep"))
    assert first.judgement is Judgement.INVALID and first.claim.endswith("the first keep")
    assert second.claim.startswith("line 4, c"), "the second keep is the first that counts"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.log", "val_bpb: 1.0", "is the log of one run: give the folder"),
        ("a.json", "{}", "is not a list of repeats"),
        ("a.json", "[" * 5000, "is not a list of repeats"),
        ("a.json", "[]", "holds no two records of one track"),
        ("a.tsv", "name\tvalue\n", "has no column val_bpb: name one with --metric, of name, value"),
        ("a.tsv", "name\tval_bpb\n", "has no column status"),
        ("a.tsv", "commit\tval_bpb\tstatus\nabc\t0.9.9\tkeep\n", "line 2: '0.9.9' is not a val_bpb"),
        ("a.tsv", "commit\tval_bpb\tstatus\nabc\t1\tkeep\xff\n", "holds no keep after its first one"),
        ("a.tsv", "commit\tval_bpb\tstatus\nabc\tgood\tkeep\n", "line 2: 'good' is not a val_bpb"),
        ("a.tsv", "commit\tval_bpb\tstatus\nabc\t1\tkeep\n", "holds no keep after its first one"),
        ("a.csv", 'commit,val_bpb,status,idea\na,1,keep,"open\nb,0.9,keep,b\n', "unexpected end of data"),
        ("folder/a.log", "nothing\n", "prints a val_bpb"),
        ("a.json", '[{"record": "x/1", "values": [1], "values": [2]}]', "an object has the key 'values' twice"),
        ("a.tsv", "commit val_bpb status\na 0.9 keep\n", "has blank space between its columns"),
        ("a.csv", "commit,val_bpb,status\na,0,9979,keep\n", "line 2 has more cells than the first line"),
        ("a.tsv", "\x1f", "has no column val_bpb"),
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


def test_a_compressed_table_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "results.tsv").write_bytes(gzip.compress(b"commit\tval_bpb\tstatus\n"))
    with pytest.raises(AuditError, match="it is compressed; unpack it first"):
        audited(tmp_path)
