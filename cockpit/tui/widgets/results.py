"""The results: every experiment that the query matches, in the order the person chose, one row each."""

import math
from collections.abc import Mapping

import msgspec
from textual import events
from textual.strip import Strip

from cockpit.core.metric import Metric
from cockpit.core.model import Estimate, Experiment, ExperimentStatus
from cockpit.core.state import State
from cockpit.read.checks import origin_mark, origin_of
from cockpit.read.effects import ADJUSTED, adjusted_words, against_incumbent, is_clear
from cockpit.read.result_query import Query, matches
from cockpit.read.result_rows import SORTS, ResultRow, ResultRows
from cockpit.read.waves import status_word
from cockpit.tui.figures import MINUS, bare, count, money, score_words, short_name, signed
from cockpit.tui.plain import plain, width_of, wrap
from cockpit.tui.rows import Row, hint_rows
from cockpit.tui.views.review import glyph_of
from cockpit.tui.widgets.listing import Listing
from cockpit.tui.widgets.score_plot import MARKED

WIDE_FROM = 90
"""Columns from which a row has the status in words."""
ORIGIN_FROM = 120
"""Columns from which a row says in words how its score came to be; in fewer a mark does."""
ORIGIN = 15
CLASS_MOST = 10
LEAD = 2
"""Cells of the glyph and the mark."""
SCORE = 10
DETAIL_FROM = 9
"""Rows of the pane from which the selected row is worded in full below the list."""
DETAIL_ROWS = 2
INTERVAL = 18
"""Cells of `−0.00060 ± .00021` and the blank behind it."""
MARK_INK = {"✓": "good", "?": "dim", "✗": "bad"}
EMPTY = (
    "Each experiment has a row here: its score, how it compares with the incumbent, its runs and its cost.",
    "The baseline is the first.",
)


class Column(msgspec.Struct, frozen=True):
    """A column of the results. The results can be sorted by those that are named in SORTS."""

    name: str
    cells: int
    title: str | None = None
    """None if its name is its title."""


