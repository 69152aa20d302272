"""Large screens and large fleets: cells grow a curve and the facts of the run, hundreds of clusters become tiles."""

import re
from pathlib import Path

import msgspec
import pytest
from rich.color import ColorSystem
from textual._compositor import LayoutUpdate
from textual.geometry import Region

from benchmarks.tui_sessions import Busy
from cockpit.core.metric import VAL_BPB
from cockpit.core.model import Progress
from cockpit.fleet.printed_steps import PrintedSteps
from cockpit.tui.app import CockpitApp
from cockpit.tui.feed import LedgerFeed
from cockpit.tui.terminal.wire import Wire
from cockpit.tui.theme import DARK
from cockpit.tui.views.clusters import cluster_view, run_facts
from cockpit.tui.widgets import heat_map
from cockpit.tui.widgets.grid import CELL_ROWS, GUTTER, ROOMY_ROWS, cell_height, cell_rows, grid_rows
from cockpit.tui.widgets.talk import text_of
from tests.tui import stories
from tests.tui.conftest import RUNNING, Opener, press, settle, shown, strips_on, words_on

BUSY_TICK_BYTES = 2_048
"""Bytes of a tick in which the cell of each of 16 clusters changes: the design's budget."""
TICK_BYTES = 8_000
"""Bytes of a tick in which the tile of each of 256 clusters changes."""


def test_cells_have_a_gutter_at_200_columns() -> None:
    state = stories.night().state
    views = [cluster_view(state, cluster, state.now) for cluster in state.clusters.values()]
    first = text_of(grid_rows(views, "", 120, 4, DARK)).split("\n")[1]
    assert all(first[30 * number - GUTTER : 30 * number] == " " * GUTTER for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("clusters", "across", "rows", "each"), [(16, 4, 51, 12), (16, 4, 20, CELL_ROWS), (2, 2, 90, 16), (3, 2, 21, 10)]
)
def test_cells_grow_only_if_all_of_them_fit(clusters: int, across: int, rows: int, each: int) -> None:
    assert cell_height(clusters, across, rows) == each


def test_a_large_cell_has_what_the_run_prints_and_nothing_else() -> None:
    story = stories.night()
    cluster = next(one for one in story.state.clusters.values() if one.running)
    progress = story.state.attempts[cluster.running].progress
    assert progress is not None
    said = text_of(cell_rows(cluster_view(story.state, cluster, story.at, True), 46, DARK, False, 12)).split("\n")
    assert len(said) == 12 and "1.67M tok/s  MFU 40%" in said[4] and "GB" not in said[4] and " W" not in said[4]
    assert any(0x2800 < ord(cell) < 0x2900 for row in said[5:] for cell in row), "the curve"
    progress.memory_mb, progress.temperature_c, progress.power_w = 45_060.0, 67.0, 612.0
    assert run_facts(progress) == "1.67M tok/s  MFU 40%  44.0 GB  67 °C  612 W"
    assert run_facts(Progress(1.0, 1, 0.1, 2.0)) == ""
    idle = next(one for one in story.state.clusters.values() if not one.running and not one.ahead)
    rows = text_of(cell_rows(cluster_view(story.state, idle, story.at, True), 46, DARK, False, 12)).split("\n")
    assert len(rows) == 12 and not "".join(rows[ROOMY_ROWS - 5 :]).strip()


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        (" | mem: 45060MiB | temp: 67C | power: 612W |", (45060.0, 67.0, 612.0)),
        (" | mem: 45,060 MB | power: 612.5 W | temp: 67.5 °C", (45060.0, 67.5, 612.5)),
        (" | mem: much | temp: 67F | power: 1e9", (0.0, 0.0, 0.0)),
        ("", (0.0, 0.0, 0.0)),
    ],
)
def test_a_step_line_gives_memory_temperature_and_power(fields: str, facts: tuple[float, float, float]) -> None:
    steps = PrintedSteps(VAL_BPB)
    assert steps.read(f"step 00100 (10.5%) | loss: 2.5 | dt: 314ms | tok/sec: 1,665,021{fields}", 5.0)
    found = steps.progress
    assert found is not None and (found.memory_mb, found.temperature_c, found.power_w) == facts
    assert (found.ms_per_step, found.tokens_per_s) == (314.0, 1_665_021.0)


