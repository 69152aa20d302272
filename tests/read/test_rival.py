"""A run's loss is compared with the incumbent's only where that tells something."""

import pytest

from cockpit.core.curves import loss_at
from cockpit.decide.early_stopping import LOOKS
from cockpit.read.rival import COMPARED_FROM, rival_curve, rival_loss
from cockpit.tui.views.clusters import cluster_view
from tests.tui import stories


def test_losses_are_compared_from_the_first_look_of_early_stopping_on() -> None:
    state = stories.laptop().state
    hardware = state.attempts[next(iter(state.in_flight))].hardware
    curve = rival_curve(state, hardware)
    assert min(LOOKS) == COMPARED_FROM
    assert rival_loss(state, hardware, 0.01) is None and rival_loss(state, hardware, COMPARED_FROM - 1e-6) is None
    assert rival_loss(state, hardware, COMPARED_FROM) == loss_at(curve, COMPARED_FROM) is not None


@pytest.mark.parametrize(("fraction", "told"), [(0.01, False), (0.29, False), (0.31, True), (1.0, True)])
def test_the_cell_of_a_young_run_tells_its_loss_alone(fraction: float, told: bool) -> None:
    story = stories.laptop()
    cluster = next(one for one in story.state.clusters.values() if one.running)
    progress = story.state.attempts[cluster.running].progress
    assert progress is not None
    progress.fraction = fraction
    view = cluster_view(story.state, cluster, story.at)
    assert view.loss == progress.loss and (view.delta is not None) == told
