"""The runs that ended are the same for a reader that follows a session and for one that reads it whole."""

from cockpit.core.fold.runs import take_out_waiting
from cockpit.core.model import Attempt, AttemptKind
from cockpit.read.ended_runs import every
from cockpit.read.score_dots import ScoreDots
from tests.tui import stories


def test_a_run_that_was_cancelled_in_the_queue_moves_no_dot_to_the_beginning() -> None:
    state = stories.night().state
    experiment = next(one for key, one in state.experiments.items() if one.scores and key != state.baseline)
    followed = ScoreDots()
    followed.follow(state)
    hardware = next(iter(experiment.scores))
    queued = Attempt(f"{experiment.id}.9", experiment.id, AttemptKind.REPLICATE, seed=9, hardware=hardware)
    state.attempts[queued.id] = queued
    experiment.attempts.append(queued.id)
    state.waiting[queued.id] = None
    take_out_waiting(state, experiment)
    assert queued.outcome is not None and queued.id not in every(state)
    whole = ScoreDots()
    whole.follow(state)
    assert whole.by_key == followed.by_key
    assert all(dot.hour >= 0 for dot in whole.by_key.values())
