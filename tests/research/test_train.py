"""train.py: real training runs on the stdlib corpus, and its model and optimizer against references."""

import contextlib
import gc
import io
import itertools
import math
import re
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import prepare
import train
from cockpit.core.model import Value
from cockpit.variant.knobs.constants import set_constants
from tests.research.conftest import ROOT, Run

SOURCE = (ROOT / "train.py").read_text()
STEP = re.compile(
    r"step (\d{5}) \((\d+\.\d)%\) \| loss: (\d+\.\d{6}) \| lrm: (\d\.\d\d) \| dt: (\d+)ms \| tok/sec: ([\d,]+)"
    r" \| mfu: (\d+\.\d)% \| epoch: (\d+) \| remaining: (\d+)s"
)
SUMMARY = [
    "val_bpb",
    "training_seconds",
    "total_seconds",
    "peak_vram_mb",
    "mfu_percent",
    "total_tokens_M",
    "num_steps",
    "num_params_M",
    "depth",
]


def edited(folder: Path, **constants: float | int | str) -> Path:
    """Return a folder with prepare.py and a train.py whose constants were set."""
    (folder / "train.py").write_text(set_constants(SOURCE, constants))
    (folder / "prepare.py").write_text((ROOT / "prepare.py").read_text())
    return folder


def score(output: str) -> float:
    [value] = re.findall(r"^val_bpb:\s+(\S+)", output, re.MULTILINE)
    return float(value)


# --- as a user runs it ---


def test_a_run_learns_and_prints_its_steps_and_its_summary(stdlib_data: Path, run_script: Run) -> None:
    done = run_script("train.py", data=stdlib_data, COCKPIT_TIME_BUDGET_S="3")
    assert done.returncode == 0, done.stderr
    head, summary = done.stdout.split("---\n")
    corpus, preset, *lines = head.splitlines()
    assert re.fullmatch(r"corpus: stdlib vocab 1024 fingerprint [0-9a-f]{16}", corpus)
    assert preset == "preset: cpu-small budget 3s seq_len 256 seed 1337"
    steps = [STEP.fullmatch(line) for line in lines]
    assert all(steps)
    losses = [float(step[3]) for step in steps if step]
    assert losses[0] == pytest.approx(math.log(1024), rel=0.02)  # it starts at guessing
    assert losses[-1] < losses[0] - 0.8
    matches = [re.fullmatch(r"(\w+): +(\S+)", line) for line in summary.splitlines()]
    values = {str(match[1]): str(match[2]) for match in matches if match}
    assert len(values) == len(matches)
    assert list(values) == SUMMARY
    assert all(math.isfinite(float(value)) for value in values.values())
    assert 3 <= float(values["training_seconds"]) < 5
    assert int(values["depth"]) == train.DEPTH
    assert int(values["num_steps"]) * 1024 / 1e6 == pytest.approx(float(values["total_tokens_M"]), abs=0.006)
    assert done.stdout.count("val_bpb:") == 1


