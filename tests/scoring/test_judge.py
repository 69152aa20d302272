"""Promises of the probes that compare a score from outside with the run's words, its clock, and the incumbent."""

import math
import random
from statistics import fmean

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cockpit.core.model import Metrics
from cockpit.core.rescore import Rescore
from cockpit.scoring.judge import SEALED, counted, is_comparable, judged

PARTS = 32


def parts(score: float, seed: int = 0, noise: float = 0.0) -> tuple[float, ...]:
    """Return the scores of a model on the parts of a text, some harder than others; `noise` is its own, in shares."""
    text, own = random.Random("text"), random.Random(seed)
    found = [text.uniform(0.8, 1.2) * math.exp(own.gauss(0, noise)) for _ in range(PARTS)]
    return tuple(score * one / fmean(found) for one in found)


PRINTED = Metrics(1.0, training_seconds=30.0, total_tokens_M=0.24, num_steps=200)
FOUND = Rescore(
    public_bpb=1.0, public_se=0.01, public_tokens=65_536, whole=True,
    sealed_bpb=1.03, sealed_se=0.02, tokens_per_s=20_000,
    asked_tokens=100_000, scorer_cpu_s=14.0, seconds=12.0,
    passed=("finite",), run_s=40.0, cpu_s=36.0, public_parts=parts(1.0), sealed_parts=parts(1.03),
)  # fmt: skip
BASE = (FOUND, PRINTED)


def scored(public: float, sealed: float, seed: int = 0, noise: float = 0.0) -> Rescore:
    """Return a model's score on both texts."""
    both = parts(public, seed, noise), parts(sealed, seed + 1, noise)
    return msgspec.structs.replace(
        FOUND, public_bpb=public, sealed_bpb=sealed, public_parts=both[0], sealed_parts=both[1]
    )


def refused(found: Rescore, base: Rescore = FOUND, baseline: Rescore | None = None) -> str:
    """Return why the sealed shard speaks against a model whose printed score is its own."""
    mine, its = (msgspec.structs.replace(PRINTED, score=one.public_bpb) for one in (found, base))
    return judged(found, mine, (base, its), on_cpu=True, baseline=(baseline, PRINTED) if baseline else None).failed


def failed(base: tuple[Rescore, Metrics] | None = BASE, printed: Metrics = PRINTED, **changed: float | bool) -> str:
    return judged(msgspec.structs.replace(FOUND, **changed), printed, base, on_cpu=True).failed


@pytest.mark.parametrize("base", [BASE, None], ids=["beside the incumbent", "alone"])
def test_an_honest_run_passes_every_probe(base: tuple[Rescore, Metrics] | None) -> None:
    found = judged(FOUND, PRINTED, base, on_cpu=True)
    assert (found.failed, len(found.passed)) == ("", 5)


def test_a_printed_score_that_its_model_does_not_reach() -> None:
    printed = msgspec.structs.replace(PRINTED, score=0.99)
    assert failed(printed=printed) == "printed 0.9900, and its model scores 1.0000 on the same text"
    assert failed(base=None, printed=printed, whole=False) == "", "a part of the text may differ by its standard error"
    assert failed(printed=printed, whole=False), "on the same part the incumbent differed by nothing"


@pytest.mark.parametrize(("share", "is_refused"), [(0.9998, False), (0.9993, True), (1.0007, True)])
def test_a_printed_score_that_is_a_little_better_than_its_model(share: float, is_refused: bool) -> None:
    assert bool(failed(printed=msgspec.structs.replace(PRINTED, score=share))) is is_refused


def test_a_score_on_a_part_may_differ_by_the_error_of_the_gain() -> None:
    found = msgspec.structs.replace(scored(0.99, 1.02), whole=False)
    base = msgspec.structs.replace(FOUND, whole=False), PRINTED
    for score, is_refused in ((0.99, False), (0.987, True)):
        printed = msgspec.structs.replace(PRINTED, score=score)
        assert bool(judged(found, printed, base, on_cpu=True).failed) is is_refused
    other = msgspec.structs.replace(found, public_parts=())
    assert not judged(other, msgspec.structs.replace(PRINTED, score=0.987), base, on_cpu=True).failed


def test_the_score_from_outside_counts_in_place_of_the_printed_one() -> None:
    printed = msgspec.structs.replace(PRINTED, score=0.9998)
    assert counted(printed, FOUND).score == 1.0
    for found in (None, Rescore(), msgspec.structs.replace(FOUND, whole=False)):
        assert counted(printed, found) == printed
    assert counted(printed, msgspec.structs.replace(FOUND, failed="it cheats")) == printed


