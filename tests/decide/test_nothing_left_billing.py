"""A spent budget takes every cluster down. Clusters that do not answer may be billing too."""

from cockpit.core.cluster_events import (
    ClusterDown,
    ClusterFailed,
    ClusterGivenUp,
    ClusterStopping,
    ClusterUp,
    Launching,
)
from cockpit.core.events import SessionCreated, SessionEnded, SessionEnding
from cockpit.core.fold import fold
from cockpit.core.model import ClusterState, EndMode, Envelope, Mode
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.core.state import State
from cockpit.decide.schedule import schedule

RUN_USD = 10.0
"""The price of a run at its limit: an hour of the cluster."""


def lost(budget_usd: float) -> State:
    """Return a cluster that stopped answering at second 60, after a minute up, and may be retried at 90."""
    spec = FleetSpec("sky", (ClusterSpec("gpu-01", "H100", RUN_USD),), depth=2)
    session = Session("s", "/repo", "c0", spec, 0.0, "ann", time_limit_s=3600.0, budget_usd=budget_usd)
    state = State(session)
    for event in (
        SessionCreated(at=0.0, session=session, mode=Mode.MANUAL, envelope=Envelope()),
        Launching(at=0.0, cluster="gpu-01"),
        ClusterUp(at=0.0, cluster="gpu-01", hardware="H100"),
        ClusterFailed(at=60.0, cluster="gpu-01", message="it does not answer", retry_at=90.0),
    ):
        state = fold(state, event)
    assert state.clusters["gpu-01"].state is ClusterState.LOST
    return state


def state_down(budget_usd: float) -> State:
    state = fold(lost(budget_usd), ClusterStopping(at=95.0, cluster="gpu-01"))
    return fold(state, ClusterDown(at=100.0, cluster="gpu-01"))


def test_a_lost_cluster_is_launched_again_while_a_run_can_be_paid_for() -> None:
    assert schedule(lost(100.0), 95.0) == [Launching(at=95.0, cluster="gpu-01")]


def test_a_lost_cluster_is_taken_down_when_no_run_can_be_paid_for() -> None:
    state = lost(5.0)
    assert schedule(state, 80.0) == [], "it backs off first"
    assert schedule(state, 95.0) == [ClusterStopping(at=95.0, cluster="gpu-01", reason="the budget of $5.00 is spent")]
    state = fold(state, ClusterStopping(at=95.0, cluster="gpu-01"))
    state = fold(state, ClusterDown(at=100.0, cluster="gpu-01"))
    assert schedule(state, 200.0) == []


def test_the_money_kept_for_a_teardown_launches_no_cluster() -> None:
    """While it is up $0.50 is kept for its teardown. Afterwards it is free again, and pays for no run."""
    for budget_usd in (10.2, 10.4, 10.6, 11.1):
        assert schedule(state_down(budget_usd), 200.0) == []
    assert schedule(state_down(100.0), 200.0) == [Launching(at=200.0, cluster="gpu-01")]


def test_a_session_that_ends_waits_until_a_cluster_given_up_is_known_to_be_down() -> None:
    state = fold(lost(0.0), ClusterGivenUp(at=95.0, cluster="gpu-01", message="failed three times in a row"))
    state = fold(state, SessionEnding(at=96.0, author="ann", how=EndMode.CANCEL, clusters_down=True))
    assert schedule(state, 97.0) == [ClusterStopping(at=97.0, cluster="gpu-01", reason="the session ends")]
    state = fold(state, ClusterStopping(at=97.0, cluster="gpu-01"))
    assert schedule(state, 98.0) == []
    state = fold(state, ClusterDown(at=99.0, cluster="gpu-01"))
    assert schedule(state, 100.0) == [SessionEnded(at=100.0, reason="the session ends")]


def test_a_session_does_not_wait_for_a_cluster_that_was_given_up_and_went_down() -> None:
    state = fold(lost(0.0), ClusterGivenUp(at=95.0, cluster="gpu-01", message="failed three times in a row"))
    state = fold(state, ClusterDown(at=96.0, cluster="gpu-01"))
    assert state.clusters["gpu-01"].state is ClusterState.GIVEN_UP
    state = fold(state, SessionEnding(at=97.0, author="ann", how=EndMode.CANCEL, clusters_down=True))
    assert schedule(state, 98.0) == [SessionEnded(at=98.0, reason="the session ends")]
