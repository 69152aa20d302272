"""A metric is named, directed and limited by settings; a score is oriented so that lower is better."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.core.metric import (
    NAME_CHARACTERS,
    Constraint,
    Direction,
    Metric,
    MetricError,
    Relation,
    TieBreak,
    check_name,
    check_pattern,
    constraint_of,
    direction_of,
    signed,
    tells_direction,
)

values = st.floats(-1e12, 1e12)
directions = st.sampled_from(list(Direction))


@given(directions, values, values)
def test_a_better_value_has_a_lower_score_and_is_recovered_from_it(direction: Direction, a: float, b: float) -> None:
    metric = Metric("it", direction)
    better = a > b if direction is Direction.MAX else a < b
    assert (metric.score(a) < metric.score(b)) == better
    assert metric.value(metric.score(a)) == a and math.copysign(1, metric.value(metric.score(0.0))) == 1


@given(directions, values, values)
def test_an_interval_in_values_has_its_lower_end_first(direction: Direction, a: float, b: float) -> None:
    metric = Metric("it", direction)
    low, high = metric.interval(min(a, b), max(a, b))
    assert low <= high
    assert sorted((metric.score(low), metric.score(high))) == sorted((a, b))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("peak_vram_mb < 64000", Constraint("peak_vram_mb", Relation.LESS, 64000.0)),
        ("test_acc >= baseline", Constraint("test_acc", Relation.AT_LEAST)),
        ("val loss<=2.5e-1", Constraint("val loss", Relation.AT_MOST, 0.25)),
        (" reward > -3 ", Constraint("reward", Relation.MORE, -3.0)),
        ("peak memory < 64 GB", Constraint("peak memory", Relation.LESS, 64.0, "GB")),
        ("wall<90min", Constraint("wall", Relation.LESS, 90.0, "min")),
        ("test_acc >= 90%", Constraint("test_acc", Relation.AT_LEAST, 90.0, "%")),
        ("tokens > 1,000,000", Constraint("tokens", Relation.MORE, 1e6)),
        ("tok/s > 1.2M", Constraint("tok/s", Relation.MORE, 1.2, "M")),
        ("min peak_vram_mb", TieBreak("peak_vram_mb", Direction.MIN)),
        ("max test_acc", TieBreak("test_acc", Direction.MAX)),
    ],
)
def test_a_constraint_is_read_as_it_is_spelt(text: str, meant: Constraint | TieBreak) -> None:
    assert constraint_of(text) == meant
    assert constraint_of(str(meant)) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "acc",
        "acc == 3",
        "acc < nan",
        "acc < inf",
        "acc < x",
        "< 3",
        "3 < acc",
        "a\nb < 3",
        "acc < 3 parsecs",
        "acc < 0,98",
        "acc < GB",
        "peak_vram_mb < 3 s",
    ],
)
def test_another_text_is_refused_as_a_constraint(text: str) -> None:
    with pytest.raises(MetricError):
        constraint_of(text)


@pytest.mark.parametrize("name", ["", "0acc", " acc", "acc ", "acc\n", "acc\x1b[1m", "a" * (NAME_CHARACTERS + 1)])
def test_a_name_that_no_output_could_hold_is_refused(name: str) -> None:
    with pytest.raises(MetricError):
        check_name(name)


@pytest.mark.parametrize("name", ["val_bpb", "test/acc@5", "val loss", "Überleben", "p95.latency-ms", "R%", "R^2"])
def test_a_usual_name_is_taken(name: str) -> None:
    assert check_name(name) == name


def test_a_pattern_needs_a_group_for_each_number_it_gives() -> None:
    assert check_pattern(r"acc (\S+)", (1,))
    for pattern in (r"acc \S+", r"(acc) (\S+)", r"acc (\S+"):
        with pytest.raises(MetricError):
            check_pattern(pattern, (1,))


@pytest.mark.parametrize(
    "name",
    ["val_acc", "accuracy", "test/Accuracy", "F1", "mean_reward", "sharpe", "mAP", "tok/s", "GFLOPS", "steps_per_sec",
     "it/s", "Requests/sec", "qps", "hits@10", "success_rate", "log_likelihood", "compression_ratio", "coverage",
     "neg_mse", "val/neg_mean_absolute_error", "negative_loss", "neg_log_loss", "neg_brier_score", "minus-cost"],
)  # fmt: skip
def test_the_usual_direction_of_a_gain_is_up(name: str) -> None:
    assert direction_of(name) is Direction.MAX


@pytest.mark.parametrize(
    "name",
    ["val_bpb", "loss", "val_loss", "ppl", "perplexity", "rmse", "latency_ms", "time", "fid", "error", "s/it", "ns/op",
     "miss_rate", "negative_log_likelihood", "reward_loss", "max_drawdown", "runtime", "mape", "neg_acc",
     "negative reward", "negative_elbo", "neg_elbo_loss", "negated_accuracy", "brier_score", "FID score",
     "davies_bouldin_score", "false_negative_rate"],
)  # fmt: skip
def test_the_usual_direction_of_a_loss_is_down(name: str) -> None:
    assert direction_of(name) is Direction.MIN
    assert tells_direction(name)


@pytest.mark.parametrize(("name", "tells"), [("val_acc", True), ("val loss", True), ("time", True), ("quality", False)])
def test_a_name_may_tell_its_direction(name: str, tells: bool) -> None:
    assert tells_direction(name) == tells


@pytest.mark.parametrize(
    ("difference", "words"), [(-0.00003, "-0.00003"), (0.0003, "+0.0003"), (-4e-7, "-4e-07"), (0.0, "+0.0000")]
)
def test_a_small_difference_is_worded_with_one_more_decimal_before_an_exponent(difference: float, words: str) -> None:
    assert signed(difference) == words