STEP_S = PRINTED.training_seconds / PRINTED.num_steps


@pytest.mark.parametrize(
    ("trained_s", "steps", "is_refused"),
    [
        (30 + STEP_S, 200, False),
        (30 + 4 * STEP_S, 52, False),
        (31.5, 200, True),
        (34.0, 200, True),
        (34.0, 8, True),
    ],
    ids=["a step", "a step of a large batch", "many steps", "a tenth", "a tenth, as one printed step"],
)
def test_only_the_last_step_ends_past_the_budget(trained_s: float, steps: int, is_refused: bool) -> None:
    printed = msgspec.structs.replace(PRINTED, training_seconds=trained_s, num_steps=steps)
    found = msgspec.structs.replace(FOUND, cpu_s=FOUND.cpu_s + trained_s - 30)
    said = judged(found, printed, BASE, on_cpu=True, budget_s=30.0).failed
    assert said.startswith(f"trained for {trained_s:.1f} s, and the budget is 30 s") is is_refused
    assert bool(said) is is_refused
    assert not judged(found, printed, BASE, on_cpu=True).failed, "without a budget there is nothing to pass"


def test_a_gain_on_both_texts_passes() -> None:
    assert refused(scored(0.9, 0.927)) == ""
    assert refused(scored(0.7, 0.745)) == "", "a large gain need not be quite as large on the other text"


def test_a_gain_on_the_public_text_alone() -> None:
    assert refused(scored(0.9, 1.03)) == (
        "knows the public validation text: against the incumbent it gains 10.0% there and 0.0% on the sealed shard,"
        " where an honest model gains at least 9.0%"
    )
    assert refused(scored(0.99, 1.03, noise=0.005)).startswith("knows the public validation text")
    assert refused(scored(0.998, 1.03, noise=0.005)) == "", "within the noise of the two texts"


def test_a_badly_trained_model_is_no_memoriser() -> None:
    assert refused(scored(1.1, 1.15, noise=0.01)) == "", "the more two models differ, the less their parts agree"


def test_a_little_of_the_public_text_in_each_of_many_keeps_is_found_against_the_baseline() -> None:
    found, base = scored(0.95, 1.029, 2, noise=0.003), scored(0.953, 1.0295, 4, noise=0.003)
    assert refused(found, base) == ""
    assert "against the baseline it gains 5.0% there and 0.1% on the sealed shard" in refused(found, base, FOUND)
    assert refused(scored(0.9, 0.927), base=scored(0.91, 0.937), baseline=FOUND) == ""


@pytest.mark.parametrize("changed", [{"public_parts": ()}, {"sealed_parts": ()}, {"public_tokens": 4096}])
def test_an_incumbent_that_was_scored_on_other_rows_is_not_compared_part_for_part(
    changed: dict[str, tuple[float, ...] | int],
) -> None:
    base = msgspec.structs.replace(FOUND, **changed)
    assert not is_comparable(FOUND, base)
    assert refused(scored(0.99, 1.03), base) == "", "the ratio of the texts is not known to a percent"
    assert refused(scored(0.6, 1.03), base).startswith("knows the public validation text: it scores 0.6000 there")
    assert refused(scored(0.0, 1.03), base).startswith("knows the public validation text")


def test_a_model_that_knows_all_of_the_public_text_has_no_logarithm() -> None:
    assert refused(scored(0.0, 1.03)).startswith("knows the public validation text")


GAINS = st.floats(-0.5, 0.5)


@given(GAINS, st.floats(0, 0.3), st.integers(0, 99), st.floats(0, 0.02))
def test_a_gain_that_is_as_large_on_the_sealed_shard_is_never_refused(
    gain: float, more: float, seed: int, noise: float
) -> None:
    assert refused(scored(math.exp(-gain), 1.03 * math.exp(-gain - more), seed, noise)) == ""


@given(GAINS, st.floats(-0.09, 0.09))
def test_a_gain_that_differs_a_little_between_the_texts_is_never_refused(gain: float, uneven: float) -> None:
    assert refused(scored(math.exp(-gain), 1.03 * math.exp(-gain * (1 + uneven)))) == ""


@given(st.floats(0.001, 0.5), st.floats(0, 0.3))
@example(0.001, 0.0)
def test_a_gain_from_memory_is_refused_from_a_ninth_of_the_honest_one(memory: float, honest: float) -> None:
    """Take texts without noise: what is left is the share by which honest gains differ."""
    found = scored(math.exp(-honest - memory), 1.03 * math.exp(-honest))
    if memory > 0.1112 * honest:
        assert refused(found)
    elif memory < 0.1111 * honest:
        assert refused(found) == ""


