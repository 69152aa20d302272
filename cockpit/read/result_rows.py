"""The results as rows, one per experiment, updated as the session continues."""

from collections.abc import Iterable, Mapping

import msgspec

from cockpit.core.model import Experiment, ExperimentStatus, Value
from cockpit.core.state import State
from cockpit.read.changes import change_steps
from cockpit.read.costs import run_usd
from cockpit.read.ended_runs import Ended
from cockpit.read.scores import comparison_class, score_of
from cockpit.read.waves import is_baseline


class ResultRow(msgspec.Struct, frozen=True):
    experiment: str
    status: ExperimentStatus
    is_baseline: bool
    """True for the measured baseline, which has the status of a keep and changes nothing."""
    wave: str
    proposer: str
    base: str
    change: str
    """`MATRIX_LR 0.04 → 0.05`."""
    reason: str
    overrides: Mapping[str, Value]
    """Each constant that differs from the baseline's."""
    classes: tuple[str, ...]
    """The classes it has a score in."""
    hardware: str
    """The class of its score; empty without one."""
    score: float | None
    value: float | None
    """The value of the metric at that score."""
    runs: int
    """Its valid runs in the class of its score."""
    usd: float
    """Dollars of its runs that have ended."""
    number: int
    """Its place in the order of proposals, from 0."""


AT_ONCE = 1_000
"""Rows made in one call: a thousand take some 50 ms."""
SORTS = ("score", "newest", "cost", "runs", "change")
"""The orders of the rows. By score, the class that comparisons are made in is first, and no class is mixed."""


class ResultRows(msgspec.Struct):
    """All rows. `follow` updates those that changed, at most AT_ONCE per call."""

    by_name: dict[str, ResultRow] = msgspec.field(default_factory=dict)
    version: int = 0
    """Grows when a row changes."""
    _seq: int = -1
    _ends: Ended = msgspec.field(default_factory=Ended)
    _marks: list[tuple[ExperimentStatus, int]] = msgspec.field(default_factory=list)
    _stale: set[str] = msgspec.field(default_factory=set)
    """Experiments of which a run has ended since their rows were made."""

    @property
    def is_behind(self) -> bool:
        """Rows are still to be made, in more calls of `follow`."""
        return self._seq < 0 and bool(self.by_name)

    def follow(self, state: State) -> bool:
        """Take in what changed. Returns True if anything did."""
        if state.seq == self._seq:
            return False
        if state.seq < self._seq or len(state.experiments) < len(self._marks):
            self._marks, self._ends = [], Ended()
            self.by_name.clear()
        ended = self._ends.fresh(state)
        self._stale.update(state.experiments if ended is None else _experiments(state, ended))
        made = 0
        for number, one in enumerate(state.experiments.values()):
            mark = (one.status, len(one.attempts))
            known = number < len(self._marks)
            if known and self._marks[number] == mark and one.id not in self._stale:
                continue
            if made == AT_ONCE:
                break
            if known:
                self._marks[number] = mark
            else:
                self._marks.append(mark)
            self._stale.discard(one.id)
            self.by_name[one.id] = _row(state, one, number)
            made += 1
        self._seq = -1 if made == AT_ONCE else state.seq
        self.version += bool(made)
        return bool(made)

    def ordered(self, names: list[str], state: State, sort: str) -> list[str]:
        """Return the experiments in one of SORTS; those without a score are last by score."""
        rows = self.by_name
        match sort:
            case "score":
                first = comparison_class(state)

                def by_score(name: str) -> tuple[bool, bool, str, float]:
                    row = rows[name]
                    return row.score is None, row.hardware != first, row.hardware, row.score or 0.0

                return sorted(names, key=by_score)
            case "cost":
                return sorted(names, key=lambda name: -rows[name].usd)
            case "runs":
                return sorted(names, key=lambda name: -rows[name].runs)
            case "change":
                return sorted(names, key=lambda name: rows[name].change)
        return names[::-1]


def every_row(state: State) -> list[ResultRow]:
    """Return the rows of all experiments, in the order they were proposed."""
    return [_row(state, one, number) for number, one in enumerate(state.experiments.values())]


def _experiments(state: State, attempts: Iterable[str]) -> Iterable[str]:
    return (state.attempts[name].experiment for name in attempts)


def _row(state: State, one: Experiment, number: int) -> ResultRow:
    score = score_of(state, one.id)
    runs = (state.attempts[name] for name in one.attempts)
    wave = state.waves.get(one.wave)
    return ResultRow(
        experiment=one.id,
        status=one.status,
        is_baseline=is_baseline(state, one),
        wave=one.wave,
        proposer=wave.proposer if wave is not None else "",
        base=one.base,
        change=change_steps(state, one, one.base) if one.base else "the unchanged baseline",
        reason=one.reason,
        overrides=one.overrides,
        classes=tuple(one.scores),
        hardware=score.hardware if score else "",
        score=score.mean if score else None,
        value=state.session.metric.value(score.mean) if score else None,
        runs=score.runs if score else 0,
        usd=sum(run_usd(state, run, run.ended_at) for run in runs if run.ended_at),
        number=number,
    )
