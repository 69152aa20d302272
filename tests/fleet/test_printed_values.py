"""The value of any metric is read in the shapes that programs print it in."""

import re
import time

import msgspec
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from cockpit.core.curves import packed
from cockpit.core.metric import Constraint, Direction, Metric, Relation, TieBreak
from cockpit.core.model import Outcome
from cockpit.fleet.run_log import RunLog, RunVerdict
from cockpit.fleet.timed_pattern import TimedPattern
from tests.fleet.test_run_log import CODE, pieces

ACCURACY = Metric("val_acc", Direction.MAX)
LIMIT = Constraint("peak_vram_mb", Relation.LESS, 64_000.0)


def verdict_on(metric: Metric, printed: str) -> RunVerdict:
    """Return the verdict on a run of a session with this metric."""
    log = RunLog(metric)
    log.feed(f"COCKPIT_START {CODE}\n{printed}\nCOCKPIT_END {CODE} exit=0\n".encode(), 1.0)
    return log.verdict(None, "aa", "bb")


def value_of(metric: Metric, printed: str) -> float | None:
    metrics = verdict_on(metric, printed).metrics
    return metrics.score if metrics else None


@pytest.mark.parametrize(
    "printed",
    [
        "val_acc: 0.91",
        "Val Acc 9.1e-1",
        "VAL-ACC=0.91",
        "INFO:root:val_acc: 0.91",
        "100%|####| 2/2 [00:01<00:00, 1.2it/s, val_acc=0.5] val_acc: 0.91",
        "\x1b[1mval_acc\x1b[0m: 0.91, loss: 3",
        "val_bpb: 0.5\nval_acc: 0.91",
        '{"epoch": 3, "val_acc": 0.91}',
        "Epoch 1/2 loss: 2.0 val_acc: 0.5\nEpoch 2/2 loss: 1.0 val_acc: 0.91",
        "val_acc: 0.91\nbest val_acc: 0.95",
        "val_acc: 0.91\nbaseline val_acc: 0.95",
        "val_acc: 0.91, champion val_acc: 0.95",
        "val_acc: 0.91\xb10.02",
        "val_acc: 0.91+/-0.02",
        "val_acc: 0.91\r\nepoch,val_acc\r\n1,0.5",
        '{"metrics": {"val": {"acc": 0.3}, "val_acc": 0.91}, "step": 3}',
    ],
)
def test_a_metric_of_any_name_is_read_in_the_usual_shapes(printed: str) -> None:
    assert value_of(ACCURACY, printed) == 0.91


@pytest.mark.parametrize("value", [0.0, -1.5, 3e-7, 2_500_000.0])
def test_a_zero_a_negative_a_tiny_and_a_huge_value_count(value: float) -> None:
    assert value_of(Metric("reward", Direction.MAX), f"reward: {value!r}") == value


def test_a_run_without_the_metric_is_reported_by_the_name_of_the_session() -> None:
    assert "it ended well but printed no val_acc" in verdict_on(ACCURACY, "val_bpb: 0.98").message


def test_a_name_of_two_words_is_read_where_nanogpt_prints_it() -> None:
    line = "step 2000: train loss 1.7648, val loss 1.8857"
    assert value_of(Metric("val loss"), line) == 1.8857
    assert value_of(Metric("val_loss"), line) == 1.8857


