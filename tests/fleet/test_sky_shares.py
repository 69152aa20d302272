"""Several runs on one SkyPilot cluster: each share is a cluster of the session. They come up and go down together."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.core.session import ClusterSpec
from cockpit.fleet.base import (
    ClusterEnded,
    ClusterReady,
    ClusterTrouble,
    Expected,
    Job,
    JobEnded,
    JobRefused,
    JobStarted,
)
from tests.fleet.fake_cloud import FakeCloud
from tests.fleet.fake_night import FakeNight, quick

REMOTE = "gpu-01-s1"
TASK = "resources: {accelerators: H100:8}\nrun: python train.py\n"
SHARES = ("gpu-01/1", "gpu-01/2", "gpu-01/3", "gpu-01/4")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


def night_of(root: Path, cloud: FakeCloud, task: str = TASK) -> FakeNight:
    return FakeNight(root, cloud, *(ClusterSpec(name, "H100", gpus=2) for name in SHARES), task=task)


@pytest.fixture
def night(tmp_path: Path, cloud: FakeCloud) -> Iterator[FakeNight]:
    """Return a fleet of one cluster of 8 H100, which four runs of 2 share."""
    made = night_of(tmp_path, cloud)
    yield made
    made.close()


def clusters_of(reports: list[ClusterReady] | list[ClusterTrouble] | list[ClusterEnded]) -> list[str]:
    return [report.cluster for report in reports]


def test_one_launch_brings_up_every_share_with_its_part_of_the_gpus_and_the_price(
    night: FakeNight, cloud: FakeCloud
) -> None:
    night.up(*SHARES)
    assert [name for name, _, _ in cloud.launches] == [REMOTE]
    ready = night.of(ClusterReady)
    assert clusters_of(ready) == list(SHARES)
    assert {report.gpus for report in ready} == {2}
    assert len({report.usd_per_hour for report in ready}) == 1
    (night.root / "whole").mkdir()
    whole = FakeNight(night.root / "whole", FakeCloud(), task=TASK)
    whole.up("gpu-01")
    assert sum(report.usd_per_hour for report in ready) == pytest.approx(whole.of(ClusterReady)[0].usd_per_hour)
    whole.close()


def test_a_share_that_was_not_asked_for_comes_up_too_because_it_is_billed(night: FakeNight) -> None:
    night.up("gpu-01/1")
    assert clusters_of(night.of(ClusterReady)) == list(SHARES)


def test_the_runs_of_all_shares_run_at_a_time_on_a_part_of_the_gpus_each(night: FakeNight, cloud: FakeCloud) -> None:
    night.up(*SHARES)
    for number, share in enumerate(SHARES):
        night.run(f"e000{number}.1", share)
    assert not night.of(JobEnded), "all four run"
    asked = [dict(one.accelerators) for task in cloud.tasks for one in task.resources]
    assert asked == [{"H100": 2}] * 4
    cloud.finish(REMOTE, "1.0", number=2)  # after the set-up and e0000.1
    night.until(lambda: night.of(JobEnded))
    assert [(report.job, report.reason) for report in night.of(JobEnded)] == [("e0001.1", "exited")]


def test_one_outage_loses_every_share_once_with_its_run(night: FakeNight, cloud: FakeCloud) -> None:
    night.up(*SHARES)
    night.run("e0001.1", "gpu-01/1")
    night.run("e0002.1", "gpu-01/3")
    cloud.forget(REMOTE)
    night.fleet._clusters["gpu-01"].check()
    night.until(lambda: len(night.of(JobEnded)) == 2)
    assert clusters_of(night.of(ClusterTrouble)) == list(SHARES)
    assert {report.reason for report in night.of(JobEnded)} == {"lost"}
    for share in SHARES:
        night.fleet.launch(share)
    night.until(lambda: len(night.of(ClusterReady)) == 8)
    assert len(cloud.launches) == 2, "one launch for all"


def test_a_cluster_goes_down_with_its_last_share_and_one_share_ends_its_own_run_alone(
    night: FakeNight, cloud: FakeCloud
) -> None:
    night.up(*SHARES)
    night.run("e0001.1", "gpu-01/1")
    night.run("e0002.1", "gpu-01/2")
    for share in ("gpu-01/1", "gpu-01/3", "gpu-01/4"):
        night.fleet.down(share)
    night.until(lambda: night.of(JobEnded))
    assert [(report.job, report.reason) for report in night.of(JobEnded)] == [("e0001.1", "cancelled")]
    assert not cloud.downs and not night.of(ClusterEnded), "it is billed while a share is up"
    night.fleet.down("gpu-01/2")
    night.until(lambda: len(night.of(ClusterEnded)) == 4)
    assert clusters_of(night.of(ClusterEnded)) == list(SHARES)
    assert cloud.downs == [REMOTE]


def test_a_share_that_is_wanted_again_is_up_at_once(night: FakeNight, cloud: FakeCloud) -> None:
    night.up(*SHARES)
    night.fleet.down("gpu-01/2")
    night.fleet.launch("gpu-01/2")
    night.until(lambda: len(night.of(ClusterReady)) == 5)
    assert night.of(ClusterReady)[-1].cluster == "gpu-01/2"
    assert len(cloud.launches) == 1 and not cloud.downs


def test_a_restarted_worker_finds_each_run_on_its_share(night: FakeNight, cloud: FakeCloud, tmp_path: Path) -> None:
    night.up(*SHARES)
    night.run("e0001.1", "gpu-01/1")
    night.run("e0002.1", "gpu-01/4")
    night.fleet.close()
    again = night_of(tmp_path, cloud)
    jobs = tuple(
        Job(name, share, tmp_path / "runs" / name, tmp_path / "logs" / f"{name}.log", {}, (), 600.0)
        for name, share in (("e0001.1", "gpu-01/1"), ("e0002.1", "gpu-01/4"), ("e0003.1", "gpu-01/3"))
    )
    again.fleet.recover(Expected(("gpu-01/1", "gpu-01/4"), jobs))
    again.until(lambda: len(again.of(JobStarted)) >= 2 and again.of(ClusterReady))
    assert {report.job for report in again.of(JobStarted)} == {"e0001.1", "e0002.1"}
    assert [report.job for report in again.of(JobRefused)] == ["e0003.1"], "its share was not up"
    assert clusters_of(again.of(ClusterReady)) == ["gpu-01/1", "gpu-01/4"]
    again.fleet.launch("gpu-01/2")
    again.until(lambda: len(again.of(ClusterReady)) == 3)
    assert len(cloud.launches) == 1
    again.close()


def test_a_cluster_with_fewer_gpus_than_its_shares_is_refused(tmp_path: Path, cloud: FakeCloud) -> None:
    night = night_of(tmp_path, cloud, TASK.replace("H100:8", "H100:4"))
    for share in SHARES:
        night.fleet.launch(share)
    night.until(lambda: len(night.of(ClusterTrouble)) == 4)
    trouble = night.of(ClusterTrouble)[0]
    assert trouble.final
    assert "has 4 H100, and 4 runs of 2 share it: a changed experiment.yaml needs a new session" in trouble.message
    night.close()


def test_every_report_about_a_whole_cluster_keeps_its_name(tmp_path: Path, cloud: FakeCloud) -> None:
    night = FakeNight(tmp_path, cloud, ClusterSpec("gpu-01"), ClusterSpec("gpu-02"), task=TASK)
    night.up("gpu-01", "gpu-02")
    night.fleet.down("gpu-02")
    night.until(lambda: night.of(ClusterEnded))
    assert sorted(clusters_of(night.of(ClusterReady))) == ["gpu-01", "gpu-02"]
    assert clusters_of(night.of(ClusterEnded)) == ["gpu-02"]
    assert {report.gpus for report in night.of(ClusterReady)} == {8}
    night.close()
