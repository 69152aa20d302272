"""A session takes over clusters that a person launched, and leaves them to that person.

The lab's tests ask SkyPilot who launched a cluster.
"""

import threading
from pathlib import Path

import pytest

from cockpit.core.cluster_events import ClusterDown, ClusterGivenUp, ClusterStopping, ClusterUp, Launching
from cockpit.core.events import BudgetSet, CapReached, Event, SessionCreated, SessionEnded, SessionEnding
from cockpit.core.fold import fold
from cockpit.core.intents import Adopt
from cockpit.core.model import DECISIONS, ClusterState, EndMode, Envelope, Mode
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.core.state import State
from cockpit.decide.budget import cap
from cockpit.decide.handle_intents import handle_intent
from cockpit.decide.intents.request import Refused
from cockpit.decide.schedule import schedule
from cockpit.fleet.local.fleet import LocalFleet
from cockpit.session.clock import WallClock
from cockpit.session.ledger import Ledger
from cockpit.variant.store import VariantStore
from cockpit.worker.loop import Worker
from cockpit.worker.parts import WorkerParts
from tests.worker.sessions import sim_session


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


def test_a_cluster_of_any_name_is_adopted_and_launched() -> None:
    state = adopt(night("sky"), "by-hand")
    assert state.clusters["by-hand"].adopted
    assert Launching(at=6.0, cluster="by-hand") in schedule(state, 6.0)


def test_a_name_of_the_session_that_was_taken_can_be_adopted() -> None:
    taken = ClusterGivenUp(at=2.0, cluster="gpu-01", message="gpu-01 is a cluster that somebody launched by hand")
    state = adopt(night("sky", Launching(at=1.0, cluster="gpu-01"), taken), "gpu-01")
    assert (state.clusters["gpu-01"].state, state.clusters["gpu-01"].adopted) == (ClusterState.DOWN, True)


def test_a_cluster_of_the_session_that_is_up_is_not_adopted() -> None:
    up = ClusterUp(at=2.0, cluster="gpu-01", hardware="H100")
    with pytest.raises(Refused, match="gpu-01 is idle in this session already"):
        adopt(night("sky", Launching(at=1.0, cluster="gpu-01"), up), "gpu-01")


def test_an_ending_session_adopts_nothing() -> None:
    with pytest.raises(Refused, match="the session is ending"):
        adopt(night("sky", SessionEnding(at=1.0, author="ann", how=EndMode.DRAIN)), "by-hand")


@pytest.mark.parametrize("kind", ["local", "sim"])
def test_only_a_session_on_skypilot_adopts_clusters(kind: str) -> None:
    with pytest.raises(Refused, match=f"this one is on the {kind} fleet"):
        adopt(night(kind), "by-hand")


class Downs(LocalFleet):
    """A fleet that notes the clusters it was asked to take down."""

    def __init__(self) -> None:
        super().__init__((), threading.Event())
        self.asked: list[str] = []

    def down(self, cluster: str) -> None:
        self.asked.append(cluster)


def test_an_adopted_cluster_that_is_given_up_is_left_to_its_owner(tmp_path: Path) -> None:
    folder = sim_session(tmp_path, speed=1.0)
    store, fleet, wake = VariantStore(tmp_path / "repo", folder.name), Downs(), threading.Event()
    ledger = Ledger.open(folder.ledger)
    parts = WorkerParts(
        folder=folder, ledger=ledger, fleet=fleet, store=store, clock=WallClock(), wake=wake, proposers={}
    )
    reactor = Worker(parts)._reactor
    state = adopt(night("sky"), "by-hand")
    for cluster in ("by-hand", "gpu-01"):
        reactor.react(state, ClusterGivenUp(at=9.0, cluster=cluster, message="failed three times in a row"))
    assert fleet.asked == ["gpu-01"]
    reactor.react(state, ClusterStopping(at=10.0, cluster="by-hand", reason="ann ends the session"))
    assert fleet.asked == ["gpu-01", "by-hand"]
    ledger.close()
    store.close()


def up_by_hand(*events: Event) -> State:
    """Return a session with an adopted cluster that is up at $3 an hour, beside its own."""
    state = adopt(night("sky"), "by-hand")
    for event in (
        Launching(at=6.0, cluster="by-hand"),
        ClusterUp(at=7.0, cluster="by-hand", hardware="H100", usd_per_hour=3.0),
        Launching(at=6.0, cluster="gpu-01"),
        ClusterUp(at=7.0, cluster="gpu-01", hardware="H100", usd_per_hour=3.0),
        *events,
    ):
        state = fold(state, event)
    return state


def stopped(state: State, now: float) -> list[str]:
    return [event.cluster for event in schedule(state, now) if isinstance(event, ClusterStopping)]


def test_an_adopted_cluster_stays_up_at_the_budgets_end_and_the_cap_says_so() -> None:
    state = up_by_hand(BudgetSet(at=8.0, usd=1.0, author="ann"))
    assert stopped(state, 7200.0) == ["gpu-01"]
    state = fold(state, ClusterStopping(at=7200.0, cluster="gpu-01"))
    state = fold(state, ClusterDown(at=7260.0, cluster="gpu-01"))
    assert stopped(state, 20_000.0) == []
    (reached,) = cap(state, 20_000.0)
    assert isinstance(reached, CapReached)
    assert reached.text.endswith("You launched by-hand: still up and billed until you take it down")


@pytest.mark.parametrize(("author", "left"), [(DECISIONS, ["gpu-01"]), ("ann", ["by-hand", "gpu-01"])])
def test_a_session_that_ends_takes_adopted_clusters_down_only_when_a_person_asks(author: str, left: list[str]) -> None:
    state = up_by_hand(SessionEnding(at=8.0, author=author, how=EndMode.DRAIN, clusters_down=True))
    assert sorted(stopped(state, 9.0)) == left
    for name in left:
        state = fold(state, ClusterStopping(at=9.0, cluster=name))
        state = fold(state, ClusterDown(at=10.0, cluster=name))
    assert [type(event) for event in schedule(state, 11.0)] == [SessionEnded]