@pytest.mark.parametrize("printed", ["loss: 0.5, val loss: 0.3", "loss: 0.5\ntest loss: 0.3", "val loss 0.5"])
def test_the_loss_of_a_split_counts_only_if_no_other_is_printed(printed: str) -> None:
    assert value_of(Metric("loss"), printed) == 0.5


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ("accuracy: 93.4%", 93.4),
        ("accuracy: 1.2e-03s", 0.0012),
        ("accuracy=12,345.5 tok/s", 12345.5),
        ("accuracy: -1,234,567", -1234567.0),
        ("accuracy: 12,345 tok/s", 12345.0),
        ("accuracy: 12'345.6", 12345.6),
        ("accuracy: 0,934", None),
        ("accuracy: 1,93", None),
        ("accuracy: 1,2345", None),
        ("Accuracy: 9921/10000 (99%)", 0.9921),
        ("accuracy: 3/0", None),
        ("accuracy: 3/4/5", None),
        ("accuracy: $1,234.50", 1234.5),
        ("accuracy: -$3.5", -3.5),
        ("accuracy: \u22120.5", -0.5),
        ("accuracy: 0.5\u2713", 0.5),
        ("accuracy: 0.5...", 0.5),
        ("accuracy: 0.5-0.7", None),
        ("accuracy: 0.6 -> 0.5", 0.5),
        ("accuracy: [0.5]", 0.5),
        ("accuracy: [0.5, 0.6]", None),
        ("accuracy: tensor([0.5, 0.6])", None),
        ("accuracy: (0.5)", 0.5),
        ("[accuracy] 0.5", 0.5),
        ("accuracy........: 0.5", 0.5),
        ("accuracy \u2014 0.5", 0.5),
        ("accuracy := 0.5", 0.5),
        ('{"name": "accuracy", "value": 0.5}', 0.5),
        ('{"accuracy": {"value": 0.5}}', 0.5),
        ("accuracy: 0.5\nhigh accuracy: 0.9", 0.5),
        ("accuracy: 1.80x", 1.8),
        ("accuracy: 1.8X over it", 1.8),
        ("accuracy: 2\xd7", 2.0),
        ("accuracy: 0x1f", None),
    ],
)
def test_a_number_with_a_unit_or_thousands_set_apart_is_read(printed: str, value: float | None) -> None:
    assert value_of(Metric("accuracy", Direction.MAX), printed) == value


@pytest.mark.parametrize(
    ("printed", "seconds"),
    [
        ("1m 3s", 63.0),
        ("1m3.5s", 63.5),
        ("1 min 3 s", 63.0),
        ("1 h, 2 min and 3 seconds", 3723.0),
        ("1m 3s 250ms", 63.25),
        ("01:03", 63.0),
        ("0:01:03.5", 63.5),
        ("2 days, 3:04:05", 183845.0),
        ("0m3.201s", 3.201),
    ],
)
@pytest.mark.parametrize("line", ["time: {}", "time={}, seed 3", "INFO time {}", '{{"time": "{}"}}'])
def test_a_duration_in_several_parts_is_read_in_seconds(line: str, printed: str, seconds: float) -> None:
    metrics = verdict_on(Metric("time"), line.format(printed)).metrics
    assert metrics is not None and (metrics.score, metrics.unit) == (seconds, "s")


@pytest.mark.parametrize(
    ("printed", "value", "unit"),
    [
        ("63 ms", 63.0, "ms"),
        ("63ms, seed 3", 63.0, "ms"),
        ("5 min 3 workers", 5.0, "min"),
        ("3.2 ms 0.1 us", 3.2, "ms"),
        ("12.3 \xb5s \xb1 4 ns per loop", 12.3, "us"),
        ("12.3K", 12.3, "K"),
        ("1.2M tokens/s", 1.2, "M"),
        ("12 MiB", 12.0, "MiB"),
        ("1.5 TFLOP/s", 1.5, "TFLOPS"),
        ("0.98 bits", 0.98, ""),
        ("0.98", 0.98, ""),
        ("91%", 91.0, "%"),
        ("91.5 %", 91.5, "%"),
    ],
)
def test_a_unit_behind_a_number_is_known(printed: str, value: float, unit: str) -> None:
    metrics = verdict_on(Metric("time"), f"time: {printed}").metrics
    assert metrics is not None and (metrics.score, metrics.unit) == (value, unit)


@pytest.mark.parametrize(
    "printed",
    [
        "| epoch | val_acc | loss |\n|---|---|---|\n| 0 | 0.5 | 2.0 |\n| 1 | 0.91 | 1.0 |",
        "\u2503 epoch \u2503 val_acc \u2503\n\u2502 1 \u2502 0.91 \u2502",
        "epoch,val_acc,loss\n0,0.5,2.0\n1,0.91,1.0\ndone",
        "epoch\tval_acc\n1\t0.91",
        "epoch   train_loss  val_acc   time\n0   2.0   0.5   00:03\n1   1.0   0.91   00:03",
        "   val_acc  loss\n0   0.5   2.0\n1   0.91   1.0",
        "+-----+\n| val_acc | loss |\n+=====+\n| 0.91 | 1.0 |\n+-----+\nsaved 3 files",
        "val_acc\n0.91",
        "val_acc:\n  0.91\nsteps: 3",
    ],
)
def test_a_value_below_its_name_in_a_table_is_read_and_the_last_row_counts(printed: str) -> None:
    assert value_of(ACCURACY, printed) == 0.91


