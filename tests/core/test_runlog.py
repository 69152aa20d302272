"""What a run printed is read as it comes, whoever wrote the script and however the bytes arrive."""

from hypothesis import given
from hypothesis import strategies as st

from cockpit.core.model import Outcome
from cockpit.fleet.run_log import LINE_BYTES, RunLog

CODE = "train_sha256=aa prepare_sha256=bb"
SUMMARY = "---\nval_bpb:          0.997900\nnum_steps:        953\n"


def upstreams(steps: int) -> bytes:
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


def test_steps_that_overwrite_each_other_are_each_heard_of_while_the_run_goes_on() -> None:
    log = RunLog()
    log.feed(upstreams(1_000), 1.0)
    assert len(upstreams(1_000)) > LINE_BYTES
    assert log.progress is not None and (log.progress.step, log.progress.remaining_s) == (998, 2)
    curve = log.curve()
    assert len(curve) > 30 and curve[0][0] == 0 and curve[-1][0] > 0.99


def test_a_run_of_upstreams_has_its_score() -> None:
    data = f"COCKPIT_START {CODE}\n".encode() + upstreams(20) + f"\n{SUMMARY}COCKPIT_END {CODE} exit=0\n".encode()
    verdict = read(data).verdict(0, "aa", "bb")
    assert verdict.outcome is Outcome.VALID
    assert verdict.metrics is not None and (verdict.metrics.val_bpb, verdict.metrics.num_steps) == (0.9979, 953)


lines = st.sampled_from(
    ["step 00001 (10.0%) | loss: 5.5 | dt: 3ms", "val_bpb: 1.25", "ValueError: no", "", "…", "num_steps: 3", "x" * 90]
)


@given(st.lists(st.tuples(lines, st.sampled_from(["\n", "\r", "\r\n"]))), st.data())
def test_how_the_bytes_are_cut_changes_nothing(printed: list[tuple[str, str]], data: st.DataObject) -> None:
    text = "".join(line + end for line, end in printed).encode()
    cuts = data.draw(st.lists(st.integers(0, len(text))))
    whole, cut = read(text), read(text, cuts)
    for log in (whole, cut):
        assert log.verdict(0, "", "") == whole.verdict(0, "", "")
        assert (log.progress, log.curve(), log.last_line) == (whole.progress, whole.curve(), whole.last_line)
