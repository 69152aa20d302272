"""The places of the main screen's panes by the terminal's size: five if there is room, else one at a time."""

from textual.geometry import Region

from cockpit.tui.actions.subjects import PANES
from cockpit.tui.widgets import cards, grid

HEADER_ROWS = 2
FOOTER_ROWS = 1
NARROW_BELOW = 110
"""Columns below which one pane is shown at a time."""
SHORT_BELOW = 28
LOG_ROWS = 10
"""The fewest rows of the log that are left below the clusters."""
SMALLEST = (60, 20)

LOWER = ("log", "results", "stack")
"""The panes that share the place below the clusters."""


def beside(pane: str) -> tuple[tuple[str, str], ...]:
    """Return the key and the name of each other pane that shares the place of this one."""
    others = LOWER if pane in LOWER else ()
    return tuple((str(PANES.index(name) + 1), name) for name in others if name != pane)


def is_narrow(width: int, height: int) -> bool:
    return width < NARROW_BELOW or height < SHORT_BELOW


def too_small(width: int, height: int) -> bool:
    return width < SMALLEST[0] or height < SMALLEST[1]


def arrange(
    width: int,
    height: int,
    pane: str,
    zoomed: bool,
    clusters: int,
    input_line: bool,
    header_rows: int = HEADER_ROWS,
    lower: str = "log",
) -> dict[str, Region]:
    """Return a region for each part that is shown: header, footer, the panes, `say` (the input), `tabs`, `divider`.

    `lower` is the one of LOWER that is shown below the clusters.
    """
    regions = {
        "header": Region(0, 0, width, header_rows),
        "footer": Region(0, height - FOOTER_ROWS, width, FOOTER_ROWS),
    }
    top, rows = header_rows, height - header_rows - FOOTER_ROWS
    if zoomed or is_narrow(width, height):
        regions["tabs"] = Region(0, top, width, 1)
        body = Region(0, top + 1, width, rows - 1)
        _place(regions, pane, body, input_line)
        return regions
    left = width * 3 // 5
    right = width - left - 1
    regions["divider"] = Region(left, top, 1, rows)
    grid_rows = _grid_rows(left, rows, clusters)
    regions["clusters"] = Region(0, top, left, grid_rows)
    regions[lower] = Region(0, top + grid_rows, left, rows - grid_rows)
    wave_rows = max(7, min(15, rows * 3 // 10 // 2 * 2 + 1))
    chart_rows = max(9, (rows - wave_rows) // 2)
    x = left + 1
    regions["waves"] = Region(x, top, right, wave_rows)
    regions["chart"] = Region(x, top + wave_rows, right, chart_rows)
    _place(regions, "talk", Region(x, top + wave_rows + chart_rows, right, rows - wave_rows - chart_rows), input_line)
    return regions


def _place(regions: dict[str, Region], pane: str, body: Region, input_line: bool) -> None:
    if pane == "talk" and input_line:
        regions["talk"] = Region(body.x, body.y, body.width, body.height - 1)
        regions["say"] = Region(body.x, body.bottom - 1, body.width, 1)
    else:
        regions[pane] = body


def _grid_rows(width: int, rows: int, clusters: int) -> int:
    """Return the rows of the clusters: cards for a few, cells if they fit with a log below, else a table."""
    beside = cards.across(width, clusters)
    if beside:
        lines = -(-clusters // beside)
        each = min(cards.ROWS_AMONG_PANES, (rows - LOG_ROWS - 1) // lines - 1)
        if each >= cards.ROWS:
            return lines * (each + 1)
    across = max(1, min(4, width // 25))
    lines = -(-min(clusters, grid.CELLS_MOST) // across)
    roomy = min(grid.ROOMY_MOST, (rows - max(LOG_ROWS, rows // 3) - 1) // max(1, lines) - 1)
    if across >= 2 and clusters <= grid.CELLS_MOST and roomy >= grid.ROOMY_ROWS:
        return 1 + lines * (roomy + 1)
    cells = 1 + lines * (grid.CELL_ROWS + 1)
    if across >= 2 and cells <= rows - 8:
        return cells
    return max(6, min(clusters + 1, rows - 8))
