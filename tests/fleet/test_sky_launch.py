"""The reason a launch waits is read from what SkyPilot 0.14.1 records for a cluster on Slurm or Kubernetes."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from cockpit.fleet.sky.launch import queue_reason
from cockpit.fleet.sky.parts import ClusterRecord

KUEUE = ("Launching (waiting for queue admission)", "Launching (admitted by queue, waiting for scheduling)")


@pytest.mark.parametrize(
    ("status", "reason", "why"),
    [
        ("INIT", "Launching (pending: Resources; partition: gpu)", "Resources"),
        ("INIT", "Launching (pending: Priority)", "Priority"),
        ("INIT", KUEUE[0], "waiting for queue admission"),
        ("INIT", KUEUE[1], "admitted by queue, waiting for scheduling"),
        ("INIT", "Launching (Kubernetes cluster is autoscaling)", ""),
        ("INIT", "Launching (nodes allocated; Slurm job 3 on lab)", ""),
        ("INIT", "Instances launched", ""),
        ("INIT", "", ""),
        ("UP", "Launching (pending: Resources; partition: gpu)", ""),
    ],
)
def test_a_launch_waits_while_its_job_is_pending(status: str, reason: str, why: str) -> None:
    assert queue_reason(ClusterRecord("gpu-01", status, "s", "H100", 1.0, {"H100": 1}, reason)) == why


def test_skypilot_writes_these_words_for_a_queue_of_kubernetes() -> None:
    sky = find_spec("sky")
    if sky is None or sky.origin is None:
        pytest.skip("SkyPilot is not installed")
    source = (Path(sky.origin).parent / "provision" / "kubernetes" / "instance.py").read_text()
    assert all(f"reason='{words}'" in source for words in KUEUE)
