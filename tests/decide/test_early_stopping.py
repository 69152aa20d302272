"""Runs that cannot reach the incumbent any more are ended, or run on as checks that count the mistakes."""

import math
from collections.abc import Mapping

from cockpit.agent.proposers.search import search_history
from cockpit.core.events import (
    Cancelling,
    EarlyStoppingSet,
    EarlyStopSkipped,
    Ended,
    Event,
    Progressed,
    Started,
    Submitting,
)
from cockpit.core.model import (
    Attempt,
    AttemptKind,
    AttemptStatus,
    Change,
    Edit,
    ExperimentStatus,
    Metrics,
    Outcome,
    Progress,
    Value,
)
from cockpit.core.state import WITHOUT, State
from cockpit.decide.early_stopping import CHECKED_ONE_IN, is_checked, schedule_of, stop_early
from cockpit.read.early_stops import early_stopping_summary
from tests.decide.world import RUN_S, World

ARMS = 32


def truth(constants: Mapping[str, Value], attempt: Attempt) -> float:
    return 2.0 + 0.1 * (len(str(constants.get("NAME", ""))) % 5)


def known_world() -> World:
    """Return a world whose finished runs tell where a curve leads."""
    world = World(truth)
    world.curves = lambda attempt, score: [(k / 20, score + 2 * math.exp(-k / 4)) for k in range(1, 21)]
    world.run(0.1)
    world.propose(*({"NAME": "x" * i} for i in range(16)))
    world.run(1.0)
    return world


