"""The invariants of a state, checked after every event of a random history."""

from collections import Counter

import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant

from cockpit.core.model import (
    AttemptStatus,
    ClusterState,
    ExperimentStatus,
    WaveStatus,
)
from cockpit.core.state import State, is_open
from cockpit.decide.budget import accounts, committed_usd

CREATED = 1_700_000_000.0
UP = (ClusterState.IDLE, ClusterState.BUSY)


class StateInvariants(RuleBasedStateMachine):
    """A state machine whose state is checked after each rule."""

    state: State
    now: float
    requests: dict[str, float]
    """Requests to a model that are under way."""
    billed_usd: float

    @invariant()
    def every_dollar_of_a_model_is_reserved_or_spent_once(self) -> None:
        assert set(self.state.api_reserved) <= set(self.requests)
        assert self.state.spend.api_usd == pytest.approx(self.billed_usd, abs=1e-6)
        if self.state.session:
            spent = accounts(self.state, self.now).total_usd
            assert committed_usd(self.state, self.now) >= spent + sum(self.state.api_reserved.values()) - 1e-6

    @invariant()
    def waiting_and_in_flight_are_what_the_attempts_say(self) -> None:
        by_status = {name: attempt.status for name, attempt in self.state.attempts.items()}
        assert set(self.state.waiting) == {n for n, status in by_status.items() if status is AttemptStatus.QUEUED}
        assert set(self.state.in_flight) == {
            name for name, status in by_status.items() if status not in (AttemptStatus.QUEUED, AttemptStatus.ENDED)
        }

    @invariant()
    def statuses_are_counted(self) -> None:
        recount = Counter(experiment.status for experiment in self.state.experiments.values())
        assert {k: n for k, n in self.state.status_counts.items() if n} == recount
        assert set(self.state.undecided) == {
            x.id for x in self.state.experiments.values() if x.status is ExperimentStatus.VALID
        }
        assert set(self.state.contenders) <= set(self.state.undecided)

    @invariant()
    def nothing_measured_is_forgotten(self) -> None:
        """Check that an undecided experiment has an undecided result or an attempt to come, or waits for a test."""
        for name in self.state.undecided:
            experiment = self.state.experiments[name]
            coming = any(self.state.attempts[a].status is not AttemptStatus.ENDED for a in experiment.attempts)
            assert coming or name in self.state.contenders or experiment.reason == "so"

    @invariant()
    def stranded_are_those_with_nothing_to_come(self) -> None:
        assert set(self.state.stranded) == {
            x.id
            for x in self.state.experiments.values()
            if x.status is ExperimentStatus.QUEUED
            and all(self.state.attempts[name].status is AttemptStatus.ENDED for name in x.attempts)
        }

    @invariant()
    def a_running_experiment_has_a_run_to_come(self) -> None:
        for experiment in self.state.experiments.values():
            if experiment.status is ExperimentStatus.RUNNING:
                assert any(self.state.attempts[name].status is not AttemptStatus.ENDED for name in experiment.attempts)

    @invariant()
    def open_waves_are_those_with_open_arms(self) -> None:
        waves = self.state.waves
        assert set(self.state.open_waves) == {w.id for w in waves.values() if w.status is WaveStatus.APPROVED}
        assert set(self.state.proposals) == {w.id for w in waves.values() if w.status is WaveStatus.PROPOSED}
        for wave in waves.values():
            open_arms = sum(is_open(self.state.experiments[arm].status) for arm in wave.arms)
            assert wave.open_arms == open_arms
            if wave.status in (WaveStatus.APPROVED, WaveStatus.DONE):
                assert (wave.status is WaveStatus.APPROVED) == (open_arms > 0)

    @invariant()
    def clusters_hold_what_is_on_them(self) -> None:
        for cluster in self.state.clusters.values():
            here = [
                self.state.attempts[n] for n in self.state.in_flight if self.state.attempts[n].cluster == cluster.name
            ]
            running = [attempt.id for attempt in here if attempt.status is AttemptStatus.RUNNING]
            assert running == ([cluster.running] if cluster.running else [])
            assert sorted(cluster.ahead) == sorted({attempt.id for attempt in here} - set(running))
            if cluster.state in UP:
                assert (cluster.state is ClusterState.BUSY) == bool(cluster.running)

    @invariant()
    def money_reserved_is_that_of_attempts_in_flight(self) -> None:
        reserved = sum(self.state.attempts[name].reserved_usd for name in self.state.in_flight)
        assert self.state.spend.reserved_usd == pytest.approx(reserved, abs=1e-6)

    @invariant()
    def what_is_said_to_run_has_a_run_under_way(self) -> None:
        for experiment in self.state.experiments.values():
            if experiment.status is ExperimentStatus.RUNNING:
                assert not self.state.in_flight.keys().isdisjoint(experiment.attempts)

    @invariant()
    def no_second_of_a_cluster_is_counted_twice(self) -> None:
        for cluster in self.state.clusters.values():
            counted = cluster.training_s + cluster.idle_s + cluster.provisioning_s
            assert counted <= self.now - CREATED + 1e-3

    @invariant()
    def the_best_are_the_best_means(self) -> None:
        for hardware, ranked in self.state.best.items():
            means = sorted(
                sum(x.scores[hardware]) / len(x.scores[hardware])
                for x in self.state.experiments.values()
                if hardware in x.scores
            )
            assert [r.mean for r in ranked] == means[:64]

    @invariant()
    def code_is_known_by_the_first_that_had_it(self) -> None:
        dropped = ExperimentStatus.DROPPED
        known = {x.fingerprint for x in self.state.experiments.values() if x.status is not dropped}
        assert known <= set(self.state.by_fingerprint)
