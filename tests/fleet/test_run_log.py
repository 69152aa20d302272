"""A run's output is read as it comes, whichever script printed it and however the bytes arrive."""

import re
import time

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cockpit.core.curves import packed
from cockpit.core.metric import Metric
from cockpit.core.model import Outcome
from cockpit.core.plausible import LARGEST
from cockpit.fleet import printed_values
from cockpit.fleet.base import Evidence
from cockpit.fleet.run_log import LINE_BYTES, TEXT_CHARACTERS, RunLog, RunRules, RunVerdict

CODE = "train_sha256=aa prepare_sha256=bb"
SUMMARY = "---\nval_bpb:          0.997900\nnum_steps:        953\n"
MANY_DIGITS = "9" * 5_000


def upstream_steps(steps: int) -> bytes:
    """Step lines as karpathy/autoresearch prints them: begun by a carriage return, never ended."""
    return "".join(
        f"\rstep {n:05d} ({100 * n / steps:.1f}%) | loss: {9 - n / steps:.6f} | lrm: 1.00 | dt: 310ms"
        f" | tok/sec: 1,690,000 | mfu: 39.8% | epoch: 1 | remaining: {steps - n}s    "
        for n in range(steps)
    ).encode()


def read(data: bytes, cuts: list[int] | None = None) -> RunLog:
    log = RunLog()
    ends = [*sorted(cuts or []), len(data)]
    for start, end in zip([0, *ends], ends, strict=False):
        log.feed(data[start:end], 1.0)
    log.finish(1.0)
    return log


def judged(summary: str, end: str = "exit=0") -> RunVerdict:
    """Return the verdict on a run that printed this between its marks."""
    printed = f"COCKPIT_START {CODE}\n{summary}\nCOCKPIT_END {CODE} {end}\n"
    return read(printed.encode()).verdict(None, "aa", "bb")


def score_of(printed: str) -> float | None:
    """Return the score of a run that printed this; None if it has none."""
    metrics = judged(printed).metrics
    return metrics.score if metrics else None


def test_steps_that_overwrite_each_other_each_show_while_the_run_lasts() -> None:
    log = RunLog()
    log.feed(upstream_steps(1_000), 1.0)
    assert len(upstream_steps(1_000)) > LINE_BYTES
    assert log.progress is not None and (log.progress.step, log.progress.remaining_s) == (998, 2)
    curve = log.curve()
    assert len(curve) > 30 and curve[0][0] == 0 and curve[-1][0] > 0.99


def test_a_run_of_upstream_has_its_score() -> None:
    data = f"COCKPIT_START {CODE}\n".encode() + upstream_steps(20) + f"\n{SUMMARY}COCKPIT_END {CODE} exit=0\n".encode()
    verdict = read(data).verdict(0, "aa", "bb")
    assert verdict.outcome is Outcome.VALID
    assert verdict.metrics is not None and (verdict.metrics.score, verdict.metrics.num_steps) == (0.9979, 953)


lines = st.sampled_from(
    ["step 00001 (10.0%) | loss: 5.5 | dt: 3ms", "val_bpb: 1.25", "ValueError: no", "", "…", "num_steps: 3", "x" * 90]
)


@given(st.lists(st.tuples(lines, st.sampled_from(["\n", "\r", "\r\n"]))), st.data())
def test_cutting_the_bytes_anywhere_changes_nothing(printed: list[tuple[str, str]], data: st.DataObject) -> None:
    text = "".join(line + end for line, end in printed).encode()
    cuts = data.draw(st.lists(st.integers(0, len(text))))
    whole, cut = read(text), read(text, cuts)
    for log in (whole, cut):
        assert log.verdict(0, "", "") == whole.verdict(0, "", "")
        assert (log.progress, log.curve(), log.last_line) == (whole.progress, whole.curve(), whole.last_line)


pieces = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [b"step ", b"val_bpb:", b"\n", b"\r", b"exit=", b"\x1b[", b"\x1b]", b"COCKPIT_END ", b"COCKPIT_START ", b"nan"]
    ),
    st.sampled_from([b"train_sha256=", b"prepare_sha256=", b" (", b"%) | loss: ", b"1e308", b"| dt: ", b"9" * 5_000]),
)


