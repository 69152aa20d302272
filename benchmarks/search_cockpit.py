"""Cockpit itself on the simulated fleet: its plan, its fold and its search, with virtual clusters underneath."""

import heapq

import numpy as np

from benchmarks.search_fleet import CRASH_S, HANDOVER_S, HOURS, START_S, TRAIN_S, Report
from benchmarks.search_surface import BASELINE, Config, Slot, Surface, measure
from cockpit.agent.proposer_api import ProposalRequest
from cockpit.agent.proposers.search import draft, search_history, searched
from cockpit.core.cluster_events import ClusterUp
from cockpit.core.events import (
    Asked,
    AskEnded,
    Ended,
    Event,
    IncumbentSet,
    Proposed,
    SessionCreated,
    Started,
    Submitted,
    Submitting,
)
from cockpit.core.fold import fold
from cockpit.core.intents import Arm, Draft
from cockpit.core.model import (
    Attempt,
    AttemptKind,
    Change,
    Envelope,
    Experiment,
    Metrics,
    Mode,
    Outcome,
    Wave,
    WaveKind,
)
from cockpit.core.session import ClusterSpec, FleetSpec, Session
from cockpit.core.state import WITHOUT, State, constants_of
from cockpit.decide.ablation import PROPOSER as ABLATE
from cockpit.decide.ablation import next_ablations
from cockpit.decide.decisions import decide, wake_at
from cockpit.decide.rebasing import PROPOSER as REBASE
from cockpit.decide.rebasing import rebase

LATENCY_S = 10.0
"""From submitting to queued on the cluster."""


