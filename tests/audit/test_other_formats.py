"""Results as other people keep them: other names, separators, metrics and folders; and forged ones."""

import json
import re
from pathlib import Path

import pytest

from cockpit.audit import results_tsv
from cockpit.audit.claims import AuditError, Finding, Judgement
from cockpit.cli.audit import audit, audited
from cockpit.core.metric import VAL_BPB, Direction, Metric
from tests.audit.test_audit import TRAIN, Commit, commit, repeats, results

__all__ = ["commit"]

ACCURACY = Metric("val_acc", Direction.MAX)
HEAD = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"


def table(place: Path, text: str, metric: Metric = VAL_BPB, name: str = "results.tsv") -> list[Finding]:
    path = place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return audited(path, metric).findings


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("results.tsv", "commit\tval_bpb\tstatus\na\t0.998\tkeep\nb\t0.990\tkeep\n"),
        ("results.tsv", "commit\tval_bpb\tstatus\r\na\t0.998\tkeep\r\nb\t0.990\tkeep\r\n"),
        ("results.tsv", "\ufeffcommit\tval_bpb\tstatus\na\t0.998\tkeep\nb\t0.990\tkeep\n"),
        ("results.csv", "commit,val_bpb,status\na,0.998,keep\nb,0.990,keep\n"),
        ("results.csv", "commit;val_bpb;status\na;0,998;keep\nb;0,990;keep\n"),
        ("results.tsv", "SHA\tVal BPB\tDecision\na\t0.998\tkept\nb\t0.990\tAccepted\n"),
        ("results.tsv", "val_bpb\tgit_hash\thash\tverdict\n0.998\tx\ta\tyes\n0.990\ty\tb\ttrue\n"),
        ("results.tsv", "commit\tval_bpb\tstatus\na\t0.998\tkeep\nc\tn/a\tfailed\nd\t-\toom\nb\t0.990\tkeep\n"),
        ("results.csv", 'commit,val_bpb,status,idea\na,0.998,keep,"two, three"\nb,0.990,keep,"a ""word"""\n'),
        ("results.tsv", "val_bpb\tstatus\n0.998\tkeep\n0.990\tkeep\n"),
        ("results.tsv", "commit\tval_bpb\tstatus\n\na\t0.998\tkeep\n\nb\t0.990\tkeep\n\n"),
        ("results.tsv", 'commit\tval_bpb\tstatus\tidea\na\t0.998\tkeep\t"relu\nb\t0.990\tkeep\ta "word"\n'),
        ("results.tsv", '"commit"\t"val_bpb"\t"status"\n"a"\t"0.998"\t"keep"\n"b"\t"0.990"\t"keep"\n'),
    ],
    ids=[
        "autoresearch", "windows", "byte order mark", "commas", "semicolons", "other names", "other order", "crashes",
        "quotes", "no commits", "empty lines", "a quotation mark left open", "quotes and tabs",
    ],
)  # fmt: skip
def test_a_gain_is_found_in_a_table_of_another_shape(tmp_path: Path, name: str, text: str) -> None:
    [found] = table(tmp_path, text, name=name)
    assert found.judgement is Judgement.REAL, found.reason
    assert found.reason.startswith("-0.0080 against line 2") or "no commits" in text or "line 3" in found.reason


def test_a_metric_that_is_better_higher_is_judged_by_its_own_repeats(tmp_path: Path) -> None:
    base = "".join(f"a\t{value}\tdiscard\n" for value in (0.701, 0.699, 0.702, 0.698))
    head = "commit\tval_acc\tstatus\na\t0.700\tkeep\n"
    [better] = table(tmp_path, f"{head}{base}b\t0.750\tkeep\n", ACCURACY)
    assert better.judgement is Judgement.REAL and better.reason.startswith("+0.0500 against line 2")
    [worse] = table(tmp_path, f"{head}{base}b\t0.650\tkeep\n", ACCURACY)
    assert worse.judgement is Judgement.NOT_SHOWN and worse.reason.startswith("-0.0500 against line 2")
    [alone] = table(tmp_path, f"{head}b\t0.750\tkeep\n", ACCURACY)
    assert alone.judgement is Judgement.NOT_SHOWN
    assert "nothing shows how much val_acc varies from run to run" in alone.reason


def test_one_of_several_metrics_is_named(tmp_path: Path) -> None:
    text = "commit\tval_loss\tval_acc\tstatus\na\t2.1\t0.7\tkeep\nb\t2.0\t0.8\tkeep\n"
    with pytest.raises(AuditError, match=re.escape("has no column val_bpb: name one with --metric, of val_loss")):
        table(tmp_path, text)
    [found] = table(tmp_path, text, Metric("val_loss"))
    assert found.reason.startswith("-0.1000 against line 2")


