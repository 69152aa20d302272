"""The scenarios of the Slurm lab that need nothing of Slurm, on the stand-in of Kubernetes; `pytest -m lab`.

They run in a process of their own: SkyPilot's client keeps the address of the first API server that it used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.core.session import ClusterSpec
from cockpit.fleet.base import ClusterEnded, ClusterReady, ClusterTrouble
from tests.lab.fleets import TASK, LabNight
from tests.lab.kube.lab import SKY_PORT, KubeLab
from tests.lab.processes import PATIENCE
from tests.lab.test_fleet import (
    night,
    test_a_cancelled_run_ends_and_the_next_one_runs,
    test_a_crash_and_a_hang_do_not_hold_the_cluster,
    test_a_failed_set_up_is_one_sentence_and_another_cluster_works,
    test_a_mixed_fleet_runs_two_waves,
    test_a_run_that_prints_anything_is_still_measured,
    test_a_worker_killed_five_times_loses_no_line_and_runs_nothing_twice,
    test_four_variants_queued_at_once_on_one_cluster_each_run_their_own_code,
    test_the_api_server_may_stop_and_start_under_a_run,
    test_two_sessions_of_one_name_never_touch_each_others_clusters,
)

__all__ = [
    "night",
    "test_a_cancelled_run_ends_and_the_next_one_runs",
    "test_a_crash_and_a_hang_do_not_hold_the_cluster",
    "test_a_failed_set_up_is_one_sentence_and_another_cluster_works",
    "test_a_mixed_fleet_runs_two_waves",
    "test_a_run_that_prints_anything_is_still_measured",
    "test_a_worker_killed_five_times_loses_no_line_and_runs_nothing_twice",
    "test_four_variants_queued_at_once_on_one_cluster_each_run_their_own_code",
    "test_the_api_server_may_stop_and_start_under_a_run",
    "test_two_sessions_of_one_name_never_touch_each_others_clusters",
]

pytestmark = [pytest.mark.lab, pytest.mark.lab_slow, pytest.mark.timeout(3600 * PATIENCE)]


@pytest.fixture(scope="module")
def lab(kube: KubeLab) -> Iterator[KubeLab]:
    """Return the lab, with this process made SkyPilot's client there."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (os.environ | kube.env()).items():
            patch.setenv(name, value)
        patch.setattr(LabNight, "infra", "k8s")
        from sky.server import common

        if not common.get_server_url().endswith(f":{SKY_PORT}"):
            pytest.skip("this process is SkyPilot's client of another lab: run tests/lab/kube/test_fleet.py alone")
        yield kube


def test_a_gpu_that_no_node_has_is_one_sentence_and_asked_for_again_since_a_node_may_join(
    lab: KubeLab, tmp_path: Path
) -> None:
    task = TASK.replace("H100: 1", "B999: 1")
    asks = LabNight(tmp_path / "asks", (ClusterSpec("gpu-21", "B999"),), task)
    asks.fleet.launch("gpu-21")
    asks.until(lambda: asks.of(ClusterTrouble))
    asks.fleet.close()
    trouble = asks.of(ClusterTrouble)[0]
    assert trouble.refused and not trouble.final and not trouble.billed
    assert trouble.message.startswith("gpu-21 cannot be had now: ") and "B999" in trouble.message
    assert "\n" not in trouble.message and "\x1b" not in trouble.message


def test_an_idle_cluster_ends_itself_and_has_not_failed(lab: KubeLab, tmp_path: Path) -> None:
    idle = LabNight(tmp_path / "idle", (ClusterSpec("gpu-41", "H100"),), idle_minutes=1)
    idle.ready("gpu-41")
    idle.until(lambda: idle.of(ClusterEnded))
    idle.fleet.close()
    assert idle.of(ClusterEnded)[0].message == "it ended itself: nothing ran on it for 1 min"
    assert not idle.of(ClusterTrouble)
    assert not [name for name in (*lab.pods(), *lab.clusters()) if name.startswith("gpu-41")]


def test_a_launch_of_any_class_takes_another_where_one_is_full(lab: KubeLab, tmp_path: Path) -> None:
    nodes = [node for node in lab.nodes() if node.startswith("h100")]
    lab.cordon(*nodes)
    try:
        any_class = LabNight(tmp_path / "any", (ClusterSpec("gpu-51"),))
        any_class.fleet.launch("gpu-51")
        any_class.until(lambda: any_class.up)
        assert [report.hardware for report in any_class.of(ClusterReady)] == ["H200"]
        assert not any_class.of(ClusterTrouble), "a full class is not a failure"
        any_class.close()
    finally:
        lab.uncordon(*nodes)