def at_a_third(world: World, ends_at: float = 3.0) -> list[Attempt]:
    """Return ARMS arms that run and are at 35% of their budget, with curves that lead to `ends_at`."""
    arms = [arm for wave in range(2) for arm in world.propose(*({"NAME": f"{wave} {i}"} for i in range(ARMS // 2)))]
    world._act()
    state = world.state
    found = [state.attempts[state.experiments[arm].attempts[0]] for arm in arms]
    curve = [(k / 20, ends_at + 2 * math.exp(-k / 4)) for k in range(1, 8)]
    for attempt in found:
        if attempt.id in state.waiting:
            cluster = state.clusters["gpu-01"]
            world.record(Submitting(at=world.now, attempt=attempt.id, cluster=cluster.name, hardware="CPU"))
        world.record(Started(at=world.now, attempt=attempt.id))
        progress = Progress(world.now, 7, 0.35, curve[-1][1])
        world.record(Progressed(at=world.now, attempt=attempt.id, curve=curve, progress=progress))
    return found


def carry_out(world: World, events: list[Event]) -> State:
    for event in events:
        world.record(event)
    return world.state


def test_only_hopeless_first_runs_are_ended_or_run_on_as_checks() -> None:
    world = known_world()
    running = at_a_third(world)
    kinds = [AttemptKind.VALIDATION, AttemptKind.REPLICATE, AttemptKind.CONFIRMATION, AttemptKind.CONTROL]
    for attempt, kind in zip(running, kinds, strict=False):
        attempt.kind = kind
    ablation = running[-1]
    world.state.experiments[ablation.experiment].levels = {WITHOUT: "e0001"}
    events = stop_early(world.state, world.now)
    said = {event.attempt: event for event in events if isinstance(event, Cancelling | EarlyStopSkipped)}
    assert set(said) == {attempt.id for attempt in running[len(kinds) :]} - {ablation.id}
    for name, event in said.items():
        assert isinstance(event, EarlyStopSkipped if is_checked(world.state, name) else Cancelling)


def test_a_run_that_may_reach_the_incumbent_runs_on() -> None:
    world = known_world()
    at_a_third(world, ends_at=1.95)
    assert stop_early(world.state, world.now) == []


def late_decay_ended(schedule_is_told: bool, draws: int = 15) -> int:
    """Count the draws that end an arm which is truly 0.002 better and decays late, where finished arms spread 0.004.

    `schedule_is_told` is False for an arm whose constants do not show that its schedule differs.
    """
    world = World(lambda constants, attempt: 0.99 + SPREAD.get(str(constants.get("NAME")), 0.0), sd=0.0003)
    world.curves = lambda attempt, score: [(k / 20, score + 0.1 * (1 - k / 20)) for k in range(1, 21)]
    world.run(0.1)
    for some in (list(SPREAD)[::2], list(SPREAD)[1::2]):
        world.propose(*({"NAME": name} for name in some))
    world.run(2.0)
    ended = 0
    for draw in range(draws):
        constants: dict[str, Value] = {"NAME": f"late {draw}"}
        if schedule_is_told:
            constants["WARMDOWN_RATIO"] = 0.2
        (arm,) = world.propose(constants)
        world._act()
        (name,) = world.state.experiments[arm].attempts
        attempt = world.state.attempts[name]
        if attempt.status is AttemptStatus.QUEUED:
            world.record(Submitting(at=world.now, attempt=name, cluster="gpu-01", hardware="CPU"))
        world.record(Started(at=world.now, attempt=name))
        curve = [(k / 20, 0.988 + 0.1 * (1 - k / 20) + 0.02) for k in range(1, 15)]
        progress = Progress(world.now, 14, 0.7, curve[-1][1])
        world.record(Progressed(at=world.now, attempt=name, curve=curve, progress=progress))
        said = [
            event for event in stop_early(world.state, world.now) if isinstance(event, Cancelling | EarlyStopSkipped)
        ]
        ended += any(event.attempt == name for event in said)
        world.record(Ended(at=world.now, attempt=name, outcome=Outcome.CANCELLED))
    return ended


SPREAD = {f"arm {number}": 0.004 * (number % 9 - 4) / 2.6 for number in range(24)}


def test_an_arm_that_decays_later_than_the_finished_ones_is_not_ended() -> None:
    assert late_decay_ended(schedule_is_told=True) == 0
    assert late_decay_ended(schedule_is_told=False) > 10, "the finished runs would end such a curve of their schedule"


def test_an_arm_is_judged_by_the_finished_arms_of_its_own_schedule() -> None:
    world = known_world()
    plain, late = at_a_third(world)[:2]
    world.state.experiments[late.experiment].overrides |= {"WARMDOWN_RATIO": 0.2}
    judged = {
        event.attempt
        for event in stop_early(world.state, world.now)
        if isinstance(event, Cancelling | EarlyStopSkipped)
    }
    assert plain.id in judged and late.id not in judged
    for attempt in world.state.attempts.values():
        world.state.experiments[attempt.experiment].overrides |= {"WARMDOWN_RATIO": 0.2}
    judged = {
        event.attempt
        for event in stop_early(world.state, world.now)
        if isinstance(event, Cancelling | EarlyStopSkipped)
    }
    assert late.id in judged


def test_an_edit_of_the_schedule_is_a_schedule_of_its_own_and_other_edits_are_not() -> None:
    world = known_world()
    arm, child = (world.propose({"NAME": name})[0] for name in ("arm", "child"))
    state = world.state
    assert schedule_of(state, arm) == frozenset()
    state.experiments[arm].change = Change({}, (Edit("hidden = 4 * width", "hidden = 5 * width"),))
    assert schedule_of(state, arm) == frozenset()
    state.experiments[arm].change = Change({}, (Edit("return 1 - t", "return cosine(t)"),))
    state.experiments[child].base = arm
    assert schedule_of(state, arm) == schedule_of(state, child) == frozenset({arm})


def test_early_stopping_is_switched_off_and_on_again() -> None:
    world = known_world()
    at_a_third(world)
    world.record(EarlyStoppingSet(at=world.now, on=False, author="ann"))
    assert stop_early(world.state, world.now) == []
    assert "off" in early_stopping_summary(world.state.early_stops)
    world.record(EarlyStoppingSet(at=world.now, on=True, author="ann"))
    assert stop_early(world.state, world.now)


def test_one_in_ten_runs_is_a_check_and_always_the_same_ones() -> None:
    state = known_world().state
    drawn = [is_checked(state, f"e{number:04d}.1") for number in range(4_000)]
    assert abs(sum(drawn) / len(drawn) - 1 / CHECKED_ONE_IN) < 0.02
    assert drawn == [is_checked(state, f"e{number:04d}.1") for number in range(4_000)]


def test_savings_and_mistakes_are_counted() -> None:
    world = known_world()
    running = at_a_third(world)
    state = carry_out(world, stop_early(world.state, world.now))
    assert stop_early(state, world.now) == [], "a check is not judged again"
    ended = [attempt for attempt in running if attempt.cancelling]
    checks = [attempt for attempt in running if attempt.skipped_stop is not None]
    assert len(checks) >= 2, "some of the arms are checks"
    for attempt in ended:
        world.record(Ended(at=attempt.started_at + 0.35 * RUN_S, attempt=attempt.id, outcome=Outcome.HOPELESS))
    for attempt, score in zip(checks, (1.5, *[3.0] * len(checks)), strict=False):
        world.record(Ended(at=world.now + RUN_S, attempt=attempt.id, outcome=Outcome.VALID, metrics=Metrics(score)))
    stops = world.state.early_stops
    assert (stops.ended, stops.checked, stops.mistaken) == (len(ended), len(checks), 1)
    assert abs(stops.saved_s - len(ended) * 0.65 * RUN_S) < 1.0
    assert f"of {len(checks)} let run on to check it 1 would have been ended wrongly" in early_stopping_summary(stops)


def test_an_ended_run_is_discarded_and_search_knows_where_its_curve_led() -> None:
    world = known_world()
    at_a_third(world)
    state = carry_out(world, stop_early(world.state, world.now))
    ended = next(attempt for attempt in state.attempts.values() if attempt.cancelling)
    world.record(Ended(at=world.now, attempt=ended.id, outcome=Outcome.HOPELESS, message=ended.cancelling))
    experiment = world.state.experiments[ended.experiment]
    assert experiment.status is ExperimentStatus.DISCARDED
    assert "its curve leads to" in experiment.reason
    assert ended.experiment not in world.state.stranded
    assert abs(ended.expected_score - 3.0) < 0.2
    told = [
        tried
        for tried in search_history(state).tried
        if tried.score is not None and abs(tried.score - ended.expected_score) < 0.1
    ]
    assert told and all(tried.se > 0 for tried in told), "a forecast is never a score without its uncertainty"
