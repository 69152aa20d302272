"""Second metrics limit what is kept, and decide ties."""

from collections.abc import Mapping

import pytest

from cockpit.core.metric import Constraint, Direction, Metric, Relation, TieBreak, constraint_of
from cockpit.core.model import Attempt, ExperimentStatus, Value
from cockpit.core.state import State
from cockpit.decide.decision_context import gather, margin_of
from cockpit.decide.second_metrics import broken_constraint, wins_ties
from cockpit.read.checks import checks_of
from cockpit.read.second_metrics import second_words
from cockpit.report.status import status
from tests.decide.world import World

LIMIT = Metric(constraints=(Constraint("peak_vram_mb", Relation.LESS, 1_000.0),))
AT_LEAST_BASELINE = Metric(constraints=(Constraint("test_acc", Relation.AT_LEAST),))


def constraint(text: str) -> Constraint:
    found = constraint_of(text)
    assert isinstance(found, Constraint)
    return found


def truth(constants: Mapping[str, Value], attempt: Attempt) -> float:
    """Return the true score: LR 2 and LR 3 improve it alike."""
    return 2.0 - 0.03 * (constants["LR"] in (2, 3))


def decided(metric: Metric, second: dict[int, dict[str, float]], *arms: Mapping[str, Value]) -> tuple[State, list[str]]:
    """Return the session after a wave of `arms`, whose runs print `second` by their LR."""
    world = World(truth, metric=metric, second=lambda constants: second.get(int(str(constants["LR"])), {}))
    world.run(0.2)
    names = world.propose(*arms)
    return world.run(2.0), names


def test_a_gain_that_breaks_a_limit_is_not_kept_and_its_sentence_names_the_limit() -> None:
    second = {1: {"peak_vram_mb": 500.0}, 2: {"peak_vram_mb": 1_500.0}, 3: {"peak_vram_mb": 600.0}}
    state, (large, small) = decided(LIMIT, second, {"LR": 2}, {"LR": 3})
    assert state.incumbent == small
    assert state.experiments[large].status is ExperimentStatus.DISCARDED
    assert state.experiments[large].reason == "it breaks peak_vram_mb < 1000: 1500 in 1 run"
    assert len(state.experiments[large].attempts) == 1, "no run is spent on an arm that cannot be kept"


def test_a_run_without_the_second_metric_breaks_the_limit() -> None:
    state, (arm,) = decided(LIMIT, {1: {"peak_vram_mb": 500.0}}, {"LR": 2})
    assert state.incumbent == state.baseline
    assert state.experiments[arm].reason == "it breaks peak_vram_mb < 1000: its runs printed no peak_vram_mb"


def test_a_limit_by_the_baseline_holds_an_arm_to_its_mean() -> None:
    second = {1: {"test_acc": 0.9}, 2: {"test_acc": 0.8}, 3: {"test_acc": 0.9}}
    state, (worse, equal) = decided(AT_LEAST_BASELINE, second, {"LR": 2}, {"LR": 3})
    assert state.incumbent == equal
    assert state.experiments[worse].reason.startswith("it breaks test_acc >= baseline: 0.8 in 1 run, the baseline has")


def test_a_baseline_that_breaks_a_limit_is_reported_and_still_the_first_incumbent() -> None:
    state, _ = decided(LIMIT, {1: {"peak_vram_mb": 2_000.0}}, {"LR": 3})
    assert state.incumbent == state.baseline
    said = [message.text for message in state.messages]
    assert "the baseline does not keep to the constraints: it breaks peak_vram_mb < 1000: 2000 in 1 run" in said


@pytest.mark.parametrize(("own", "wins"), [(400.0, True), (500.0, False), (600.0, False)])
@pytest.mark.parametrize("direction", list(Direction))
def test_a_tie_break_gives_the_winner_the_margin_of_a_simplification(
    direction: Direction, own: float, wins: bool
) -> None:
    sign = 1 if direction is Direction.MIN else -1
    metric = Metric(tie_breaks=(TieBreak("latency", direction),))
    second = {1: {"latency": sign * 500.0}, 4: {"latency": sign * own}}
    state, (arm,) = decided(metric, second, {"LR": 4})
    assert wins_ties(state, arm) == wins
    state.undecided[arm] = None
    context = gather(state, state.now)
    assert (margin_of(context, state.experiments[arm]) > 0) == wins


def test_second_metrics_are_shown_beside_the_first() -> None:
    state, (arm,) = decided(LIMIT, {1: {"peak_vram_mb": 500.0}, 3: {"peak_vram_mb": 600.0}}, {"LR": 3})
    assert second_words(state, arm) == "peak_vram_mb 600"
    assert status(state, state.now, {})["best"]["others"] == {"peak_vram_mb": 600.0}
    assert checks_of(state, state.experiments[arm]).endswith("; peak_vram_mb 600")
    assert not broken_constraint(state, state.experiments[arm])


def test_limits_on_one_metric_may_have_different_units() -> None:
    metric = Metric(constraints=(constraint("latency > 1 ms"), constraint("latency < 2 s")))
    second = {1: {"latency": 500.0}, 2: {"latency": 0.5}, 3: {"latency": 3_000.0}, 4: {"latency": 1_500.0}}
    state, arms = decided(metric, second, {"LR": 2}, {"LR": 3}, {"LR": 4})
    reasons = [state.experiments[arm].reason for arm in arms]
    assert reasons[0] == "it breaks latency > 1 ms: 0.5 in 1 run"
    assert reasons[1] == "it breaks latency < 2 s: 3000 in 1 run"
    assert "it breaks" not in reasons[2]


def test_a_value_in_a_unit_of_another_kind_breaks_its_limit() -> None:
    world = World(truth, metric=Metric(constraints=(constraint("acc >= 90%"),)), second_units={"acc": "ms"})
    state = world.run(0.2)
    clause = "its runs printed acc in ms, which cannot be compared with the limit"
    assert broken_constraint(state, state.experiments[state.baseline]) == f"it breaks acc >= 90%: {clause}"


def test_a_limit_without_a_unit_is_reported_where_the_baseline_prints_one() -> None:
    metric = Metric(constraints=(constraint("peak memory < 64000"), constraint("peak_vram_mb < 64000")))
    units = {"peak memory": "GB", "peak_vram_mb": "MB"}
    world = World(truth, metric=metric, second=lambda _: {"peak memory": 45.0}, second_units=units)
    assert [message.text for message in world.run(0.2).messages if "read in" in message.text] == [
        "the limit peak memory < 64000 is read in GB, as the baseline prints peak memory"
    ]
