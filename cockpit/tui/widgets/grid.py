"""The clusters: a cell each if there is room, else a row each; hundreds are tiles of a heat map."""

from collections.abc import Callable

from textual import events
from textual.strip import Strip

from cockpit.core.model import ClusterState
from cockpit.core.state import State
from cockpit.read.state_words import cluster_counts
from cockpit.tui.figures import MINUS, age, duration
from cockpit.tui.plain import plain, width_of, wrap
from cockpit.tui.rows import Row, hint_rows, side_by_side
from cockpit.tui.theme import Palette
from cockpit.tui.views.cards import card_view
from cockpit.tui.views.clusters import ClusterView, cluster_view
from cockpit.tui.widgets import cards, heat_map
from cockpit.tui.widgets.curve import draw_curves
from cockpit.tui.widgets.listing import Listing

CELLS_MOST = 16
"""The most clusters whose cells the pane makes room for. More of them scroll."""
CELL_ROWS = 4
CELL_WIDTH = 25
"""The width of the narrowest cell that is complete."""
GUTTER = 2
"""Blank cells between two cells of the grid, if there is room for them."""
ROOMY_ROWS = 10
"""Rows of a cell from which it has the facts of the run and its curve."""
ROOMY_MOST = 16
TAIL = 12
"""Cells of `100% 12m30s` and the blank before."""


BEGINNING = (
    "Nothing has run yet. The clusters come up, then the baseline is measured.",
    "m mode   i write to the proposer   : every action   ? every key",
)
WATCHED = (BEGINNING[0], ": every action   ? every key")
"""The hint for a watcher, who has no keys that act."""


def ended_hints(state: State) -> tuple[str, str]:
    """Return where to find the results of a session whose clusters are down."""
    return (
        "The session has ended: 6 results   7 stack   4 chart",
        f"cockpit report {plain(state.session.name)} writes them down",
    )


