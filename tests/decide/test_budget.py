"""Decisions as money runs out: GPUs and requests share one budget, and its end is reported once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.core.agent_events import ApiReleased, ApiReserved, ApiUsed
from cockpit.core.cluster_events import ClusterDown, ClusterStopping, ClusterUp, Launching
from cockpit.core.events import (
    Approved,
    Asked,
    BudgetSet,
    CapReached,
    Decided,
    EnvelopeSet,
    Event,
    IncumbentSet,
    ProposerSet,
    Queued,
    Submitting,
    WorkerStarted,
    WorkerStopped,
)
from cockpit.core.model import ClusterState, Envelope
from cockpit.decide.ask import FILLER
from cockpit.decide.budget import accounts, committed_usd, left_usd, pays_for_a_run
from cockpit.decide.decisions import decide
from tests.decide.world import World

RUN_USD = 600 / 3600 * 2.0
"""The most that one run costs: its time limit at the price of `fleet`."""


def fleet(budget_usd: float, clusters: int = 2) -> World:
    """Return clusters at $2 an hour that are up, the baseline measured, and a proposer to ask for work."""
    world = World(lambda constants, attempt: 1.0, hardware=("CPU",) * clusters)
    world.run(2.0)
    for name in list(world.state.clusters):
        world.record(ClusterUp(at=world.now, cluster=name, hardware="CPU", usd_per_hour=2.0))
    world.record(EnvelopeSet(at=world.now, envelope=Envelope(usd=1e6, filler=True), author="me"))
    world.record(ProposerSet(at=world.now, proposer="claude", author="me"))
    world.record(BudgetSet(at=world.now, usd=committed_usd(world.state, world.now) + budget_usd, author="me"))
    return world


def decisions(world: World) -> list[Event]:
    """Return the decisions after everything is approved and every result decided on."""
    while True:
        events = decide(world.state, world.now)
        if not events or not all(isinstance(one, Approved | Decided | Queued | IncumbentSet) for one in events):
            return events
        for event in events:
            world.record(event)


def reserve(world: World, usd: float, request: str = "1.1") -> None:
    world.record(ApiReserved(at=world.now, request=request, proposer="claude", model="m", usd=usd))


@given(st.floats(0, 20), st.lists(st.floats(0, 3), max_size=4))
def test_reserved_requests_reduce_the_money_left(budget: float, usd: list[float]) -> None:
    world = fleet(budget)
    before = left_usd(world.state, world.now)
    for number, dollars in enumerate(usd):
        reserve(world, dollars, f"1.{number}")
    assert left_usd(world.state, world.now) == pytest.approx(before - sum(usd))
    assert accounts(world.state, world.now).api_usd == 0.0, "a reservation is not spent"


def test_no_run_starts_on_money_reserved_for_a_request() -> None:
    world = fleet(1.5 * RUN_USD, clusters=1)
    world.propose({"LR": 2})
    reserve(world, RUN_USD)
    assert not [one for one in decisions(world) if isinstance(one, Submitting | Launching)]
    world.record(ApiUsed(at=world.now, proposer="claude", model="m", usd=0.01, request="1.1"))
    assert [one for one in decisions(world) if isinstance(one, Submitting)]


def test_no_cluster_goes_down_for_money_that_a_request_will_give_back() -> None:
    world = fleet(1.5 * RUN_USD, clusters=1)
    world.propose({"LR": 2})
    reserve(world, RUN_USD)
    assert not [one for one in decisions(world) if isinstance(one, ClusterStopping)]
    world.record(ApiUsed(at=world.now, proposer="claude", model="m", usd=RUN_USD, request="1.1"))
    assert [one for one in decisions(world) if isinstance(one, ClusterStopping)]


def test_no_proposer_is_asked_for_unpaid_runs() -> None:
    world = fleet(0.9 * RUN_USD)
    assert not [one for one in decisions(world) if isinstance(one, Asked)]
    world.record(BudgetSet(at=world.now, usd=1_000.0, author="me"))
    assert [one for one in decisions(world) if isinstance(one, Asked)]


def test_filler_is_asked_for_the_runs_the_budget_pays_for() -> None:
    world = fleet(1.5 * RUN_USD, clusters=4)
    arms = [one.arms for one in decisions(world) if isinstance(one, Asked) and one.proposer == FILLER]
    assert arms == [1]


def test_the_cap_is_reported_once_after_everything_in_flight_has_ended() -> None:
    world = fleet(0.9 * RUN_USD)
    for cluster in world.state.clusters.values():
        cluster.state = ClusterState.DOWN
    reserve(world, 0.1)
    assert not [one for one in decisions(world) if isinstance(one, CapReached)]
    world.record(ApiReleased(at=world.now, request="1.1"))
    said = [one for one in decisions(world) if isinstance(one, CapReached)]
    assert len(said) == 1 and "raise the budget to continue" in said[0].text
    world.record(said[0])
    assert not [one for one in decisions(world) if isinstance(one, CapReached)]
    world.record(BudgetSet(at=world.now, usd=1_000.0, author="me"))
    assert not world.state.capped and pays_for_a_run(world.state, world.now)
    assert [one for one in decisions(world) if isinstance(one, Launching)]


def test_duty_leaves_out_the_idle_time_without_a_worker() -> None:
    world = World(lambda constants, attempt: 1.0, hardware=("CPU",))
    name = next(iter(world.state.clusters))
    busy_s = 100.0

    def started(at: float) -> None:
        world.record(WorkerStarted(at=at, host="h", pid=1, user="me"))

    started(0.0)
    cluster = world.state.clusters[name]
    assert cluster.state is ClusterState.IDLE
    cluster.training_s = busy_s

    def duty(now: float) -> float:
        return accounts(world.state, now).duty

    assert duty(100.0) == pytest.approx(busy_s / 200), "idle under a worker"
    world.record(WorkerStopped(at=100.0, reason="asked"))
    assert duty(10_000.0) == pytest.approx(busy_s / 200), "while it is away"
    started(10_000.0)
    world.record(BudgetSet(at=10_050.0, usd=5.0, author="me"))
    started(20_000.0)  # the worker before it was killed
    assert duty(20_050.0) == pytest.approx(busy_s / 300), "both absences are left out"
    world.record(ClusterDown(at=20_050.0, cluster=name))
    assert duty(90_000.0) == pytest.approx(busy_s / 300)
    assert accounts(world.state, 90_000.0).idle_s == pytest.approx(20_050.0), "all of it is billed"