@pytest.mark.anyio
@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 36), (200, 50), (320, 80)])
async def test_256_clusters_are_on_one_screen_and_the_keys_choose_one(
    screen_on: Opener, width: int, height: int
) -> None:
    app = screen_on("many")
    async with shown(app, width, height) as pilot:
        grid = app.main.grid
        rows = words_on(app).split("\n")
        tiles = re.findall(rf"(?:([{heat_map.LEVELS}○!◔])\1[ ◂])", "\n".join(row + " " for row in rows))
        assert len(tiles) == 256 and tiles.count("○") == 1 and tiles.count("!") == 1
        await press(pilot, "l", "j")
        below = grid.keys[1 + grid.stride]
        assert grid.selected == below and f"▶ {below} H100" in words_on(app), "its details are below the tiles"
        await press(pilot, "G")
        assert grid.selected == "gpu-256" and "○ gpu-256 H100" in words_on(app)
        await press(pilot, "g", "h")
        assert grid.selected == "gpu-01"
        await pilot.click("#clusters", offset=(heat_map.label_width(grid.keys) + 2 * heat_map.TILE, grid.title_rows))
        assert grid.selected == "gpu-03"
        await press(pilot, "enter")
        assert app.screen is not app.main, "enter opens its experiment"


def test_the_legend_of_the_tiles_names_each_state_that_is_drawn() -> None:
    state = stories.many().state
    views = [cluster_view(state, cluster, state.now) for cluster in state.clusters.values()]
    old = msgspec.structs.replace(views[0], stale_s=60.0)
    starting = msgspec.structs.replace(views[1], glyph="◔", word="starting", ink="info")
    legend = text_of(heat_map.map_rows([old, starting, *views[2:9]], "", 8, 9, 120, DARK)[-1:])
    assert "? not heard of" in legend and "◔ starting" in legend and "launching" not in legend


def test_a_tick_in_which_every_tile_changes_is_small() -> None:
    state = stories.many().state
    views = [cluster_view(state, cluster, state.now) for cluster in state.clusters.values()]
    wire = Wire(ColorSystem.TRUECOLOR)
    wire.resize(120, 40)
    names = [view.name for view in views]
    sizes = []
    for step in (0.0, 0.125):
        moved = [msgspec.structs.replace(view, fraction=(view.fraction + step) % 1.0, stale_s=0.0) for view in views]
        label, beside = heat_map.label_width(names), heat_map.across(120, names)
        rows = heat_map.map_rows(moved, "gpu-01", label, beside, 120, DARK)
        wire.take(LayoutUpdate([[row] for row in rows], Region(0, 0, 120, len(rows))))
        sizes.append(len(wire.flush().encode()))
    assert 0 < sizes[1] < TICK_BYTES, sizes


@pytest.mark.anyio
async def test_a_tick_in_which_all_sixteen_clusters_change_is_under_2_kb(tmp_path: Path) -> None:
    busy = Busy(tmp_path)
    app = CockpitApp(LedgerFeed(busy.folder, clock=lambda: busy.now, look=lambda _: RUNNING), user="ada")
    wire = Wire(ColorSystem.TRUECOLOR)
    wire.resize(200, 50)
    sizes = []
    async with shown(app, 200, 50) as pilot:
        for number in range(5):
            busy.progress_all(0.3 + 0.01 * number)
            app.tick()
            await settle(pilot)
            wire.take(LayoutUpdate([[row] for row in strips_on(app)], app.screen.region))
            sizes.append(len(wire.flush().encode()))
    busy.close()
    assert sizes[0] > BUSY_TICK_BYTES > max(sizes[1:]) and min(sizes[1:]) > 200, sizes
