"""A cluster that went down because it was idle costs nothing, and is launched again when there is work."""

import pytest

from cockpit.core.cluster_events import ClusterDown, ClusterStopping, Launching
from cockpit.core.events import Asked, EnvelopeSet, ModeSet, ProposerSet
from cockpit.core.model import ClusterState, Envelope, Mode
from cockpit.decide.approve import approval
from cockpit.decide.ask import FILLER, ask
from cockpit.decide.schedule import schedule
from tests.decide.world import World


def at_rest(mode: Mode, resting: int = 4) -> World:
    """Return four clusters with the baseline measured; `resting` of them went down because they were idle."""
    world = World(lambda constants, attempt: 1.0)
    world.record(ModeSet(at=0.0, mode=Mode.MANUAL, author="me"))
    world.record(EnvelopeSet(at=0.0, envelope=Envelope(usd=1e6, filler=False), author="me"))
    world.run(10.0)
    assert not world.state.waiting and not world.state.in_flight
    for name in list(world.state.clusters)[:resting]:
        world.record(ClusterDown(at=world.now, cluster=name, message="it ended by itself"))
    world.record(ModeSet(at=world.now, mode=mode, author="me"))
    return world


def launched(world: World) -> list[str]:
    return [event.cluster for event in schedule(world.state, world.now) if isinstance(event, Launching)]


def approved(world: World, arms: int) -> None:
    world.propose(*({"LR": number} for number in range(2, 2 + arms)))
    for wave in list(world.state.proposals):
        world.record(approval(world.state, world.state.waves[wave], "me", "person:me", world.now))


@pytest.mark.parametrize("mode", Mode)
def test_a_cluster_rests_while_there_is_no_work(mode: Mode) -> None:
    world = at_rest(mode)
    assert launched(world) == []
    assert {cluster.state for cluster in world.state.clusters.values()} == {ClusterState.DOWN}


@pytest.mark.parametrize(("arms", "resting", "needed"), [(2, 4, 2), (9, 4, 4), (2, 2, 0), (3, 2, 1)])
def test_only_the_clusters_that_the_work_needs_are_launched(arms: int, resting: int, needed: int) -> None:
    world = at_rest(Mode.MANUAL, resting)
    approved(world, arms)
    assert len(launched(world)) == needed


def test_a_launching_cluster_counts_for_the_work() -> None:
    world = at_rest(Mode.MANUAL)
    approved(world, 2)
    for name in launched(world):
        world.record(Launching(at=world.now, cluster=name))
    assert launched(world) == []


def test_a_cluster_that_was_taken_down_does_not_rest() -> None:
    world = at_rest(Mode.MANUAL, resting=0)
    world.record(ClusterStopping(at=world.now, cluster="gpu-01"))
    world.record(ClusterDown(at=world.now, cluster="gpu-01"))
    assert launched(world) == ["gpu-01"]


def test_a_proposer_is_asked_when_every_cluster_rests() -> None:
    world = at_rest(Mode.AUTOPILOT)
    world.record(ProposerSet(at=world.now, proposer=FILLER, author="me"))
    assert [(one.proposer, one.arms) for one in ask(world.state, world.now) if isinstance(one, Asked)] == [(FILLER, 4)]
