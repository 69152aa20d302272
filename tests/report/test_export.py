"""Promises of the exported table: one row for each attempt, the same in CSV and Parquet, values as printed."""

import csv
import io
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from cockpit.core.metric import Direction, Metric
from cockpit.core.model import Estimate
from cockpit.core.state import State
from cockpit.report.export import FORMULA, rows, write_csv, write_parquet
from cockpit.session.paths import SessionFolder
from tests.cli.shell import cockpit, refusal
from tests.report.test_html import HOSTILE, night
from tests.tui import stories
from tests.worker.sessions import state_of


@pytest.fixture(scope="module")
def state(night_folder: SessionFolder) -> State:
    return state_of(night_folder)


def test_there_is_one_row_for_each_attempt_with_the_same_columns(state: State) -> None:
    found = list(rows(state))
    assert [row["attempt"] for row in found] == list(state.attempts)
    assert len({tuple(row) for row in found}) == 1
    assert {"constant.DEPTH", "constant.MATRIX_LR", "value", "class", "usd", "difference"} <= set(found[0])


def test_a_row_has_the_value_the_price_and_the_constants_of_its_run(state: State) -> None:
    for row, attempt in zip(rows(state), state.attempts.values(), strict=True):
        experiment = state.experiments[attempt.experiment]
        assert row["value"] == (attempt.metrics.score if attempt.metrics else None)
        assert row["commit"] == experiment.commit
        for name, value in experiment.overrides.items():
            assert row[f"constant.{name}"] == value or isinstance(value, list)
    assert sum(float(row["usd"] or 0) for row in rows(state)) > 0


def test_a_metric_that_is_better_higher_has_its_values_as_printed() -> None:
    state = stories.night().state
    lower = list(rows(state))
    state.session = msgspec.structs.replace(state.session, metric=Metric("accuracy", Direction.MAX))
    name = lower[0]["experiment"]
    state.experiments[str(name)].estimate = Estimate(-0.2, -0.3, -0.1, 0.9, 3, "e0000", "H100")
    row = next(rows(state))
    assert row["metric"] == "accuracy" and row["value"] == -float(lower[0]["value"] or 0)
    assert (row["difference"], row["difference_low"], row["difference_high"]) == (0.2, 0.1, 0.3)


def test_csv_and_parquet_hold_the_same_rows(state: State, tmp_path: Path) -> None:
    text = io.StringIO()
    assert write_csv(state, text) == write_parquet(state, tmp_path / "a.parquet") == len(state.attempts)
    table = pq.read_table(tmp_path / "a.parquet")
    lines = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert table.column_names == list(lines[0])
    for name in ("attempt", "class", "commit", "outcome"):
        assert table[name].to_pylist() == [line[name] for line in lines]
    for name in ("value", "usd", "constant.MATRIX_LR"):
        assert table[name].to_pylist() == [float(line[name]) if line[name] else None for line in lines]


def test_text_of_models_is_one_plain_cell_and_never_a_formula() -> None:
    state = night(text=HOSTILE)
    for attempt in state.attempts.values():
        attempt.message = '=HYPERLINK("http://a.b")\n\x1b[31m'
    text = io.StringIO()
    write_csv(state, text)
    lines = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert len(lines) == len(state.attempts)
    assert not any(cell.startswith(FORMULA) for line in lines for name, cell in line.items() if not is_number(cell))
    assert "\x1b" not in text.getvalue() and lines[0]["message"].startswith(" =HYPERLINK")


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_a_session_without_an_attempt_gives_an_empty_table(tmp_path: Path) -> None:
    state = stories.empty().state
    assert write_csv(state, io.StringIO()) == 0
    assert write_parquet(state, tmp_path / "a.parquet") == 0


@pytest.mark.timeout(120)
def test_the_command_chooses_the_form_by_the_name_of_the_file(night_folder: SessionFolder, tmp_path: Path) -> None:
    place, attempts = night_folder.root.parents[1], len(state_of(night_folder).attempts)
    for words, name in (((), "night.csv"), (("-o", "x.parquet"), "x.parquet")):
        told = cockpit(place, "export", "night", *words, cwd=tmp_path)
        assert told.stdout == f"{attempts} attempts written to {name}\n", told.stderr
    assert pq.read_table(tmp_path / "x.parquet").num_rows == attempts
    to_pipe = cockpit(place, "export", "night", "-o", "-", cwd=tmp_path).stdout
    assert to_pipe.replace("\r", "") == (tmp_path / "night.csv").read_text().replace("\r", "")
    said = refusal(cockpit(place, "export", "night", "-o", "night.xlsx", cwd=tmp_path))
    assert said == "night.xlsx is neither CSV nor Parquet: end its name in .csv or .parquet"
