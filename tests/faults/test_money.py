"""Money that was spent or reserved stays counted, however prices, clusters, clocks and persons change."""

import pytest

from cockpit.core.cluster_events import (
    ClusterDown,
    ClusterFailed,
    ClusterGivenUp,
    ClusterStopping,
    ClusterUp,
    Launching,
)
from cockpit.core.events import (
    Approved,
    Ended,
    Event,
    Held,
    Proposed,
    SessionCreated,
    SessionEnded,
    SessionEnding,
    Started,
    Submitting,
)
from cockpit.core.fold import fold
from cockpit.core.intents import Relaunch, decode_intent
from cockpit.core.model import (
    Attempt,
    AttemptKind,
    Change,
    EndMode,
    Envelope,
    Experiment,
    Mode,
    Outcome,
    Wave,
)
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.core.state import State
from cockpit.decide.approve import rule_for
from cockpit.decide.budget import accounts, committed_usd
from cockpit.decide.decisions import decide
from cockpit.decide.handle_intents import handle_intent
from cockpit.read.costs import run_usd
from tests.decide.world import after

CLUSTER = "gpu-01"
HOUR = 3600.0


def session(budget_usd: float = 0.0, usd_per_hour: float = 0.0, envelope_usd: float = 0.0, clusters: int = 1) -> State:
    specs = tuple(ClusterSpec(f"gpu-{number:02}", "H100", usd_per_hour) for number in range(1, clusters + 1))
    made = Session("s", "/repo", "c0", FleetSpec("sky", specs, depth=2), 0.0, "ann", time_limit_s=600.0,
                   budget_usd=budget_usd)  # fmt: skip
    first = SessionCreated(at=0.0, session=made, mode=Mode.AUTOPILOT, envelope=Envelope(usd=envelope_usd))
    return fold(State(made), first)


def up(at: float, usd: float, gpus: int = 1) -> ClusterUp:
    return ClusterUp(at=at, cluster=CLUSTER, hardware="H100", usd_per_hour=usd, gpus=gpus)


def launched_again(at: float, usd: float, gpus: int = 1) -> list[Event]:
    """Take the cluster down, and launch it in an hour of waiting and one of launching."""
    return [
        ClusterDown(at=at, cluster=CLUSTER),
        Launching(at=at + HOUR, cluster=CLUSTER),
        up(at + 2 * HOUR, usd, gpus),
    ]


def an_hour_up(usd: float = 10.0, gpus: int = 8) -> State:
    return after(session(), Launching(at=0.0, cluster=CLUSTER), up(0.0, usd, gpus))


@pytest.mark.parametrize("usd", [1.0, 10.0, 40.0])
def test_a_launch_at_another_price_leaves_what_was_spent(usd: float) -> None:
    state = after(an_hour_up(), *launched_again(HOUR, usd))
    assert accounts(state, 3 * HOUR).gpu_usd == pytest.approx(10.0 + usd), "an hour up, and one of its second launch"
    assert accounts(state, 5 * HOUR).gpu_usd == pytest.approx(10.0 + 3 * usd)


def test_a_price_that_changes_while_the_cluster_is_up_counts_from_then_on() -> None:
    state = after(an_hour_up(), up(HOUR, 2.0, 8), up(2 * HOUR, 6.0, 8))
    assert accounts(state, 3 * HOUR).gpu_usd == pytest.approx(10.0 + 2.0 + 6.0)


def test_a_price_that_is_not_told_again_stays() -> None:
    state = after(an_hour_up(), *launched_again(HOUR, 0.0))
    assert accounts(state, 3 * HOUR).gpu_usd == pytest.approx(20.0)


def test_a_launch_with_fewer_gpus_leaves_the_gpu_hours_of_before() -> None:
    state = after(an_hour_up(gpus=8), *launched_again(HOUR, 10.0, gpus=1))
    assert accounts(state, 4 * HOUR).gpu_hours == pytest.approx(8.0 + 2.0)


def test_a_failed_launch_of_an_unknown_price_is_paid_at_the_price_that_is_told_later() -> None:
    lost = ClusterFailed(at=HOUR, cluster=CLUSTER, message="x", retry_at=HOUR)
    state = after(session(), Launching(at=0.0, cluster=CLUSTER), lost, Launching(at=HOUR, cluster=CLUSTER))
    assert accounts(state, HOUR).gpu_usd == 0.0
    assert accounts(after(state, up(2 * HOUR, 5.0)), 2 * HOUR).gpu_usd == pytest.approx(10.0)


LOST = ClusterFailed(at=60.0, cluster=CLUSTER, message="no answer", retry_at=9 * HOUR, billed=True)
GIVEN_UP = ClusterGivenUp(at=90.0, cluster=CLUSTER, message="three times")


def relaunched(budget_usd: float, *events: Event) -> State:
    """Return a session whose cluster may be billed, after a person's word to launch it again."""
    begun = after(session(budget_usd, 10.0), Launching(at=0.0, cluster=CLUSTER), up(0.0, 10.0), LOST, *events)
    return after(begun, *handle_intent(begun, Relaunch(CLUSTER), "ann", 100.0))


@pytest.mark.parametrize("events", [[], [GIVEN_UP]], ids=["lost", "given up"])
def test_a_cluster_that_may_be_billed_is_launched_again_while_there_is_money(events: list[Event]) -> None:
    assert Launching(at=100.0, cluster=CLUSTER) in decide(relaunched(50.0, *events), 100.0)


@pytest.mark.parametrize("events", [[], [GIVEN_UP]], ids=["lost", "given up"])
def test_a_cluster_that_may_be_billed_is_taken_down_where_its_relaunch_costs_too_much(events: list[Event]) -> None:
    stopped = [one for one in decide(relaunched(2.0, *events), 100.0) if isinstance(one, ClusterStopping)]
    assert [one.cluster for one in stopped] == [CLUSTER]


