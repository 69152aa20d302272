"""The stack: the kept changes in order, the total against the baseline, and the pace of keeps."""

from textual import events
from textual.strip import Strip

from cockpit.core.metric import Metric
from cockpit.core.state import State
from cockpit.read.checks import MARKS
from cockpit.read.kept_stack import KeptChange, Pace, Stack, kept_words, pace_words, stack_of
from cockpit.read.wording import estimate_words
from cockpit.tui.figures import age, clock, count, money
from cockpit.tui.plain import plain, wrap
from cockpit.tui.rows import Row, hint_rows
from cockpit.tui.widgets.listing import Listing
from cockpit.tui.widgets.results import INTERVAL, MARK_INK, ORIGIN, interval_ink, interval_words

COST = 9
DETAIL_FROM = 9
"""Rows of the pane from which the selected change is worded in full below the list."""
ABLATION_FROM = 120
"""Columns from which each row has its ablation."""
EMPTY = (
    "Nothing has been kept yet. Each kept change has a row here, with its gain, its cost and its ablation.",
    "A change is kept once repeated runs show a gain beyond the noise.",
)


class KeptStack(Listing):
    NAME = "stack"
    KEY = "7"

    def __init__(self) -> None:
        super().__init__()
        self.followed = False
        """True while the pane is shown and follows the state."""
        self._stack: Stack | None = None
        self._made_for: tuple[object, ...] = ()
        self._above = 0
        """Rows above the list, the title among them."""

    def keys_of(self, state: State) -> list[str]:
        """Return the kept experiments. Nothing is read while the pane is not shown."""
        if not self.followed:
            return self.keys
        wanted = (state.seq, int(self.now))
        if self._made_for != wanted:
            self._stack, self._made_for = stack_of(state, self.now), wanted
        return [one.experiment for one in self._stack.kept] if self._stack is not None else []

    def rows(self, width: int, height: int) -> list[Strip]:
        state, stack = self.state, self._stack
        if state is None or stack is None:
            return [self.titled(width)]
        if not stack.kept:
            return [self.titled(width), *hint_rows(width, self.palette, *EMPTY)]
        rows = [self.titled(width, f"{len(stack.kept)} kept")]
        for said, ink in totals(state, stack):
            rows += [Row(width, self.palette).skip().put(line, ink).strip() for line in wrap(said, width - 2, 2)]
        priced = any(one.usd_per_hour for one in state.clusters.values())
        detail = self._detail(state, width) if height >= DETAIL_FROM else []
        rows.append(self._head(width, priced))
        self._above = len(rows)
        shown = self.window(max(1, height - len(rows) - len(detail)))
        by_name = {one.experiment: one for one in stack.kept}
        metric = state.session.metric
        rows += [self._row(metric, by_name[name], width, name == self.selected, priced) for name in shown]
        blank = Row(width, self.palette).strip()
        return rows + [blank] * (height - len(rows) - len(detail)) + detail

    def _head(self, width: int, priced: bool) -> Strip:
        row = Row(width, self.palette).skip(2).put("", width=7).put("at", "dim", 7)
        row.put("gain", "dim", INTERVAL).put("runs", "dim", 5)
        if priced:
            row.put("spent", "dim", COST)
        row.put("scored", "dim", ORIGIN) if width >= ABLATION_FROM else row.skip(2)
        return row.put("change", "dim").strip()

    def _row(self, metric: Metric, one: KeptChange, width: int, chosen: bool, priced: bool) -> Strip:
        row = Row(width, self.palette, self.palette.selection if chosen else None).put("◆", "good").skip()
        row.put(plain(one.experiment), "key", 7).put(clock(one.at), "dim", 7)
        if one.estimate is not None:
            row.put(interval_words(metric, one.estimate), interval_ink(one.estimate), INTERVAL)
        else:
            row.skip(INTERVAL)
        row.put(f"×{one.runs}", "dim", 5)
        if priced:
            row.put(money(one.runs_usd) if one.runs_usd else "", "dim", COST)
        origin = one.origin.partition(",")[0]
        if width >= ABLATION_FROM:
            row.put(origin, "dim", ORIGIN)
        else:
            row.put(MARKS.get(origin, ""), MARK_INK.get(MARKS.get(origin, ""), "dim"), 2)
        if width >= ABLATION_FROM and one.ablation:
            row.put(plain(one.change), "text", row.left - len(one.ablation) - 2)
            return row.end(plain(one.ablation), "dim").strip()
        return row.put(plain(one.change), "text").strip()

    def _detail(self, state: State, width: int) -> list[Strip]:
        """Return the selected change in a sentence, with its ablation."""
        one = next((one for one in self._stack.kept if one.experiment == self.selected), None) if self._stack else None
        if one is None:
            return []
        spent = f"{money(one.runs_usd)} of runs since the keep before" if one.runs_usd else ""
        said = "; ".join(filter(None, (kept_words(state, one.experiment), spent, one.origin, one.ablation)))
        return [Row(width, self.palette).skip().put(line, "dim").strip() for line in wrap(said, width - 2, 2)]

    def on_click(self, event: events.Click) -> None:
        above = self._above - 1 + self.title_rows
        if event.y >= above:
            self.select_index(self.top + event.y - above)
            if event.chain == 2:
                self.post_message(self.Opened(self.NAME))


def totals(state: State, stack: Stack) -> list[tuple[str, str]]:
    """Return [(sentence, role)]: the total against the baseline with its price, and the pace."""
    lines = []
    if stack.total is not None:
        price = f", {money(stack.usd_per_milli)} for each 0.001" if stack.usd_per_milli else ""
        spent = f"; {money(stack.spent_usd)} spent{price}" if stack.spent_usd else ""
        words = f"total {estimate_words(state.session.metric, stack.total)} against {state.baseline}{spent}"
        lines.append((plain(words), interval_ink(stack.total)))
    pace = stack.pace
    if pace is not None and not state.ended_at:
        lines.append((f"the last keep was {age(pace.since_keep_s)} ago{_expected(pace)}", "dim"))
    return lines


def _expected(pace: Pace) -> str:
    """Return the clause on the next hour; empty within the first, which is too short to tell of an hour."""
    if pace.ran_h < 1:
        return ""
    of = "the last keep" if pace.keeps == 1 else f"the last {count(pace.keeps, 'keep')}"
    return f"; at the pace of {of} the next hour gains {pace_words(pace)}"
