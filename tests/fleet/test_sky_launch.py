"""The reason a launch waits is read from what SkyPilot 0.14.1 records for a cluster on Slurm."""

import pytest

from cockpit.fleet.sky.launch import queue_reason
from cockpit.fleet.sky.parts import ClusterRecord


@pytest.mark.parametrize(
    ("status", "reason", "why"),
    [
        ("INIT", "Launching (pending: Resources; partition: gpu)", "Resources"),
        ("INIT", "Launching (pending: Priority)", "Priority"),
        ("INIT", "Launching (nodes allocated; Slurm job 3 on lab)", ""),
        ("INIT", "Instances launched", ""),
        ("INIT", "", ""),
        ("UP", "Launching (pending: Resources; partition: gpu)", ""),
    ],
)
def test_a_launch_waits_while_its_job_is_pending(status: str, reason: str, why: str) -> None:
    assert queue_reason(ClusterRecord("gpu-01", status, "s", "H100", 1.0, {"H100": 1}, reason)) == why
