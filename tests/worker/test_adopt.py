"""Which clusters a session may take over, as far as the ledger can say; whose they are the lab's tests ask SkyPilot."""

import pytest

from cockpit.core.events import ClusterGivenUp, ClusterUp, Event, Launching, SessionCreated, SessionEnding
from cockpit.core.fold import fold
from cockpit.core.intents import Adopt
from cockpit.core.model import ClusterSpec, ClusterState, EndMode, Envelope, FleetSpec, Mode, Session
from cockpit.core.state import State
from cockpit.decide.handle_intents import Refused, handle_intent
from cockpit.decide.schedule import schedule


def night(kind: str, *events: Event) -> State:
    spec = FleetSpec(kind, (ClusterSpec("gpu-01"),), depth=2)
    session = Session("night", "/repo", "c0", spec, 0.0, "ann")
    state = fold(None, SessionCreated(at=0.0, session=session, mode=Mode.MANUAL, envelope=Envelope()))
    for event in events:
        state = fold(state, event)
    return state


def adopt(state: State, cluster: str) -> State:
    for event in handle_intent(state, Adopt(cluster), "ann", 5.0):
        state = fold(state, event)
    return state


def test_a_cluster_of_any_name_joins_the_fleet_and_is_looked_for() -> None:
    state = adopt(night("sky"), "by-hand")
    assert state.clusters["by-hand"].adopted
    assert Launching(at=6.0, cluster="by-hand") in schedule(state, 6.0)


def test_a_name_of_the_session_that_was_taken_can_be_adopted() -> None:
    taken = ClusterGivenUp(at=2.0, cluster="gpu-01", message="gpu-01 is a cluster that somebody launched by hand")
    state = adopt(night("sky", Launching(at=1.0, cluster="gpu-01"), taken), "gpu-01")
    assert (state.clusters["gpu-01"].state, state.clusters["gpu-01"].adopted) == (ClusterState.DOWN, True)


def test_a_cluster_that_works_for_the_session_is_not_adopted() -> None:
    up = ClusterUp(at=2.0, cluster="gpu-01", hardware="H100")
    with pytest.raises(Refused, match="gpu-01 is idle in this session already"):
        adopt(night("sky", Launching(at=1.0, cluster="gpu-01"), up), "gpu-01")


def test_a_session_that_ends_takes_nothing_over() -> None:
    with pytest.raises(Refused, match="the session is ending"):
        adopt(night("sky", SessionEnding(at=1.0, author="ann", how=EndMode.DRAIN)), "by-hand")


@pytest.mark.parametrize("kind", ["local", "sim"])
def test_only_a_session_on_skypilot_takes_clusters_over(kind: str) -> None:
    with pytest.raises(Refused, match=f"this one is on the {kind} fleet"):
        adopt(night(kind), "by-hand")
