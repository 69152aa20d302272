"""Promises of a card's list of runs."""

from cockpit.core.model import ExperimentStatus, Outcome
from cockpit.tui.views.cards import card_view
from cockpit.tui.views.review import GLYPHS
from tests.tui import stories


def test_a_cancelled_run_of_a_kept_experiment_carries_no_kept_mark() -> None:
    state = stories.laptop().state
    ended = next(name for name in reversed(state.recent) if state.attempts[name].metrics is not None)
    attempt = state.attempts[ended]
    state.experiments[attempt.experiment].status = ExperimentStatus.KEPT
    kept = GLYPHS[ExperimentStatus.KEPT][0]

    def mark() -> str:
        return card_view(state, state.clusters[attempt.cluster], state.now).results[0].glyph

    state.recent.append(ended)
    assert mark() == kept
    attempt.outcome, attempt.metrics = Outcome.CANCELLED, None
    assert mark() != kept