# The usual shapes of a score


@pytest.mark.parametrize(
    "printed",
    [
        "val_bpb:          0.980000",
        "val_bpb:0.98",
        "val_bpb=0.98",
        "val_bpb = 0.98",
        "val_bpb 9.8e-1",
        "val_bpb: 9.8E-01",
        "val_bpb: +.98",
        "val_bpb\t0.98",
        "Val_BPB: 0.98",
        "VAL_BPB=0.98",
        "2026-01-01 12:00:00,123 INFO val_bpb: 0.98",
        "INFO:root:val_bpb: 0.98",
        "[rank0] val_bpb: 0.98",
        "eval/val_bpb: 0.98",
        "wandb: val_bpb 0.98",
        "\x1b[1m\x1b[32mval_bpb:\x1b[0m 0.98",
        "\r 50%|##  | 1/2 [00:01<00:01]\r100%|####| 2/2 [00:01<00:00]val_bpb: 0.98",
        "100%|####| 2/2 [00:01<00:00, 1.2it/s, val_bpb=1.2] val_bpb: 0.98",
        "\rstep 00001 (50.0%) | loss: 2.5 | dt: 10ms\rval_bpb: 0.98",
        "val_bpb: 0.98 bits",
        "val_bpb: 0.98bits/byte",
        "val_bpb: 0.98, steps: 100",
        "val_bpb=0.98,100",
        "val_bpb: 0.98.",
        "(val_bpb: 0.98)",
        '{"val_bpb": 0.98, "step": 100}',
        '{"step":100,"val_bpb":0.98}',
        "{'val_bpb': 0.98}",
        '{"val_bpb": "0.98"}',
        "val_bpb: 1.2\nval_bpb: 0.98",
        "val_bpb: 1.2 val_bpb: 0.98",
        "val_bpb: nan\nval_bpb: 0.98",
        "step 1 (5.0%) | loss: 6.5 | val_bpb: 1.2\nstep 2 (9.0%) | loss: 5.5 | val_bpb: 0.98",
        "step 100 | val_bpb: 1.20\nval_bpb: 0.98",
        "val_bpb: 0.98\nepoch 3: val_bpb: 1.2",
        "val_bpb: 0.98 (best val_bpb: 0.97)",
        "best_val_bpb: 0.5\nval_bpb: 0.98\nval_bpb_ema: 0.7",
        "--val_bpb=0.5\nval_bpb: 0.98\nval_bpb is what counts",
        "val_bpb: measured on ten shards\nval_bpb: 0.98\nval_bpb: done",
        "val_bpb: 0.98\ndone\r100%|####| 2/2 [00:01<00:00]",
        "val_bpb -> 0.98",
        "val_bpb => 0.98",
        "val_bpb (lower is better): 0.98",
        "val_bpb [bits]: 0.98",
        "[bold]val_bpb[/bold]: 0.98",
        "**val_bpb**: 0.98",
        "`val_bpb` = 0.98",
        "val_bpb: tensor(0.98)",
        "val_bpb tensor(0.98, device='cuda:0')",
        "{'val_bpb': np.float64(0.98), 'step': 100}",
        "val_bpb: array([0.98])",
        "val_bpb:\xa00.98",
        "val_bpb\uff1a0.98",
        "| val_bpb | 0.98 |",
        "\u2502 val_bpb \u2502 0.98 \u2502",
        "| val_bpb | 1.2 |\nval_bpb: 0.98\n| val_bpb | 1.3 |",
        "val_bpb: 0.98 \xb1 0.01",
        "step 3/3val_bpb: 0.98",
        "[00:59<00:00, loss 2.5val_bpb = 0.98",
        "val_bpb: 0.98\ntop 5val_bpb: 0.5",
        "Evaluating...val_bpb: 0.98",
        "-----val_bpb: 0.98",
        "\x1b[32mval_bpb:\x1b(B\x1b[m 0.98",
        "1/2 - val_bpb: 1.2\x08\x08\x08\x082/2 - val_bpb: 0.98\x08\x08",
    ],
)
def test_a_score_is_read_in_each_usual_shape_and_the_last_counts(printed: str) -> None:
    assert score_of(printed) == 0.98
    log = read(f"COCKPIT_START {CODE}\n{printed}COCKPIT_END {CODE} exit=0".encode())
    metrics = log.verdict(None, "aa", "bb").metrics
    assert metrics is not None and metrics.score == 0.98, "the run's last line has no end"