@pytest.mark.parametrize(
    "printed",
    [
        "| val_acc | loss |\n| --- | --- |",
        "saving the best val_acc model\n1 2 3 4",
        "val_acc,loss\nsaved,3",
        "val_acc is measured\n0.5 0.6 0.7 0.8 0.9",
        "val_acc:\nepoch 3",
    ],
)
def test_text_other_than_a_table_gives_no_value(printed: str) -> None:
    assert "printed no val_acc" in verdict_on(ACCURACY, printed).message


@pytest.mark.parametrize(
    ("pattern", "printed"),
    [
        (r"Accuracy: \d+/\d+ \(([\d.]+)%\)", "Test set: Accuracy: 9100/10000 (91.0%)"),
        (r"^result\s+(\S+)", "result 90\nresult 91\nval_acc: 3"),
    ],
)
def test_a_pattern_reads_any_other_shape_and_the_last_match_counts(pattern: str, printed: str) -> None:
    assert value_of(Metric("val_acc", Direction.MAX, pattern), printed) == 91.0


def test_a_pattern_whose_group_is_not_a_number_is_a_crash_with_a_sentence() -> None:
    verdict = verdict_on(Metric("val_acc", pattern=r"acc (\w+)"), "acc good")
    assert (verdict.outcome, verdict.message) == (Outcome.CRASH, "it printed val_acc good, which is not a number")


def test_second_metrics_are_read_beside_the_first() -> None:
    metric = Metric(
        constraints=(Constraint("peak_vram_mb", Relation.LESS, 1.0), Constraint("test acc", Relation.AT_LEAST)),
        tie_breaks=(TieBreak("latency_ms", Direction.MIN),),
    )
    metrics = verdict_on(metric, "peak_vram_mb: 450.5 MB\ntest_acc=0.5\nval_bpb: 0.98\nlatency_ms: fast").metrics
    assert metrics is not None and metrics.score == 0.98
    assert metrics.others == {"peak_vram_mb": 450.5, "test acc": 0.5}


@pytest.mark.parametrize(
    ("progress", "loss", "printed"),
    [
        (r"Epoch (\d+)/(\d+)", r"loss ([\d.]+)", "Epoch 1/4 loss 3.5\nEpoch 2/4 loss 2.5\n"),
        (r"(\d+)%\|", r"loss ([\d.]+)", "loss 3.5\n25%|## |\nloss 2.5\n50%|####|\n"),
    ],
)
def test_progress_and_loss_are_read_by_their_patterns(progress: str, loss: str, printed: str) -> None:
    log = RunLog(Metric(progress=progress, loss=loss))
    log.feed(printed.encode(), 7.0)
    assert log.progress is not None
    assert (log.progress.at, log.progress.fraction, log.progress.loss) == (7.0, 0.5, 2.5)
    assert log.curve() == [(0.25, 3.5), (0.5, 2.5)]


@given(st.lists(pieces, max_size=30))
def test_arbitrary_bytes_never_raise_under_patterns(parts: list[bytes]) -> None:
    log = RunLog(Metric("a", Direction.MAX, r"(.*)", r"(\S+) (\S+)", r"(.)", (Constraint("b", Relation.LESS),)))
    for part in parts:
        log.feed(part, 1.0)
    log.finish(1.0)
    packed(log.curve())
    msgspec.msgpack.encode((log.progress, log.verdict(0, "aa", "bb")))


@pytest.mark.parametrize(
    "printed",
    [
        "peak memory: 45.0 GB",
        "Peak VRAM (GB): 45.0",
        "peak_vram_gb=45.0",
        '{"peak_mem_gb": 45.0}',
        "peak_vram_mb: 45.0 GB",
        "step,peak_vram_gb\n3,45.0",
        "| step | peak memory (GB) |\n| 3 | 45.0 |",
    ],
)
def test_a_number_is_found_under_its_name_with_another_unit(printed: str) -> None:
    metrics = verdict_on(Metric("loss", constraints=(LIMIT,)), f"{printed}\nloss: 1.0").metrics
    assert metrics is not None and (metrics.others, metrics.other_units) == (
        {"peak_vram_mb": 45.0},
        {"peak_vram_mb": "GB"},
    )


def test_a_name_as_it_is_spelt_goes_before_another_one() -> None:
    metrics = verdict_on(Metric("loss", constraints=(LIMIT,)), "peak_vram_mb: 12\npeak memory: 3 GB\nloss: 1.0").metrics
    assert metrics is not None and metrics.others == {"peak_vram_mb": 12.0}


