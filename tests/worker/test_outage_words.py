"""The sentence about a lost cluster says what its run had cost."""

from pathlib import Path

import pytest

from cockpit.core.cluster_events import ClusterFailed, ClusterUp
from cockpit.core.model import AttemptStatus
from cockpit.core.state import State
from cockpit.fleet.base import ClusterTrouble
from cockpit.worker.reports import Reports
from tests.decide.world import World

LOST = ClusterTrouble(500.0, "gpu-01", "gpu-01 went down", lost=True)
REFUSED = ClusterTrouble(500.0, "gpu-01", "gpu-01 cannot be had now", refused=True)


def during_a_run(usd_per_hour: float) -> State:
    """Return a session whose baseline runs on gpu-01 since second 80."""
    world = World(lambda constants, attempt: 1.0, hardware=("H100",))
    world.record(ClusterUp(at=0.0, cluster="gpu-01", hardware="H100", usd_per_hour=usd_per_hour))
    world.run(0.0)
    (attempt,) = world.state.attempts.values()
    attempt.status, attempt.started_at = AttemptStatus.RUNNING, 80.0
    world.state.clusters["gpu-01"].running = attempt.id
    return world.state


def said(state: State, report: ClusterTrouble) -> str:
    (event,) = Reports(Path).events(state, report)
    assert isinstance(event, ClusterFailed)
    return event.message


@pytest.mark.parametrize(("usd_per_hour", "loss"), [(36.0, "7m00s, $4.20"), (0.0, "7m00s")])
def test_an_outage_says_the_time_and_the_money_of_the_run_it_ended(usd_per_hour: float, loss: str) -> None:
    state = during_a_run(usd_per_hour)
    assert said(state, LOST) == f"gpu-01 went down; {state.clusters['gpu-01'].running} loses {loss}"


def test_an_outage_without_a_run_and_a_refused_launch_say_nothing_of_a_loss() -> None:
    state = during_a_run(36.0)
    assert said(state, REFUSED) == "gpu-01 cannot be had now"
    state.clusters["gpu-01"].running = ""
    assert said(state, LOST) == "gpu-01 went down"
