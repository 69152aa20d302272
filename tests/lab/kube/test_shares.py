"""Several runs side by side on one cluster of 8 GPUs, on the real SkyPilot and kubectl. Minutes; `pytest -m lab`."""

from __future__ import annotations

from pathlib import Path

import pytest

from cockpit.core.model import Attempt, ClusterState, Outcome
from tests.lab.kube.conftest import INFRA
from tests.lab.kube.lab import KubeLab
from tests.lab.processes import PATIENCE
from tests.lab.sessions import LabSession

pytestmark = [pytest.mark.lab, pytest.mark.lab_slow, pytest.mark.timeout(3600 * PATIENCE)]

SCRIPT = """\
import os
import time
from pathlib import Path

MATRIX_LR = 0.04
TOGETHER = 1

place = Path.home() / "together" / str(TOGETHER)
place.mkdir(parents=True, exist_ok=True)
(place / os.environ["EXPERIMENT_ID"]).touch()
print("its GPUs:", os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
while len(list(place.iterdir())) < TOGETHER:
    time.sleep(1)
print(f"val_bpb: {1.0 + abs(MATRIX_LR - 0.05):.6f}", flush=True)
"""
"""A run that ends once as many runs as it says have begun on its cluster."""
SHARES = {"gpu-01/1", "gpu-01/2", "gpu-01/3", "gpu-01/4"}


def test_four_runs_share_a_cluster_with_two_gpus_each(kube: KubeLab, tmp_path: Path) -> None:
    session = LabSession(kube, tmp_path, "kube-shares", script=SCRIPT, infra=INFRA)
    task = session.repo / "experiment.yaml"
    task.write_text(task.read_text().replace("{H100: 1, H200: 1}", "{A100: 8}"))
    try:
        session.new("--clusters", "1", "--gpus-per-run", "2", "--time-limit", "1800")
        session.until(lambda: not session.state.in_flight and session.up() == SHARES, 1800, "all shares to be up")
        assert len([pod for pod in kube.pods() if session.state.session.id in pod]) == 1, "one cluster for all"
        session.wave(1, TOGETHER=[4], MATRIX_LR=[0.01, 0.015, 0.02, 0.025])
        session.until(lambda: len(_of_the_wave(session)) == 4, 300, "the wave to be proposed")
        session.until(lambda: not session.state.waiting and not session.state.in_flight, 1800, "the wave to end")
        attempts = _of_the_wave(session)
        assert {one.outcome for one in attempts} == {Outcome.VALID}, "one of the four ran alone until its limit"
        assert {one.cluster for one in attempts} == SHARES
        assert sorted(session.state.clusters[name].gpus for name in SHARES) == [2, 2, 2, 2]
        given = [_gpus(session.folder.root / "logs" / f"{one.id}.log") for one in attempts]
        assert sorted(gpu for gpus in given for gpu in gpus) == list("01234567"), given
        done = session.cockpit("down", session.name, "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        session.until(lambda: set(session.states().values()) == {ClusterState.DOWN}, 240, "the shares to be down")
        assert not [name for name in kube.clusters() if session.state.session.id in name]
    finally:
        session.close()


def _of_the_wave(session: LabSession) -> list[Attempt]:
    """Return the attempts of the wave, which come after the baseline's."""
    return [one for name, one in session.state.attempts.items() if not name.startswith("e0000")]


def _gpus(log: Path) -> list[str]:
    line = next(line for line in log.read_text().splitlines() if line.startswith("its GPUs: "))
    return line.removeprefix("its GPUs: ").split(",")
