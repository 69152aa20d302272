"""Shares of one SkyPilot cluster come up together: its whole price is reserved, and it is stopped as a whole."""

from pathlib import Path

import pytest

from cockpit.core.cluster_events import ClusterDown, ClusterFailed, ClusterStopping, ClusterUp, Launching
from cockpit.core.events import BudgetSet, Held, SessionCreated
from cockpit.core.fold import fold
from cockpit.core.model import Envelope, Mode
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.core.shares import share_names, shares_of, whole_of
from cockpit.core.state import State
from cockpit.decide.budget import launch_usd, left_usd
from cockpit.decide.decisions import decide
from cockpit.session.paths import SessionFolder
from tests.decide.world import World, after

SHARES = share_names("gpu-01", 4)
USD_PER_HOUR = 36.0


def session(budget_usd: float = 0.0, usd_per_hour: float = USD_PER_HOUR) -> State:
    """Return a session of one SkyPilot cluster with four shares, whose price is known, and one that is whole."""
    specs = tuple(ClusterSpec(name, "H100", usd_per_hour, gpus=2) for name in SHARES)
    fleet = FleetSpec("sky", (*specs, ClusterSpec("gpu-02", "H100", usd_per_hour)))
    made = Session("s", "/repo", "c0", fleet, 0.0, "ann", time_limit_s=600.0, budget_usd=budget_usd)
    return fold(State(made), SessionCreated(at=0.0, session=made, mode=Mode.MANUAL, envelope=Envelope()))


def launched(state: State) -> list[str]:
    return [event.cluster for event in decide(state, state.now) if isinstance(event, Launching)]


def test_the_names_of_shares_tell_their_cluster() -> None:
    assert SHARES == ("gpu-01/1", "gpu-01/2", "gpu-01/3", "gpu-01/4")
    assert share_names("gpu-02", 1) == ("gpu-02",)
    assert {whole_of(name) for name in SHARES} == {"gpu-01"}
    state = session()
    assert [share.name for share in shares_of(state, "gpu-01/3")] == list(SHARES)
    assert [share.name for share in shares_of(state, "gpu-02")] == ["gpu-02"]
    assert shares_of(state, "gpu-03") == []


def test_a_cluster_is_launched_only_if_the_money_left_pays_for_all_its_shares() -> None:
    one = launch_usd(session(), session().clusters["gpu-02"])
    assert launched(session(3.9 * one)) == ["gpu-02"]
    assert launched(session(4.1 * one)) == list(SHARES)
    assert launched(session()) == [*SHARES, "gpu-02"]


def test_a_share_whose_cluster_is_up_needs_its_own_money_alone() -> None:
    state = session(1000.0)
    state = after(state, *(ClusterUp(at=0.0, cluster=name, hardware="H100", gpus=2) for name in SHARES[:3]))
    own = launch_usd(state, state.clusters["gpu-01/4"])
    spent = 1000.0 - left_usd(state, state.now)
    state = after(state, BudgetSet(at=state.now, usd=spent + 1.1 * own, author="me"))
    assert launched(state) == ["gpu-01/4"]


def test_the_one_launch_that_shows_the_price_is_of_all_shares() -> None:
    assert launched(session(1000.0, usd_per_hour=0.0)) == list(SHARES)
    state = after(session(1000.0, usd_per_hour=0.0), Launching(at=0.0, cluster="gpu-01/3"))
    assert launched(state) == ["gpu-01/1", "gpu-01/2", "gpu-01/4"]


def test_shares_that_rest_are_launched_together_once_there_is_work() -> None:
    world = World(lambda constants, attempt: 1.0, names=("gpu-01/1", "gpu-01/2", "gpu-02"), hardware=("CPU",) * 3)
    world.run(2.0)
    for name in world.state.clusters:
        world.record(ClusterDown(at=world.now, cluster=name))
    world.propose({"LR": 2})
    asked = decide(world.state, world.now)
    while not any(isinstance(event, Launching) for event in asked):
        for event in asked:
            world.record(event)
        asked = decide(world.state, world.now)
    assert [event.cluster for event in asked if isinstance(event, Launching)] == ["gpu-01/1", "gpu-01/2"]


def test_shares_are_stopped_together_once_the_money_is_spent() -> None:
    state = after(session(), *(ClusterUp(at=0.0, cluster=name, hardware="H100", gpus=2) for name in SHARES))
    state = after(state, Held(at=60.0, author="me", target="gpu-02"), BudgetSet(at=60.0, usd=0.01, author="me"))
    stopped = [event.cluster for event in decide(state, 60.0) if isinstance(event, ClusterStopping)]
    assert stopped == list(SHARES)


@pytest.mark.parametrize(("target", "held"), [("gpu-01", set(SHARES)), ("gpu-01/2", {"gpu-01/2"})])
def test_a_hold_is_for_one_share_or_for_the_whole_cluster(target: str, held: set[str]) -> None:
    state = after(session(), Held(at=0.0, author="me", target=target))
    assert {name for name, cluster in state.clusters.items() if cluster.held} == held


def test_a_result_on_one_share_forgets_the_failures_of_all() -> None:
    world = World(lambda constants, attempt: 1.0, names=("gpu-01/1", "gpu-01/2", "gpu-02"), hardware=("CPU",) * 3)
    for name in ("gpu-01/2", "gpu-02"):
        world.record(ClusterFailed(at=0.0, cluster=name, message="went down", retry_at=1e9))
    world.run(1.0)  # the baseline, on gpu-01/1
    assert [world.state.clusters[name].failures for name in ("gpu-01/2", "gpu-02")] == [0, 1]


def test_the_gpus_of_a_share_count_from_its_first_launch() -> None:
    assert [cluster.gpus for cluster in session().clusters.values()] == [2, 2, 2, 2, 1]


def test_the_shares_of_a_cluster_have_the_log_of_its_launch() -> None:
    folder = SessionFolder(Path("/sessions/night"))
    assert {folder.setup_log(name) for name in (*SHARES, "gpu-01")} == {Path("/sessions/night/logs/gpu-01.setup.log")}