@pytest.mark.parametrize("printed", ["peak memory: 45.0", "peak memory: 45 ms", "memory: 45 GB", "peak_vram_mbps: 3"])
def test_a_number_of_another_kind_is_not_taken_under_another_name(printed: str) -> None:
    metrics = verdict_on(Metric("loss", constraints=(LIMIT,)), f"{printed}\nloss: 1.0").metrics
    assert metrics is not None and metrics.others == {}


def test_the_summary_has_the_units_of_its_names() -> None:
    metrics = verdict_on(Metric("loss"), "loss: 1.0\npeak_vram_mb: 45 GB\ntotal_seconds: 1m 3s").metrics
    assert metrics is not None and (metrics.peak_vram_mb, metrics.total_seconds) == (45_000.0, 63.0)


def test_a_go_benchmark_prints_a_value_before_its_name() -> None:
    printed = "goos: linux\nBenchmarkEval-8   \t       5\t 123456 ns/op\t         1.2345 val_bpb\t  64 B/op\nPASS"
    assert value_of(Metric("val_bpb"), printed) == 1.2345
    assert value_of(Metric("ns/op"), printed) == 123456.0
    assert value_of(Metric("val_bpb"), "BenchmarkEval val_bpb: 0.98") == 0.98


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ("val_acc=0.91(\xb10.02)", 0.91),
        ("val_acc: 0.91(+/-0.02)", 0.91),
        ("val_acc: mean=0.91 std=0.02", 0.91),
        ("val_acc: 0.91/1.00", 0.91),
        ("val_acc: 4.5/5.0.", 0.9),
        ("[rank0]: val_acc: 0.91\n[rank1]: val_acc: 0.5", 0.91),
        ("[default12]:val_acc: 0.5\n[default0]:val_acc: 0.91", 0.91),
        ("[rank3]: val_acc: 0.91", 0.91),
    ],
)
def test_a_value_is_read_with_its_spread_its_whole_or_its_rank(printed: str, value: float) -> None:
    assert value_of(ACCURACY, printed) == value


def test_a_criterion_benchmark_prints_the_estimate_between_its_ends() -> None:
    metrics = verdict_on(Metric("time"), "fft/1024    time:   [1.2345 ms 1.2567 ms 1.2789 ms]").metrics
    assert metrics is not None and (metrics.score, metrics.unit) == (1.2567, "ms")
    assert value_of(Metric("time"), "time: [1.2, 1.3, 1.4]") is None


def test_the_rounded_summary_of_a_tracker_does_not_replace_the_value() -> None:
    summary = "wandb: Run summary:\nwandb:   val_acc 0.79"
    assert value_of(ACCURACY, f"val_acc: 0.794493\n{summary}") == 0.794493
    assert value_of(ACCURACY, summary) == 0.79


SLOW = "((a|aa)+)(?:b)$"
"""A pattern that takes exponential time on a line of many a."""


def test_a_pattern_that_takes_too_long_on_a_line_is_a_crash_with_a_sentence() -> None:
    began = time.process_time()
    found = verdict_on(Metric("score", pattern=SLOW), f"aab\n{'a' * 200}cb\n" * 200)
    assert time.process_time() - began < 10
    assert found.outcome is Outcome.CRASH
    assert found.message == (
        "it ended well, and the pattern of score takes too long on a line of its output: give a simpler --pattern"
    )


def test_a_progress_pattern_that_takes_too_long_is_searched_no_more() -> None:
    metric = Metric("val_acc", Direction.MAX, progress=SLOW)
    assert value_of(metric, f"{'a' * 200}cb\n" * 200 + "val_acc: 0.91") == 0.91


PIECES = [
    "a",
    "(",
    ")",
    "[",
    "]",
    "[^]",
    r"\d",
    r"\S",
    "*",
    "+",
    "?",
    "{",
    "}",
    "{2}",
    "{,2}",
    "{e}",
    "{i<=1}",
    '{"a": ',
    "|",
    ".",
]


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=7))
def test_a_pattern_matches_as_python_reads_it(pieces: list[str]) -> None:
    """Match a brace such as `{e}` as text, which would ask the other library for matches with errors."""
    pattern = "".join(pieces)
    try:
        expected = re.compile(pattern)
    except re.error:
        reject()
    timed = TimedPattern(pattern)
    for text in ('a{e} aa{i<=1} {"a": a}', "aab a{2}"):
        assert [found[0] for found in timed.find_all(text)] == [found[0] for found in expected.finditer(text)]
