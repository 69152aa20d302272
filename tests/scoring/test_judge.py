"""Promises of the probes that compare a score from outside with the run's words, its clock, and the incumbent."""

import msgspec
import pytest

from cockpit.core.model import Metrics
from cockpit.core.rescore import Rescore
from cockpit.scoring.judge import judged

PRINTED = Metrics(1.0, training_seconds=30.0, total_tokens_M=0.24, num_steps=200)
FOUND = Rescore(
    public_bpb=1.0, public_se=0.01, public_tokens=65_536, whole=True,
    sealed_bpb=1.03, sealed_se=0.02, tokens_per_s=20_000,
    passed=("finite",), run_s=40.0, cpu_s=36.0,
)  # fmt: skip
BASE = (FOUND, PRINTED)


def failed(base: tuple[Rescore, Metrics] | None = BASE, printed: Metrics = PRINTED, **changed: float | bool) -> str:
    return judged(msgspec.structs.replace(FOUND, **changed), printed, base, on_cpu=True).failed


@pytest.mark.parametrize("base", [BASE, None], ids=["beside the incumbent", "alone"])
def test_an_honest_run_passes_every_probe(base: tuple[Rescore, Metrics] | None) -> None:
    found = judged(FOUND, PRINTED, base, on_cpu=True)
    assert (found.failed, len(found.passed)) == ("", 5)


def test_a_gain_on_both_texts_passes() -> None:
    printed = msgspec.structs.replace(PRINTED, score=0.9)
    assert failed(printed=printed, public_bpb=0.9, sealed_bpb=0.927) == ""


def test_a_printed_score_that_its_model_does_not_reach() -> None:
    printed = msgspec.structs.replace(PRINTED, score=0.99)
    assert failed(printed=printed) == "printed 0.9900, and its model scores 1.0000 on the same text"
    assert failed(base=None, printed=printed, whole=False) == "", "a part of the text may differ by its standard error"
    assert failed(printed=printed, whole=False), "on the same part the incumbent differed by nothing"


def test_a_gain_on_the_public_text_alone() -> None:
    printed = msgspec.structs.replace(PRINTED, score=0.9)
    assert failed(printed=printed, public_bpb=0.9).startswith("knows the public validation text: it scores 0.9000")
    assert failed(base=None, public_bpb=0.6, printed=msgspec.structs.replace(PRINTED, score=0.6))


def test_a_badly_trained_model_is_no_memoriser() -> None:
    printed = msgspec.structs.replace(PRINTED, score=1.1)
    assert failed(printed=printed, public_bpb=1.1, sealed_bpb=1.18) == ""


def test_work_outside_the_training_clock() -> None:
    assert failed(cpu_s=70.0).startswith("worked for 40 s outside its training clock")
    assert failed(cpu_s=46.0) != "", "a clock that is a fifth too slow"
    assert failed(cpu_s=39.0) == ""
    assert failed(cpu_s=42.0, tokens_per_s=10_000) == "", "a slower model takes longer to evaluate"
    assert "its runner measured 15.0 s in all" in failed(cpu_s=15.0)


def test_more_tokens_than_the_model_can_read() -> None:
    assert failed(tokens_per_s=1_000).startswith("printed 8,000 tokens a second")


def test_trouble_is_not_judged() -> None:
    trouble = Rescore(trouble="the sealed shard is missing")
    assert judged(trouble, PRINTED, BASE, on_cpu=True) == trouble