@pytest.mark.parametrize("last", ["nan", "-inf", "1e999", "1_0"])
def test_a_last_score_that_is_not_a_number_is_the_result(last: str) -> None:
    verdict = judged(f"val_bpb: 0.98\nval_bpb: {last}")
    assert (verdict.outcome, verdict.metrics) == (Outcome.CRASH, None)
    assert f"it printed val_bpb {last}, which is not a number" in verdict.message


@pytest.mark.parametrize(
    "printed", ["best_val_bpb: 0.98", "run_7val_bpb: 0.98", "val_bpb", "val_bpb:", "the val_bpb is low", "loss: 0.98"]
)
def test_another_name_or_a_name_without_a_value_gives_no_score(printed: str) -> None:
    assert "printed no val_bpb" in judged(printed).message


def test_a_score_after_the_end_mark_does_not_count() -> None:
    printed = f"COCKPIT_START {CODE}\nval_bpb: 0.98\nCOCKPIT_END {CODE} exit=0\nEXPERIMENT_DESC: expects val_bpb: 0.5\n"
    metrics = read(printed.encode()).verdict(None, "aa", "bb").metrics
    assert metrics is not None and metrics.score == 0.98


def test_a_score_in_an_omitted_part_of_a_log_is_not_called_missing() -> None:
    files = {"train.py": "aa", "prepare.py": "bb"}
    log = read(b"flood\n")
    verdict = log.verdict(0, "aa", "bb", evidence=Evidence(files, files, [], cut_bytes=65_000_000))
    assert verdict.message == (
        "it ended well but printed no val_bpb; 65 MB of its output are not in its log: print the score last, and less"
        " before"
    )


# The time budget


@pytest.mark.parametrize("line", ["training_seconds: 3.0", "training_seconds=3.0", "INFO training_seconds: 3.0 s"])
def test_training_past_the_budget_is_a_mismatch_with_its_reason(line: str) -> None:
    printed = f"COCKPIT_START {CODE}\nval_bpb: 0.5\n{line}\nCOCKPIT_END {CODE} exit=0\n"
    verdict = read(printed.encode()).verdict(None, "aa", "bb", rules=RunRules(time_budget_s=1))
    assert (verdict.outcome, verdict.metrics) == (Outcome.MISMATCH, None)
    assert verdict.message == "it trained for 3.0 s, the budget is 1 s: its result does not count"


@pytest.mark.parametrize(("trained_s", "budget_s", "counts"), [(331, 300, True), (331.1, 300, False), (9, 0, True)])
def test_a_last_step_may_end_a_little_after_the_budget(trained_s: float, budget_s: float, counts: bool) -> None:
    printed = f"COCKPIT_START {CODE}\nval_bpb: 0.5\ntraining_seconds: {trained_s}\nCOCKPIT_END {CODE} exit=0\n"
    verdict = read(printed.encode()).verdict(None, "aa", "bb", rules=RunRules(time_budget_s=budget_s))
    assert (verdict.outcome is Outcome.VALID) == counts


@pytest.mark.parametrize(
    ("trained_s", "budget_s", "steps", "counts"),
    [
        (1.7, 1, 34, False),
        (3.4, 2, 68, False),
        (5.1, 3, 100, False),
        (1.3, 1, 26, True),
        (2.6, 2, 52, True),
        (2.9, 2, 4, True),
    ],
)
def test_the_slack_of_a_small_budget_is_a_share_of_it_or_a_last_step(
    trained_s: float, budget_s: float, steps: int, counts: bool
) -> None:
    lines = f"val_bpb: 0.5\ntraining_seconds: {trained_s}\nnum_steps: {steps}"
    printed = f"COCKPIT_START {CODE}\n{lines}\nCOCKPIT_END {CODE} exit=0\n"
    verdict = read(printed.encode()).verdict(None, "aa", "bb", rules=RunRules(time_budget_s=budget_s))
    assert (verdict.outcome is Outcome.VALID) == counts


