"""The screen's words: keeps in plain figures, a glossary, keys that say where they work, and empty panes."""

import pytest

from cockpit.core.events import Decided, IncumbentSet
from cockpit.core.model import AttemptKind, Estimate, ExperimentStatus
from cockpit.read.kept_stack import kept_words
from cockpit.read.warnings import verdict_words
from cockpit.tui.theme import DARK
from cockpit.tui.views.summary import corpus_words, device_time
from cockpit.tui.widgets.talk import message_words
from tests.tui import stories
from tests.tui.conftest import Opener, press, sent, settle, shown, words_on

pytestmark = pytest.mark.anyio
TEST_WORDS = "p 0.0016 after 4 fresh runs, needs 0.0082"


def test_the_header_names_the_corpus_without_its_digest() -> None:
    state = stories.night().state
    state.corpus, state.preset = "stdlib 27a3eac3", "cpu-small"
    assert corpus_words(state) == "corpus stdlib, preset cpu-small"
    state.corpus = ""
    assert corpus_words(state) == "preset cpu-small"


def test_a_keep_is_reported_as_its_change_and_gain_and_not_as_a_p_value() -> None:
    story = stories.night()
    name = next(one.id for one in story.state.experiments.values() if one.status is ExperimentStatus.DISCARDED)
    estimate = Estimate(-0.0006, -0.0008, -0.0004, 0.9, 6, story.state.incumbent, "H100")
    kept = ExperimentStatus.KEPT
    story.tell(Decided(at=story.at, experiment=name, status=kept, reason=TEST_WORDS, estimate=estimate))
    story.tell(IncumbentSet(at=story.at, experiment=name, reason=TEST_WORDS, estimate=estimate))
    news = story.state.messages[-1]
    assert TEST_WORDS in news.text
    said = message_words(story.state, news)
    assert said == kept_words(story.state, name)
    assert said.startswith(f"{name} kept: ") and said.endswith(", −0.0006 ± 0.0002 over 6 runs")
    assert verdict_words(story.state, story.state.experiments[name]) == "kept: −0.0006 ± 0.0002 over 6 runs"


async def test_the_page_of_an_experiment_keeps_the_words_of_its_test(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, "7", "enter")
        assert "better than e0000 by" in words_on(app)


async def test_help_has_a_glossary_and_a_word_has_its_meaning(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 50) as pilot:
        await press(pilot, "colon", *"help envelope", "enter")
        assert "envelope: what autopilot may do unasked" in words_on(app)
        await press(pilot, "colon", *"help moon", "enter")
        assert "'moon' is not in the glossary" in words_on(app)
        await press(pilot, "escape", "question_mark", "G")
        assert "Words:" in words_on(app) and "the append-only record of all of it" in words_on(app)


async def test_a_key_that_does_nothing_here_says_where_it_works(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, "5", "s")
        assert "s does nothing in talk: it is" in words_on(app) and "sort in results" in words_on(app)
        assert sent(app) == []
        await press(pilot, "1", "ampersand")
        assert "& does nothing in clusters: it is filter in log, query in results" in words_on(app)


async def test_a_key_of_a_pane_is_not_explained_on_a_page(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, "e", "f")
        assert "f does nothing here: ? lists the keys that work" in words_on(app)
        assert "in log" not in words_on(app).split("\n")[-1]


@pytest.mark.parametrize("has_costs", [True, False])
async def test_results_have_a_column_of_costs_if_a_machine_has_a_price(screen_on: Opener, has_costs: bool) -> None:
    app = screen_on("laptop")
    async with shown(app, 80, 24) as pilot:
        assert app.state is not None
        for cluster in app.state.clusters.values():
            cluster.usd_per_hour = 2.0 if has_costs else 0.0
        await press(pilot, "6")
        head = next(row for row in words_on(app).split("\n") if "Δ e" in row and "runs" in row)
        assert (" cost " in head) == has_costs and head.endswith("change")


def test_the_time_of_a_device_is_reported_in_minutes_first() -> None:
    assert [device_time(hours, "CPU") for hours in (0.0, 0.01, 0.02, 0.99, 1.0, 12.34)] == [
        "", "", "1 CPU min", "59 CPU min", "1.0 CPU h", "12.3 CPU h"
    ]  # fmt: skip


async def test_an_empty_pane_says_what_will_be_there(screen_on: Opener) -> None:
    app = screen_on("empty")
    async with shown(app, 120, 36) as pilot:
        for pane, said in (
            ("2", "The baseline runs first, then the proposer asks."),
            ("4", "The baseline is the first: a run takes about"),
            ("6", "Each experiment has a row here"),
            ("7", "A change is kept once repeated runs show a gain"),
        ):
            await press(pilot, pane, "z")
            assert said in " ".join(words_on(app).split()), pane
            await press(pilot, "z")


async def test_a_lucky_single_run_does_not_stand_out_among_the_results(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, "6")
        state = app.state
        assert state is not None
        for name in app.main.results.window(10):
            tested = state.experiments[name].test_level or state.experiments[name].status is ExperimentStatus.KEPT
            view, results = app.main.results.all.by_name[name], app.main.results
            strip = results._row(state, view, results._columns(state, 120, [view]), 120)
            cell = next((one for one in strip if "±" in one.text), None)
            if cell is not None and not tested:
                assert cell.style is not None and cell.style.color == DARK["dim"].color, name


async def test_a_pane_named_in_a_title_is_shown_by_a_click(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 200, 50) as pilot:
        for name in ("6 results", "7 stack", "3 log"):
            rows = words_on(app).split("\n")
            y, row = next((y, row) for y, row in enumerate(rows) if f" {name} " in row and row.startswith(("──", "━━")))
            await pilot.click(offset=(row.index(name) + 3, y))
            await settle(pilot)
            assert app.main.pane == app.main.lower == name[2:]


async def test_the_stack_has_a_cost_only_if_clusters_have_a_price(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 120, 36) as pilot:
        await press(pilot, "7")
        assert "runs spent" in words_on(app) and "of runs since the keep before" in " ".join(words_on(app).split())
        assert app.state is not None
        for cluster in app.state.clusters.values():
            cluster.usd_per_hour = 0.0
        app.show_state()
        await settle(pilot)
        assert "7 stack" in words_on(app) and "runs spent" not in words_on(app)


async def test_a_command_of_the_palette_keeps_its_help_beside_long_arguments(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        await press(pilot, "colon", *"envelope")
        (row,) = (row for row in words_on(app).split("\n") if "Set the limits" in row)
        assert "usd=" in row


async def test_the_kind_of_an_attempt_and_its_cluster_are_apart(screen_on: Opener) -> None:
    app = screen_on("night")
    async with shown(app, 80, 24) as pilot:
        assert app.state is not None
        known = next(one for one in app.state.experiments.values() if len(one.attempts) == 1 and one.scores)
        attempt = app.state.attempts[known.attempts[0]]
        attempt.kind = AttemptKind.CONFIRMATION
        await press(pilot, "colon", *f"open {known.id}", "enter")
        assert f"confirmation {attempt.cluster} {attempt.hardware}" in words_on(app)