@pytest.mark.parametrize("events", [[], [GIVEN_UP]], ids=["lost", "given up"])
def test_a_session_does_not_end_before_a_relaunched_cluster_is_known_to_be_down(events: list[Event]) -> None:
    """Hold the cluster, so that the relaunch waits, and end the session meanwhile."""
    ending = SessionEnding(at=110.0, author="ann", how=EndMode.DRAIN, clusters_down=True)
    state = after(relaunched(50.0, *events), Held(at=105.0, author="ann", target=CLUSTER), ending)
    found = decide(state, 120.0)
    assert not any(isinstance(one, SessionEnded) for one in found)
    assert any(isinstance(one, ClusterStopping) for one in found)


def proposed(state: State) -> tuple[State, Wave]:
    wave = Wave(id="w001", proposer="search", question="?", arms=["e0001"])
    made = [Experiment("e0001", "w001", "", Change(), "c", "t", "p", fingerprint="f")]
    return after(state, Proposed(at=1.0, wave=wave, experiments=made)), wave


RUN = "e0001.1"
END = Ended(at=2 * HOUR, attempt=RUN, outcome=Outcome.LOST)


def a_run(*events: Event, usd: float = 10.0) -> State:
    """Start a run on a cluster of this price an hour after its launch, and let these events follow."""
    state, wave = proposed(after(session(), Launching(at=0.0, cluster=CLUSTER), up(0.0, usd)))
    attempt = Attempt(RUN, "e0001", AttemptKind.ARM, 1)
    return after(
        state,
        Approved(at=1.0, wave=wave.id, author="ann", rule="person:ann", attempts=[attempt]),
        Submitting(at=1.0, attempt=RUN, cluster=CLUSTER, hardware="H100", reserved_usd=50.0),
        Started(at=HOUR, attempt=RUN),
        *events,
    )


PRICES: dict[str, tuple[list[Event], float]] = {
    "another launch after its end": ([END, *launched_again(3 * HOUR, 2.0)], 10.0),
    "two launches after its end": ([END, *launched_again(3 * HOUR, 2.0), *launched_again(6 * HOUR, 50.0)], 10.0),
    "another price after its end": ([END, up(3 * HOUR, 40.0)], 10.0),
    "another price half way": ([up(1.5 * HOUR, 2.0), END], 5.0 + 1.0),
    "two other prices on its way": ([up(1.25 * HOUR, 2.0), up(1.5 * HOUR, 40.0), END], 2.5 + 0.5 + 20.0),
    "the same price again": ([up(1.5 * HOUR, 10.0), END], 10.0),
    "another price half way and one after its end": ([up(1.5 * HOUR, 2.0), END, up(4 * HOUR, 90.0)], 5.0 + 1.0),
}


@pytest.mark.parametrize("prices", PRICES)
def test_a_run_costs_the_price_of_its_time(prices: str) -> None:
    events, usd = PRICES[prices]
    state = a_run(*events)
    assert run_usd(state, state.attempts[RUN], 9 * HOUR) == pytest.approx(usd)


def test_a_run_under_way_costs_the_prices_until_now() -> None:
    state = a_run(up(1.5 * HOUR, 2.0))
    assert run_usd(state, state.attempts[RUN], 2 * HOUR) == pytest.approx(5.0 + 1.0)


def test_a_run_of_an_unknown_price_costs_the_price_that_is_told_later() -> None:
    state = a_run(END, up(3 * HOUR, 4.0), usd=0.0)
    assert run_usd(state, state.attempts[RUN], 9 * HOUR) == pytest.approx(4.0)


def test_runs_of_a_cluster_that_always_runs_cost_what_the_cluster_does_at_any_prices() -> None:
    """Compare the cost of the run with the cluster's accounts, which are kept apart."""
    state = a_run(up(1.2 * HOUR, 3.0), up(1.7 * HOUR, 25.0), END)
    idle_usd = accounts(a_run(), HOUR).gpu_usd
    assert run_usd(state, state.attempts[RUN], 2 * HOUR) == pytest.approx(accounts(state, 2 * HOUR).gpu_usd - idle_usd)


def rule_at(*events: Event) -> str:
    """Return the rule that approves a wave of one arm, in an envelope of $5, while the first cluster launches."""
    launching = after(session(envelope_usd=5.0), Launching(at=0.0, cluster=CLUSTER))
    state, wave = proposed(after(launching, *events))
    return rule_for(state, wave, 4.0)


def test_runs_of_an_unknown_price_are_not_within_an_envelope() -> None:
    assert rule_at() == ""
    assert rule_at(up(3.0, 10.0)) == "envelope"
    assert rule_at(up(3.0, 1_000.0)) == "", "too dear, once it is known"
    assert rule_at(up(3.0, 0.0)) == "envelope", "a cluster that costs nothing"


@pytest.mark.parametrize("back_s", [1.0, 500.0, 1e9])
def test_a_clock_that_goes_back_frees_no_money_for_another_launch(back_s: float) -> None:
    state = after(session(4.0, 10.0, clusters=3), Launching(at=1e9, cluster=CLUSTER))
    now = 1e9 - back_s
    assert not [one for one in decide(state, now) if isinstance(one, Launching | Submitting)]
    assert committed_usd(state, now) == pytest.approx(committed_usd(state, 1e9))


@pytest.mark.parametrize("usd", [b"1e400", b"NaN", b"Infinity", b"-Infinity", b'"5"', b"null", b"1" * 5_000])
def test_a_budget_that_is_no_number_is_no_intent(usd: bytes) -> None:
    with pytest.raises(ValueError):
        decode_intent(b'{"kind":"SetBudget","usd":%s}' % usd)
