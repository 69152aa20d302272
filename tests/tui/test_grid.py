"""A cell of the grid is complete at its smallest width: name, state, run and progress."""

import pytest

from cockpit.tui.theme import DARK
from cockpit.tui.views.clusters import ClusterView
from cockpit.tui.widgets.grid import CELL_WIDTH, cell_rows
from cockpit.tui.widgets.talk import text_of

STATES = [("▶", "busy"), ("▶", "busy, held"), ("▶", "ending"), ("▶", "suspect"), ("◔", "starting")]


@pytest.mark.parametrize("width", [CELL_WIDTH - 1, 28, 29, 40])
@pytest.mark.parametrize(("glyph", "word"), STATES, ids=[word for _, word in STATES])
@pytest.mark.parametrize("old_s", [0.0, 200.0])
def test_a_cell_of_any_width_is_complete(width: int, glyph: str, word: str, old_s: float) -> None:
    view = ClusterView(
        "gpu-01", "H100", glyph, word, "good", "e0000.10", "DOWN .7 FINAL .02", 0.57, 127.0, 2.36, 0.002, "e0053.1",
        stale_s=old_s,
    )  # fmt: skip
    said = text_of(cell_rows(view, width, DARK, False))
    first = said.split("\n")[0]
    assert first.startswith(f"{glyph} gpu-01 H100")
    assert ("3m old" if old_s else word) in first
    for what in ("e0000.10", "57%", "2m07s", "2.3600", "+0.002", "→e0053"):
        assert what in said, what
    assert all(len(row) == width for row in said.split("\n"))
