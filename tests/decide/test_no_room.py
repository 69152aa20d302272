"""Launches on a cloud without capacity are retried. Nothing is billed meanwhile, and the shortage is reported once."""

from pathlib import Path

import pytest

from cockpit.core.cluster_events import ClusterDown, ClusterGivenUp, ClusterUp, Launching
from cockpit.core.events import SessionCreated
from cockpit.core.fold import fold
from cockpit.core.model import ClusterState, Envelope, Mode
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.core.state import State
from cockpit.decide.budget import accounts
from cockpit.decide.schedule import schedule
from cockpit.fleet.base import ClusterTrouble, ClusterWaits
from cockpit.worker.reports import BACKOFF_AT_MOST_S, Reports

WAITS = "gpu-01 waits in the cloud's queue for its H100 (Resources)"
NO_ROOM = "there is no room for gpu-01: it waited 20 min in the cloud's queue for its H100 (Resources)"


@pytest.fixture
def state() -> State:
    """Return a cluster at $36 an hour (a cent a second) whose launch began at second 0."""
    spec = FleetSpec("sky", (ClusterSpec("gpu-01", "H100", 36.0),), depth=2)
    session = Session("s", "/repo", "c0", spec, 0.0, "ann")
    created = SessionCreated(at=0.0, session=session, mode=Mode.MANUAL, envelope=Envelope())
    return fold(fold(None, created), Launching(at=0.0, cluster="gpu-01"))


def told(state: State, *reports: ClusterWaits | ClusterTrouble) -> State:
    reading = Reports(Path)
    for report in reports:
        for event in reading.events(state, report):
            state = fold(state, event)
    return state


def refused(at: float) -> ClusterTrouble:
    return ClusterTrouble(at, "gpu-01", NO_ROOM, refused=True)


def test_a_launch_that_waits_for_capacity_bills_nothing(state: State) -> None:
    state = told(state, ClusterWaits(20.0, "gpu-01", WAITS))
    assert state.clusters["gpu-01"].message == WAITS
    assert accounts(state, 1000.0).gpu_usd == pytest.approx(0.20)
    state = told(state, ClusterWaits(1000.0, "gpu-01", ""))
    assert accounts(state, 1030.0).gpu_usd == pytest.approx(0.50)
    state = fold(state, ClusterUp(at=1040.0, cluster="gpu-01", hardware="H100"))
    cluster = state.clusters["gpu-01"]
    assert (cluster.state, cluster.message, cluster.provisioning_s) == (ClusterState.IDLE, "", 60.0)


def test_a_launch_without_capacity_is_repeated_with_backoff_and_never_given_up(state: State) -> None:
    at, waits = 0.0, []
    for _ in range(2000):
        at += 120.0
        state = told(state, refused(at))
        cluster = state.clusters["gpu-01"]
        assert schedule(state, cluster.retry_at - 1) == []
        assert schedule(state, cluster.retry_at) == [Launching(at=cluster.retry_at, cluster="gpu-01")]
        waits.append(cluster.retry_at - at)
        at = cluster.retry_at
        state = fold(state, Launching(at=at, cluster="gpu-01"))
    assert waits == sorted(waits)
    assert waits[-1] == BACKOFF_AT_MOST_S


def test_missing_capacity_is_reported_once(state: State) -> None:
    for night in range(3):
        at = 10_000.0 * night
        for again in range(5):
            state = told(state, ClusterWaits(at + 300 * again, "gpu-01", WAITS), refused(at + 300 * again + 200))
            state = fold(state, Launching(at=at + 300 * again + 230, cluster="gpu-01"))
        state = fold(state, ClusterUp(at=at + 2000, cluster="gpu-01", hardware="H100"))
        assert [m.text for m in state.messages] == [WAITS, NO_ROOM] * (night + 1)
        state = fold(state, ClusterDown(at=at + 3000, cluster="gpu-01"))
        state = fold(state, Launching(at=at + 3010, cluster="gpu-01"))


def test_a_cluster_that_was_refused_and_then_fails_is_given_up_after_three_failures(state: State) -> None:
    for number in range(1, 4):
        state = told(state, refused(number * 1000.0))
        state = fold(state, Launching(at=number * 1000.0 + 700, cluster="gpu-01"))
        state = told(state, ClusterTrouble(number * 1000.0 + 800, "gpu-01", "it broke"))
    assert schedule(state, 9000.0) == [
        ClusterGivenUp(at=9000.0, cluster="gpu-01", message="failed three times in a row, last: it broke")
    ]


def test_an_unreachable_cluster_that_is_found_up_does_not_wait(state: State) -> None:
    """Find a cluster up whose worker was killed meanwhile: another worker found it."""
    state = fold(state, ClusterUp(at=40.0, cluster="gpu-01", hardware="H100"))
    state = told(state, ClusterWaits(100.0, "gpu-01", "gpu-01 cannot be reached, and what runs there goes on"))
    assert state.clusters["gpu-01"].waits and state.clusters["gpu-01"].state is ClusterState.IDLE
    cluster = fold(state, ClusterUp(at=900.0, cluster="gpu-01", hardware="H100")).clusters["gpu-01"]
    assert (cluster.waits, cluster.message) == (False, "")
    assert accounts(state, 900.0).training_s == 0
