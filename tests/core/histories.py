"""Draws random histories of a session, as a worker would write them."""

import itertools

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from cockpit.core.agent_events import ApiReleased, ApiReserved, ApiUsed
from cockpit.core.cluster_events import (
    ClusterDown,
    ClusterFailed,
    ClusterGivenUp,
    ClusterStopping,
    ClusterUp,
    Launching,
)
from cockpit.core.event_codec import decode_event, encode_event
from cockpit.core.events import (
    Approved,
    ArmDropped,
    AskEnded,
    Cancelling,
    Decided,
    EarlyStoppingSet,
    EarlyStopSkipped,
    Ended,
    Event,
    IncumbentSet,
    Progressed,
    ProposalEdited,
    Proposed,
    Queued,
    Rejected,
    SessionCreated,
    Started,
    Submitted,
    Submitting,
    Unsubmitted,
    WaveCancelled,
    WorkerStarted,
    WorkerStopped,
)
from cockpit.core.fold import fold, fold_all
from cockpit.core.intents import Relaunch
from cockpit.core.knob_events import KnobSet
from cockpit.core.knobs import KnobRange
from cockpit.core.model import (
    Attempt,
    AttemptKind,
    AttemptStatus,
    Change,
    Cluster,
    ClusterState,
    Envelope,
    Experiment,
    ExperimentStatus,
    Metrics,
    Mode,
    Outcome,
    Progress,
    Wave,
    WaveKind,
    WaveStatus,
)
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.core.state import State
from cockpit.decide.handle_intents import handle_intent
from tests.core.invariants import CREATED, UP, StateInvariants

CLUSTERS = ("gpu-01", "gpu-02", "gpu-03")
ABSENT = (ClusterState.DOWN, ClusterState.LOST)

A_STEP = st.floats(0, 400)
BEFORE = st.one_of(st.just(0.0), st.floats(0, 60))
"""Seconds between an event and its report."""
PICK = st.integers(0, 10_000)
SCORE = st.floats(0.95, 1.05)

SESSION = Session(
    "night",
    "/repo",
    "c0",
    FleetSpec(
        "sim",
        tuple(ClusterSpec(name, "H200" if name == CLUSTERS[-1] else "H100", 2.0) for name in CLUSTERS),
        depth=2,
    ),
    CREATED,
    "me",
)


