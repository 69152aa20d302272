"""A run's loss is compared with the incumbent's only where that tells something."""

import pytest

from cockpit.core.curves import loss_at
from cockpit.core.model import Attempt
from cockpit.core.state import State
from cockpit.decide.early_stopping import LOOKS
from cockpit.read.rival import COMPARED_FROM, rival_curve, rival_loss
from cockpit.tui.views.clusters import cluster_view
from tests.tui import stories


def running_arm(state: State) -> Attempt:
    return next(one for name in state.in_flight if (one := state.attempts[name]).experiment != state.incumbent)


def test_losses_are_compared_from_the_first_look_of_early_stopping_on() -> None:
    state = stories.laptop().state
    run = running_arm(state)
    assert min(LOOKS) == COMPARED_FROM
    assert rival_loss(state, run, 0.01) is None and rival_loss(state, run, COMPARED_FROM - 1e-6) is None
    assert rival_loss(state, run, COMPARED_FROM) == loss_at(rival_curve(state, run.hardware), COMPARED_FROM) is not None


def test_a_run_of_the_incumbent_is_not_compared_with_itself() -> None:
    state = stories.laptop().state
    run = running_arm(state)
    assert rival_loss(state, run, 0.5) is not None
    state.incumbent = run.experiment
    assert rival_loss(state, run, 0.5) is None


@pytest.mark.parametrize(("fraction", "told"), [(0.01, False), (0.29, False), (0.31, True), (1.0, True)])
def test_the_cell_of_a_young_run_tells_its_loss_alone(fraction: float, told: bool) -> None:
    story = stories.laptop()
    run = running_arm(story.state)
    assert run.progress is not None
    run.progress.fraction = fraction
    view = cluster_view(story.state, story.state.clusters[run.cluster], story.at)
    assert view.loss == run.progress.loss and (view.delta is not None) == told