# A pattern


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("loss 3", "it ended well but no line matches the pattern 'acc=(\\\\S*)' of acc; its last line: loss 3"),
        (
            "acc=\nend",
            (
                "it ended well but the group is empty on each line that matches the pattern 'acc=(\\\\S*)' of acc; its"
                " last line: end"
            ),
        ),
        ("acc=high", "it printed acc high, which is not a number"),
        ("acc=nan", "it printed acc nan, which is not a number"),
    ],
)
def test_a_pattern_without_a_number_has_its_sentence(printed: str, said: str) -> None:
    assert judged_by(r"acc=(\S*)", printed) == said


def test_a_match_without_a_value_takes_no_earlier_value_away() -> None:
    assert judged_by(r"acc=(\S*)", "acc=0.5\nacc=") == 0.5


def judged_by(pattern: str, printed: str) -> float | str:
    """Return the score that a pattern reads from a run's output, or the sentence on it."""
    log = RunLog(Metric("acc", pattern=pattern))
    log.feed(f"COCKPIT_START {CODE}\n{printed}\nCOCKPIT_END {CODE} exit=0\n".encode(), 1.0)
    verdict = log.verdict(0, "aa", "bb")
    return verdict.metrics.score if verdict.metrics else verdict.message


# Numbers that cannot be


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("1e308", "outside -1e+12 to 1e+12"),
        ("-1e13", "outside"),
        ("1000000000001", "outside"),
        ("0,98", "may be one number or two"),
        ("1,23", "may be one number or two"),
        ("0xff", "not a number"),
        ("inf", "not a number"),
        ("nan", "not a number"),
        ("1e999", "not a number"),
        ("1e99999", "not a number"),
        ("1_0", "not a number"),
        ("0x1", "not a number"),
        ("١", "not a number"),
        pytest.param(MANY_DIGITS, "not a number", id="many digits"),
    ],
)
def test_an_implausible_score_is_a_crash_with_a_sentence(printed: str, said: str) -> None:
    verdict = judged(f"val_bpb: {printed}")
    assert verdict.outcome is Outcome.CRASH
    assert said in verdict.message and len(verdict.message) < 120


@pytest.mark.parametrize("score", [LARGEST, -LARGEST, 0.0, -1.0, 1e-300])
def test_any_finite_score_of_a_plausible_magnitude_counts(score: float) -> None:
    assert score_of(f"val_bpb: {score!r}") == score


@pytest.mark.parametrize("value", ["1e308", "-1e308", "-5", "inf", "nan", MANY_DIGITS, "1e13"])
@pytest.mark.parametrize("name", ["num_steps", "depth", "training_seconds", "peak_vram_mb", "total_tokens_M"])
def test_another_implausible_number_is_left_out_and_the_score_counts(name: str, value: str) -> None:
    verdict = judged(f"val_bpb: 1.25\n{name}: {value}")
    assert verdict.metrics is not None and verdict.metrics.score == 1.25
    assert getattr(verdict.metrics, name) == 0
    msgspec.msgpack.encode(verdict)


@pytest.mark.parametrize("code", [MANY_DIGITS, "-" + MANY_DIGITS, "12345", "--1", "0x0", "inf"])
def test_an_invalid_exit_code_is_text(code: str) -> None:
    verdict = judged("val_bpb: 1.25", f"exit={code}")
    assert verdict.outcome is Outcome.CRASH
    assert verdict.message.startswith("it ended without an exit code")


