"""The decisions keep their promises under any sequence of events on a random fleet."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from cockpit.core.cluster_events import ClusterDown, ClusterFailed, ClusterUp, Launching
from cockpit.core.events import (
    Approved,
    Asked,
    AskEnded,
    Ended,
    Event,
    Held,
    IncumbentSet,
    Proposed,
    Rejected,
    Resumed,
    SessionCreated,
    SessionEnded,
    SessionEnding,
    Started,
    Submitted,
    Submitting,
    WorkerStarted,
    WorkerStopped,
)
from cockpit.core.fold import fold
from cockpit.core.model import (
    Attempt,
    AttemptStatus,
    Change,
    ClusterState,
    EndMode,
    Envelope,
    Experiment,
    ExperimentStatus,
    Metrics,
    Mode,
    Outcome,
    Tier,
    Wave,
    WaveKind,
    WaveStatus,
)
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.core.state import State
from cockpit.decide.approve import approval
from cockpit.decide.budget import accounts, committed_usd
from cockpit.decide.decisions import decide, wake_at

PRICE = 3.0
LIMIT_S = 600.0
SETTLES_IN = 200


def fleet(clusters: int, depth: int) -> FleetSpec:
    kinds = ["H100", "H100", "H200"]
    specs = tuple(ClusterSpec(f"gpu-{i:02d}", kinds[i % 3], PRICE) for i in range(clusters))
    return FleetSpec(
        "sim", specs, depth=depth, screen_hardware="H100", validate_hardware="H200" if clusters > 2 else ""
    )


class Fleet(RuleBasedStateMachine):
    waves = Bundle("waves")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0

    @initialize(
        clusters=st.integers(1, 5),
        depth=st.integers(1, 2),
        budget=st.sampled_from([0.0, 4.0, 50.0]),
        mode=st.sampled_from(list(Mode)),
    )
    def begin(self, clusters: int, depth: int, budget: float, mode: Mode) -> None:
        session = Session(
            "s", "/repo", "c0", fleet(clusters, depth), self.now, "ann", time_limit_s=LIMIT_S, budget_usd=budget,
            constants={"DEPTH": 8},
        )  # fmt: skip
        self.state = State(session)
        self.record(SessionCreated(at=self.now, session=session, mode=mode, envelope=Envelope(usd=20.0, wave_size=4)))
        self.propose(1, WaveKind.BASELINE, False, 1, False)
        self.act()

    def record(self, *events: Event) -> None:
        for event in events:
            self.state = fold(self.state, event)

    def propose(self, arms: int, kind: WaveKind, patches: bool, replicates: int, validate: bool) -> str:
        state, name = self.state, self.state.next_wave_id()
        made = [
            Experiment(
                state.next_experiment_id(i), name, state.baseline, Change({"DEPTH": i}), f"c{i}", "t", "p",
                f"{name}.{i}", replicates=replicates,
            )
            for i in range(arms)
        ]  # fmt: skip
        tier = Tier.VALIDATE if validate else Tier.SCREEN
        wave = Wave(name, "tpe", "?", kind, arms=[x.id for x in made], tier=tier, proposed_at=self.now)
        self.record(Proposed(at=self.now, wave=wave, experiments=made))
        return name

    # The world

    @rule(seconds=st.sampled_from([0.0, 1.0, 30.0, 299.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.act()

    @rule(
        target=waves, arms=st.integers(1, 6), filler=st.booleans(), replicates=st.integers(1, 2), validate=st.booleans()
    )
    def a_wave_is_proposed(self, arms: int, filler: bool, replicates: int, validate: bool) -> str:
        name = self.propose(arms, WaveKind.FILLER if filler else WaveKind.WAVE, False, replicates, validate)
        self.act()
        return name

    @rule(wave=consumes(waves), yes=st.booleans())
    def a_person_decides(self, wave: str, yes: bool) -> None:
        if self.state.waves[wave].status is WaveStatus.PROPOSED:
            if yes:
                self.record(approval(self.state, self.state.waves[wave], "ann", "person:ann", self.now))
            else:
                self.record(Rejected(at=self.now, wave=wave, author="ann", reason="no"))
            self.act()

    @rule(which=st.integers(0, 99), up=st.booleans())
    def a_launch_ends(self, which: int, up: bool) -> None:
        launching = [c for c in self.state.clusters.values() if c.state is ClusterState.LAUNCHING]
        if launching:
            cluster = launching[which % len(launching)]
            if up:
                self.record(ClusterUp(at=self.now, cluster=cluster.name, hardware=cluster.hardware))
            else:
                self.record(ClusterFailed(at=self.now, cluster=cluster.name, message="no", retry_at=self.now + 30))
            self.act()

    @rule(which=st.integers(0, 99), outcome=st.sampled_from(list(Outcome)), score=st.floats(0.9, 1.1))
    def a_job_moves_on(self, which: int, outcome: Outcome, score: float) -> None:
        """Submit, start or end the first job of a cluster."""
        busy = [c for c in self.state.clusters.values() if c.running or c.ahead]
        if not busy:
            return
        self.step(self.state.active(busy[which % len(busy)])[0], outcome, score)
        self.act()

    @rule(rounds=st.integers(1, 8), score=st.floats(0.95, 1.05))
    def all_goes_well(self, rounds: int, score: float) -> None:
        """Bring every launch up and move every job one step, `rounds` times."""
        for _ in range(rounds):
            for cluster in list(self.state.clusters.values()):
                if cluster.state is ClusterState.LAUNCHING:
                    self.record(ClusterUp(at=self.now, cluster=cluster.name, hardware=cluster.hardware))
                for attempt in self.state.active(cluster)[:1]:
                    self.step(attempt, Outcome.VALID, score + len(self.state.recent) % 7 * 1e-3)
            self.now += 100.0
            self.act()

    def step(self, attempt: Attempt, outcome: Outcome, score: float) -> None:
        if attempt.status is AttemptStatus.SUBMITTING:
            self.record(Submitted(at=self.now, attempt=attempt.id))
        elif attempt.status is AttemptStatus.SUBMITTED:
            self.record(Started(at=self.now, attempt=attempt.id))
        else:
            metrics = Metrics(score) if outcome is Outcome.VALID else None
            self.record(Ended(at=self.now, attempt=attempt.id, outcome=outcome, metrics=metrics, message="m"))

    @rule(which=st.integers(0, 99), billed=st.booleans())
    def a_cluster_vanishes(self, which: int, billed: bool) -> None:
        up = [c for c in self.state.clusters.values() if c.state in (ClusterState.IDLE, ClusterState.BUSY)]
        if up:
            cluster = up[which % len(up)]
            lost = [Ended(at=self.now, attempt=x.id, outcome=Outcome.LOST) for x in self.state.active(cluster)]
            retry_at = self.now + 30 * billed
            failed = ClusterFailed(at=self.now, cluster=cluster.name, message="x", retry_at=retry_at, billed=billed)
            self.record(*lost, failed)
            self.act()

    @rule(which=st.integers(0, 99))
    def a_cluster_is_down(self, which: int) -> None:
        stopping = [c for c in self.state.clusters.values() if c.state is ClusterState.STOPPING]
        if stopping:
            cluster = stopping[which % len(stopping)]
            cancelled = [
                Ended(at=self.now, attempt=x.id, outcome=Outcome.CANCELLED) for x in self.state.active(cluster)
            ]
            self.record(*cancelled, ClusterDown(at=self.now, cluster=cluster.name))
            self.act()

    @rule(held=st.booleans(), which=st.integers(-1, 9))
    def somebody_holds(self, held: bool, which: int) -> None:
        names = [*self.state.clusters, *self.state.waves]
        target = "" if which < 0 else names[which % len(names)]
        make = Held if held else Resumed
        self.record(make(at=self.now, author="ann", target=target))
        self.act()

    @rule(how=st.sampled_from(list(EndMode)), down=st.booleans())
    def it_ends(self, how: EndMode, down: bool) -> None:
        self.record(SessionEnding(at=self.now, author="ann", how=how, clusters_down=down))
        self.act()

    # The decisions

    def act(self) -> None:
        for _ in range(SETTLES_IN):
            events = decide(self.state, self.now)
            if not events:
                return
            for event in events:
                self.check(event)
                self.record(event)
                if isinstance(event, SessionEnded):
                    self.record(WorkerStopped(at=self.now, reason=event.reason))
                    self.record(WorkerStarted(at=self.now, pid=1, host="h"))
                    return
                if isinstance(event, Asked):
                    self.record(AskEnded(at=self.now, ask=event.ask, proposer=event.proposer, retry_at=self.now + 60))
        raise AssertionError(f"the decisions do not settle: {events[:3]}")

    def check(self, event: Event) -> None:
        state = self.state
        session = state.session
        match event:
            case Submitting(attempt=name, cluster=where):
                attempt, cluster = state.attempts[name], state.clusters[where]
                assert attempt.status is AttemptStatus.QUEUED, "submitted twice"
                assert attempt.rule, "not approved"
                assert not state.held and not cluster.held and not state.ending
                assert cluster.state in (ClusterState.IDLE, ClusterState.BUSY)
                assert len(state.active(cluster)) < session.fleet.depth
                same = [c for c in state.clusters.values() if c.hardware == attempt.hardware]
                gone = all(c.state is ClusterState.GIVEN_UP for c in same) and attempt.kind != "arm"
                assert gone or attempt.hardware in ("", cluster.hardware), "on another class than it was meant for"
                assert attempt.pin in ("", where)
                experiment = state.experiments[attempt.experiment]
                assert not state.waves[experiment.wave].held or attempt.kind != "arm"
                if state.budget_usd:
                    cost = LIMIT_S / 3600 * PRICE
                    assert committed_usd(state, self.now) + cost <= state.budget_usd + 1e-6, "over the budget"
            case Launching(cluster=where):
                assert not state.ending
                assert state.clusters[where].state in (ClusterState.DOWN, ClusterState.LOST)
            case Approved(wave=name, rule=rule):
                wave = state.waves[name]
                assert wave.status is WaveStatus.PROPOSED
                if rule == "envelope":
                    assert state.mode is Mode.AUTOPILOT and len(wave.arms) <= state.envelope.wave_size
                if rule == "filler":
                    assert state.mode is not Mode.MANUAL and wave.kind is WaveKind.FILLER
            case IncumbentSet(experiment=name):
                assert state.experiments[name].status is ExperimentStatus.KEPT
                assert name == state.baseline or len(state.experiments[name].attempts) >= 2, "incumbent on one run"

    # Invariants

    @invariant()
    def what_was_not_approved_does_not_run(self) -> None:
        for name in (*self.state.in_flight, *self.state.waiting):
            experiment = self.state.experiments[self.state.attempts[name].experiment]
            assert self.state.waves[experiment.wave].status not in (WaveStatus.PROPOSED, WaveStatus.REJECTED)

    @invariant()
    def a_cluster_holds_no_more_than_it_may(self) -> None:
        for cluster in self.state.clusters.values():
            assert len(self.state.active(cluster)) <= self.state.session.fleet.depth

    @invariant()
    def the_books_hold(self) -> None:
        books = accounts(self.state, self.now)
        assert 0.0 <= books.duty <= 1.0
        assert books.gpu_usd >= 0.0

    @invariant()
    def it_wakes_in_the_future(self) -> None:
        assert wake_at(self.state, self.now) > self.now


Fleet.TestCase.settings = settings(
    max_examples=250, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
TestFleet = Fleet.TestCase