@given(st.floats(0.02, 0.3), st.floats(0.5, 2.0), st.floats(0.5, 2.0), st.integers(0, 99))
def test_harder_texts_change_no_verdict(gain: float, public: float, sealed: float, seed: int) -> None:
    def verdict(public: float, sealed: float) -> bool:
        base = scored(public, sealed, noise=0.01)
        return bool(refused(scored(public * math.exp(-gain), sealed, seed, 0.01), base))

    assert verdict(1.0, 1.0) == verdict(public, sealed)


@given(GAINS, GAINS, st.floats(0, 0.2), st.integers(0, 99))
def test_a_smaller_gain_on_the_sealed_shard_is_never_better(gain: float, sealed: float, less: float, seed: int) -> None:
    if refused(scored(math.exp(-gain), math.exp(-sealed), seed, 0.01)):
        assert refused(scored(math.exp(-gain), math.exp(less - sealed), seed, 0.01))


def test_seeds_alone_seldom_look_like_memory() -> None:
    alarms = sum(bool(refused(scored(1.0, 1.03, seed, 0.01))) for seed in range(0, 2000, 2))
    assert alarms <= 2
    assert SEALED in judged(FOUND, PRINTED, BASE, on_cpu=True).passed


def test_work_outside_the_training_clock() -> None:
    assert failed(cpu_s=70.0).startswith("worked for 40 s outside its training clock")
    assert failed(cpu_s=46.0) != "", "a clock that is a fifth too slow"
    assert failed(cpu_s=39.0) == ""
    assert failed(cpu_s=42.0, tokens_per_s=10_000) == "", "a slower model takes longer to evaluate"
    assert "its runner measured 15.0 s in all" in failed(cpu_s=15.0)


def test_a_run_cannot_explain_its_work_by_a_pace_of_its_own_choice() -> None:
    few = msgspec.structs.replace(PRINTED, num_steps=1)
    assert "worked for 36 s outside its training clock" in failed(cpu_s=66.0, printed=few), "a rehearsal of two steps"
    assert "worked for 30 s outside" in failed(cpu_s=60.0, tokens_per_s=2_700), "a model that is slow in the scorer"


def test_a_model_that_works_in_the_scorer_before_it_answers() -> None:
    assert failed(scorer_cpu_s=23.0) == "worked for 18 s in the scorer beside its answers; 17 s are allowed"
    assert failed(scorer_cpu_s=21.0) == ""
    assert failed(scorer_cpu_s=19.0, tokens_per_s=10_000) == "", "a model of half the pace answers for longer"
    assert failed(scorer_cpu_s=99.0, asked_tokens=0) == "", "an older ledger does not have it"
    slow = failed(scorer_cpu_s=60.0, tokens_per_s=2_000)
    assert slow == "worked for 45 s in the scorer beside its answers; 17 s are allowed", "it answers slowly on purpose"
    on_gpu = msgspec.structs.replace(FOUND, tokens_per_s=0.0, seconds=85.0)
    assert "85 s in the scorer beside its answers; 84 s" in judged(on_gpu, PRINTED, BASE, on_cpu=False).failed


def test_many_keeps_that_each_work_a_little_longer_are_stopped_at_three_times_the_baseline() -> None:
    slow = msgspec.structs.replace(FOUND, cpu_s=48.0)
    base = (slow, PRINTED)
    found = msgspec.structs.replace(FOUND, cpu_s=54.0)
    assert judged(found, PRINTED, base, on_cpu=True).failed == ""
    assert "worked for 24 s outside" in judged(found, PRINTED, base, on_cpu=True, baseline=BASE).failed


def test_more_tokens_than_the_model_can_read() -> None:
    assert failed(tokens_per_s=1_000).startswith("printed 8,000 tokens a second")


def test_trouble_is_not_judged() -> None:
    trouble = Rescore(trouble="the sealed shard is missing")
    assert judged(trouble, PRINTED, BASE, on_cpu=True) == trouble


@pytest.mark.parametrize(
    ("apart", "on_cpu", "is_refused"),
    [(2e-4, True, False), (6e-4, True, True), (6e-4, False, False), (2e-3, False, True)],
)
def test_a_printed_score_may_differ_by_more_on_a_gpu(apart: float, on_cpu: bool, is_refused: bool) -> None:
    printed = msgspec.structs.replace(PRINTED, score=FOUND.public_bpb * (1 - apart))
    assert bool(judged(FOUND, printed, None, on_cpu=on_cpu).failed.startswith("printed")) is is_refused