def test_a_table_in_a_folder_below_is_found_and_of_several_one_is_asked_for(tmp_path: Path) -> None:
    rows = HEAD + "a\t0.998\t1\tkeep\tx\nb\t0.990\t1\tkeep\ty\n"
    table(tmp_path, rows, name="night/run1/results.tsv")
    assert [one.judgement for one in audited(tmp_path).findings] == [Judgement.REAL]
    table(tmp_path, rows, name="night/run2/results.tsv")
    said = "several tables of results: give one of night/run1/results.tsv, night/run2/results.tsv"
    with pytest.raises(AuditError, match=re.escape(said)):
        audited(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ("e0000/seed{}.log", "e0001/seed{}.log"), ("seed{}/e0000.log", "seed{}/e0001.log"),
        ("a/{}/train.log", "b/{}/train.log"), ("e0000.{}.txt", "e0001-seed{}.txt"),
        ("logs/e0000_{}.out", "logs/e0001_{}.out"),
    ],
    ids=["folders of programs", "folders of seeds", "folders of both", "names alone", "one folder below"],
)  # fmt: skip
def test_logs_in_folders_are_those_of_their_programs(tmp_path: Path, names: tuple[str, str]) -> None:
    for name, mean in zip(names, (1.0, 0.9), strict=True):
        for number, value in enumerate(repeats(mean, 3), 9):
            path = tmp_path / name.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"\ufeffstep 1\r\nval_bpb: {value:.6f}\r\n".encode())
    [found] = audited(tmp_path).findings
    assert found.judgement is Judgement.REAL and "in 3 and 3 runs" in found.reason, found


def test_a_raised_digit_in_the_name_of_a_log_is_text(tmp_path: Path) -> None:
    for program, middle in (("a", 1.0), ("b", 0.9)):
        for number in range(4):
            (tmp_path / f"{program}1²2.{number}.log").write_text(f"val_bpb: {middle + number / 10_000:.6f}\n")
    (found,) = audited(tmp_path).findings
    assert found.judgement is Judgement.REAL


def test_logs_of_a_metric_that_is_better_higher(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for program, mean in (("a", 0.7), ("b", 0.8)):
        for number, value in enumerate(repeats(mean, 3), 1):
            (tmp_path / f"{program}.{number}.log").write_text(f"val_acc: {value:.6f}\n")
    assert audit(str(tmp_path), as_json=False, metric="val_acc") == 0
    assert capsys.readouterr().out.startswith("real       b against a: +0.1000 [+0.0")
    with pytest.raises(AuditError, match="none of its 2 programs scores better than the first, a"):
        audit(str(tmp_path), as_json=False, metric="val_acc", direction="min")


def test_a_list_of_repeats_of_a_metric_that_is_better_higher(tmp_path: Path) -> None:
    listed = [{"record": name, "values": repeats(mean)} for name, mean in (("x/1", 0.7), ("x/2", 0.8))]
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(listed).encode())
    [found] = audited(tmp_path / "a.json", ACCURACY).findings
    assert found.judgement is Judgement.REAL and found.reason.startswith("+0.1000 [+0.0")


# Forgeries


def test_a_history_that_was_rewritten_after_its_table_shows_nothing(tmp_path: Path, commit: Commit) -> None:
    one = commit()
    [found] = results(tmp_path, (one, 0.998, "keep"), ("deadbeef", 0.9, "keep"))
    assert found.judgement is Judgement.NOT_SHOWN and "commit deadbeef is not in the repository" in found.reason


def test_a_keep_without_a_commit_shows_nothing_in_a_repository(tmp_path: Path, commit: Commit) -> None:
    [found] = results(tmp_path, (commit(), 0.998, "keep"), ("", 0.9, "keep"))
    assert found.judgement is Judgement.NOT_SHOWN
    assert found.reason == "its line names no commit: nothing shows what ran"


def test_a_row_that_was_copied_under_another_commit_s_name_is_of_that_code(tmp_path: Path, commit: Commit) -> None:
    one = commit()
    other = commit(TRAIN + "\n")
    [found] = results(tmp_path, (one, 0.998, "keep"), (other, 0.9, "keep"))
    assert found.judgement is Judgement.INVALID and "only the luck of the run differs" in found.reason


@pytest.mark.parametrize("value", ["1e-400", "-0.5", "0.0", "1e308", "1e999", "nan", "inf", "-inf"])
def test_a_number_that_no_run_can_print_is_invalid(tmp_path: Path, commit: Commit, value: str) -> None:
    one, two = commit(), commit(TRAIN.replace("LR = 1", "LR = 2"))
    text = f"{HEAD}{one}\t0.998\t1\tkeep\tx\n{two}\t{value}\t1\tkeep\ty\n"
    found = table(tmp_path, text)
    assert found[0].judgement is Judgement.INVALID, found[0].reason


@pytest.mark.parametrize("head", ["val_bpb\tval_bpb\tstatus", "val_bpb\tVal BPB\tstatus", "val_bpb\tstatus\tstatus"])
def test_a_column_that_comes_twice_is_one_sentence(tmp_path: Path, head: str) -> None:
    with pytest.raises(AuditError, match="its first line has 2 columns"):
        table(tmp_path, f"{head}\n0.998\t0.5\tkeep\n0.998\t0.4\tkeep\n")


