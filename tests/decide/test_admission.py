"""The money committed never passes the cap, in random interleavings of approvals, launches, runs and requests."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.core.agent_events import ApiReleased, ApiReserved, ApiUsed
from cockpit.core.cluster_events import (
    ClusterDown,
    ClusterFailed,
    ClusterGivenUp,
    ClusterStopping,
    ClusterUp,
    ClusterWaiting,
    Launching,
)
from cockpit.core.events import (
    BudgetSet,
    Cancelling,
    Ended,
    Event,
    Proposed,
    SessionCreated,
    Started,
    Submitted,
    Submitting,
    Trouble,
)
from cockpit.core.fold import fold
from cockpit.core.intents import Approve, Hold, Relaunch, Resume, SetBudget
from cockpit.core.model import (
    AttemptStatus,
    Change,
    Cluster,
    ClusterState,
    Envelope,
    Experiment,
    Metrics,
    Mode,
    Outcome,
    Wave,
    WaveKind,
)
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.core.state import State
from cockpit.decide.budget import (
    LAUNCH_S,
    OVERRUN_S,
    START_S,
    TEARDOWN_S,
    accounts,
    committed_usd,
    left_usd,
    reserved_usd,
)
from cockpit.decide.decisions import decide, wake_at
from cockpit.decide.handle_intents import handle_intent
from cockpit.decide.schedule import schedule

CENT = 0.01
LIMIT_S = 600.0


def is_taken_down(cluster: Cluster) -> bool:
    """Return True where the worker takes a cluster down, or the rest of one that was given up."""
    return cluster.state is ClusterState.STOPPING or (cluster.state is ClusterState.GIVEN_UP and cluster.billed)


class CappedFleet:
    """Clusters with a price, moved from decision to decision. Every event is followed by a look at the money."""

    def __init__(self, cap_usd: float, prices: list[float], depth: int, draw: Any, kind: str = "sim") -> None:
        self.now, self.draw, self.requests = 0.0, draw, 0
        self.most_usd = cap_usd
        """The cap; while more was committed as it was lowered or a price rose, as much as still is."""
        self.spent_usd = 0.0
        specs = tuple(ClusterSpec(f"gpu-{i:02d}", "H100", usd) for i, usd in enumerate(prices, 1))
        session = Session(
            "s", "", "", FleetSpec(kind, specs, depth=depth), 0.0, "ann", time_limit_s=LIMIT_S, budget_usd=cap_usd,
            proposer="human",
        )  # fmt: skip
        self.state = State(session)
        self.record(SessionCreated(at=0.0, session=session, mode=Mode.MANUAL, envelope=Envelope(filler=False)))
        self.propose(1, WaveKind.BASELINE)

    def record(self, event: Event) -> None:
        estimated_usd = self.state.clusters[event.cluster].usd_per_hour if isinstance(event, ClusterUp) else 0.0
        self.state = fold(self.state, event)
        if isinstance(event, BudgetSet):
            self.most_usd = max(event.usd or float("inf"), committed_usd(self.state, self.now))
        elif isinstance(event, ClusterUp) and event.usd_per_hour:
            self.most_usd = max(self.most_usd, committed_usd(self.state, self.now))
            launch_h = self.state.clusters[event.cluster].launch_s / 3600
            self.spent_usd -= launch_h * max(0.0, estimated_usd - event.usd_per_hour)
        self.look(event)

    def look(self, event: Event | None = None) -> None:
        """Check that nothing spent is forgotten, and that no more is committed than the cap allows, or than before it
        was lowered or a price rose."""
        spent_usd, committed = accounts(self.state, self.now).total_usd, committed_usd(self.state, self.now)
        assert spent_usd >= self.spent_usd - 1e-9, (self.now, spent_usd, self.spent_usd, event)
        self.spent_usd = spent_usd
        assert committed <= self.most_usd + CENT, (self.now, committed, self.most_usd, event)
        self.most_usd = max(self.state.budget_usd or float("inf"), min(self.most_usd, committed))

    def propose(self, arms: int, kind: WaveKind = WaveKind.WAVE) -> str:
        wave = Wave(id=self.state.next_wave_id(), proposer="human", question="?", kind=kind)
        names = [self.state.next_experiment_id(number) for number in range(arms)]
        made = [Experiment(n, wave.id, "", Change(), "c", "t", "p", fingerprint=n) for n in names]
        wave.arms = names
        self.record(Proposed(at=self.now, wave=wave, experiments=made))
        return wave.id

    def approve(self, *waves: str) -> None:
        """Approve waves whose approvals arrived together: none of them saw a decision between."""
        for wave in waves:
            for event in handle_intent(self.state, Approve(wave), "ann", self.now):
                self.record(event)
        self.settle()

    def settle(self) -> None:
        for _ in range(1000):
            events = decide(self.state, self.now)
            if not events:
                return
            for event in events:
                self.record(event)
        raise AssertionError("the decisions did not settle")

    def wait(self, seconds: float) -> None:
        """Let time pass, deciding whenever the worker would wake."""
        until = self.now + seconds
        while self.now < until and not self.state.ended_at:
            self.now = min(until, wake_at(self.state, self.now), self._deadline())
            self.look()
            self.overdue()
            self.settle()

    def _deadline(self) -> float:
        """Return the next time at which the world must act: a run that is cancelled ends, a teardown is done."""
        times = [c.since + TEARDOWN_S for c in self.state.clusters.values() if is_taken_down(c)]
        times += [one.started_at + LIMIT_S + OVERRUN_S for one in self._running()]
        return min((at for at in times if at > self.now), default=float("inf"))

    def _running(self) -> list[Any]:
        attempts = (self.state.attempts[name] for name in self.state.in_flight)
        return [one for one in attempts if one.status is AttemptStatus.RUNNING]

    def overdue(self) -> None:
        for one in self._running():
            if self.now >= one.started_at + LIMIT_S + OVERRUN_S:
                self.record(Ended(at=self.now, attempt=one.id, outcome=Outcome.TIMEOUT, message="past its limit"))
        for cluster in list(self.state.clusters.values()):
            if is_taken_down(cluster) and self.now >= cluster.since + TEARDOWN_S:
                self.go_down(cluster.name)

    def go_down(self, name: str) -> None:
        for attempt in self.state.active(self.state.clusters[name]):
            self.record(Ended(at=self.now, attempt=attempt.id, outcome=Outcome.LOST, message="the cluster went down"))
        self.record(ClusterDown(at=self.now, cluster=name))

    # One thing that happens in the world

    def happen(self) -> None:
        cluster = self.draw(st.sampled_from(sorted(self.state.clusters)))
        what = self.draw(
            st.sampled_from([*["advance_cluster"] * 4, "request", "request", "lose", "words", "cap", "again"])
        )
        getattr(self, what)(cluster)
        self.settle()

    def advance_cluster(self, name: str) -> None:
        cluster = self.state.clusters[name]
        active = self.state.active(cluster)
        if cluster.state is ClusterState.LAUNCHING:
            step = self.draw(st.sampled_from(["up", "up", "waits"]))
            if step == "up":
                usd = cluster.usd_per_hour * self.draw(st.sampled_from([1.0, 1.0, 0.1, 3.0]))
                usd = usd if usd != cluster.usd_per_hour else 0.0
                self.record(ClusterUp(at=self.now, cluster=name, hardware="H100", usd_per_hour=usd))
            else:
                self.record(ClusterWaiting(at=self.now, cluster=name, message="" if cluster.waits else "no room"))
        elif is_taken_down(cluster) or cluster.billed:
            self.go_down(name)
        elif active and active[0].status is AttemptStatus.SUBMITTING:
            self.record(Submitted(at=self.now, attempt=active[0].id))
        elif active and active[0].status is AttemptStatus.SUBMITTED and cluster.state is ClusterState.IDLE:
            self.record(Started(at=self.now, attempt=active[0].id))
        elif active and active[0].status is AttemptStatus.RUNNING:
            score = Metrics(self.draw(st.floats(0.9, 1.1)))
            self.record(Ended(at=self.now, attempt=active[0].id, outcome=Outcome.VALID, metrics=score))

    def lose(self, name: str) -> None:
        cluster = self.state.clusters[name]
        if cluster.state in (ClusterState.IDLE, ClusterState.BUSY, ClusterState.LAUNCHING):
            for attempt in self.state.active(cluster):
                self.record(Ended(at=self.now, attempt=attempt.id, outcome=Outcome.LOST, message="preempted"))
            wait_s, billed = self.draw(st.sampled_from([30.0, 600.0])), self.draw(st.booleans())
            self.record(
                ClusterFailed(at=self.now, cluster=name, message="x", retry_at=self.now + wait_s, billed=billed)
            )

    def request(self, name: str) -> None:
        """Reserve a request to a model out of the money left, or end the oldest one."""
        open_requests = list(self.state.api_reserved)
        if open_requests and self.draw(st.booleans()):
            usd = self.state.api_reserved[open_requests[0]] * self.draw(st.floats(0, 1))
            ends: list[Event] = [
                ApiReleased(at=self.now, request=open_requests[0]),
                ApiUsed(at=self.now, proposer="claude", model="m", usd=usd, request=open_requests[0]),
            ]
            self.record(self.draw(st.sampled_from(ends)))
        elif (usd := self.draw(st.floats(0.01, 1.0))) <= left_usd(self.state, self.now):
            self.requests += 1
            self.record(ApiReserved(at=self.now, request=f"1.{self.requests}", proposer="claude", model="m", usd=usd))

    def words(self, name: str) -> None:
        """Hold or resume a cluster or everything."""
        word = self.draw(st.sampled_from(["hold", "resume", "hold all", "resume all"]))
        target = "" if word.endswith("all") else name
        intent = Hold(target) if word.startswith("hold") else Resume(target)
        for event in handle_intent(self.state, intent, "ann", self.now):
            self.record(event)

    def again(self, name: str) -> None:
        """Give a lost cluster up, or relaunch one on a person's word."""
        cluster = self.state.clusters[name]
        if cluster.state is ClusterState.LOST and self.draw(st.booleans()):
            self.record(ClusterGivenUp(at=self.now, cluster=name, message="x"))
        elif cluster.state in (ClusterState.LOST, ClusterState.GIVEN_UP, ClusterState.DOWN):
            for event in handle_intent(self.state, Relaunch(name), "ann", self.now):
                self.record(event)

    def cap(self, name: str) -> None:
        """Raise or lower the cap, or lift it for a time."""
        cap_usd = self.draw(st.sampled_from([self.state.budget_usd + 0.5, 0.0, 0.2, 1.0, 2.0]))
        self.record(BudgetSet(at=self.now, usd=cap_usd, author="ann"))