@pytest.mark.parametrize(
    ("constants", "says"),
    [
        ({"SCALAR_LR": 1e39, "DEPTH": 2}, "FAIL: the loss is nan at step"),
        ({"UNEMBEDDING_LR": 100.0, "DEPTH": 2}, r"FAIL: the loss is \d+\.\d\d at step \d+, beyond"),
        ({"HEAD_DIM": 8}, "FAIL: .*HEAD_DIM"),
        ({"WINDOW_PATTERN": "SSX"}, "FAIL: WINDOW_PATTERN is 'SSX'"),
        ({"TOTAL_BATCH_SIZE": 1000}, "FAIL: TOTAL_BATCH_SIZE"),
    ],
)
def test_an_impossible_run_stops_with_one_sentence(
    in_process: "InProcess", constants: dict[str, float | int | str], says: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        in_process(**constants)
    assert stop.value.code == 1
    last = in_process.output.splitlines()[-1]
    assert re.match(says, last)
    assert "val_bpb:" not in in_process.output


# --- with a clock that gives ten steps, so that a run is the same every time ---


class InProcess:
    """Runs an edited train.py to its end in this process, for exactly ten steps; keeps what it printed."""

    def __init__(self) -> None:
        self.output = ""

    def __call__(self, **constants: Value) -> str:
        module = types.ModuleType("edited_train")
        exec(compile(set_constants(SOURCE, constants), "train.py", "exec"), module.__dict__)
        ticks = itertools.count()
        module.__dict__.update(now=lambda: next(ticks) / 10, peak_flops=lambda: 1e12, TIME_BUDGET=0.95)
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                module.__dict__["main"]()
        finally:
            gc.enable()
            gc.unfreeze()
            self.output = printed.getvalue()
        return self.output


@pytest.fixture
def in_process(stdlib_data: Path, monkeypatch: pytest.MonkeyPatch) -> InProcess:
    monkeypatch.setattr(prepare, "DATA_DIR", stdlib_data)
    monkeypatch.setattr(prepare, "EVAL_TOKENS", 2048)
    monkeypatch.delenv("SEED", raising=False)
    return InProcess()


SMALL: dict[str, Value] = {"DEPTH": 2, "ASPECT_RATIO": 128, "WINDOW_PATTERN": "SL"}
QUICK = SMALL | {"TOTAL_BATCH_SIZE": 2**18, "DEVICE_BATCH_SIZE": 64}
KNOBS: dict[str, Value] = {
    "DEPTH": 3,
    "ASPECT_RATIO": 192,
    "HEAD_DIM": 64,
    "WINDOW_PATTERN": "LL",
    "TOTAL_BATCH_SIZE": 2**17,
    "EMBEDDING_LR": 0.3,
    "UNEMBEDDING_LR": 0.008,
    "MATRIX_LR": 0.02,
    "SCALAR_LR": 0.25,
    "WEIGHT_DECAY": 0.0,
    "ADAM_BETAS": [0.9, 0.95],
    "MUON_MOMENTUM": 0.9,
    "MUON_BETA2": 0.9,
    "NS_STEPS": 3,
    "WARMUP_RATIO": 0.3,
    "WARMDOWN_RATIO": 0.2,
    "FINAL_LR_FRAC": 0.5,
}


def test_every_knob_acts_on_the_cpu_preset_too(in_process: InProcess) -> None:
    scores = {"baseline": score(in_process(**QUICK))}
    for name, value in KNOBS.items():
        scores[name] = score(in_process(**QUICK | {name: value}))
    assert len(set(scores.values())) == len(KNOBS) + 1, scores


def test_a_better_learning_rate_wins(in_process: InProcess) -> None:
    scores = {rate: score(in_process(**SMALL | {"UNEMBEDDING_LR": rate})) for rate in (0.0004, 0.008)}
    assert scores[0.008] < scores[0.0004] - 0.1


def test_the_rows_of_a_pass_do_not_change_the_result(in_process: InProcess) -> None:
    in_one, in_four = (
        [float(step[3]) for step in STEP.finditer(in_process(**SMALL | {"DEVICE_BATCH_SIZE": rows}))]
        for rows in (256, 64)
    )
    assert in_one[:2] == pytest.approx(in_four[:2], abs=1e-3)  # later steps carry the rounding of these further


def test_a_seed_repeats_its_score_and_another_seed_differs(
    in_process: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = score(in_process(**SMALL))
    assert score(in_process(**SMALL)) == first
    monkeypatch.setenv("SEED", "7")
    assert score(in_process(**SMALL)) != first


# --- the parts ---


def test_the_learning_rate_warms_up_holds_and_cools_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "WARMUP_RATIO", 0.2)
    monkeypatch.setattr(train, "WARMDOWN_RATIO", 0.5)
    monkeypatch.setattr(train, "FINAL_LR_FRAC", 0.1)
    assert [train.schedule(p) for p in (0, 0.1, 0.2, 0.4, 0.5)] == [0, 0.5, 1, 1, 1]
    assert train.schedule(0.75) == pytest.approx(0.55)
    assert train.schedule(1) == pytest.approx(0.1)


def reference_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, window: int) -> torch.Tensor:
    """Query by query, over exactly the keys it may see."""
    out = torch.empty_like(v)
    for i in range(q.size(2)):
        first = max(0, i - window + 1)
        weights = (q[:, :, i : i + 1] @ k[:, :, first : i + 1].mT / q.size(-1) ** 0.5).softmax(-1)
        out[:, :, i : i + 1] = weights @ v[:, :, first : i + 1]
    return out


