"""Trials of elsewhere: read from JSON, CSV and results.tsv, and refused in one sentence."""

import json
from pathlib import Path

import pytest

from cockpit.audit.claims import AuditError
from cockpit.audit.trials import read_night

NIGHTS = {
    "TPE": {
        "0": [{"tid": 0, "val_bpb": 0.99, "success": True, "wt": 300.1, "DEPTH": 8, "WINDOW_PATTERN": "SSSL"}],
        "1": [
            {"tid": 0, "val_bpb": 100.0, "success": False, "wt": 33.0, "DEPTH": 20, "WINDOW_PATTERN": "LLLL"},
            {"tid": 1, "val_bpb": 0.98, "success": True, "wt": 300.2, "DEPTH": 9, "WINDOW_PATTERN": "SSSL"},
        ],
    }
}


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_night_of_several_is_chosen_by_its_keys(tmp_path: Path) -> None:
    path = written(tmp_path, "trials.json", json.dumps(NIGHTS))
    night = read_night(path, "val_bpb", "TPE/1")
    assert night.name == "TPE/1" and [trial.value for trial in night.trials] == [None, 0.98]
    assert night.trials[1].constants == {"DEPTH": 9, "WINDOW_PATTERN": "SSSL"} and night.trials[1].seconds == 300.2
    with pytest.raises(AuditError, match=r"holds 2 nights: choose one with --night, of 'TPE/0', 'TPE/1'$"):
        read_night(path, "val_bpb")
    with pytest.raises(AuditError, match=r"no night 'TPE/2': did you mean TPE/[01]\?"):
        read_night(path, "val_bpb", "TPE/2")
    alone = written(tmp_path, "one.json", json.dumps(NIGHTS["TPE"]["0"]))
    assert read_night(alone, "val_bpb").trials[0].value == 0.99


def test_a_csv_has_numbers_truth_values_and_words(tmp_path: Path) -> None:
    head = "score,status,seconds,class,DEPTH,RATE,CAUSAL,KIND"
    text = f"{head}\n0.5,keep,60,A100,8,0.1,True,x\n,crash,,A100,9,1e-3,false,y\n"
    night = read_night(written(tmp_path, "a.csv", text), "score")
    first, second = night.trials
    assert (first.value, first.status, first.seconds, first.hardware) == (0.5, "keep", 60.0, "A100")
    assert first.constants == {"DEPTH": 8, "RATE": 0.1, "CAUSAL": True, "KIND": "x"}
    assert second.value is None and second.seconds == 0.0 and second.constants["CAUSAL"] is False


def test_a_results_tsv_has_no_constants(tmp_path: Path) -> None:
    head = "commit\tval_bpb\tmemory_gb\tstatus\tdescription"
    text = f"{head}\nabc1234\t0.99\t44\tkeep\tbaseline\nabc9999\t0.0\t0\tcrash\twider\n"
    night = read_night(written(tmp_path, "results.tsv", text), "val_bpb")
    assert [(one.commit, one.value, one.status, one.description, one.constants) for one in night.trials] == [
        ("abc1234", 0.99, "keep", "baseline", {}), ("abc9999", None, "crash", "wider", {})
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{", "is not a table of trials"),
        ("a.json", "{}", "holds no list of trials"),
        ("a.json", "[]", "holds no trial with a score"),
        ("a.json", '[{"loss": 1}]', "trial 1 has no val_bpb: name its column with --metric"),
        ("a.json", '[{"val_bpb": "low"}]', "the val_bpb of trial 1 is 'low', not a number"),
        ("a.json", '[{"val_bpb": NaN}]', "holds no trial with a score"),
        ("a.csv", "DEPTH\n8\n", "trial 1 has no val_bpb"),
        ("a.tsv", "x\ty\n", "is not a results.tsv"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_sentence(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(AuditError) as error:
        read_night(written(tmp_path, name, text), "val_bpb")
    assert said in str(error.value) and "\n" not in str(error.value)
