"""The researched files as a user has them: train.py and prepare.py of the repository, and a prepared corpus."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # what is promised here is the CPU preset, on any machine

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def run_script() -> Run:
    """Runs a script as a user would, in a folder, with a minimal environment of its own."""

    def run(*command: str, folder: Path = ROOT, data: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        bare = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env=bare
            | {"COCKPIT_DATA_DIR": str(data), "COCKPIT_CORPUS": "stdlib", "CUDA_VISIBLE_DEVICES": ""}
            | environment,
            capture_output=True,
            text=True,
            timeout=280,
        )

    return run


@pytest.fixture(scope="session")
def stdlib_data(tmp_path_factory: pytest.TempPathFactory, run_script: Run) -> Path:
    """A data folder in which the real stdlib corpus was prepared by the command."""
    data = tmp_path_factory.mktemp("data")
    done = run_script("prepare.py", "--corpus", "stdlib", data=data)
    assert done.returncode == 0, done.stderr
    return data
