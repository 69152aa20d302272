"""The kills as a test runs them: in a process of its own, which forks and has no other threads."""

import os
import subprocess
import sys

from tests.worker.sessions import ROOT


def kill_in_a_process(*options: str) -> str:
    """Return what `python -m tests.faults.kills` with these options says. Fails where it does."""
    command = [sys.executable, "-m", "tests.faults.kills", *options]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=220, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
