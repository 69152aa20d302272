"""The scorer as a runner starts it, on the real prepare.py and corpus, with small models in place of trained ones."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cockpit import scoring

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(scoring.__file__).parent

MODEL = """
import torch, torch.nn as nn
from prepare import Corpus

class Bigram(nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.table = nn.Parameter(0.5 * torch.randn(1024, 1024, generator=generator))
    def forward(self, tokens):
        return self.table[tokens]

class Model(Bigram):
{body}

def load_model(path):
{load}
    return Model()
"""
"""A train.py that a scorer can load: its model is a table from a token to the logits of the next."""

Score = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the real stdlib corpus and its sealed shard."""
    data = tmp_path_factory.mktemp("corpus") / "data"
    subprocess.run(
        [sys.executable, "prepare.py", "--corpus", "stdlib"],
        cwd=ROOT, env=environment(data), check=True, capture_output=True, timeout=200,
    )  # fmt: skip
    return data


def environment(data: Path) -> dict[str, str]:
    own = {
        "COCKPIT_DATA_DIR": str(data),
        "COCKPIT_CORPUS": "stdlib",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **own}


@pytest.fixture
def score(data: Path, tmp_path: Path) -> Score:
    """Scores a model, given the body of its class or the source of train.py. Returns the scorer's words."""

    def run(
        body: str = "    pass",
        load: str = "    pass",
        model: bool = True,
        data: Path = data,
        sealed: bool = True,
        beside: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        code, *folders = (tmp_path / name for name in ("code", "scoring", "probing"))
        for place in (code, *folders):
            place.mkdir()
            shutil.copy(ROOT / "prepare.py", place)
            (place / "train.py").write_text(MODEL.format(body=body, load=load))
            for name, text in (beside or {}).items():
                (place / name).write_text(text)
            if model:
                (place / "model.pt").write_bytes(b"")
        server = {
            "command": [sys.executable, "-I", str(SCRIPTS / "server.py"), "model.pt"],
            "environment": {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        }
        work = {"servers": {str(folder): server for folder in folders}, "code": str(code), "sealed": sealed}
        (tmp_path / "work.json").write_text(json.dumps(work))
        subprocess.run(
            [sys.executable, "-I", str(SCRIPTS / "feeder.py"), str(tmp_path / "work.json"), str(tmp_path / "score")],
            env=environment(data), check=True, timeout=200,
        )  # fmt: skip
        found: dict[str, Any] = json.loads((tmp_path / "score").read_text())
        return found

    return run
