import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = '''"""
Pretraining script in one file.
Usage: python train.py
"""

import os

os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

import math
from dataclasses import dataclass

from prepare import MAX_SEQ_LEN, TIME_BUDGET, evaluate_bpb


@dataclass
class Config:
    n_layer: int = 12
    window_pattern: str = "SSSL"


def norm(x):
    """Scale to unit length."""
    DEPTH = math.sqrt(sum(v * v for v in x))  # a local of the same name
    return [v / DEPTH for v in x]


# ---------------------------------------------------------------------------
# Hyperparameters (edit these directly)
# ---------------------------------------------------------------------------

# Model architecture
ASPECT_RATIO = 64       # model_dim = depth * ASPECT_RATIO
HEAD_DIM = 128          # target head dimension
WINDOW_PATTERN = "SSSL" # sliding window pattern: L=full, S=half context

# Optimization
TOTAL_BATCH_SIZE = 2**19 # ~524K tokens per step
EMBEDDING_LR = 0.6      # Adam
MATRIX_LR = 4e-2        # Muon — für Matrizen
ADAM_BETAS = (0.8, 0.95) # beta1, beta2
WARMUP_RATIO = 0.0
COMPILE = True
FLOOR = -1
SCHEDULE = [
    1.0,  # at the start
    0.5,  # half way
]

DEPTH: int = 8          # number of layers
WARM_STEPS = 10 + DEPTH

SHORT = 4
if os.environ.get("LONG"):
    SHORT = 8

t_start = 0.0
val_bpb = evaluate_bpb(DEPTH, TOTAL_BATCH_SIZE)
print("---")
print(f"val_bpb:          {val_bpb:.6f}")
print(f"depth:            {DEPTH}")
'''

PREPARE = '''"""Read-only."""

MAX_SEQ_LEN = 2048
TIME_BUDGET = 300


def evaluate_bpb(depth, batch):
    return 1.0
'''

Git = Callable[..., str]


def git_in(folder: Path) -> Git:
    """Runs git in `folder` with neutral settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "LC_ALL": "C"}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "Ada", f"GIT_{role}_EMAIL": "ada@example.org"}

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    return git


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with train.py and prepare.py in its only commit."""
    folder = tmp_path / "research"
    folder.mkdir()
    git = git_in(folder)
    git("init", "--quiet", "--initial-branch=main")
    (folder / "train.py").write_text(SCRIPT)
    (folder / "prepare.py").write_text(PREPARE)
    git("add", ".")
    git("commit", "--quiet", "--message=Begin")
    return folder
