"""The rest of a lost cluster is billed until SkyPilot has it down, and the fleet says when that is."""

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")

from sky import exceptions

from cockpit.fleet.base import ClusterEnded, ClusterReady, ClusterTrouble, FleetTrouble, JobEnded
from cockpit.fleet.sky import follow, log, probe
from tests.fleet import fake_cloud
from tests.fleet.fake_cloud import FakeCloud
from tests.fleet.fake_night import FakeNight, quick

pytestmark = pytest.mark.timeout(120)
NAME = "gpu-01-s1"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    monkeypatch.setattr(probe, "LOST_AFTER_S", 0.2)


@pytest.fixture
def night(tmp_path: Path) -> Iterator[FakeNight]:
    """A night whose cluster gpu-01 is up."""
    a_night = FakeNight(tmp_path, FakeCloud())
    a_night.up("gpu-01")
    yield a_night
    a_night.close()


def trouble_after(night: FakeNight, happens: Callable[[str], None]) -> ClusterTrouble:
    """Let something happen to the cluster. Returns its trouble."""
    happens(NAME)
    night.fleet._clusters["gpu-01"].check()
    night.until(lambda: night.of(ClusterTrouble))
    return night.of(ClusterTrouble)[0]


def rest_ends(night: FakeNight) -> list[ClusterEnded]:
    return [report for report in night.of(ClusterEnded) if report.of_lost]


def test_a_cluster_that_does_not_answer_is_billed_until_skypilot_finds_it_gone(night: FakeNight) -> None:
    trouble = trouble_after(night, night.cloud.hang)
    assert "does not answer" in trouble.message and trouble.billed
    night.until(lambda: night.cloud.refreshes > 3)
    assert not rest_ends(night), "SkyPilot has it up"
    night.cloud.vanish(NAME)
    night.until(lambda: rest_ends(night))
    before = night.cloud.refreshes
    night.until(lambda: night.cloud.sweeps > 3)
    assert len(rest_ends(night)) == 1 and night.cloud.refreshes == before, "it is told once, and not asked for again"


@pytest.mark.parametrize("fate", ["vanish", "forget", "stop", "evict"])
def test_a_cluster_that_is_gone_stopped_or_evicted_is_not_billed(night: FakeNight, fate: str) -> None:
    assert not trouble_after(night, getattr(night.cloud, fate)).billed


def test_a_cluster_that_skypilot_finds_half_up_is_billed(night: FakeNight) -> None:
    trouble = trouble_after(night, night.cloud.break_in_half)
    assert trouble.message == "gpu-01 went down: SkyPilot finds it INIT: the Ray cluster is unhealthy"
    assert trouble.billed


def test_a_lost_cluster_that_is_launched_again_is_no_longer_looked_for(night: FakeNight) -> None:
    trouble_after(night, night.cloud.hang)
    night.fleet.launch("gpu-01")
    night.until(lambda: len(night.of(ClusterReady)) == 2)
    assert night.cloud.downs == [NAME], "its rest goes first"
    assert not night.fleet._clusters["gpu-01"].is_billed and not rest_ends(night)


def test_a_cluster_whose_set_up_failed_is_billed(tmp_path: Path) -> None:
    cloud = FakeCloud()
    cloud.setup_fails = True
    night = FakeNight(tmp_path, cloud)
    night.fleet.launch("gpu-01")
    night.until(lambda: night.of(ClusterTrouble))
    assert night.of(ClusterTrouble)[0].billed
    night.close()


def test_a_launch_without_quota_is_not_billed(tmp_path: Path) -> None:
    cloud = FakeCloud()
    cloud.refuses_launches = exceptions.ResourcesUnavailableError(fake_cloud.QUOTA)
    night = FakeNight(tmp_path, cloud)
    night.fleet.launch("gpu-01")
    night.until(lambda: night.of(ClusterTrouble))
    assert not night.of(ClusterTrouble)[0].billed
    night.close()


def test_a_full_disk_is_reported_once_and_keeps_the_run_and_its_cluster(
    night: FakeNight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "RETRY_S", (0.02,))
    write = log.RunLogFile._write
    tries: list[bytes] = []

    def full(file: log.RunLogFile, lines: bytes) -> None:
        if len(tries) < 5:
            tries.append(lines)
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, lines)

    monkeypatch.setattr(log.RunLogFile, "_write", full)
    night.run("e0001.1")
    night.cloud.finish(NAME, "1.25")
    night.until(lambda: night.of(JobEnded))
    (told,) = night.of(FleetTrouble)
    assert told.text == "the log of e0001.1 cannot be written: No space left on device"
    assert [(end.reason, end.exit_code) for end in night.of(JobEnded)] == [("exited", 0)]
    assert "val_bpb: 1.25" in (night.root / "logs" / "e0001.1.log").read_text()
    assert not night.of(ClusterTrouble)