@pytest.mark.timeout(300)
@given(st.data())
def test_the_money_committed_never_passes_the_cap(data: st.DataObject) -> None:
    prices = data.draw(st.lists(st.sampled_from([0.5, 2.0, 3.0, 12.0]), min_size=1, max_size=16))
    world = CappedFleet(data.draw(st.sampled_from([0.3, 1.0, 3.0, 8.0])), prices, data.draw(st.sampled_from([1, 2])),
                        data.draw)  # fmt: skip
    world.settle()
    world.approve(*[world.propose(4) for _ in range(10)])
    for _ in range(data.draw(st.integers(1, 60))):
        if world.state.ended_at:  # the baseline gave no result, and the worker is gone
            return
        world.happen()
        world.wait(data.draw(st.sampled_from([0.0, 1.0, 20.0, 90.0, 400.0, 3600.0])))


def test_a_cap_below_what_is_committed_starts_nothing_and_lets_the_runs_finish() -> None:
    """Lower the cap while four runs are under way: they end, and then their clusters do."""
    world = CappedFleet(8.0, [2.0] * 4, 1, None)
    world.settle()
    world.approve(world.propose(8))
    for name in world.state.clusters:
        world.record(ClusterUp(at=0.0, cluster=name, hardware="H100"))
    world.settle()
    running = list(world.state.in_flight)
    for attempt in running:
        world.record(Started(at=0.0, attempt=attempt))
    world.now = 60.0
    committed = committed_usd(world.state, world.now)
    told = handle_intent(world.state, SetBudget(1.0), "ann", world.now)
    assert isinstance(told[0], BudgetSet) and isinstance(told[1], Trouble)
    assert f"${committed:.2f} is spent or reserved already, more than the cap of $1.00" in told[1].text
    for event in told:
        world.record(event)
    world.settle()
    assert list(world.state.in_flight) == running
    world.now = 120.0
    for attempt in running:
        world.record(Ended(at=world.now, attempt=attempt, outcome=Outcome.VALID, metrics=Metrics(1.0)))
        world.settle()
    assert not world.state.in_flight
    world.wait(7200.0)
    assert {cluster.state for cluster in world.state.clusters.values()} == {ClusterState.DOWN}


