"""A small repository in the shape of karpathy/autoresearch, for a processor: its train.py is one script that saves
nothing, and its prepare.py reads a folder of shards."""

from pathlib import Path

PREPARE = '''
import math
import os

import torch

MAX_SEQ_LEN = 32
TIME_BUDGET = 0.5
EVAL_TOKENS = 64 * MAX_SEQ_LEN
CACHE_DIR = os.path.join(os.path.expanduser("~"), ".cache", "autoresearch")
DATA_DIR = os.path.join(CACHE_DIR, "data")
BASE_URL = "HUB"
MAX_SHARD = 3
VAL_FILENAME = f"shard_{MAX_SHARD:05d}.parquet"


class Tokenizer:
    """A token for each byte, and one that starts a row."""

    @classmethod
    def from_directory(cls):
        return cls()

    def get_vocab_size(self):
        return 257


def get_token_bytes(device="cpu"):
    return torch.tensor([1] * 256 + [0], dtype=torch.int32, device=device)


def make_dataloader(tokenizer, B, T, split):
    val = os.path.join(DATA_DIR, VAL_FILENAME)
    train = sorted(os.path.join(DATA_DIR, n) for n in os.listdir(DATA_DIR) if n.endswith(".parquet"))
    paths = [val] if split == "val" else [path for path in train if path != val]
    rows = torch.empty((B, T + 1), dtype=torch.long)
    while True:
        for path in paths:
            with open(path, "rb") as file:
                text = file.read()
            for start in range(0, len(text) - B * T, B * T):
                for row in range(B):
                    rows[row] = torch.tensor([256, *text[start + row * T : start + (row + 1) * T]])
                yield rows[:, :-1], rows[:, 1:], 1


@torch.no_grad()
def evaluate_bpb(model, tokenizer, batch_size):
    token_bytes = get_token_bytes()
    loader = make_dataloader(tokenizer, batch_size, MAX_SEQ_LEN, "val")
    nats, size = 0.0, 0
    for _ in range(EVAL_TOKENS // (batch_size * MAX_SEQ_LEN)):
        x, y, _ = next(loader)
        loss = model(x, y, reduction="none").view(-1)
        weight = token_bytes[y.reshape(-1)]
        nats += (loss * (weight > 0)).sum().item()
        size += weight.sum().item()
    return nats / (math.log(2) * size)
'''

TRAIN = """
import gc
import os
import time
from dataclasses import asdict, dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

from prepare import MAX_SEQ_LEN, TIME_BUDGET, Tokenizer, evaluate_bpb, make_dataloader

capability = torch.get_num_threads()


@dataclass
class Config:
    vocab_size: int = 0
    width: int = 16


def norm(x):
    return F.rms_norm(x, (x.size(-1),))


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.mix = nn.Linear(config.width, config.width, bias=False)
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)

    def forward(self, idx, targets=None, reduction="mean"):
        x = norm(self.embedding(idx))
        seen = torch.arange(1, x.size(1) + 1)[:, None]
        x = x + self.mix(torch.cumsum(x, 1) / seen)LEAK
        logits = self.head(x).float()
        logits = softcap * torch.tanh(logits / softcap)
        if targets is None:
            return logits
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1), reduction=reduction)


RATE = 0.02
WIDTH = 8 * 2
started = time.time()
torch.manual_seed(42)
autocast = torch.amp.autocast(device_type="cpu", dtype=torch.bfloat16)
tokenizer = Tokenizer.from_directory()
config = Config(tokenizer.get_vocab_size(), WIDTH)
print(f"config: {asdict(config)}")
with torch.device("meta"):
    model = Model(config)
model.to_empty(device="cpu")
for parameter in model.parameters():
    nn.init.normal_(parameter, std=0.1)
optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
for unit in (5, 10, 15):
    softcap = float(unit)
model = torch.compile(model, backend="eager")
loader = make_dataloader(tokenizer, 8, MAX_SEQ_LEN, "train")
x, y, epoch = next(loader)
trained, step = 0.0, 0
while True:
    begun = time.time()
    with autocast:
        loss = model(x, y)
    loss.backward()
    optimizer.step()
    model.zero_grad(set_to_none=True)
    x, y, epoch = next(loader)
    step += 1
    if step > 3:
        trained += time.time() - begun
    if trained >= TIME_BUDGET:
        break
model.eval()
with autocast:
    val_bpb = evaluate_bpb(model, tokenizer, 8)
print("---")
print(f"val_bpb:          {val_bpb:.6f}")
print(f"training_seconds: {trained:.1f}")
print(f"total_seconds:    {time.time() - started:.1f}")
print(f"peak_vram_mb:     {0.0:.1f}")
print(f"mfu_percent:      {0.0:.2f}")
print(f"total_tokens_M:   {step * 8 * MAX_SEQ_LEN / 1e6:.4f}")
print(f"num_steps:        {step}")
print(f"num_params_M:     {0.0:.1f}")
print(f"depth:            {1}")
"""


PROJECT = """\
[project]
name = "autoresearch"
version = "0.1.0"
requires-python = ">=3.10"
dependencies = []
"""
"""Its pyproject.toml: `uv run` takes a project for an environment of its own, which is not installed."""


def write(folder: Path, leak: str = "", hub: str = "") -> None:
    """Write the two files; `leak` is more of the line that mixes a row's tokens."""
    (folder / "prepare.py").write_text(PREPARE.replace("HUB", hub))
    (folder / "train.py").write_text(TRAIN.replace("LEAK", leak))


def write_shards(home: Path, sealed: bool = True) -> None:
    """Write the shards below a home, of text that has something to learn."""
    caches = home / ".cache"
    places: dict[Path, tuple[str, ...]] = {
        caches / "autoresearch" / "data": ("shard_00000", "shard_00001", "shard_00003")
    }
    if sealed:
        places[caches / "autoresearch-sealed" / "upstream"] = ("shard_00002",)
    for folder, names in places.items():
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            lines = (f"{name} counts {i * i % 97} and {i % 7} of {i}.\n" for i in range(800))
            (folder / f"{name}.parquet").write_text("".join(lines))