@pytest.mark.parametrize("window", [1, 5, 16])
@pytest.mark.parametrize("uses_flex", [False, True], ids=["sdpa", "flex"])
def test_attention_sees_its_window_and_nothing_else(window: int, uses_flex: bool) -> None:
    q, k, v = torch.randn(3, 2, 4, 16, 8, generator=torch.Generator().manual_seed(1))
    attend = train.Attend(16, window, "cpu", uses_flex)
    torch.testing.assert_close(attend(q, k, v), reference_attention(q, k, v, window), atol=1e-5, rtol=1e-5)


def test_half_precision_scores_like_full_precision() -> None:
    config = train.GPTConfig(vocab_size=64, seq_len=32, depth=3, model_dim=32, head_dim=16, window_pattern="SL")
    full = train.GPT(config, "cpu", torch.float32)
    for parameter in full.parameters():  # no longer the identity of the start
        torch.nn.init.normal_(parameter, 0, 0.2, torch.Generator().manual_seed(2))
    half = train.GPT(config, "cpu", torch.bfloat16)
    half.load_state_dict(full.state_dict())
    tokens = torch.randint(64, (4, 33), generator=torch.Generator().manual_seed(3))
    losses = [model(tokens[:, :-1], tokens[:, 1:]) for model in (full, half)]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=0.02)
    losses[1].backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in half.parameters())


def test_no_prediction_depends_on_the_future() -> None:
    config = train.GPTConfig(vocab_size=64, seq_len=16, depth=2, model_dim=32, head_dim=16, window_pattern="SL")
    model = train.GPT(config, "cpu", torch.float32)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0, 0.2)
    tokens, targets = torch.randint(64, (2, 1, 16))
    changed = tokens.clone()
    changed[:, 10:] = (changed[:, 10:] + 1) % 64
    before, after = (model(t, targets, reduction="none") for t in (tokens, changed))
    torch.testing.assert_close(before[:10], after[:10])
    assert not torch.allclose(before[10:], after[10:])


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 8, 32), (2, 32, 8)])
def test_muon_makes_a_matrix_nearly_orthogonal(shape: tuple[int, ...]) -> None:
    g = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    singular = torch.linalg.svdvals(train.orthogonalise(g, steps=5))
    assert singular.min() > 0.6
    assert singular.max() < 1.3


def test_the_rehearsal_trains_nothing(in_process: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    output = in_process(**SMALL)
    first = next(line for line in output.splitlines() if line.startswith("step"))
    torch.manual_seed(1337)
    corpus = prepare.load_corpus("stdlib")
    tokenizer = prepare.Tokenizer.load(corpus)
    fresh = train.GPT(train.GPTConfig(1024, 256, 2, 32, 16, "SL"))
    batches: Callable[[], prepare.Batch] = prepare.make_dataloader(corpus, tokenizer, 2, "train", "cpu").__next__
    losses = [fresh(*batches()[:2]).item() for _ in range(2)]
    assert float(STEP.match(first)[3]) == pytest.approx(sum(losses) / 2, abs=1e-5)  # type: ignore[index]
