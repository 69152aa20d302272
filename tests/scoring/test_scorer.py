"""Promises of the scorer: the score is prepare.py's own, each rule has a probe, bad input gives one sentence."""

import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scoring.conftest import MODEL, ROOT, Score, environment

pytestmark = pytest.mark.timeout(240)

EVALUATE = """
import prepare, torch, torch.nn.functional as F, train
model = train.load_model("")
corpus = prepare.load_corpus()
loss = lambda x, y, reduction: F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction=reduction)
print(prepare.evaluate_bpb(loss, corpus, prepare.Tokenizer.load(corpus), 4))
"""


def test_the_score_is_that_of_prepare_py(score: Score, data: Path, tmp_path: Path) -> None:
    found = score()
    folder = tmp_path / "evaluate"
    folder.mkdir()
    shutil.copy(ROOT / "prepare.py", folder)
    (folder / "train.py").write_text(MODEL.format(body="    pass", load="    pass"))
    ran = subprocess.run(
        [sys.executable, "-c", EVALUATE], cwd=folder, env=environment(data), capture_output=True, text=True, check=True
    )
    assert found["public_bpb"] == pytest.approx(float(ran.stdout), abs=1e-5)
    assert found["whole"]
    assert found["sealed_bpb"] == pytest.approx(found["public_bpb"], rel=0.1)
    assert found["sealed_bpb"] != found["public_bpb"]
    assert found["passed"] == ["finite", "causality", "batch independence", "same answer twice"]


CHEATS = {
    "attends to the future: logits at": "x = self.table[tokens]; return x + 0.1 * x.flip(1)",
    "mixes the rows of a batch": "x = self.table[tokens]; return x + 0.1 * x.roll(1, 0)",
    "answers the same rows differently": "x = self.table[tokens]; return x + torch.randn_like(x)",
    "gives logits that are not finite": "return self.table[tokens] * float('nan')",
}


@pytest.mark.parametrize("words", CHEATS)
def test_a_model_that_breaks_a_rule_is_named(score: Score, words: str) -> None:
    found = score(f"    def forward(self, tokens):\n        {CHEATS[words]}")
    assert words in found["failed"]
    assert "public_bpb" not in found


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("x = self.table[tokens]; return x.cumsum(1) / x.shape[1]", ""),
        ("x = self.table[tokens]; return x.unflatten(1, (-1, 8)).mean(2).repeat_interleave(8, 1)", "future"),
        ("x = self.table[tokens]; return torch.fft.fft(x, dim=1).real * 1e-2", "future"),
        ("x = self.table[tokens]; x[:, :-1, 0] += 1e-2 * tokens[:, 1:]; return x", "future"),
    ],
    ids=["running mean", "block means", "Fourier transform", "the target in a gate"],
)  # fmt: skip
def test_only_information_from_later_tokens_is_a_leak(score: Score, body: str, words: str) -> None:
    found = score(f"    def forward(self, tokens):\n        {body}")
    assert words in found.get("failed", "")
    assert bool(words) == ("failed" in found)


BAD = {
    "its model cannot be used: RuntimeError: no weights here": ("    raise RuntimeError('no weights here')", ""),
    "its model's logits have the shape 8 x 256 x 7, expected 8 x 256 x 1024": (
        "    pass",
        "self.table[tokens][..., :7]",
    ),
    "the process that holds its model ran out of memory: MemoryError": (
        "    import os, sys; print('MemoryError', file=sys.stderr, flush=True); os._exit(1)",
        "",
    ),
    "the process that holds its model ended with 3: it printed nothing": ("    import os; os._exit(3)", ""),
}


@pytest.mark.parametrize("words", BAD)
def test_a_model_that_cannot_be_scored_gives_one_sentence(score: Score, words: str) -> None:
    load, logits = BAD[words]
    body = f"    def forward(self, tokens):\n        return {logits}" if logits else "    pass"
    found = score(body, load)
    assert words in found["trouble"]
    assert "\n" not in found["trouble"]


def test_a_run_without_a_model_gives_one_sentence(score: Score) -> None:
    assert score(model=False)["trouble"] == "the run left no model: train.py must save one where COCKPIT_MODEL says"


def test_a_missing_sealed_shard_gives_one_sentence(score: Score, data: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(data, alone)
    found = score(data=alone)
    assert "sealed.jsonl is missing: run `python prepare.py --corpus stdlib`." in found["trouble"]


def test_text_that_the_variant_prints_is_no_answer(score: Score) -> None:
    found = score("    def forward(self, tokens):\n        print('x' * 10_000)\n        return self.table[tokens]")
    assert math.isfinite(found["public_bpb"])
