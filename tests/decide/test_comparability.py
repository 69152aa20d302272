"""A run that is not comparable with the baseline gives no result."""

import msgspec
import pytest

from cockpit.core.events import Ended
from cockpit.core.metric import Constraint, Metric, constraint_of
from cockpit.core.model import Attempt, Metrics, Outcome
from cockpit.decide.comparability import broken_rule, in_session_unit
from tests.decide.world import RUN_S, World

BASELINE = Metrics(1.0, training_seconds=RUN_S, total_tokens_M=10.0, run_s=RUN_S + 20.0)


def judged(
    baseline: Metrics,
    own: Metrics,
    runs: int = 3,
    of_baseline: bool = False,
    budget_s: float = RUN_S,
    hardware: str = "",
) -> str:
    """Return the rule that a run with the metrics `own` breaks, in a session with `runs` runs of the baseline."""
    world = World(lambda constants, attempt: 1.0)
    world.run(0.2)
    state = world.state
    state.session = msgspec.structs.replace(state.session, time_budget_s=budget_s)
    base = state.experiments[state.baseline]
    ended = [state.attempts[name] for name in base.attempts if state.attempts[name].outcome is Outcome.VALID]
    assert len(ended) >= runs
    base.attempts[:] = [one.id for one in ended[:runs]]
    for one in ended[:runs]:
        one.metrics, one.hardware = baseline, hardware or one.hardware
    (arm,) = world.propose({"LR": 2})
    name = state.baseline if of_baseline else arm
    return broken_rule(world.state, Attempt("x", name, ended[0].kind, 1, hardware=ended[0].hardware), own)


def longer(seconds: float, printed: float = RUN_S) -> Metrics:
    return Metrics(0.9, training_seconds=printed, total_tokens_M=17.0, run_s=seconds)


def test_a_run_much_longer_than_its_budget_allows_is_reported_by_the_clock_outside_it() -> None:
    said = judged(BASELINE, longer(1.7 * RUN_S + 60))
    assert said.startswith("it ran for 162 s by the clock outside it, and 106 s are allowed for a budget of 60 s")


@pytest.mark.parametrize("printed", [0.0, 1.0, RUN_S])
def test_the_clock_outside_counts_whatever_the_run_prints(printed: float) -> None:
    assert judged(BASELINE, longer(300.0, printed))
    assert not judged(BASELINE, longer(RUN_S + 20, printed))


def test_a_baseline_that_prints_no_training_time_is_timed_by_the_clock_outside() -> None:
    silent = Metrics(1.0, run_s=RUN_S + 5)
    said = judged(silent, Metrics(0.9, run_s=3 * RUN_S))
    assert said.startswith("it ran for 180 s by the clock outside it, and 84 s are allowed for a budget of 60 s")
    assert not judged(silent, Metrics(0.9, run_s=RUN_S + 15))
    assert not judged(Metrics(1.0, run_s=20 * RUN_S), Metrics(0.9, run_s=25 * RUN_S))


@pytest.mark.parametrize("printed", [0.0, 2.0])
@pytest.mark.parametrize(("seconds", "counts"), [(3.8, False), (6.8, False), (12.0, False), (2.6, True), (3.2, True)])
def test_the_slack_of_a_budget_of_seconds_is_a_share_of_it(seconds: float, counts: bool, printed: float) -> None:
    own = Metrics(0.9, training_seconds=printed, run_s=seconds)
    said = judged(Metrics(1.0, training_seconds=2.0, run_s=2.4), own, budget_s=2.0)
    assert (not said) == counts
    assert counts or said.startswith(f"it ran for {seconds:.1f} s by the clock outside it, and 3.6 s are allowed")


def test_a_slow_start_on_a_busy_machine_is_no_longer_training() -> None:
    imports_torch = Metrics(1.0, training_seconds=2.0, run_s=5.0)
    assert not judged(imports_torch, Metrics(0.9, training_seconds=2.0, run_s=9.0), budget_s=2.0)
    assert judged(imports_torch, Metrics(0.9, training_seconds=2.0, run_s=11.0), budget_s=2.0)


def test_a_slower_start_is_allowed() -> None:
    assert not judged(BASELINE, longer(RUN_S + 35))


@pytest.mark.parametrize(
    "baseline",
    [
        Metrics(1.0, run_s=20.0),
        Metrics(1.0, training_seconds=RUN_S / 2, run_s=RUN_S),
        Metrics(1.0, training_seconds=RUN_S),
    ],
)
def test_length_is_no_rule_where_the_baseline_does_not_train_for_the_budget(baseline: Metrics) -> None:
    assert not judged(baseline, longer(500.0))


def test_more_tokens_break_the_rule_where_every_run_of_the_baseline_sees_the_same() -> None:
    fixed = Metrics(1.0, total_tokens_M=10.0)
    assert judged(fixed, Metrics(0.9, total_tokens_M=17.0)).startswith(
        "it saw 17M tokens, and every run of the baseline 10M"
    )
    assert not judged(fixed, Metrics(0.9, total_tokens_M=10.0))
    assert not judged(fixed, Metrics(0.9, total_tokens_M=17.0), runs=1), "one run does not show a rule"
    assert not judged(BASELINE, Metrics(0.9, total_tokens_M=17.0)), "the budget is time"


