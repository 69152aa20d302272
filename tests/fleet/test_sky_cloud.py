"""The fleet on a cloud that has no room, hangs, preempts and evicts, through the real SkyClient."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")

from cockpit.core.model import ClusterSpec
from cockpit.fleet.base import ClusterReady, ClusterStep, ClusterTrouble
from cockpit.fleet.sky import setup
from tests.fleet.fake_cloud import FakeCloud
from tests.fleet.fake_night import FakeNight, quick

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    yield FakeCloud()


def classes(night: FakeNight) -> dict[str, str]:
    return {report.cluster: report.hardware for report in night.of(ClusterReady)}


def test_two_launches_that_chose_the_one_free_node_get_two_classes(tmp_path: Path, cloud: FakeCloud) -> None:
    """Both choose H200; the one that waits is asked for again as H100, without a person's word."""
    cloud.room = {"H200": 1, "H100": 0}
    night = FakeNight(tmp_path, cloud, ClusterSpec("gpu-01"), ClusterSpec("gpu-02"))
    night.up("gpu-01")
    cloud.room = {"H200": 0, "H100": 1}
    cloud.prefers = "H200"
    night.up("gpu-02")
    assert classes(night) == {"gpu-01": "H200", "gpu-02": "H100"}
    assert not night.of(ClusterTrouble)
    night.close()


def test_a_launch_waits_for_its_class_where_all_are_full_or_it_was_named(tmp_path: Path, cloud: FakeCloud) -> None:
    cloud.room = {"H100": 0, "H200": 1}
    night = FakeNight(tmp_path, cloud, ClusterSpec("gpu-01", "H100"))
    night.fleet.launch("gpu-01")
    night.until(lambda: any("waits in the cloud's queue" in getattr(report, "message", "") for report in night.seen))
    assert len(cloud.launches) == 1
    cloud.room["H100"] = 1
    night.until(lambda: night.of(ClusterReady))
    assert classes(night) == {"gpu-01": "H100"}
    night.close()


def test_a_launch_that_waits_is_asked_for_again_on_a_persons_word(tmp_path: Path, cloud: FakeCloud) -> None:
    cloud.room = {"H100": 0}
    night = FakeNight(tmp_path, cloud, ClusterSpec("gpu-01", "H100"))
    night.fleet.launch("gpu-01")
    night.until(lambda: "gpu-01-s1" in cloud.clusters)
    night.fleet.launch("gpu-01")
    night.until(lambda: len(cloud.launches) == 2)
    cloud.room["H100"] = 1
    night.until(lambda: night.of(ClusterReady))
    assert not night.of(ClusterTrouble)
    night.close()


def test_a_set_up_that_hangs_in_silence_is_cancelled_at_its_deadline(
    tmp_path: Path, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "SETUP_LIMIT_S", 0.5)
    cloud.setup_hangs = True
    night = FakeNight(tmp_path, cloud)
    night.fleet.launch("gpu-01")
    night.until(lambda: night.of(ClusterTrouble))
    (trouble,) = night.of(ClusterTrouble)
    assert "the set-up of gpu-01 did not end within" in trouble.message and "installs torch" in trouble.message
    assert cloud.cancelled == [("gpu-01-s1", 1)]
    cloud.setup_hangs = False
    night.up("gpu-01")
    assert cloud.downs == ["gpu-01-s1"], "what is left of the cluster goes first"
    night.close()


def test_a_launch_says_its_steps_and_the_set_ups_newest_line(tmp_path: Path, cloud: FakeCloud) -> None:
    night = FakeNight(tmp_path, cloud)
    night.up("gpu-01")
    steps = [report.message for report in night.of(ClusterStep)]
    assert "asks SkyPilot for a cluster" in steps and "set-up: installs torch" in steps
    log = (tmp_path / "logs" / "gpu-01.setup.log").read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in log if line.startswith("cockpit: ")] == [
        "waits for a place among the launches under way",
        "asks SkyPilot for a cluster",
        "set-up begins",
    ]
    assert "installs torch" in log
    night.close()
