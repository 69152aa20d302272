"""A preempted run is retried without counting as a failure, and runs that a keep waits for prefer on-demand
clusters."""

import msgspec
import pytest

from cockpit.core.cluster_events import ClusterUp
from cockpit.core.events import Decided, Ended, Started, Submitted, Submitting
from cockpit.core.fold import fold
from cockpit.core.model import AttemptKind, ExperimentStatus, Outcome
from cockpit.decide.decisions import decide
from cockpit.decide.schedule import TRIES, RunSpec, next_attempt, suits
from tests.decide.world import World


def spot_world(*spot: bool) -> World:
    world = World(lambda constants, attempt: 1.0, hardware=("H100",) * len(spot))
    for name, is_spot in zip(world.state.clusters, spot, strict=True):
        world.record(ClusterUp(at=0, cluster=name, hardware="H100", spot=is_spot))
    return world


@pytest.mark.parametrize("preempted", [True, False])
def test_a_run_that_is_preempted_again_and_again_is_not_a_crash(preempted: bool) -> None:
    world = spot_world(True, True)
    for number in range(2 * TRIES):
        world.now = 100.0 * number
        submits = [event for event in _decided(world) if isinstance(event, Submitting)]
        for name in (event.attempt for event in submits):
            world.record(Submitted(at=world.now, attempt=name))
            world.record(Started(at=world.now, attempt=name))
            lost = Ended(at=world.now, attempt=name, outcome=Outcome.LOST, message="taken back", preempted=preempted)
            world.record(lost)
    experiment = world.state.experiments[world.state.baseline]
    assert (experiment.status is ExperimentStatus.CRASHED) is not preempted
    assert all(attempt.preempted is preempted for attempt in world.state.attempts.values() if attempt.outcome)
    retries = [world.state.attempts[name] for name in experiment.attempts if "retry" in world.state.attempts[name].kind]
    assert retries and all(retry.cluster != retry.avoid for retry in retries), "a retry is elsewhere"


def _decided(world: World) -> list[object]:
    """Decide until something is submitted, or nothing is left to decide."""
    found: list[object] = []
    while not any(isinstance(event, Submitting | Decided) for event in found):
        events = decide(world.state, world.now)
        if not events:
            break
        for event in events:
            world.record(event)
        found += events
    return found


@pytest.mark.parametrize("kind", list(AttemptKind))
def test_validation_and_confirmation_run_on_what_does_not_vanish(kind: AttemptKind) -> None:
    state = spot_world(True, False).state
    vanishes, lasts = state.clusters.values()
    attempt = next_attempt(state, RunSpec(state.baseline, kind, "baseline"))
    waits_for_it = kind in (AttemptKind.VALIDATION, AttemptKind.CONFIRMATION)
    assert suits(state, attempt, vanishes) is not waits_for_it
    assert suits(state, attempt, lasts)


def test_where_all_clusters_are_spot_they_confirm_too() -> None:
    state = spot_world(True, True).state
    attempt = next_attempt(state, RunSpec(state.baseline, AttemptKind.CONFIRMATION, "baseline"))
    assert all(suits(state, attempt, cluster) for cluster in state.clusters.values())


def test_an_older_ledger_has_no_spot_clusters() -> None:
    state = spot_world(True).state
    old = msgspec.json.decode(b'{"kind":"ClusterUp","at":1,"cluster":"gpu-01","hardware":"H100"}', type=ClusterUp)
    assert not fold(state, old).clusters["gpu-01"].spot