def test_a_cap_above_what_is_committed_needs_no_word() -> None:
    world = CappedFleet(8.0, [2.0], 1, None)
    for cap_usd in (0.0, 7.0):
        assert [type(one) for one in handle_intent(world.state, SetBudget(cap_usd), "ann", 0.0)] == [BudgetSet]


def test_ten_approvals_at_once_launch_and_submit_within_the_cap() -> None:
    world = CappedFleet(3.0, [2.0] * 16, 2, None)
    world.approve(*[world.propose(16) for _ in range(10)])
    launched = [one for one in world.state.clusters.values() if one.state is ClusterState.LAUNCHING]
    cost = (LAUNCH_S + START_S + LIMIT_S + OVERRUN_S + TEARDOWN_S) / 3600 * 2.0
    assert len(launched) == int(3.0 / cost)
    assert reserved_usd(world.state, world.now) == pytest.approx(len(launched) * cost)


def test_a_launch_and_a_run_of_one_decision_draw_on_the_same_money() -> None:
    """Give money for a run on the cluster that is up, or for the launch of the other, and not for both."""
    world = CappedFleet(0.9, [2.0, 2.0], 1, None)
    world.state.clusters["gpu-01"].state = ClusterState.IDLE
    world.state.clusters["gpu-01"].up_at = 1.0
    world.approve(world.propose(4))
    assert [world.state.attempts[name].cluster for name in world.state.in_flight] == ["gpu-01"]
    assert world.state.clusters["gpu-02"].state is ClusterState.DOWN


