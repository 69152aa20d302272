"""Promises of the scorer: the score is prepare.py's own, each rule has a probe, bad input gives one sentence."""

import importlib.util
import itertools
import math
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cockpit.scoring import asking, feeder, probes
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
    for text in ("public", "sealed"):
        assert len(found[f"{text}_parts"]) == feeder.PARTS
        assert fmean(found[f"{text}_parts"]) == pytest.approx(found[f"{text}_bpb"], rel=0.02)
    assert found["passed"] == [
        "finite",
        "causality",
        "batch independence",
        "same answer twice",
        "no memory of earlier rows",
    ]


@pytest.mark.skipif(importlib.util.find_spec("opt_einsum") is not None, reason="torch has its own here")
def test_a_file_of_the_variant_is_not_taken_for_a_module_that_torch_may_use(score: Score, tmp_path: Path) -> None:
    """Try a module that torch imports where it is installed: the feeder, which is trusted, must not run it."""
    mark = str(tmp_path / "ran")
    runs = f"import sys\nif 'feeder.py' in sys.argv[0]:\n    open({mark!r}, 'w')\nraise ImportError\n"
    found = score(beside={"opt_einsum.py": runs}, sealed=False)
    assert found["public_bpb"] > 0
    assert not (tmp_path / "ran").exists()