class Histories(StateInvariants):
    """Draws events in an order in which a worker may write them."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State(SESSION)
        self.story: list[Event] = []
        self.now = CREATED
        self.numbers = itertools.count()
        self.requests = {}
        self.billed_usd = 0.0

    # Events

    @initialize()
    def create(self) -> None:
        self.tell(SessionCreated(at=CREATED, session=SESSION, mode=Mode.COPILOT, envelope=Envelope()))
        self.propose(arms=1, replicates=2, filler=False)
        self.approve(0)
        for name in CLUSTERS[:2]:
            self.tell(Launching(at=self.now, cluster=name))
            self.now += 100
            self.tell(ClusterUp(at=self.now, cluster=name, hardware=self.state.clusters[name].hardware))

    @rule(step=A_STEP)
    def time_passes(self, step: float) -> None:
        self.now += step

    @rule(arms=st.integers(1, 4), replicates=st.integers(1, 2), filler=st.booleans())
    def propose(self, arms: int, replicates: int, filler: bool) -> None:
        wave = f"w{len(self.state.waves):03d}"
        first = not self.state.waves
        names = [self.state.next_experiment_id(offset) for offset in range(arms)]
        kind = WaveKind.BASELINE if first else WaveKind.FILLER if filler else WaveKind.WAVE
        experiments = [self.experiment(name, wave, replicates) for name in names]
        self.tell(
            Proposed(at=self.now, wave=Wave(wave, "grid", "why?", kind=kind, arms=names), experiments=experiments)
        )

    @precondition(lambda self: self.state.proposals)
    @rule(pick=PICK, dropped=st.integers(0, 4), added=st.integers(0, 2))
    def edit_a_proposal(self, pick: int, dropped: int, added: int) -> None:
        wave = self.state.waves[self.choose(self.state.proposals, pick)]
        live = [arm for arm in wave.arms if self.state.experiments[arm].status is ExperimentStatus.PROPOSED]
        names = live[dropped:] + [self.state.next_experiment_id(offset) for offset in range(added)]
        if not names:
            return
        experiments = [self.experiment(name, wave.id, 1) for name in names]
        changed = msgspec.structs.replace(wave, arms=names)
        self.tell(ProposalEdited(at=self.now, wave=changed, experiments=experiments, author="me", what="other levels"))

    @precondition(lambda self: self.state.proposals)
    @rule(pick=PICK)
    def approve(self, pick: int) -> None:
        wave = self.state.waves[self.choose(self.state.proposals, pick)]
        attempts = []
        for arm in wave.arms:
            experiment = self.state.experiments[arm]
            if experiment.status is ExperimentStatus.PROPOSED:
                attempts += [
                    self.attempt(arm, AttemptKind.ARM if number == 0 else AttemptKind.REPLICATE, number)
                    for number in range(experiment.replicates)
                ]
        self.tell(Approved(at=self.now, wave=wave.id, author="me", rule="person:me", attempts=attempts))

    @precondition(lambda self: self.state.proposals)
    @rule(pick=PICK)
    def reject(self, pick: int) -> None:
        self.tell(Rejected(at=self.now, wave=self.choose(self.state.proposals, pick), author="me", reason="no"))

    @precondition(lambda self: self.state.open_waves or self.state.proposals)
    @rule(pick=PICK)
    def cancel_a_wave(self, pick: int) -> None:
        wave = self.choose([*self.state.open_waves, *self.state.proposals], pick)
        self.tell(WaveCancelled(at=self.now, wave=wave, author="me"))

    @rule(pick=PICK)
    def drop_an_arm(self, pick: int) -> None:
        self.tell(ArmDropped(at=self.now, experiment=self.choose(self.state.experiments, pick), author="me"))

    @rule(pick=PICK, kind=st.sampled_from([AttemptKind.REPLICATE, AttemptKind.CONTROL, AttemptKind.VALIDATION]))
    def queue_again(self, pick: int, kind: AttemptKind) -> None:
        experiment = self.choose(self.state.experiments, pick)
        if self.was_approved(experiment):
            self.tell(Queued(at=self.now, attempt=self.attempt(experiment, kind), reason="again"))

    @precondition(lambda self: self.state.stranded)
    @rule(pick=PICK, again=st.booleans())
    def deal_with_a_stranded_one(self, pick: int, again: bool) -> None:
        name = self.choose(self.state.stranded, pick)
        if again:
            self.tell(Queued(at=self.now, attempt=self.attempt(name, AttemptKind.RETRY), reason="lost"))
        else:
            self.tell(Decided(at=self.now, experiment=name, status=ExperimentStatus.CRASHED, reason="thrice"))

    @precondition(lambda self: self.in_state(*ABSENT))
    @rule(pick=PICK)
    def launch(self, pick: int) -> None:
        self.tell(Launching(at=self.now, cluster=self.choose(self.in_state(*ABSENT), pick)))

    @precondition(lambda self: self.in_state(ClusterState.LAUNCHING, ClusterState.LOST))
    @rule(pick=PICK, before=BEFORE)
    def a_cluster_is_up_or_back(self, pick: int, before: float) -> None:
        name = self.choose(self.in_state(ClusterState.LAUNCHING, ClusterState.LOST), pick)
        self.tell(ClusterUp(at=self.now - before, cluster=name, hardware=self.state.clusters[name].hardware))

    @precondition(lambda self: self.in_state(*UP))
    @rule(pick=PICK, before=BEFORE)
    def a_cluster_is_found_up_again(self, pick: int, before: float) -> None:
        name = self.choose(self.in_state(*UP), pick)
        self.tell(ClusterUp(at=self.now - before, cluster=name, hardware=self.state.clusters[name].hardware))

    @precondition(lambda self: self.in_state(ClusterState.LAUNCHING, *UP))
    @rule(pick=PICK, before=BEFORE, billed=st.booleans())
    def a_cluster_fails(self, pick: int, before: float, billed: bool) -> None:
        name = self.choose(self.in_state(ClusterState.LAUNCHING, *UP), pick)
        failed = ClusterFailed(at=self.now - before, cluster=name, message="gone", retry_at=self.now, billed=billed)
        self.tell(failed)

    @precondition(lambda self: self.in_state(*UP))
    @rule(pick=PICK, before=BEFORE)
    def a_cluster_goes_down(self, pick: int, before: float) -> None:
        name = self.choose(self.in_state(*UP), pick)
        self.tell(ClusterStopping(at=self.now, cluster=name, reason="enough"))
        self.now += 60
        for attempt in self.state.active(self.state.clusters[name]):
            self.tell(Ended(at=self.now - before, attempt=attempt.id, outcome=Outcome.CANCELLED, message="down"))
        self.tell(ClusterDown(at=self.now - before, cluster=name))

    @precondition(lambda self: self.in_state(*ABSENT, ClusterState.GIVEN_UP))
    @rule(pick=PICK)
    def a_person_relaunches_a_cluster(self, pick: int) -> None:
        cluster = self.state.clusters[self.choose(self.in_state(*ABSENT, ClusterState.GIVEN_UP), pick)]
        for event in handle_intent(self.state, Relaunch(cluster.name), "me", self.now):
            self.tell(event)

    @precondition(lambda self: self.in_state(ClusterState.LOST))
    @rule(pick=PICK)
    def give_a_cluster_up(self, pick: int) -> None:
        name = self.choose(self.in_state(ClusterState.LOST), pick)
        self.tell(ClusterGivenUp(at=self.now, cluster=name, message="thrice"))

    @precondition(lambda self: self.state.waiting and self.with_room())
    @rule(pick=PICK, at=PICK, usd=st.floats(0, 5))
    def submit(self, pick: int, at: int, usd: float) -> None:
        cluster = self.state.clusters[self.choose(self.with_room(), at)]
        name = self.choose(self.state.waiting, pick)
        self.tell(
            Submitting(at=self.now, attempt=name, cluster=cluster.name, hardware=cluster.hardware, reserved_usd=usd)
        )

    @precondition(lambda self: self.with_status(AttemptStatus.SUBMITTING))
    @rule(pick=PICK, arrives=st.booleans(), before=BEFORE)
    def a_submission_arrives_or_not(self, pick: int, arrives: bool, before: float) -> None:
        name, at = self.choose(self.with_status(AttemptStatus.SUBMITTING), pick), self.now - before
        self.tell(Submitted(at=at, attempt=name) if arrives else Unsubmitted(at=at, attempt=name, reason="refused"))

    @precondition(lambda self: any(c.ahead and not c.running for c in self.state.clusters.values()))
    @rule(pick=PICK, before=BEFORE)
    def a_run_starts(self, pick: int, before: float) -> None:
        ready = [c.ahead[0] for c in self.state.clusters.values() if c.ahead and not c.running]
        self.tell(Started(at=self.now - before, attempt=self.choose(ready, pick)))

    @precondition(lambda self: self.with_status(AttemptStatus.RUNNING))
    @rule(pick=PICK, done=st.floats(0, 1))
    def a_run_gets_on(self, pick: int, done: float) -> None:
        name = self.choose(self.with_status(AttemptStatus.RUNNING), pick)
        progress = Progress(self.now, int(done * 900), done, 5 - done)
        self.tell(Progressed(at=self.now, attempt=name, progress=progress, curve=[(done, 5 - done)]))

    @precondition(lambda self: self.state.in_flight)
    @rule(pick=PICK)
    def cancel_a_run(self, pick: int) -> None:
        self.tell(Cancelling(at=self.now, attempt=self.choose(self.state.in_flight, pick), author="me", reason="slow"))

    @precondition(lambda self: self.with_status(AttemptStatus.RUNNING))
    @rule(pick=PICK, bar=SCORE)
    def spare_a_run(self, pick: int, bar: float) -> None:
        name = self.choose(self.with_status(AttemptStatus.RUNNING), pick)
        self.tell(EarlyStopSkipped(at=self.now, attempt=name, bar=bar, reason="so"))

    @rule(on=st.booleans())
    def switch_early_stopping(self, on: bool) -> None:
        self.tell(EarlyStoppingSet(at=self.now, on=on, author="me"))

    @rule(pinned=st.booleans())
    def set_a_knob(self, pinned: bool) -> None:
        self.tell(KnobSet(at=self.now, knob="DEPTH", range=KnobRange(pinned=pinned), author="me"))

    @precondition(lambda self: self.with_status(AttemptStatus.RUNNING))
    @rule(pick=PICK, outcome=st.sampled_from(Outcome), score=SCORE, before=BEFORE)
    def a_run_ends(self, pick: int, outcome: Outcome, score: float, before: float) -> None:
        name = self.choose(self.with_status(AttemptStatus.RUNNING), pick)
        metrics = Metrics(score) if outcome is Outcome.VALID else None
        self.tell(Ended(at=self.now - before, attempt=name, outcome=outcome, metrics=metrics, message="so"))

    @precondition(lambda self: self.state.in_flight)
    @rule(pick=PICK, outcome=st.sampled_from([Outcome.LOST, Outcome.CANCELLED]), before=BEFORE)
    def a_run_is_lost_or_cancelled(self, pick: int, outcome: Outcome, before: float) -> None:
        name = self.choose(self.state.in_flight, pick)
        self.tell(Ended(at=self.now - before, attempt=name, outcome=outcome, message="so"))

    @precondition(lambda self: self.state.waiting and self.free())
    @rule(outcome=st.sampled_from([Outcome.VALID, Outcome.VALID, Outcome.CRASH, Outcome.LOST]), score=SCORE)
    def a_whole_run(self, outcome: Outcome, score: float) -> None:
        """Draw a sequence that is unlikely event by event."""
        name, cluster = next(iter(self.state.waiting)), self.free()[0]
        self.tell(Submitting(at=self.now, attempt=name, cluster=cluster.name, hardware=cluster.hardware))
        self.tell(Submitted(at=self.now, attempt=name))
        self.tell(Started(at=self.now, attempt=name))
        self.now += 330
        metrics = Metrics(score) if outcome is Outcome.VALID else None
        self.tell(Ended(at=self.now, attempt=name, outcome=outcome, metrics=metrics, message="so"))

    @precondition(lambda self: self.state.undecided)
    @rule(
        pick=PICK, status=st.sampled_from([ExperimentStatus.KEPT, ExperimentStatus.DISCARDED, ExperimentStatus.VALID])
    )
    def decide(self, pick: int, status: ExperimentStatus) -> None:
        name = self.choose(self.state.undecided, pick)
        self.tell(Decided(at=self.now, experiment=name, status=status, reason="so"))
        if status is ExperimentStatus.KEPT:
            self.tell(IncumbentSet(at=self.now, experiment=name, reason="better"))

    @rule(pick=PICK)
    def a_person_discards(self, pick: int) -> None:
        name, word = self.choose(self.state.experiments, pick), ExperimentStatus.DISCARDED
        if self.was_approved(name):
            self.tell(Decided(at=self.now, experiment=name, status=word, reason="my word", author="me"))

    @rule(usd=st.floats(0, 5))
    def a_request_to_a_model_is_sent(self, usd: float) -> None:
        number = next(self.numbers)
        request = f"{number % 3 + 1}.{number}"
        self.requests[request] = usd
        self.tell(ApiReserved(at=self.now, request=request, proposer="claude", model="m", usd=usd))

    @precondition(lambda self: self.requests)
    @rule(pick=PICK, share=st.floats(0, 1), billed=st.booleans())
    def a_request_is_answered_or_refused(self, pick: int, share: float, billed: bool) -> None:
        """Report the cost, or report it after it was charged already: nothing counts twice."""
        request = self.choose(self.requests, pick)
        open_still = request in self.state.api_reserved
        usd = share * self.requests.pop(request)
        if billed:
            self.tell(ApiUsed(at=self.now, proposer="claude", model="m", usd=usd, request=request))
            self.billed_usd += usd if open_still else 0.0
        else:
            self.tell(ApiReleased(at=self.now, request=request))

    @rule(ask=st.integers(1, 3), how=st.sampled_from(["the turn ends", "the worker stops", "it is killed"]))
    def a_request_is_never_heard_of_again(self, ask: int, how: str) -> None:
        lost = [n for n in self.state.api_reserved if how != "the turn ends" or n.startswith(f"{ask}.")]
        self.billed_usd += sum(self.state.api_reserved[name] for name in lost)
        if how == "the turn ends":
            self.tell(AskEnded(at=self.now, ask=ask, proposer="claude"))
        elif how == "the worker stops":
            self.tell(WorkerStopped(at=self.now, reason="asked to"))
        else:
            self.tell(WorkerStarted(at=self.now, pid=1, host="here"))

    def teardown(self) -> None:
        if not self.story:
            return
        events = [decode_event(encode_event(event)) for event in self.story]
        whole = fold_all(events)
        assert whole == self.state, "the stored events give another state"
        middle = len(self.story) // 2
        events = [decode_event(encode_event(event)) for event in self.story]
        body = msgspec.msgpack.encode(fold_all(events[:middle]))
        assert fold_all(events[middle:], msgspec.msgpack.decode(body, type=State)) == self.state

    # Recording

    def tell(self, event: Event) -> None:
        # As in the worker, the stored and the folded events are different objects.
        self.story.append(decode_event(encode_event(event)))
        self.state = fold(self.state, event)

    def choose(self, among: object, pick: int) -> str:
        names = list(among)  # type: ignore[call-overload]
        return str(names[pick % len(names)])

    def with_status(self, status: AttemptStatus) -> list[str]:
        return [name for name in self.state.in_flight if self.state.attempts[name].status is status]

    def free(self) -> list[Cluster]:
        return [c for c in self.state.clusters.values() if c.state in UP and not self.state.active(c)]

    def with_room(self) -> list[str]:
        return [name for name in self.in_state(*UP) if len(self.state.active(self.state.clusters[name])) < 2]

    def in_state(self, *states: ClusterState) -> list[str]:
        return [cluster.name for cluster in self.state.clusters.values() if cluster.state in states]

    def was_approved(self, experiment: str) -> bool:
        """Check that an arm of a proposal changes only together with the proposal."""
        return self.state.waves[self.state.experiments[experiment].wave].status is not WaveStatus.PROPOSED

    def attempt(self, experiment: str, kind: AttemptKind, extra: int = 0) -> Attempt:
        number = self.state.attempt_number(experiment) + extra
        return Attempt(f"{experiment}.{number}", experiment, kind, seed=number, rule="person:me")

    def experiment(self, name: str, wave: str, replicates: int) -> Experiment:
        code = f"code {next(self.numbers)}"
        return Experiment(
            id=name, wave=wave, base="" if name == "e0000" else "e0000", change=Change(), commit=code, train_hash=code,
            prepare_hash="p", fingerprint=code, replicates=replicates,
        )  # fmt: skip