class Results(Listing):
    NAME = "results"
    KEY = "6"

    def __init__(self) -> None:
        super().__init__()
        self.followed = False
        """True while the pane is shown and follows the state."""
        self.all = ResultRows()
        self.asked = ""
        """The query as the person wrote it; empty for every experiment."""
        self.sort = SORTS[0]
        self.marked: Mapping[str, None] = {}
        """The experiments that are marked for a comparison."""
        self._terms: Query = ()
        self._listed: list[str] = []
        self._listed_for: tuple[object, ...] = ()
        self._short = False
        """True if the changes have short names of constants."""
        self._widest = 0
        self._widest_for: tuple[object, ...] = ()
        self._estimates: dict[str, Estimate | None] = {}
        self._estimates_for: tuple[object, ...] = ()

    def keys_of(self, state: State) -> list[str]:
        """Return the experiments of the query in order. Nothing is read while the pane is not shown."""
        if not self.followed:
            return self.keys
        self.all.follow(state)
        wanted = (self.all.version, self._terms, self.sort)
        if self._listed_for != wanted:
            constants = state.session.constants
            found = [name for name, row in self.all.by_name.items() if matches(self._terms, row, constants)]
            self._listed, self._listed_for = self.all.ordered(found, state, self.sort), wanted
        return self._listed

    def tell(self, state: State, now: float) -> None:
        super().tell(state, now)
        if self.followed and self.all.is_behind:
            self.call_later(self._catch_up)

    def _catch_up(self) -> None:
        """Make the next rows, because a session that has ended has no news at which they would be made."""
        if self.state is not None and self.all.is_behind:
            self.tell(self.state, self.now)

    def ask(self, text: str, terms: Query) -> None:
        """Show the experiments that a query matches."""
        self.asked, self._terms = text, terms
        self._refill()

    def sort_by(self, sort: str) -> None:
        """Order the rows by this, or by the next one of SORTS for an empty name."""
        self.sort = sort or SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
        self._refill()

    def _refill(self) -> None:
        if self.state is not None:
            self.selected, self.top = "", 0
            self.tell(self.state, self.now)

    def rows(self, width: int, height: int) -> list[Strip]:
        state = self.state
        if state is None:
            return [self.titled(width)]
        rows = [self.titled(width, self._note(state))]
        if not self.keys:
            hint = (f"No experiment matches {plain(self.asked)}. & asks for others, esc shows all.",)
            return rows + hint_rows(width, self.palette, *(hint if self.asked else EMPTY))
        detail = self._detail(state, width) if height >= DETAIL_FROM else []
        shown = [self.all.by_name[name] for name in self.window(height - 2 - len(detail))]
        columns = self._columns(state, width, shown)
        rows.append(self._head(columns, width))
        self._short = self._widest_change() > width - LEAD - sum(column.cells for column in columns)
        rows += [self._row(state, row, columns, width) for row in shown]
        return rows + [Row(width, self.palette).strip()] * (height - len(rows) - len(detail)) + detail

    def _detail(self, state: State, width: int) -> list[Strip]:
        """Return the selected row's whole change, and what its difference leaves out of its score."""
        view = self.all.by_name.get(self.selected)
        if view is None:
            return []
        lines = wrap(plain(f"{view.experiment} {view.change}"), width - 2)
        note = adjusted_words(state, view.experiment)
        if note or len(lines) < DETAIL_ROWS:
            lines = [" ".join(lines), plain(note)]
        lines = [lines[0], " ".join(lines[1:])]
        return [Row(width, self.palette).skip().put(line, "dim").strip() for line in lines]

    def _note(self, state: State) -> str:
        parts = [f"& {plain(self.asked)}"] if self.asked else []
        total = len(self.all.by_name)
        parts.append(f"{len(self.keys):,} of {total:,}" if self.asked else count(total, "experiment"))
        parts.append(f"by {self.sort}")
        if state.incumbent:
            parts.append(f"Δ {ADJUSTED}, dim where untested")
        return "  ".join(parts)

    def _widest_change(self) -> int:
        """Return the cells of the longest change in the list: either all rows have short names of constants or none."""
        if self._widest_for != self._listed_for:
            changes = (self.all.by_name[name].change for name in self._listed)
            self._widest = width_of(plain(max(changes, key=len, default="")))
            self._widest_for = self._listed_for
        return self._widest

    def _columns(self, state: State, width: int, shown: list[ResultRow]) -> list[Column]:
        """Return the columns that fit and are not empty. The last one takes the rest of the row."""
        classes = max((width_of(plain(row.hardware)) for row in shown), default=0)
        columns = [Column("experiment", 7, "")]
        if width >= WIDE_FROM:
            columns.append(Column("status", 11))
        columns += [Column("class", max(6, min(CLASS_MOST, classes) + 1)), Column("score", SCORE)]
        if says_origin(state, width):
            columns.append(Column("scored", ORIGIN))
        columns += [Column("difference", INTERVAL, f"Δ {plain(state.incumbent)}" if state.incumbent else "")]
        columns.append(Column("runs", 5))
        if any(one.usd_per_hour for one in state.clusters.values()):
            columns.append(Column("cost", 8))
        return [*columns, Column("change", 0)]

    def _head(self, columns: list[Column], width: int) -> Strip:
        row = Row(width, self.palette).skip(LEAD)
        for column in columns:
            title = column.name if column.title is None else column.title
            row.put(title, "focus" if column.name == self.sort else "dim", column.cells)
        return row.strip()

    def _row(self, state: State, view: ResultRow, columns: list[Column], width: int) -> Strip:
        ground = self.palette.selection if view.experiment == self.selected else None
        row = Row(width, self.palette, ground).put(*glyph_of(state, state.experiments[view.experiment]))
        row.put(MARKED if view.experiment in self.marked else " ", "warn")
        for column in columns:
            self._cell(row, state, view, column)
        return row.strip()

    def _cell(self, row: Row, state: State, view: ResultRow, column: Column) -> None:
        known = state.experiments[view.experiment]
        match column.name:
            case "experiment":
                row.put(plain(view.experiment), "key", column.cells)
            case "status":
                row.put(status_word(state, known), glyph_of(state, known)[1], column.cells)
            case "class":
                row.put(plain(view.hardware), "dim", column.cells)
            case "score":
                self._score(row, state, known, view.score)
            case "scored":
                origin = origin_of(state, known).partition(",")[0] if view.score is not None else ""
                row.put(origin, "dim", column.cells)
            case "difference":
                self._difference(row, state, known)
            case "runs":
                row.put(f"×{view.runs}" if view.runs else "", "dim", column.cells)
            case "cost":
                row.put(money(view.usd) if view.usd else "", "dim", column.cells)
            case "change":
                row.put(shorter(state, view) if self._short else plain(view.change))

    def _difference(self, row: Row, state: State, known: Experiment) -> None:
        estimate = self._against(state, known.id)
        if estimate is None:
            row.put("incumbent" if known.id == state.incumbent else "", "good", INTERVAL)
            return
        # The best of many single runs is lucky: only a test makes a difference stand out.
        tested = known.test_level > 0 or known.status is ExperimentStatus.KEPT
        words = interval_words(state.session.metric, estimate)
        row.put(words, interval_ink(estimate) if tested else "dim", INTERVAL)

    def _score(self, row: Row, state: State, known: Experiment, score: float | None) -> None:
        """Put a score with the mark of its origin."""
        words = score_words(state.session.metric, score) if score is not None else ""
        mark = origin_mark(state, known) if words else ""
        row.put(words, "text").put(f" {mark}" if mark else "", MARK_INK.get(mark, "dim"))
        row.skip(max(0, SCORE - width_of(words) - (2 if mark else 0)))

    def _against(self, state: State, name: str) -> Estimate | None:
        wanted = (self.all.version, state.incumbent)
        if self._estimates_for != wanted:
            self._estimates, self._estimates_for = {}, wanted
        if name not in self._estimates:
            self._estimates[name] = against_incumbent(state, name)
        return self._estimates[name]

    def on_click(self, event: events.Click) -> None:
        if event.y <= self.title_rows:
            return
        self.select_index(self.top + event.y - self.title_rows - 1)
        if event.chain == 2:
            self.post_message(self.Opened(self.NAME))


def says_origin(state: State, width: int) -> bool:
    """Return True if a row has the origin of its score in words. Simulated scores have no origin."""
    return width >= ORIGIN_FROM and not state.session.fleet.simulated


def interval_words(metric: Metric, estimate: Estimate) -> str:
    """Return `−0.0012 ± .0021`: both with the decimals that the interval allows."""
    half = (estimate.high - estimate.low) / 2
    decimals = max(0, min(6, 1 - math.floor(math.log10(half)))) if half > 0 else 4
    return f"{signed(metric.value(estimate.mean), decimals)} ± {bare(f'{half:.{decimals}f}')}"


def interval_ink(estimate: Estimate) -> str:
    """Return the role of an interval: clear gains and losses stand out."""
    return "dim" if not is_clear(estimate) else "good" if estimate.mean < 0 else "bad"


def shorter(state: State, view: ResultRow) -> str:
    """Return the change with short names of constants."""
    words = view.change
    for name in state.session.constants:
        words = words.replace(name, short_name(name))
    return plain(words.replace(f" {MINUS}0.", f" {MINUS}.").replace(" 0.", " ."))