@pytest.mark.parametrize(
    "line",
    [
        f"step {MANY_DIGITS} (10.0%) | loss: 5.5",
        f"step 2 ({MANY_DIGITS}%) | loss: 5.5",
        f"step 2 (1.{MANY_DIGITS}%) | loss: 5.5",
        f"step 2 (10.0%) | loss: {MANY_DIGITS}",
        "step -2 (10.0%) | loss: 5.5",
        "step 2 (-10.0%) | loss: 5.5",
        "step 1e3 (10.0%) | loss: 5.5",
    ],
)
def test_a_step_line_with_an_invalid_number_is_text(line: str) -> None:
    log = read(b"step 1 (5.0%) | loss: 6.5\n" + line.encode())
    assert log.progress is not None and log.progress.step == 1
    assert log.last_line == line[:TEXT_CHARACTERS]


@pytest.mark.parametrize("field", ["dt: {}ms", "tok/sec: {}", "mfu: {}%", "remaining: {}s"])
@pytest.mark.parametrize("value", [MANY_DIGITS, "1e308", "nan", ",", "1.2.3", "-1"])
def test_an_invalid_field_of_a_step_line_is_left_out(field: str, value: str) -> None:
    log = read(f"step 1 (5.0%) | loss: 6.5 | {field.format(value)}\n".encode())
    assert log.progress is not None and log.progress.step == 1
    numbers = (log.progress.ms_per_step, log.progress.tokens_per_s, log.progress.mfu_percent, log.progress.remaining_s)
    assert numbers == (0, 0, 0, 0)


@pytest.mark.parametrize("loss", ["1e308", "-1e300", "1e7", "inf", "nan"])
def test_an_implausible_loss_is_not_on_the_curve(loss: str) -> None:
    log = read(f"step 1 (5.0%) | loss: {loss}\nstep 2 (9.0%) | loss: 5.5\n".encode())
    assert log.curve() == [(0.09, 5.5)]
    packed(log.curve())


@example([b"step 1 (1%) | loss: 1 | tok/sec: ,"])
@given(st.lists(pieces, max_size=60))
def test_arbitrary_bytes_never_raise_and_always_encode(parts: list[bytes]) -> None:
    log = RunLog()
    for part in parts:
        log.feed(part, 1.0)
    log.finish(1.0)
    packed(log.curve())
    msgspec.msgpack.encode((log.progress, log.verdict(None, "aa", "bb"), log.verdict(0, "aa", "bb")))
    assert len(log.last_line) <= TEXT_CHARACTERS and len(log.last_error) <= TEXT_CHARACTERS


FLOODS = {
    "scores": b"val_bpb: 1.0\n",
    "scores on one line": b"val_bpb: 1.0 ",
    "spaces after a name": b"val_bpb" + b" " * 993,
    "a long word": b"val_bpb:" + b"1" * 992,
    "names": b"%d_seconds: 1\n",
    "no line ends": b"x" * 1000,
    "escapes": b"\x1b]0;" * 250,
    "errors": b"Error" * 200,
    "steps": b"step 1 (1.0%) | loss: 1.0 | dt: 3ms\n",
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_takes_bounded_time_and_memory(flood: str) -> None:
    unit = FLOODS[flood]
    log = RunLog()
    began = time.process_time()
    for number in range(64):
        data = b"".join(unit % (number * 100 + n) for n in range(100)) * 10 if b"%d" in unit else unit * 1000
        log.feed(data, 1.0)
    assert time.process_time() - began < 10
    kept = (log.steps.points, log._summary, log.values._found, log._rest, log.last_error, log.last_line)
    assert len(msgspec.msgpack.encode(kept)) < 2 * LINE_BYTES


def test_a_line_with_thousands_of_values_is_read_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    whole = printed_values._value

    def counted(text: str, found: re.Match[str], heading: str) -> printed_values._Found | None:
        looks.append(found[1])
        return whole(text, found, heading)

    monkeypatch.setattr(printed_values, "_value", counted)
    assert score_of("val_bpb: 1.2 " * 4_000 + "val_bpb: 0.98") == 0.98
    assert len(looks) == printed_values.VALUES_AT_MOST


def test_ten_thousand_lines_take_a_fraction_of_a_second() -> None:
    data = upstream_steps(10_000)
    log = RunLog()
    began = time.process_time()
    log.feed(data, 1.0)
    assert time.process_time() - began < 1.0
    assert log.progress is not None and log.progress.step == 9_998
