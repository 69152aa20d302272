"""On a fleet in step, arms and tests are chosen after a short wait for results that are about to come."""

from collections.abc import Mapping

from cockpit.core.events import Asked, Ended, EnvelopeSet, ModeSet, ProposerSet, Queued
from cockpit.core.model import Attempt, Envelope, ExperimentStatus, Metrics, Mode, Outcome, Value
from cockpit.decide.ask import FILLER, ask
from cockpit.decide.decisions import decide, wake_at
from cockpit.decide.result_batching import LONGEST_WAIT
from tests.decide.world import RUN_S, World


def truth(constants: Mapping[str, Value], attempt: Attempt) -> float:
    return 2.0 - 0.03 * (constants["LR"] == 2) - 0.06 * (constants["LR"] == 3)


def running() -> World:
    """Return four clusters, each measured by a control, with an arm started on all of them at one moment."""
    world = World(truth)
    world.run(1.0)
    world.record(EnvelopeSet(at=world.now, envelope=Envelope(usd=1e6, wave_size=64), author="me"))
    world.record(ProposerSet(at=world.now, proposer=FILLER, author="me"))
    world.record(ModeSet(at=world.now, mode=Mode.AUTOPILOT, author="me"))
    world.propose({"LR": 2}, {"LR": 1, "DEPTH": 7}, {"LR": 3}, {"LR": 1, "DEPTH": 6})
    world._act()
    world.state.ask_retry_at.clear()
    assert len(world.state.in_flight) == 4
    return world


def ends(world: World, at: float, *arms: int) -> None:
    world.now = at
    for name in list(world.state.in_flight):
        attempt = world.state.attempts[name]
        if int(attempt.experiment[1:]) in arms:
            score = truth(world.state.experiments[attempt.experiment].change.constants | {}, attempt)
            world.record(Ended(at=at, attempt=name, outcome=Outcome.VALID, metrics=Metrics(score)))


def arms_asked(world: World) -> int:
    return sum(one.arms for one in ask(world.state, world.now) if isinstance(one, Asked))


def begun(world: World) -> list[str]:
    return [one.attempt.experiment for one in decide(world.state, world.now) if isinstance(one, Queued)]


def test_arms_wait_shortly_for_results_that_are_about_to_come() -> None:
    world = running()
    ends(world, world.now + RUN_S, 1)
    assert arms_asked(world) == 0, "three more runs are about to end"
    late = wake_at(world.state, world.now)
    assert late == world.now + LONGEST_WAIT * RUN_S
    world.now = late
    assert arms_asked(world) == 1, "the others are late"


def test_a_run_that_ends_alone_is_followed_at_once() -> None:
    world = running()
    ends(world, world.now + RUN_S / 2, 1)
    assert arms_asked(world) == 1


def test_the_arm_that_is_tested_is_the_best_of_those_that_end_in_step() -> None:
    world = running()
    ends(world, world.now + RUN_S, 1)
    assert not begun(world), "a better arm is about to end"
    assert world.state.experiments["e0001"].status is ExperimentStatus.VALID
    ends(world, world.now + 0.5, 2, 3, 4)
    assert set(begun(world)) >= {"e0003"}


def test_a_promising_arm_is_tested_when_the_others_are_late() -> None:
    world = running()
    ends(world, world.now + RUN_S, 1)
    world.now = wake_at(world.state, world.now)
    assert "e0001" in begun(world)
