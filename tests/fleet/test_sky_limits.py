"""The fleet asks SkyPilot for a bounded number of things at a time, and waits for each for a bounded time."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")

from cockpit.core.session import ClusterSpec
from cockpit.fleet.base import ClusterReady, ClusterTrouble, JobRefused, JobSubmitted
from cockpit.fleet.sky import client, private_names
from cockpit.fleet.sky.client import SkyClient
from cockpit.fleet.sky.parts import SkyError
from tests.fleet.fake_cloud import FakeCloud
from tests.fleet.fake_night import FakeNight, client_of, quick

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time limits of all calls, in seconds, in order."""
    seen: list[float] = []
    call = SkyClient._call

    def noted(
        self: SkyClient, ask: Callable[[], Any], limit_s: float, told: Callable[[str], None] | None = None
    ) -> Any:
        seen.append(limit_s)
        return call(self, ask, limit_s, told)

    monkeypatch.setattr(SkyClient, "_call", noted)
    yield seen


def test_an_exec_has_150_seconds(tmp_path: Path, limits: list[float]) -> None:
    night = FakeNight(tmp_path, FakeCloud())
    night.up("gpu-01")
    before = len(limits)
    night.run("e0001.1", waits_for_start=False)
    assert 150.0 in limits[before:]
    night.close()


def hanging_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[FakeCloud, FakeNight]:
    """Return a night of one cluster whose next exec hangs, with a short limit for it."""
    monkeypatch.setattr(client, "SUBMIT_LIMIT_S", 0.3)
    cloud = FakeCloud()
    night = FakeNight(tmp_path, cloud)
    night.up("gpu-01")
    cloud.exec_hangs = True
    return cloud, night


def test_an_exec_that_hangs_is_cancelled_once_and_its_run_goes_back_to_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SkyPilot's rsync may hang (skypilot#10167). Five tries of 300 s would leave the GPU idle for 25 minutes."""
    cloud, night = hanging_night(tmp_path, monkeypatch)
    night.submit("e0001.1")
    night.until(lambda: night.of(JobRefused))
    assert len(cloud.tasks) == 1
    (refused,) = night.of(JobRefused)
    assert "gpu-01 did not take e0001.1: SkyPilot did not answer within" in refused.message
    cloud.exec_hangs = False
    monkeypatch.setattr(client, "SUBMIT_LIMIT_S", 25.0)
    night.run("e0002.1")
    assert [report.job for report in night.of(JobSubmitted)] == ["e0002.1"]
    assert not night.of(ClusterTrouble), "one that is late is not the cluster's failure"
    night.close()


def test_an_exec_after_a_late_one_has_twice_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: list[float]
) -> None:
    cloud, night = hanging_night(tmp_path, monkeypatch)
    before = len(limits)
    for number in (1, 2):
        night.submit(f"e000{number}.1")
        night.until(lambda number=number: len(night.of(JobRefused)) == number)  # type: ignore[misc]
    cloud.exec_hangs = False
    monkeypatch.setattr(client, "SUBMIT_LIMIT_S", 25.0)
    for number in (3, 4):
        night.run(f"e000{number}.1", waits_for_start=False)
    assert [limit for limit in limits[before:] if limit in (0.3, 0.6, 25.0, 50.0, 100.0)] == [0.3, 0.6, 100.0, 25.0]
    night.close()


def test_an_exec_that_hangs_after_its_job_arrived_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud, night = hanging_night(tmp_path, monkeypatch)
    cloud.exec_arrives = True
    night.run("e0001.1")
    assert len(cloud.tasks) == 1 and not night.of(JobRefused)
    night.close()


@pytest.mark.parametrize(
    ("looks", "asked"),
    [
        (["RUNNING"], 1),
        (["PENDING", "RUNNING", "RUNNING"], 3),
        (["PENDING", "PENDING", "RUNNING", "RUNNING"], 4),
        (["PENDING"] * 9, client.QUEUED_AT_MOST),
    ],
)
def test_a_requests_limit_counts_from_the_api_servers_first_work_on_it(
    tmp_path: Path, looks: list[str], asked: int
) -> None:
    # The server began between the last look that found it queued and the next: its whole limit follows.
    cloud = FakeCloud()
    cloud.queues_requests, cloud.looks = True, list(looks)
    with pytest.raises(SkyError, match="SkyPilot did not answer within") as late:
        client_of(tmp_path, cloud)._call(lambda: cloud.queue("gpu-01", all_users=True), 0.02)
    assert late.value.kind == "late" and len(looks) - len(cloud.looks) == asked


@pytest.mark.parametrize(("is_local", "places"), [(True, 4), (False, 16)])
def test_a_local_api_server_gets_4_long_requests_at_a_time_and_a_remote_one_16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_local: bool, places: int
) -> None:
    monkeypatch.setattr(private_names, "api_server_is_local", lambda: is_local)
    assert client_of(tmp_path, FakeCloud()).long_requests() == places


@pytest.mark.parametrize(("places", "clusters"), [(4, 6), (16, 20)])
def test_launches_leave_a_place_for_the_clusters_that_are_up(tmp_path: Path, places: int, clusters: int) -> None:
    cloud = FakeCloud(room={"H100": 1})
    names = [f"gpu-{number:02d}" for number in range(1, clusters + 1)]
    night = FakeNight(tmp_path, cloud, *(ClusterSpec(name, "H100") for name in names), places=places)
    night.up(names[0])
    for name in names[1:]:
        night.fleet.launch(name)
    night.until(lambda: len(cloud.launches) == places)
    night.run("e0001.1", names[0])
    assert len(cloud.launches) == places, f"one that is over and {places - 1} that wait for room"
    cloud.room["H100"] = clusters
    night.until(lambda: {report.cluster for report in night.of(ClusterReady)} == set(names))
    assert cloud.long_most <= places
    night.close()