class Night:
    """One session. Times are virtual seconds from its start."""

    def __init__(self, slots: list[Slot], surface: Surface, seed: int, hours: float = HOURS) -> None:
        self.slots = {slot.name: slot for slot in slots}
        self.surface, self.hours = surface, hours
        self.rng = np.random.default_rng([seed, 7])
        self.report = Report(clusters=len(slots))
        self.now = 0.0
        self.order = 0
        self.events: list[tuple[float, int, Event | None]] = []
        """None: nothing happens, and the plan may decide otherwise."""
        self.wakes_at = float("inf")
        self.free_at = dict.fromkeys(self.slots, 0.0)
        specs = tuple(ClusterSpec(slot.name, slot.hardware) for slot in slots)
        kinds = {slot.hardware for slot in slots}
        fleet = FleetSpec("sim", specs, depth=2, simulated=True, screen_hardware="H100",
                          validate_hardware="H200" if len(kinds) > 1 else "")  # fmt: skip
        session = Session("night", "", "", fleet, 0.0, "benchmark", seed=seed, constants=dict(BASELINE))
        self.state = State(session)
        self._fold(SessionCreated(at=0, session=session, mode=Mode.AUTOPILOT,
                                    envelope=Envelope(wave_size=16)))  # fmt: skip
        self._propose(
            Wave(id="w000", proposer="cockpit", question="baseline", kind=WaveKind.BASELINE), (Arm(Change()),)
        )
        for slot in slots:
            self._fold(ClusterUp(at=0, cluster=slot.name, hardware=slot.hardware))

    def run(self) -> State:
        self.settle()
        while self.events and self.events[0][0] <= self.hours * 3600:
            self.now, _, event = heapq.heappop(self.events)
            if event is not None:
                self._fold(event)
            if isinstance(event, Ended):
                self._count(event)
            if not (self.events and self.events[0][0] == self.now):  # else it is all known, as after a worker's tick
                self.settle()
        return self.state

    def _fold(self, event: Event) -> None:
        self.state = fold(self.state, event)

    def _later(self, at: float, event: Event | None) -> None:
        self.order += 1
        heapq.heappush(self.events, (at, self.order, event))

    def settle(self) -> None:
        """Do what the plan says until it has nothing more to say."""
        while events := decide(self.state, self.now):
            for event in events:
                if isinstance(event, IncumbentSet):
                    self._count_keep(event)
                self._fold(event)
                if isinstance(event, Submitting):
                    self._submit(self.state.attempts[event.attempt])
                elif isinstance(event, Asked):
                    self._ask(event)
        if self.now >= self.wakes_at or wake_at(self.state, self.now) < self.wakes_at:
            self.wakes_at = wake_at(self.state, self.now)
            self._later(self.wakes_at, None)

    def _ask(self, asked: Asked) -> None:
        """Let the proposer that is asked answer at once."""
        if asked.proposer == ABLATE:
            answer = next_ablations(self.state, asked.arms)
        elif asked.proposer == REBASE:
            answer = rebase(self.state)
        else:
            answer = self._searched(asked)
        waves = [] if answer is None else [self._proposed(answer)]
        self._fold(AskEnded(at=self.now, ask=asked.ask, proposer=asked.proposer, waves=waves))

    def _searched(self, asked: Asked) -> Draft:
        history = search_history(self.state)
        request = ProposalRequest(asked.ask, asked.arms, asked.reason)
        return draft(history, searched(history, history.pending, asked.arms), request)

    def _proposed(self, made: Draft) -> str:
        wave = Wave(
            id=self.state.next_wave_id(), proposer=made.proposer, question=made.question, kind=made.kind, base=made.base
        )
        self._propose(wave, made.arms, made.replicates)
        return wave.id

    def _propose(self, wave: Wave, arms: tuple[Arm, ...], replicates: int = 1) -> None:
        base, experiments = wave.base, []
        for number, arm in enumerate(arms):
            constants = dict(arm.change.constants)
            name = self.state.next_experiment_id(number)
            merged = (constants_of(self.state, base) if base else dict(BASELINE)) | constants
            experiments.append(
                Experiment(
                    id=name, wave=wave.id, base=base, change=Change(constants), commit=name, train_hash="",
                    prepare_hash="", fingerprint=repr(sorted(merged.items())),
                    overrides={k: v for k, v in merged.items() if BASELINE[k] != v}, levels=dict(arm.levels),
                    replicates=replicates,
                )
            )  # fmt: skip
        wave.arms = [experiment.id for experiment in experiments]
        self._fold(Proposed(at=self.now, wave=wave, experiments=experiments))

    def _config(self, experiment: str) -> Config:
        return constants_of(self.state, experiment)

    def _submit(self, attempt: Attempt) -> None:
        slot = self.slots[attempt.cluster]
        config = self._config(attempt.experiment)
        starts = max(self.now + LATENCY_S, self.free_at[slot.name] + HANDOVER_S)
        crashed = self.surface.crashes(config)
        ends = starts + (CRASH_S if crashed else START_S + TRAIN_S)
        self.free_at[slot.name] = ends
        self._fold(Submitted(at=self.now, attempt=attempt.id))
        self._later(starts, Started(at=starts, attempt=attempt.id))
        if crashed:
            ended = Ended(at=ends, attempt=attempt.id, outcome=Outcome.CRASH, message="out of memory")
        else:
            score = measure(self.rng, self.surface.score(config), slot)
            ended = Ended(at=ends, attempt=attempt.id, outcome=Outcome.VALID, metrics=Metrics(score))
        self._later(ends, ended)

    def _count(self, event: Ended) -> None:
        attempt = self.state.attempts[event.attempt]
        self.report.busy_s += attempt.ended_at - attempt.started_at
        if event.outcome is Outcome.VALID:
            self.report.valid += 1
            self.report.train_s += TRAIN_S
        else:
            self.report.crashed += 1
        if attempt.kind is AttemptKind.CONTROL:
            self.report.controls += 1

    def _count_keep(self, event: IncumbentSet) -> None:
        new, old = self._config(event.experiment), self.state.incumbent
        if old and WITHOUT not in self.state.experiments[event.experiment].levels:
            self.report.keeps.append((self.now, new, self._config(old)))
        self.report.bests.append((self.now, new))


def coverage(night: Night) -> tuple[int, int]:
    """Return (covered, all): 90% intervals of every decision that named one, against the true difference."""
    covered = total = 0
    for experiment in night.state.experiments.values():
        if experiment.estimate is not None and experiment.test_level:
            truth = night.surface.score(night._config(experiment.id)) - night.surface.score(
                night._config(experiment.estimate.against)
            )
            total += 1
            covered += experiment.estimate.low <= truth <= experiment.estimate.high
    return covered, total