@pytest.mark.parametrize("value", ["0_9.9", "0.9_1", "٠.٩", "0.9１", "0x1", "−0.9"])
def test_a_number_that_python_alone_reads_as_one_is_one_sentence(tmp_path: Path, value: str) -> None:
    with pytest.raises(AuditError, match=f"line 3: {value!r} is not a val_bpb"):
        table(tmp_path, f"{HEAD}aaaaaaa\t0.998\t1\tkeep\tx\nbbbbbbb\t{value}\t1\tkeep\ty\n")


@pytest.mark.parametrize("value", ["+0.95", ".95", "9.5e-1", "95E-2", "0,95"])
def test_other_spellings_of_a_number_are_read(tmp_path: Path, value: str) -> None:
    [found] = table(tmp_path, f"{HEAD}aaaaaaa\t0.998\t1\tkeep\tx\nbbbbbbb\t{value}\t1\tkeep\ty\n")
    assert found.reason.startswith("-0.0480")


@pytest.mark.parametrize("names", [("abcdef1", "abcdef123456"), ("ABCDEF1", "abcdef1"), ("abcdef12345", "abcdef1")])
def test_two_names_of_one_commit_are_one_program(tmp_path: Path, names: tuple[str, str]) -> None:
    one, other = names
    [found] = table(tmp_path, f"{HEAD}{one}\t0.998\t1\tkeep\tx\n{other}\t0.950\t1\tkeep\tran again\n")
    assert found.judgement is Judgement.NOT_SHOWN and found.reason.startswith("+0.0000")


def test_a_table_of_a_million_lines_is_read_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_tsv, "ROWS_AT_MOST", 100)
    lines = "a\t1\t1\tdiscard\tx\n" * 100 + "a\tno number\t1\tdiscard\tx\n"
    table(tmp_path, f"{HEAD}a\t1\t1\tkeep\tx\nb\t1\t1\tkeep\tx\n" + "a\t1\t1\tdiscard\tx\n" * 98)
    with pytest.raises(AuditError, match="has more than 100 lines"):
        table(tmp_path, HEAD + lines.replace("no number", "1") + "a\tno number\t1\tdiscard\tx\n")


def test_an_impossible_value_among_repeats_is_invalid(tmp_path: Path) -> None:
    listed = [{"record": "x/1", "values": repeats(1.0)}, {"record": "x/2", "values": [-0.9, -0.91]}]
    (tmp_path / "a.json").write_text(json.dumps(listed))
    [found] = audited(tmp_path / "a.json").findings
    assert found.judgement is Judgement.INVALID and "x/2 has a val_bpb of -0.91, which is impossible" in found.reason
    [found] = audited(tmp_path / "a.json", Metric("loss", Direction.MIN)).findings
    assert found.judgement is Judgement.REAL


def test_repeats_in_which_one_seed_is_repeated_are_invalid(tmp_path: Path) -> None:
    listed = [
        {"record": "x/1", "values": repeats(1.0)},
        {"record": "x/2", "values": [0.912345, 0.912345, 0.912345, 0.913]},
    ]
    (tmp_path / "a.json").write_text(json.dumps(listed))
    [found] = audited(tmp_path / "a.json").findings
    assert found.judgement is Judgement.INVALID and "copies of others, to the last digit" in found.reason


@pytest.mark.parametrize(
    "text",
    [
        '[{"record": "x/1", "values": [1, 2]}, {"record": "x/2", "values": [1e300, 1]}]',
        '[{"record": "x/1", "values": [1, 2]}, {"record": "x/2", "values": []}]',
    ],
    ids=["a huge number", "none"],
)
def test_forged_repeats_are_never_real(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    found = audited(tmp_path / "a.json").findings
    assert all(one.judgement is not Judgement.REAL for one in found) and "\n" not in found[0].reason


def test_a_log_whose_score_was_added_later_by_hand_is_invalid_where_its_code_changed(tmp_path: Path) -> None:
    marks = "COCKPIT_START train_sha256={a} prepare_sha256=b\nval_bpb: {value}\n"
    end = "COCKPIT_END train_sha256={b} prepare_sha256=b exit=0\n"
    for number, value in enumerate(repeats(1.0, 3), 1):
        (tmp_path / f"a.{number}.log").write_text(f"val_bpb: {value:.6f}\n")
    (tmp_path / "b.1.log").write_text(marks.format(a="aa", value=0.9) + end.format(b="cc"))
    [found] = audited(tmp_path).findings
    assert found.judgement is Judgement.INVALID and found.reason == "b.1.log: its code was changed while it ran"


def test_no_escape_of_a_table_reaches_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = "\x1b[2J\u2028real       everything"
    (tmp_path / "results.tsv").write_text(
        f"{HEAD}a\t0.998\t1\tkeep\t{odd}\nb\t0.990\t1\tkeep\t{odd}\nc\t1\t1\t{odd}\tx\n"
    )
    assert audit(str(tmp_path), as_json=False) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said and "\u2028" not in said and "everything" in said
