"""A node whose disk is full, or whose clock is an hour off."""

import time
from pathlib import Path

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")

from sky import exceptions

from cockpit.fleet.base import ClusterReady, ClusterTrouble, Expected, Job, JobEnded, JobRefused, JobStarted
from tests.fleet.fake_cloud import FakeCloud
from tests.fleet.fake_night import FakeNight, quick

pytestmark = pytest.mark.timeout(120)
FULL = (
    'rsync: [receiver] write failed on "/root/sky_workdir/variants/e0001.1-s1/train.py": No space left on device (28)'
)
RUN_S = 1.0


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


@pytest.mark.parametrize("off_s", [-3600.0, 0.0, 3600.0])
def test_a_run_lasts_as_long_as_it_did_by_any_clock_of_its_node(tmp_path: Path, off_s: float) -> None:
    cloud = FakeCloud()
    cloud.clock_off_s = off_s
    night = FakeNight(tmp_path, cloud)
    night.up("gpu-01")
    before = time.time()
    night.run("e0001.1")
    time.sleep(RUN_S)
    cloud.finish("gpu-01-s1", "1.25")
    night.until(lambda: night.of(JobEnded))
    (start,), (end,) = night.of(JobStarted), night.of(JobEnded)
    assert before <= start.at <= end.at <= time.time()
    assert end.at - start.at >= 0.9 * RUN_S
    night.close()


@pytest.mark.parametrize("off_s", [-3600.0, 3600.0])
def test_a_restarted_worker_takes_up_a_run_by_any_clock_of_its_node(tmp_path: Path, off_s: float) -> None:
    cloud = FakeCloud()
    cloud.clock_off_s = off_s
    night = FakeNight(tmp_path, cloud)
    night.up("gpu-01")
    began = time.time()
    night.run("e0001.1")
    night.fleet.close()
    source, log = tmp_path / "runs" / "e0001.1", tmp_path / "logs" / "e0001.1.log"
    later = FakeNight(tmp_path, cloud)
    job = Job("e0001.1", "gpu-01", source, log, {"EXPERIMENT_ID": "e0001.1"}, (), 600.0, since=began)
    later.fleet.recover(Expected(("gpu-01",), (job,)))
    later.until(lambda: later.of(JobStarted))
    time.sleep(RUN_S)
    assert not later.of(JobEnded), "it has its whole limit"
    cloud.finish("gpu-01-s1", "1.25")
    later.until(lambda: later.of(JobEnded))
    (end,) = later.of(JobEnded)
    assert all(began <= start.at <= end.at <= time.time() for start in later.of(JobStarted))
    assert (end.reason, end.exit_code) == ("exited", 0)
    assert len(cloud.tasks) == 1, "it is not submitted again"
    later.close()


def test_a_node_without_room_for_a_run_is_launched_anew_after_three(tmp_path: Path) -> None:
    cloud = FakeCloud()
    night = FakeNight(tmp_path, cloud)
    night.up("gpu-01")
    cloud.exec_fails = exceptions.CommandError(11, "rsync -Pavz …", FULL, None)
    for number in range(1, 4):
        night.submit(f"e000{number}.1")
    night.until(lambda: night.of(ClusterTrouble))
    assert [report.job for report in night.of(JobRefused)] == ["e0001.1", "e0002.1", "e0003.1"], (
        "each is submitted again"
    )
    (trouble,) = night.of(ClusterTrouble)
    assert trouble.message.startswith("gpu-01 took none of 3 jobs: ") and "No space left on device" in trouble.message
    assert trouble.billed and not trouble.final
    cloud.exec_fails = None
    night.fleet.launch("gpu-01")
    night.until(lambda: len(night.of(ClusterReady)) == 2)
    assert cloud.downs == ["gpu-01-s1"], "its disk goes with it"
    night.run("e0004.1")
    night.close()
