"""A cell of the grid is complete at its smallest width: name, state, run and progress."""

import pytest

from cockpit.cli.show import status_text
from cockpit.core.events import Started
from cockpit.core.model import AttemptStatus, ClusterState
from cockpit.read.state_words import EVALUATING, cluster_counts
from cockpit.session.heartbeat import WorkerStatus
from cockpit.tui.theme import DARK
from cockpit.tui.views.cards import card_view
from cockpit.tui.views.changes import Wording
from cockpit.tui.views.clusters import ClusterView, cluster_view, standing
from cockpit.tui.views.summary import money_parts
from cockpit.tui.widgets.cards import draw_cards
from cockpit.tui.widgets.grid import CELL_WIDTH, cell_rows, table_row
from cockpit.tui.widgets.talk import text_of
from tests.tui import stories
from tests.tui.conftest import Opener, press, shown, words_on

STATES = [("▶", "busy"), ("▶", "busy, held"), ("▶", "ending"), ("▶", "suspect"), ("◔", "starting")]


@pytest.mark.parametrize("width", [CELL_WIDTH - 1, 28, 29, 40])
@pytest.mark.parametrize(("glyph", "word"), STATES, ids=[word for _, word in STATES])
@pytest.mark.parametrize("old_s", [0.0, 200.0])
def test_a_cell_of_any_width_is_complete(width: int, glyph: str, word: str, old_s: float) -> None:
    about = Wording("WARMDOWN_RATIO .7", "DOWN .7")
    view = ClusterView(
        "gpu-01", "H100", glyph, word, "good", "e0000.10", about, 0.57, "57%", 127.0, loss=2.36, delta=0.002,
        following="e0053.1", stale_s=old_s,
    )  # fmt: skip
    said = text_of(cell_rows(view, width, DARK, False))
    first = said.split("\n")[0]
    assert first.startswith(f"{glyph} gpu-01 H100")
    assert ("3m old" if old_s else word) in first
    for what in ("e0000.10", "57%", "2m07s", "2.3600", "+0.002", "→e0053"):
        assert what in said, what
    assert all(len(row) == width for row in said.split("\n"))


@pytest.mark.anyio
async def test_a_run_that_has_trained_is_evaluating_on_every_page(screen_on: Opener) -> None:
    story = stories.laptop()
    cluster = next(one for one in story.state.clusters.values() if one.running)
    assert cluster_view(story.state, cluster, story.at).word == "busy"
    story.progress(cluster.running, 1.0)
    assert cluster_view(story.state, cluster, story.at).word == EVALUATING
    app = screen_on("evaluating")
    async with shown(app, 120, 36) as pilot:
        assert words_on(app).count(EVALUATING) == 3, "in the clusters' title, in the cell and in the log's title"
        await press(pilot, "enter")
        assert EVALUATING in words_on(app), "among the attempts"
    assert any(EVALUATING in line for line in status_text(app.feed.folder))


def test_hours_are_called_after_the_devices() -> None:
    state = stories.laptop().state

    def hours() -> str:
        return next(text for text, _ in money_parts(state, state.now) if text.endswith(" h"))

    assert hours().endswith("GPU h")
    first, *others = state.clusters.values()
    first.hardware = "CPU"
    assert hours().endswith("device h")
    for one in others:
        one.hardware = "CPU"
    assert hours().endswith("CPU h")


@pytest.mark.anyio
@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50)])
async def test_the_clusters_of_an_ended_session_say_where_its_results_are(
    screen_on: Opener, width: int, height: int
) -> None:
    app = screen_on("ended", worker=WorkerStatus("stopped", None))
    async with shown(app, width, height):
        assert app.state is not None
        for cluster in app.state.clusters.values():
            cluster.state = ClusterState.DOWN
        app.main.show()
        said = words_on(app)
        assert "The session has ended: 6 results   7 stack   4 chart" in said and "cockpit report night writes" in said
        assert len(app.main.grid.keys) == sum(f"{name} H" in said for name in app.main.grid.keys)


def test_a_cluster_whose_run_starts_is_not_counted_as_idle() -> None:
    state = stories.night().state
    name = next(name for name, one in state.clusters.items() if one.state is ClusterState.BUSY)
    cluster = state.clusters[name]
    before = cluster_counts(state)
    cluster.state, cluster.ahead, cluster.running = ClusterState.IDLE, [cluster.running], ""
    assert cluster_view(state, cluster, state.now).word == "starting"
    assert "1 starting" in cluster_counts(state) and "starting" not in before
    assert ("idle" in cluster_counts(state)) == ("idle" in before)


@pytest.mark.anyio
@pytest.mark.parametrize("keys", [(), ("3",)], ids=["the clusters", "the log"])
async def test_the_log_of_a_run_that_starts_has_its_name(screen_on: Opener, keys: tuple[str, ...]) -> None:
    app = screen_on("starting")
    async with shown(app, 120, 34) as pilot:
        await press(pilot, *keys)
        said = words_on(app)
        assert "◔ gpu-01" in said and "e0000.1 gpu-01 starting  0 lines" in said and "No output yet." in said
        if not keys:
            assert "for 0s" in said and "───   " not in said, "time without a bar"


def test_a_run_has_a_word_beside_its_name_until_it_trains() -> None:
    state = stories.starting().state
    attempt = state.attempts["e0000.1"]
    cluster = state.clusters[attempt.cluster]
    assert standing(state, attempt) == "starting"
    cluster.state = ClusterState.BUSY
    assert standing(state, attempt) == "submitted", "another run is on its cluster"
    attempt.status = AttemptStatus.RUNNING
    assert standing(state, attempt) == ""


@pytest.mark.parametrize("width", [25, 40, 72, 110])
def test_a_run_without_progress_shows_its_time_and_no_bar(width: int) -> None:
    story = stories.starting()
    cluster = next(iter(story.state.clusters.values()))
    view = cluster_view(story.state, cluster, story.at)
    assert view.waited_s == 19 and not view.trained
    rows = [table_row(view, width, DARK, False)] if width >= 60 else cell_rows(view, width, DARK, False)
    for said in (
        text_of(rows),
        text_of(draw_cards([(card_view(story.state, cluster, story.at), [])], "", width, 9, 1, DARK)),
    ):
        assert "for 19s" in said and not {"─", "━"} & set(said), said
    story.tell(Started(at=story.at, attempt="e0000.1"))
    story.at += 7
    view = cluster_view(story.state, story.state.clusters["gpu-01"], story.at)
    assert (view.word, view.waited_s) == ("busy", 7)
