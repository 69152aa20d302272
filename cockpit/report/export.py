"""A session as one table for notebooks: one row for each attempt, as CSV or Parquet."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from cockpit.core.model import Attempt, AttemptStatus, Experiment, Metrics
from cockpit.core.state import State, constants_of
from cockpit.read.changes import change_words
from cockpit.read.costs import run_usd
from cockpit.read.wording import value as value_words
from cockpit.report.results import clean

Cell = str | int | float | bool | None
Row = dict[str, Cell]

CONSTANT = "constant."
"""Prefix of the columns of constants, so that no constant hides another column."""
_PRINTED = tuple(
    field.name for field in msgspec.structs.fields(Metrics) if field.type in (int, float) and field.name != "score"
)
"""The numbers of a run's summary beside its metric."""
FORMULA = ("=", "+", "-", "@")
"""Characters with which a formula starts in a spreadsheet."""


def rows(state: State) -> Iterator[Row]:
    """Yield a row for each attempt, in the order they were queued. All rows have the same columns.

    Times are seconds since the epoch. Values are as printed: a metric for which higher is better keeps its sign.
    """
    names = constant_names(state)
    others = state.session.metric.others
    for attempt in state.attempts.values():
        yield _row(state, attempt, names, others)


def constant_names(state: State) -> list[str]:
    """Return every constant that any experiment has, the baseline's first."""
    found = dict.fromkeys(state.session.constants)
    for experiment in state.experiments.values():
        found.update(dict.fromkeys(experiment.overrides))
    return list(found)


def write_csv(state: State, file: TextIO) -> int:
    """Write the table as CSV. Returns the number of rows."""
    written, writer = 0, None
    for row in rows(state):
        if writer is None:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
        writer.writerow({name: _escape_formula(cell) for name, cell in row.items()})
        written += 1
    return written


def _escape_formula(cell: Cell) -> Cell:
    return f" {cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def write_parquet(state: State, path: Path) -> int:
    """Write the table as Parquet. Returns the number of rows. Raises ImportError if pyarrow is not installed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = list(rows(state))
    columns = {name: _of_one_type([row[name] for row in found]) for name in (found[0] if found else ())}
    pq.write_table(pa.table(columns), path)
    return len(found)


def _of_one_type(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells of a column in one type: numbers stay numbers, a mixture becomes text."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if len(kinds) <= 1:
        return list(cells)
    if kinds == {int, float}:
        return [None if cell is None else float(cell) for cell in cells]
    return [None if cell is None else str(cell) for cell in cells]


def _row(state: State, attempt: Attempt, constants: Sequence[str], others: Sequence[str]) -> Row:
    experiment = state.experiments[attempt.experiment]
    return {
        "session": state.session.name,
        "simulated": state.session.fleet.simulated,
        **_run(state, attempt, experiment),
        **_result(state, attempt, others),
        **_decision(experiment),
        **_estimate(state, attempt),
        **_constants(state, experiment, constants),
    }


def _run(state: State, attempt: Attempt, experiment: Experiment) -> Row:
    """Return the cells on the run itself: its place among the others, where it ran, when, and its price."""
    wave = state.waves.get(experiment.wave)
    ran = bool(attempt.started_at and attempt.ended_at and attempt.status is AttemptStatus.ENDED)
    return {
        "attempt": attempt.id,
        "experiment": experiment.id,
        "wave": experiment.wave,
        "proposer": clean(wave.proposer) if wave else "",
        "kind": str(attempt.kind),
        "tier": str(attempt.tier),
        "seed": attempt.seed,
        "class": attempt.hardware,
        "cluster": attempt.cluster,
        "rule": clean(attempt.rule),
        "status": str(attempt.status),
        "outcome": str(attempt.outcome) if attempt.outcome else "",
        "queued_at": attempt.queued_at or None,
        "started_at": attempt.started_at or None,
        "ended_at": attempt.ended_at or None,
        "run_s": attempt.ended_at - attempt.started_at if ran else None,
        "usd": run_usd(state, attempt, attempt.ended_at) if ran else None,
    }


def _result(state: State, attempt: Attempt, others: Sequence[str]) -> Row:
    """Return the cells on the run's result and how it was measured."""
    metric, metrics = state.session.metric, attempt.metrics
    return {
        "metric": metric.name,
        "value": metric.value(metrics.score) if metrics else None,
        **{name: getattr(metrics, name) if metrics else None for name in _PRINTED},
        **{f"metric.{name}": metrics.others.get(name) if metrics else None for name in others},
        "confinement": attempt.wall,
        **_scored(attempt),
        "message": clean(attempt.message),
    }


def _decision(experiment: Experiment) -> Row:
    """Return the cells on the run's experiment: what was decided on it, and its change."""
    return {
        "experiment_status": str(experiment.status),
        "reason": clean(experiment.reason),
        "base": experiment.base,
        "commit": experiment.commit,
        "change": clean(change_words(experiment)),
        "lines_added": experiment.lines_added,
        "lines_removed": experiment.lines_removed,
    }


def _constants(state: State, experiment: Experiment, names: Sequence[str]) -> Row:
    held = constants_of(state, experiment.id)
    cells: Row = {}
    for name in names:
        constant = held.get(name)
        cells[f"{CONSTANT}{name}"] = value_words(constant) if isinstance(constant, list) else constant
    return cells


def _scored(attempt: Attempt) -> Row:
    """Return the score that was computed outside the run; empty cells for a run that scored itself."""
    found = attempt.rescore
    return {
        "outside_public": found.public_bpb or None if found else None,
        "outside_sealed": found.sealed_bpb or None if found else None,
        "outside_failed": clean(found.failed) if found else "",
        "outside_trouble": clean(found.trouble) if found else "",
    }


def _estimate(state: State, attempt: Attempt) -> Row:
    """Return the difference that its experiment was decided on, in values of the metric."""
    found, metric = state.experiments[attempt.experiment].estimate, state.session.metric
    if found is None:
        return dict.fromkeys(("difference", "difference_low", "difference_high")) | {"against": ""}
    low, high = metric.interval(found.low, found.high)
    return {
        "difference": metric.value(found.mean),
        "difference_low": low,
        "difference_high": high,
        "against": found.against,
    }