def test_the_baseline_makes_the_rules() -> None:
    assert not judged(BASELINE, longer(1_000.0), of_baseline=True)


def test_the_length_is_in_the_ledger_with_the_other_metrics() -> None:
    ended = Ended(at=1.0, attempt="e0000.1", outcome=Outcome.VALID, metrics=BASELINE)
    assert ended.metrics is not None and ended.metrics.run_s == RUN_S + 20.0


def measured(unit: str, value: float, baseline: str) -> Metrics | str:
    """Return a run's metrics as a session takes them whose baseline printed its value in the unit `baseline`."""
    world = World(lambda constants, attempt: 1.0)
    world.run(0.2)
    state = world.state
    for name in state.experiments[state.baseline].attempts:
        state.attempts[name].metrics = Metrics(1.0, unit=baseline)
    return in_session_unit(state, Metrics(value, unit=unit))


def test_a_value_in_a_smaller_unit_of_the_same_kind_is_not_a_gain() -> None:
    assert measured("s", 1.02, baseline="ms") == Metrics(1020.0, unit="ms")
    assert measured("ms", 980.0, baseline="ms") == Metrics(980.0, unit="ms")
    assert measured("M", 1.5, baseline="K") == Metrics(1500.0, unit="K")


def test_a_value_in_a_unit_of_another_kind_does_not_count() -> None:
    assert measured("MB", 3.0, baseline="ms") == (
        "it printed val_bpb in MB, and the session has it in ms: its result does not count"
    )


@pytest.mark.parametrize(
    ("limit", "printed", "value", "unit"),
    [
        ("peak_vram_mb < 64000", (45.0, "GB"), 45_000.0, "MB"),
        ("peak_vram_mb < 64 GB", (45_000.0, "MB"), 45_000.0, "MB"),
        ("peak_vram_mb < 64 GB", (45.0, "GB"), 45_000.0, "MB"),
        ("peak memory < 64 GB", (45_000.0, "MB"), 45.0, "GB"),
        ("wall < 2 min", (63.0, "s"), 1.05, "min"),
        ("latency < 5", (0.98, "s"), 980.0, "ms"),
        ("latency < 5", (980.0, ""), 980.0, "ms"),
        ("test_acc >= 90%", (91.0, "%"), 91.0, "%"),
        ("tok/s > 1.2M", (900.0, "K"), 0.9, "M"),
    ],
)
def test_a_second_metric_is_in_the_unit_of_its_limit_or_name_or_the_baseline(
    limit: str, printed: tuple[float, str], value: float, unit: str
) -> None:
    constraint = constraint_of(limit)
    assert isinstance(constraint, Constraint)
    name, world = constraint.name, World(lambda constants, attempt: 1.0, metric=Metric(constraints=(constraint,)))
    world.run(0.2)
    for one in world.state.experiments[world.state.baseline].attempts:
        world.state.attempts[one].metrics = Metrics(1.0, others={name: 1.0}, other_units={name: "ms"})
    units = {name: printed[1]} if printed[1] else {}
    found = in_session_unit(world.state, Metrics(1.0, others={name: printed[0]}, other_units=units))
    assert isinstance(found, Metrics)
    assert found.others[name] == pytest.approx(value)
    assert found.other_units[name] == unit


def test_the_unit_in_the_name_of_the_metric_is_the_sessions() -> None:
    world = World(lambda constants, attempt: 1.0, metric=Metric("latency_ms"))
    assert in_session_unit(world.state, Metrics(1.02, unit="s")) == Metrics(1020.0, unit="ms")
    assert in_session_unit(world.state, Metrics(980.0)) == Metrics(980.0, unit="ms")


def test_a_fraction_is_not_compared_with_a_percentage() -> None:
    assert measured("", 0.083, baseline="%") == (
        "it printed val_bpb without a unit, and the session has it in %: its result does not count"
    )


COMPUTING = Metrics(1.0, training_seconds=RUN_S, run_s=RUN_S + 60.0, cpu_s=200.0)


@pytest.mark.parametrize(("cpu_s", "counts"), [(150.0, True), (215.0, True), (225.0, False), (0.0, False)])
def test_a_run_that_other_programs_hold_up_is_judged_by_its_processor_time(cpu_s: float, counts: bool) -> None:
    held_up = Metrics(0.9, training_seconds=RUN_S, run_s=4 * RUN_S, cpu_s=cpu_s)
    assert (not judged(COMPUTING, held_up, hardware="CPU")) == counts


def test_processor_time_excuses_no_run_on_a_gpu_and_none_that_sleeps() -> None:
    long = Metrics(0.9, training_seconds=RUN_S, run_s=6 * RUN_S, cpu_s=20.0)
    assert judged(COMPUTING, long, hardware="H100")
    sleeping = msgspec.structs.replace(COMPUTING, cpu_s=20.0)
    assert judged(sleeping, long, hardware="CPU")
