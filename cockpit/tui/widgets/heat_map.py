"""Very many clusters on one screen: a tile each, with the progress of its run and how that compares."""

from textual.strip import Strip

from cockpit.tui.plain import cut, width_of
from cockpit.tui.rows import Row
from cockpit.tui.theme import Palette
from cockpit.tui.views.clusters import ClusterView

MANY = 33
"""The fewest clusters that are drawn as tiles, if they have no room as rows."""
TILE = 3
"""Cells of `▅▅` and the blank behind it."""
GROUP = 8
"""Tiles in a row are a multiple of this, if there is room, so that rows are easy to count."""
LABEL_MOST = 12
RUNS = "▶"
LEVELS = "▁▂▃▄▅▆▇█"
LEGEND_ROWS = 1
UNHEARD_MARK, UNHEARD = "?", "not heard of"


def across(width: int, names: list[str]) -> int:
    """Return the tiles in a row, behind the name of the row's first cluster."""
    fit = max(1, (width - label_width(names)) // TILE)
    return fit // GROUP * GROUP or fit


def label_width(names: list[str]) -> int:
    return min(LABEL_MOST, max(map(width_of, names), default=0)) + 1


def map_rows(
    views: list[ClusterView], selected: str, label: int, beside: int, width: int, palette: Palette
) -> list[Strip]:
    """Draw the tiles, `beside` of them in a row, and the legend."""
    rows: list[Strip] = []
    for first in range(0, len(views), beside):
        row = Row(width, palette).put(cut(views[first].name, label - 1), "dim", label)
        for view in views[first : first + beside]:
            mark, ink = tile(view)
            if view.name == selected:
                row.put(mark * 2, palette[ink] + palette.selection).put("◂", "focus")
            else:
                row.put(mark * 2, ink).skip()
        rows.append(row.strip())
    legend = Row(width, palette).put("▁▅█ ", "text").put("progress, loss ", "dim").put("below", "good")
    legend.put(" or ", "dim").put("above", "bad").put(" the incumbent's", "dim").skip(2)
    for glyph, (word, ink) in states_drawn(views).items():
        if width_of(word) + 4 <= legend.left:
            legend.put(f"{glyph} ", ink).put(word, "dim").skip(2)
    return [*rows, legend.strip()]


def states_drawn(views: list[ClusterView]) -> dict[str, tuple[str, str]]:
    """Return the word and the role of each mark that is not a level of progress."""
    found: dict[str, tuple[str, str]] = {}
    for view in views:
        mark, ink = tile(view)
        if mark not in LEVELS:
            found.setdefault(mark, (UNHEARD if mark == UNHEARD_MARK else view.word, ink))
    return found


def tile(view: ClusterView) -> tuple[str, str]:
    """Return the mark of a cluster and its role: the glyph of its state, or how far its run is and how it compares."""
    if view.stale_s:
        return UNHEARD_MARK, "faint"
    if view.glyph != RUNS or view.fraction < 0:
        return view.glyph, view.ink
    mark = LEVELS[min(len(LEVELS) - 1, int(view.fraction * len(LEVELS)))]
    if view.delta is None:
        return mark, "text"
    return mark, "good" if view.delta < 0 else "bad"