class Grid(Listing):
    NAME = "clusters"
    KEY = "1"

    def __init__(self, tail_of: Callable[[str, int], list[str]], watching: bool) -> None:
        """Prepare the grid. `tail_of(attempt, most)` returns the last lines of an attempt's log."""
        super().__init__()
        self._tail_of = tail_of
        self._label = 0
        """Cells before the tiles of the heat map; 0 for any other drawing."""
        self.beginning = WATCHED if watching else BEGINNING

    def keys_of(self, state: State) -> list[str]:
        return list(state.clusters)

    def columns(self, width: int, height: int) -> int:
        """Return the cells in a row; 1 means a table."""
        across = min(4, width // CELL_WIDTH, len(self.keys))
        needed = -(-min(len(self.keys), CELLS_MOST) // max(1, across)) * (CELL_ROWS + 1) - 1
        fits = height - 1 >= needed
        return across if across >= 2 and fits else 1

    def rows(self, width: int, height: int) -> list[Strip]:
        state, now = self.state, self.now
        note = cluster_counts(state) if state else ""
        top = [self.titled(width, note)]
        if state is None:
            return top
        self._label = 0
        rows_each = cards.rows_each(width, height - 1, len(self.keys))
        if rows_each:
            return top + self._cards(state, width, rows_each)
        if len(self.keys) >= heat_map.MANY and len(self.keys) > height - 1:
            return top + self._tiles(state, width, height - 1)
        over = bool(state.ended_at) and all(one.state is ClusterState.DOWN for one in state.clusters.values())
        across = 1 if over else self.columns(width, height)
        if across == 1:
            self.stride, self.item_rows = 1, 1
            detail_rows = 3 if height - 1 >= len(self.keys) + 4 else 0
            shown = self.window(height - 1 - detail_rows)
            rows = [table_row(cluster_view(state, state.clusters[key], now), width, self.palette, key == self.selected)
                    for key in shown]  # fmt: skip
            hints = ended_hints(state) if over else self.beginning if not state.attempts else ()
            if detail_rows and hints:
                rows.extend(hint_rows(width, self.palette, "", *hints)[:detail_rows])
            elif detail_rows and self.selected in state.clusters:
                rows.append(Row(width, self.palette).strip())
                rows.extend(
                    detail_rows_of(cluster_view(state, state.clusters[self.selected], now), width, self.palette)
                )
            return top + rows
        each = cell_height(len(self.keys), across, height - 1)
        self.stride, self.item_rows = across, each + 1
        shown = self.window(height // (each + 1) * across)
        roomy = each >= ROOMY_ROWS
        views = [cluster_view(state, state.clusters[key], now, with_curve=roomy) for key in shown]
        return top + grid_rows(views, self.selected, width, across, self.palette, each)

    def _tiles(self, state: State, width: int, height: int) -> list[Strip]:
        """Draw a tile for each cluster, and the details of the selected one below."""
        self._label = heat_map.label_width(self.keys)
        self.stride, self.item_rows = heat_map.across(width, self.keys), 1
        lines = -(-len(self.keys) // self.stride)
        below = min(cell_height(1, 1, height - lines - heat_map.LEGEND_ROWS - 1), ROOMY_ROWS + 2)
        shown = self.window((height - heat_map.LEGEND_ROWS - below - 1) * self.stride)
        views = [cluster_view(state, state.clusters[key], self.now) for key in shown]
        rows = heat_map.map_rows(views, self.selected, self._label, self.stride, width, self.palette)
        if self.selected in state.clusters:
            view = cluster_view(state, state.clusters[self.selected], self.now, with_curve=below >= ROOMY_ROWS)
            rows.append(Row(width, self.palette).strip())
            rows += cell_rows(view, width, self.palette, False, below)
        return rows

    def _cards(self, state: State, width: int, rows_each: int) -> list[Strip]:
        beside = cards.across(width, len(self.keys))
        self.stride, self.item_rows = beside, rows_each + 1
        views = [card_view(state, state.clusters[key], self.now) for key in self.window(len(self.keys))]
        shown = [(view, self._tail_of(view.logged, rows_each) if self.bare and view.logged else []) for view in views]
        return cards.draw_cards(shown, self.selected, width, rows_each, beside, self.palette)

    def move(self, key: str) -> bool:
        steps = {"left": -1, "right": 1} if self.stride > 1 else {}
        if key in steps:
            self.select_by(steps[key])
            return True
        return super().move(key)

    def on_click(self, event: events.Click) -> None:
        y = event.y - self.title_rows
        if y < 0:
            return
        column = self._column(event.x) if self.stride > 1 else 0
        self.select_index(self.top + y // self.item_rows * self.stride + column)
        if event.chain == 2:
            self.post_message(self.Opened(self.NAME))

    def _column(self, x: int) -> int:
        if self._label:
            return min(self.stride - 1, max(0, x - self._label) // heat_map.TILE)
        return x * self.stride // max(1, self.size.width)


def cell_height(clusters: int, across: int, rows: int) -> int:
    """Return the rows of a cell: those of the narrowest, or enough for a curve where all cells have that room."""
    each = min(ROOMY_MOST, (rows + 1) // -(-clusters // across) - 1)
    return each if each >= ROOMY_ROWS else CELL_ROWS


def grid_rows(
    views: list[ClusterView], selected: str, width: int, across: int, palette: Palette, each: int = CELL_ROWS
) -> list[Strip]:
    cell = width // across
    gutter = GUTTER if cell >= CELL_WIDTH + GUTTER else 1
    rows: list[Strip] = []
    for first in range(0, len(views), across):
        if rows:
            rows.append(Row(width, palette).strip())
        cells = [
            cell_rows(view, cell - gutter, palette, view.name == selected, each)
            for view in views[first : first + across]
        ]
        gap = Strip.blank(gutter, palette.base)
        for line in range(each):
            rows.append(side_by_side([part for lines in cells for part in (lines[line], gap)], width, palette.base))
    return rows


def cell_rows(view: ClusterView, width: int, palette: Palette, selected: bool, each: int = CELL_ROWS) -> list[Strip]:
    """Draw a cell in four rows: name and state; progress; the change; the loss against the incumbent's, and the next
    run.

    The experiment is in the first row if it fits beside the state, else in the third. A cell of ROOMY_ROWS or more
    has the facts of the run and its curve below.
    """
    ground = palette.selection if selected else None
    rows = [Row(width, palette, ground) for _ in range(CELL_ROWS)]
    old = bool(view.stale_s)
    rows[0].put(view.glyph, "faint" if old else view.ink).skip()
    rows[0].put(view.name, "dim" if old else "key").skip().put(view.hardware, "dim")
    word = f"{view.word} · {age(view.stale_s)} old" if old else view.word
    if width_of(word) >= rows[0].left:
        word = word.rpartition(" · ")[2]
    if view.attempt:
        ink = "dim" if old else "text"
        if rows[0].left > width_of(view.attempt) + width_of(word) + 3:
            rows[0].skip(2).put(view.attempt, ink)
        else:
            rows[2].put(view.attempt, ink).skip()
        _progress(rows[1], view)
        rows[2].put(view.about.within(rows[2].left), "dim")
        _loss(rows[3], view)
        if view.following:
            rows[3].end(f"→{view.following.split('.')[0]}", "faint" if old else "dim")
    else:
        rows += [Row(width, palette).put(line, "dim") for line in _quiet(rows, view, each)]
    rows[0].end(word, "dim" if old else view.ink)
    drawn = [row.strip() for row in rows]
    if each >= ROOMY_ROWS:
        if view.facts:
            drawn.append(Row(width, palette).put(view.facts, "dim").strip())
        if len(view.curve) > 1:
            drawn += draw_curves(list(view.curve), list(view.rival), width, each - len(drawn), palette)
        drawn += [Row(width, palette).strip()] * (each - len(drawn))
    return drawn


def _quiet(rows: list[Row], view: ClusterView, each: int) -> list[str]:
    """Fill the rows of a cluster that runs nothing. Returns the lines of a long message beyond them."""
    if view.idle_s and view.word not in ("down",):
        ink = view.ink if view.ink in ("bad", "warn") else "dim"
        rows[1].end(f"{'' if view.launch else 'for '}{duration(view.idle_s)}{view.launch}", ink)
    if view.following:
        rows[2].put(f"next {view.following}", "dim")
        return []
    said, most = wrap(view.message, rows[2].left), max(2, each - 2)
    said = [*said[: most - 1], " ".join(said[most - 1 :])]
    for row, line in zip(rows[2:], said, strict=False):
        row.put(line, "dim")
    return said[2:]


def _progress(row: Row, view: ClusterView) -> None:
    """Draw the progress of a run as a bar; the time since it began while it has printed none."""
    if not view.trained:
        row.end(f"for {duration(view.waited_s)}", "dim")
        return
    tail = f"{view.trained} {duration(view.remaining_s) if view.remaining_s else '':>6}"
    row.bar(view.fraction, max(4, row.width - TAIL), "faint" if view.stale_s else "bar").end(tail, "dim")


def _loss(row: Row, view: ClusterView) -> None:
    old = bool(view.stale_s)
    if view.loss is None:
        return
    row.put(f"{view.loss:.4f}", "dim" if old else "text")
    if view.delta is not None:
        ink = "good" if view.delta < 0 else "bad"
        row.skip().put(f"{view.delta:+.3f}".replace("-", MINUS), "faint" if old else ink)


ROOMY_TABLE_FROM = 72
"""Columns from which a row says how long launches take, and what one costs."""


def table_row(view: ClusterView, width: int, palette: Palette, selected: bool) -> Strip:
    """Draw a cluster in one row. Narrow rows have fewer columns."""
    row = Row(width, palette, palette.selection if selected else None)
    old = bool(view.stale_s)
    calm = "dim" if old else "text"
    row.put(view.glyph, "faint" if old else view.ink).skip()
    row.put(view.name, "dim" if old else "key", 7).put(view.hardware, "dim", 5)
    word = f"{age(view.stale_s)} old" if old else view.word
    row.put(word, "dim" if old else view.ink, 10)
    if not view.attempt:
        if view.idle_s and view.word != "down":
            launch = view.launch if width >= ROOMY_TABLE_FROM else ""
            row.put(f"for {duration(view.idle_s)}{launch}", "dim", 28 if launch else 12).skip(1 if launch else 0)
        row.put(view.message, "dim")
        return row.strip()
    row.put(view.attempt, calm, 9)
    bar = 10 if width < 100 else 16
    if view.trained:
        row.bar(view.fraction, bar, "faint" if old else "bar").put(view.trained, calm, 5, right=True).skip()
        row.put(duration(view.remaining_s) if view.remaining_s else "", "dim", 6, right=True).skip()
    else:
        row.put(f"for {duration(view.waited_s)}", "dim", bar + 12).skip()
    if view.loss is not None and row.left >= 14:
        row.put(f"{view.loss:.4f}", calm, 7)
        delta = "" if view.delta is None else f"{view.delta:+.3f}".replace("-", MINUS)
        row.put(delta, "faint" if old else "good" if (view.delta or 0) < 0 else "bad", 7)
    elif row.left >= 14:
        row.skip(14)
    following = view.following.split(".")[0]
    if row.left >= 26:
        row.put(view.about.within(row.left - 7), "dim", row.left - 7)
    if following and row.left >= 6:
        row.end("→" + following, "dim")
    return row.strip()


def detail_rows_of(view: ClusterView, width: int, palette: Palette) -> list[Strip]:
    """Draw the details of the selected cluster that a narrow table has no columns for."""
    first, second = Row(width, palette), Row(width, palette)
    first.put(view.name, "key").skip().put(view.attempt or view.word, "text").skip(2)
    first.put(view.about.within(first.left), "dim")
    if view.following:
        second.put(f"next {view.following}  ", "dim")
    second.put(view.message, "dim")
    return [first.strip(), second.strip()]