def test_a_held_session_stops_its_idle_clusters_at_the_cap() -> None:
    world = CappedFleet(1.0, [2.0], 1, None)
    world.settle()
    world.record(ClusterUp(at=0.0, cluster="gpu-01", hardware="H100"))
    for event in handle_intent(world.state, Hold(""), "ann", 0.0):
        world.record(event)
    world.wait(7200.0)
    assert world.state.clusters["gpu-01"].state is ClusterState.DOWN
    assert committed_usd(world.state, world.now) <= 1.0 + CENT


def test_a_launch_that_takes_too_long_is_stopped_at_the_cap() -> None:
    world = CappedFleet(0.7, [2.0], 1, None)
    world.settle()
    assert [one.state for one in world.state.clusters.values()] == [ClusterState.LAUNCHING]
    world.wait(7200.0)
    assert world.state.clusters["gpu-01"].state is ClusterState.DOWN


def test_the_first_launch_alone_shows_an_unknown_price() -> None:
    """Cap a session on SkyPilot whose prices are unknown: launches at once would reserve nothing."""
    world = CappedFleet(50.0, [0.0] * 4, 1, None, kind="sky")
    world.approve(world.propose(8))

    def launched() -> list[str]:
        return [one.name for one in world.state.clusters.values() if one.state is ClusterState.LAUNCHING]

    assert launched() == ["gpu-01"]
    assert not [one for one in schedule(world.state, world.now) if isinstance(one, Launching | Submitting)]
    world.record(ClusterUp(at=0.0, cluster="gpu-01", hardware="H100", usd_per_hour=30.0))
    world.settle()
    cost = (LAUNCH_S + START_S + LIMIT_S + OVERRUN_S + TEARDOWN_S) / 3600 * 30.0
    assert len(launched()) == min(3, int((50.0 - cost) / cost)), "the others count at the price that is known"


def test_a_run_past_its_reservation_takes_its_cluster_down_at_the_cap() -> None:
    world = CappedFleet(0.7, [2.0], 1, None)
    world.settle()
    world.record(ClusterUp(at=0.0, cluster="gpu-01", hardware="H100"))
    world.settle()
    (name,) = world.state.in_flight
    world.record(Started(at=0.0, attempt=name))
    world.now = LIMIT_S + OVERRUN_S + 1.0
    events = decide(world.state, world.now)
    assert [one for one in events if isinstance(one, Cancelling)]
    for event in events:
        world.state = fold(world.state, event)
    late = world.now + left_usd(world.state, world.now) / 2.0 * 3600 + 1.0
    assert any(isinstance(one, ClusterStopping) for one in schedule(world.state, late))
