"""A lost cluster that may still be up costs money until it is known to be down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.core.cluster_events import (
    ClusterDown,
    ClusterFailed,
    ClusterGivenUp,
    ClusterStopping,
    ClusterUp,
    Launching,
)
from cockpit.core.events import Event, Held, SessionCreated
from cockpit.core.fold import fold
from cockpit.core.model import ClusterState, Envelope, Mode
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.core.state import State
from cockpit.decide.budget import TEARDOWN_S, accounts, committed_usd
from cockpit.decide.decisions import decide, wake_at
from cockpit.read.costs import hour_usd
from cockpit.read.needs import needs
from cockpit.read.state_words import cluster_word
from tests.decide.world import after

USD_PER_HOUR = 36.0
"""A cent a second."""
CLUSTER = "gpu-01"


def session(budget_usd: float = 0.0) -> State:
    spec = FleetSpec("sky", (ClusterSpec(CLUSTER, "H100", USD_PER_HOUR),), depth=2)
    made = Session("s", "/repo", "c0", spec, 0.0, "ann", time_limit_s=600.0, budget_usd=budget_usd)
    return fold(State(made), SessionCreated(at=0.0, session=made, mode=Mode.MANUAL, envelope=Envelope()))


def lost(billed: bool, budget_usd: float = 0.0, retry_at: float = 700.0) -> State:
    """Return a session whose one cluster was up from second 0 and lost at second 100."""
    return after(
        session(budget_usd),
        Launching(at=0.0, cluster=CLUSTER),
        ClusterUp(at=0.0, cluster=CLUSTER, hardware="H100"),
        ClusterFailed(at=100.0, cluster=CLUSTER, message="no answer", retry_at=retry_at, billed=billed),
    )


@pytest.mark.parametrize(("billed", "usd"), [(True, 3.0), (False, 1.0)])
def test_a_lost_cluster_is_counted_while_it_may_be_up(billed: bool, usd: float) -> None:
    state = lost(billed)
    assert accounts(state, 300.0).gpu_usd == pytest.approx(usd)
    assert hour_usd(state) == (USD_PER_HOUR if billed else 0.0)


def test_the_count_ends_when_skypilot_has_it_down_or_it_is_launched_again() -> None:
    down = after(lost(True), ClusterDown(at=200.0, cluster=CLUSTER))
    assert accounts(down, 900.0).gpu_usd == pytest.approx(2.0)
    again = after(lost(True), Launching(at=200.0, cluster=CLUSTER))
    assert accounts(again, 200.0).gpu_usd == pytest.approx(2.0)
    assert not again.clusters[CLUSTER].billed


def test_a_cluster_given_up_is_counted_until_its_tear_down_is_verified() -> None:
    state = after(lost(True), ClusterGivenUp(at=150.0, cluster=CLUSTER, message="failed three times"))
    assert accounts(state, 300.0).gpu_usd == pytest.approx(3.0)
    assert committed_usd(state, 150.0) == pytest.approx(1.5 + TEARDOWN_S / 100)
    state = after(state, ClusterDown(at=400.0, cluster=CLUSTER))
    assert accounts(state, 900.0).gpu_usd == pytest.approx(4.0)


def test_a_lost_cluster_is_taken_down_with_its_reserved_money_when_the_rest_is_spent() -> None:
    """Hold a lost cluster, so that it is not launched again: it costs a cent a second, until its tear-down is left."""
    state = after(lost(True, budget_usd=5.0), Held(at=100.0, author="ann", target=CLUSTER))
    assert committed_usd(state, 100.0) == pytest.approx(1.0 + TEARDOWN_S / 100)
    spent_at = 100.0 + (5.0 - 1.0 - TEARDOWN_S / 100) * 100
    assert not any(isinstance(event, ClusterStopping) for event in decide(state, spent_at - 1.0))
    assert wake_at(state, spent_at - 1.0) <= spent_at
    stopping = ClusterStopping(at=spent_at, cluster=CLUSTER, reason="the budget of $5.00 is spent")
    assert stopping in decide(state, spent_at)


def test_the_words_tell_one_that_is_billed_from_one_that_is_gone() -> None:
    said = {}
    for billed in (True, False):
        state = lost(billed)
        (need,) = needs(state, 200.0)
        said[billed] = (cluster_word(state, state.clusters[CLUSTER]), need.short, need.sentence)
    assert said == {
        True: ("unusable", "gpu-01 unusable, billed", "gpu-01 is unusable and billed as up: no answer"),
        False: ("lost", "gpu-01 lost", "gpu-01 is lost: no answer"),
    }


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["launch", "up", "lost", "hangs", "given up", "stop", "down"]),
        st.floats(0.0, 500.0),
    ),
    max_size=30,
)


@given(EVENTS)
def test_every_second_that_skypilot_has_it_up_is_counted_once(history: list[tuple[str, float]]) -> None:
    """Compare the accounts with a count of its own, kept by the words of the history."""
    state, now, seconds, is_billed = session(), 0.0, 0.0, False
    for word, wait_s in history:
        cluster = state.clusters[CLUSTER]
        may = {
            "launch": cluster.state in (ClusterState.DOWN, ClusterState.LOST),
            "up": cluster.state in (ClusterState.LAUNCHING, ClusterState.LOST),
            "lost": cluster.state not in (ClusterState.DOWN, ClusterState.GIVEN_UP),
            "hangs": cluster.state not in (ClusterState.DOWN, ClusterState.GIVEN_UP),
            "given up": cluster.state is ClusterState.LOST,
            "stop": cluster.state not in (ClusterState.DOWN, ClusterState.GIVEN_UP),
            "down": cluster.state is not ClusterState.LAUNCHING,
        }
        if may[word]:
            state = fold(state, event_of(word, now))
            is_billed = word in ("launch", "up", "hangs", "stop") or (word == "given up" and is_billed)
        now += wait_s
        seconds += wait_s * is_billed
        assert accounts(state, now).gpu_usd == pytest.approx(seconds / 100)


def event_of(word: str, now: float) -> Event:
    match word:
        case "launch":
            return Launching(at=now, cluster=CLUSTER)
        case "up":
            return ClusterUp(at=now, cluster=CLUSTER, hardware="H100")
        case "lost" | "hangs":
            return ClusterFailed(at=now, cluster=CLUSTER, message="m", billed=word == "hangs")
        case "given up":
            return ClusterGivenUp(at=now, cluster=CLUSTER, message="m")
        case "stop":
            return ClusterStopping(at=now, cluster=CLUSTER)
        case _:
            return ClusterDown(at=now, cluster=CLUSTER)