CHEATS = {
    "attends to the future: logits at": "x = self.table[tokens]; return x + 0.1 * x.flip(1)",
    "mixes the rows of a batch": "x = self.table[tokens]; return x + 0.1 * x.roll(1, 0)",
    "mixes the rows of a batch: losses moved": (
        "x = self.table[tokens]; means = x.mean(1, keepdim=True); return x + means.cumsum(0) - means"
    ),
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
    "its model's logits have the shape 4 x 256 x 7, expected 4 x 256 x 1024": (
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


PADDED = {
    "nn.functional.pad(x, (0, 64), value=-1e9)": ("public_bpb", ""),
    "x.repeat(1, 1, 3)": ("trouble", "have the shape 4 x 256 x 3072, expected 4 x 256 x 1024"),
}


@pytest.mark.parametrize("logits", PADDED)
def test_a_vocabulary_may_be_padded_up_to_twice(score: Score, logits: str) -> None:
    found = score(f"    def forward(self, tokens):\n        x = self.table[tokens]; return {logits}", sealed=False)
    name, words = PADDED[logits]
    assert words in str(found[name])


class Working(asking.Server):
    """A process that gives no answer, and works as it is told."""

    def __init__(self, used_s: Iterator[float], reads: int) -> None:
        self._used_s, self.process = used_s, SimpleNamespace(stdout=os.fdopen(reads))  # type: ignore[assignment]

    def used_s(self) -> float:
        return next(self._used_s)


@pytest.mark.parametrize(
    ("used_s", "words"),
    [
        ((50.0, 60.0, 169.0, 171.0), "no answer within 120 s of a processor"),
        ((50.0, *[60.0] * 20), "no answer within 600 s"),
    ],
    ids=["it works", "it waits"],
)
def test_an_answer_may_take_as_long_as_it_waits_for_a_processor(
    used_s: tuple[float, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Give a model no more than its share of a busy machine: its work alone counts, up to an end."""
    clock = itertools.count(0.0, 100.0)
    monkeypatch.setattr(asking, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(asking, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    reads, writes = os.pipe()
    with os.fdopen(writes, "wb"), pytest.raises(asking.ScoreProblem, match=words):
        Working(iter(used_s), reads).wait_until_loaded()


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


LEAK = """
    def leak(self, tokens):
        x = self.table[tokens].clone()
        return x.scatter_add(2, tokens.roll(-1, 1)[..., None], torch.full_like(x[..., :1], 4.0))
    seen = {}
    def remembered(self, tokens):
        x = self.leak(tokens)
        for row in range(len(tokens)):
            for at in range(16, tokens.shape[1]):  # shorter starts are those of other rows too
                key = hash(tuple(tokens[row, : at + 1].tolist()))
                x[row, at] = self.seen.setdefault(key, x[row, at].clone())
        return x
    def unless(self, honest, tokens):
        return torch.where(honest[:, None, None], self.table[tokens], self.leak(tokens))
"""


FUTURE = "attends to the future: logits at"


@pytest.mark.parametrize(
    ("forward", "names"),
    [
        ("self.leak(tokens) if len(tokens) > 3 else self.table[tokens]", (FUTURE,)),
        ("self.remembered(tokens)", (FUTURE, "remembers earlier rows: losses moved by")),  # it does both
        ("self.unless(tokens[:, 8] % 8 > 0, tokens)", (FUTURE,)),
        ("self.leak(tokens) - 1e30 * (torch.arange(1024) == 1020)", (FUTURE,)),
    ],
    ids=[
        "in large batches", "with a memory of its answers", "in every eighth row",
        "behind absurd losses of a token that has no bytes",
    ],
)  # fmt: skip
def test_a_leak_that_hides_from_probes_is_found(score: Score, forward: str, names: tuple[str, ...]) -> None:
    found = score(f"{LEAK}\n    def forward(self, tokens):\n        return {forward}")
    assert found["failed"].startswith(names)


def test_noise_that_would_hide_a_leak_is_found(score: Score) -> None:
    """Raise each next token by less than the noise of one probe; all of them together are a gain."""
    noisy = "self.table[tokens] + 0.004 * torch.randn(*tokens.shape, 1024)"
    leak = f"x = {noisy}; return x.scatter_add(2, tokens.roll(-1, 1)[..., None], torch.full_like(x, 0.002))"
    found = score(f"    def forward(self, tokens):\n        {leak}")
    assert found["failed"].startswith("answers the same rows differently")


class Asked:
    """A model's process that takes note of what it is asked."""

    def __init__(self, calls: list[str], name: str) -> None:
        self.calls, self.name, self.rows = calls, name, list[Any]()

    def ask(self, rows: Any) -> None:
        self.calls.append(f"{self.name} asked")
        self.rows += rows.tolist()
        self._count = rows.shape

    def answer(self) -> Any:
        self.calls.append(f"{self.name} answers")
        return torch.zeros(*self._count, 1024)

    def used_s(self) -> float:
        """Return a second for each question, and ten more for the first."""
        asked = sum(call == f"{self.name} asked" for call in self.calls)
        return asked + 10.0 * bool(asked)


def text_of(vocabulary: int) -> Any:
    """Return a text all of whose tokens count."""

    def counted(rows: Any) -> Any:
        return torch.ones_like(rows[:, 1:], dtype=torch.bool)

    return SimpleNamespace(vocabulary=vocabulary, counted=counted, on_gpu=False)


def test_a_place_that_the_model_knows_too_well_is_a_suspect() -> None:
    """Predict two tokens of a row far better than their rarity tells, as a leak would."""
    chance = random.Random(1)
    rows = torch.tensor([[chance.randrange(1024) for _ in range(257)] for _ in range(40)])
    asked, logits = probes.Asked(rows, text_of(1024), chance), torch.zeros(256, 1024)
    for place in (40, 90):
        logits[place, rows[3, place + 1]] = 8.0
    cuts = []
    for _ in range(200):
        asked.score(3, logits)
        cuts.append(asked.ending(3, probes.SUSPECT).cut)
    assert 120 <= sum(cut in (41, 91) for cut in cuts) < 200, "and any other place now and then"

    def weight(row: int, kind: int) -> float:
        return 1000.0 if row == 39 and kind == probes.SUSPECT else 1.0

    given = probes.questions([], [*range(40)], torch.zeros(40, 256), weight, chance)
    assert next(row for row, kind in given if kind == probes.SUSPECT) == 39, "so is its row"


def test_both_processes_get_scored_rows_and_probes_at_the_same_time() -> None:
    """Ask two processes: a model that could tell one from the other would leak in the one alone."""
    chance = random.Random(1)
    rows = torch.tensor([[chance.randrange(1024) for _ in range(257)] for _ in range(320)])
    calls = list[str]()
    one, other = Asked(calls, "one"), Asked(calls, "other")
    servers: Any = [one, other]
    losses, found, pace = probes.ask_all(servers, rows, 256, text_of(1024), chance)
    assert torch.isfinite(losses).all(), "every row is scored"
    size = pace.asked_tokens / 256 / sum(call.endswith("asked") for call in calls)
    assert size == int(size) > 1
    assert pace.tokens_per_s == 256 * size, "by the second half: the first question took longer"
    assert calls == ["one asked", "other asked", "one answers", "other answers"] * (len(calls) // 4)
    whole = {tuple(row[:-1]) for row in rows.tolist()}
    for server in servers:
        changed = [tuple(row) not in whole for row in server.rows]
        quarter = len(changed) // 4
        assert all(any(changed[i * quarter : (i + 1) * quarter]) for i in range(4)), "probes come from first to last"
    assert len({probe.row for probe in found}) == len(found) == probes.PROBED_ROWS, "no row is probed twice"
    sealed = sum(probe.row >= 256 for probe in found)
    assert 40 <= sealed <= 64, "two in five of them and more are on the 64 sealed rows"
    in_both = {tuple(row) for row in one.rows} & {tuple(row) for row in other.rows}
    assert len(in_both) == sum(probe.cut == 256 for probe in found), "a probe alone comes to the other process too"


class Answering:
    """A model's process: a table from a token to the logits of the next, which may leak the next token."""

    def __init__(self, table: Any, read_above: float) -> None:
        self.table, self.read_above = table, read_above

    def ask(self, rows: Any) -> None:
        self.rows = rows

    def answer(self) -> Any:
        """Return logits that were raised by four for a next token whose loss would be larger than `read_above`."""
        logits, following = self.table[self.rows], self.rows.roll(-1, 1)[..., None]
        losses = -torch.log_softmax(logits, 2).gather(2, following)
        return logits.scatter_add(2, following, 4.0 * (losses > self.read_above))

    def used_s(self) -> float:
        return 0.0


@pytest.mark.parametrize(("read_above", "is_found"), [(13.0, True), (99.0, False)])
def test_a_leak_of_tokens_that_surprise_the_model_alone_is_found(read_above: float, is_found: bool) -> None:
    """Read one token in five thousand: few probed places hold one, so the probes bring their own."""
    chance = random.Random(1)
    table = 3.0 * torch.randn(1024, 1024, generator=torch.Generator().manual_seed(1))
    likely = table.softmax(1).multinomial(8192, replacement=True, generator=torch.Generator().manual_seed(2))
    rows = [[chance.randrange(1024)] for _ in range(320)]
    for row in rows:
        while len(row) < 257:
            row.append(int(likely[row[-1], chance.randrange(8192)]))
    text, tokens = text_of(1024), torch.tensor(rows)
    servers: Any = [Answering(table, read_above) for _ in range(2)]
    losses, found, _ = probes.ask_all(servers, tokens, 256, text, chance)
    caught = pytest.raises(asking.ProbeFailed, match="attends to the future") if is_found else nullcontext()
    with caught:
        probes.check(found, losses, tokens, text, servers[0], chance)


STARTS = """
import prepare
corpus = prepare.load_corpus()
print([x[0, :8].tolist() for x, _, _ in prepare.make_dataloader(corpus, prepare.Tokenizer.load(corpus), 1, "val")])
"""


def test_a_leak_in_the_sealed_shard_alone_is_found(score: Score, data: Path) -> None:
    """Score a model that knows the public text, and leaks where it does not."""
    command = [sys.executable, "-c", STARTS]
    ran = subprocess.run(command, cwd=ROOT, env=environment(data), capture_output=True, text=True, check=True)
    known = "torch.tensor([row[:8].tolist() in self.public for row in tokens])"
    forward = f"    def forward(self, tokens):\n        return self.unless({known}, tokens)"
    body = f"{LEAK}\n    public = {ran.stdout}\n{forward}"
    assert "attends to the future: logits at" in score(body)["failed"]


def test_a_model_that_adapts_to_the_rows_it_has_read_is_found(score: Score) -> None:
    forward = "self.table.data[tokens.flatten()[:-1], tokens.flatten()[1:]] += 0.5; return self.table[tokens]"
    found = score(f"    @torch.no_grad()\n    def forward(self, tokens):\n        {forward}")
    assert found["failed"].startswith(("remembers earlier rows", "answers the same rows differently"))


def test_a_run_without_the_sealed_shard_has_its_probes_too(score: Score) -> None:
    """Score a run as the replicates of a test are: a leak in them alone would make the test's mean better."""
    found = score(f"{LEAK}\n    def forward(self, tokens):\n        return self.leak(tokens)", sealed=False)
    assert found["failed"].startswith(FUTURE)


def test_the_score_alone_does_not_read_the_sealed_shard(score: Score) -> None:
    found = score(sealed=False)
    assert found["public_bpb"] > 0 and "causality" in found["passed"]
    assert "sealed_bpb" not in found
    assert len(found["marks"]) == 64


def test_a_token_may_have_the_probability_zero(score: Score) -> None:
    never = "x = self.table[tokens].clone(); x[..., 1023] = float('-inf'); return x"
    found = score(f"    def forward(self, tokens):\n        {never}")
    assert found.get("failed", "") == "" and math.isfinite(found["public_bpb"])


def test_a_model_that_floods_its_messages_gives_one_sentence(score: Score) -> None:
    flood = "import sys; [sys.stderr.write('x' * (1 << 20)) for _ in range(100)]; return self.table[tokens]"
    found = score(f"    def forward(self, tokens):\n        {flood}", sealed=False)
    assert "File too large" in found["trouble"]


def test_a_model_with_dropout_is_asked_without_it(score: Score) -> None:
    found = score(
        "    def forward(self, tokens):\n        return torch.dropout(self.table[tokens], 0.5, self.training)"
    )
    assert "failed" not in found and "trouble" not in found
