"""One state of a cluster has one word: in its cell, in the counts above, in the log's title and in `cockpit status`."""

import msgspec
import pytest

from cockpit.core.model import AttemptStatus, ClusterState, Progress
from cockpit.core.state import State
from cockpit.fleet.printed_steps import PrintedSteps
from cockpit.read.attempts import is_evaluating, trained_words
from cockpit.read.state_words import cluster_counts, cluster_word, run_word
from cockpit.tui.views.clusters import cluster_view, standing
from tests.tui import stories


def running() -> tuple[State, str]:
    """Return a session and the name of its run."""
    state = stories.laptop().state
    return state, next(one.running for one in state.clusters.values() if one.running)


def printed(state: State, line: str) -> Progress:
    steps = PrintedSteps(state.session.metric)
    assert steps.read(line, 1.0) and steps.progress is not None
    return steps.progress


STEP = "step 00952 ({}%) | loss: 2.912345 | lrm: 0.00 | dt: {}ms | tok/sec: 1,640,000 | epoch: 1 | remaining: {}s"


@pytest.mark.parametrize(
    ("percent", "step_ms", "left_s", "trained"),
    [
        ("100.0", 300, 0, "100%"),
        ("99.9", 300, 0, "100%"),  # upstream's last line has the share before its step
        ("99.6", 300, 1, "100%"),
        ("98.2", 2600, 2, "100%"),
        ("99.6", 300, 2, "99%"),  # an hour's run: it trains
        ("99.9", 300, 4, "99%"),
        ("57.0", 300, 0, "57%"),  # a script that prints no time left
    ],
)
def test_a_run_is_at_100_percent_exactly_while_it_evaluates(
    percent: str, step_ms: int, left_s: int, trained: str
) -> None:
    state, name = running()
    run = state.attempts[name]
    run.progress = printed(state, STEP.format(percent, step_ms, left_s))
    assert trained_words(run) == trained
    assert is_evaluating(run) == (trained == "100%")
    cluster = state.clusters[run.cluster]
    view = cluster_view(state, cluster, state.now)
    assert view.trained == trained
    word = "evaluating" if trained == "100%" else "busy"
    assert (view.word, view.word == "evaluating") == (word, not view.remaining_s and view.fraction == 1.0)
    assert f"1 {word}" in cluster_counts(state) or word == "busy"
    assert standing(state, run) == ("" if word == "busy" else word) and run_word(state, run) in ("running", word)


def test_progress_by_a_pattern_has_no_time_left_and_evaluates_at_its_end_alone() -> None:
    state, name = running()
    run = state.attempts[name]
    for fraction, over in ((0.95, False), (0.998, False), (1.0, True)):
        run.progress = Progress(1.0, 0, fraction, 2.0)
        assert is_evaluating(run) == over


def test_each_state_is_counted_under_the_word_of_its_cell() -> None:
    state, name = running()
    run = state.attempts[name]
    cluster = state.clusters[run.cluster]

    def told() -> str:
        word = cluster_word(state, cluster)
        assert cluster_view(state, cluster, state.now).word == word
        assert f" {word}" in cluster_counts(state)
        return word

    assert told() == "busy"
    cluster.held = True
    assert told() == "busy, held"
    state.flagged[cluster.name] = "it differs"
    assert told() == "suspect"
    run.progress = msgspec.structs.replace(run.progress or Progress(1.0, 0, 1.0, 2.0), fraction=1.0)
    assert told() == "evaluating"
    run.cancelling = "killed"
    assert told() == "ending" == run_word(state, run)
    cluster.state = ClusterState.LOST
    assert told() == "lost"
    cluster.state, cluster.running, cluster.held = ClusterState.IDLE, "", True
    state.flagged.clear()
    assert told() == "held"
    cluster.held = False
    assert told() == "idle"


def test_a_run_in_the_queue_of_an_ended_session_is_not_run() -> None:
    state, _ = running()
    queued = next(run for run in state.attempts.values() if run.status is AttemptStatus.QUEUED)
    measured = next(run for run in state.attempts.values() if run.status is AttemptStatus.ENDED)
    assert run_word(state, queued) == "queued"
    state.ended_at = state.now
    assert run_word(state, queued) == "not run" == standing(state, queued)
    assert run_word(state, measured) == "valid" and standing(state, measured) == ""
