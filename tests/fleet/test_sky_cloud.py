"""The fleet on a cloud that has no room, hangs, preempts and evicts, through the real SkyClient."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")

from sky import exceptions

from cockpit.core.session import ClusterSpec
from cockpit.fleet.base import (
    ClusterReady,
    ClusterStep,
    ClusterTrouble,
    FleetTrouble,
    JobEnded,
    JobRefused,
    JobSubmitted,
)
from cockpit.fleet.sky import probe, setup
from cockpit.fleet.sky.task_file import read_task
from tests.fleet import fake_cloud, recorded
from tests.fleet.fake_cloud import FakeCloud, FakeCluster
from tests.fleet.fake_night import TASK, FakeNight, quick

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


def test_a_launch_waits_for_its_class_if_all_are_full_or_it_was_named(tmp_path: Path, cloud: FakeCloud) -> None:
    cloud.room = {"H100": 0, "H200": 1}
    night = FakeNight(tmp_path, cloud, ClusterSpec("gpu-01", "H100"))
    night.fleet.launch("gpu-01")
    night.until(lambda: any("waits in the cloud's queue" in getattr(report, "message", "") for report in night.seen))
    assert len(cloud.launches) == 1
    cloud.room["H100"] = 1
    night.until(lambda: night.of(ClusterReady))
    assert classes(night) == {"gpu-01": "H100"}
    night.close()


def test_a_launch_that_waits_is_asked_for_again_when_a_person_asks(tmp_path: Path, cloud: FakeCloud) -> None:
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


def request(name: str, status: str, created_at: float, took_s: float) -> SimpleNamespace:
    finished_at = created_at + took_s if took_s else None
    return SimpleNamespace(name=name, status=status, created_at=created_at, finished_at=finished_at)


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ([], "asks SkyPilot for a cluster"),
        ([request("sky.launch", "SUCCEEDED", 5.0, 130.0)], "asks SkyPilot for a cluster: its last took 2 min"),
        (
            [
                request("sky.launch", "SUCCEEDED", 900.0, 250.0),
                request("sky.launch", "SUCCEEDED", 500.0, 120.0),
                request("sky.launch", "FAILED", 400.0, 9000.0),
                request("sky.exec", "SUCCEEDED", 300.0, 9000.0),
                request("sky.launch", "RUNNING", 1000.0, 0.0),
            ],
            "asks SkyPilot for a cluster: its last 2 launches took 2 to 4 min",
        ),
    ],
)
def test_a_launch_says_how_long_skypilots_earlier_ones_took(
    tmp_path: Path, cloud: FakeCloud, history: list[SimpleNamespace], said: str
) -> None:
    cloud.history = history
    night = FakeNight(tmp_path, cloud)
    night.up("gpu-01")
    assert said in [report.message for report in night.of(ClusterStep)]
    night.close()


SPOT = "resources: {accelerators: H100:1, use_spot: true}\nrun: python train.py\n"


def fate(tmp_path: Path, cloud: FakeCloud, happens: Callable[[str], None], task: str = TASK) -> tuple[str, str, bool]:
    """Run a job, let something happen to its cluster, and return how the job ended, the cluster's trouble, and if that
    is not the cluster's failure."""
    night = FakeNight(tmp_path, cloud, task=task)
    night.up("gpu-01")
    night.run("e0001.1")
    happens("gpu-01-s1")
    night.fleet._clusters["gpu-01"].check()
    night.until(lambda: night.of(JobEnded))
    (end,), (trouble,) = night.of(JobEnded), night.of(ClusterTrouble)
    night.close()
    return end.reason, trouble.message, trouble.refused


def test_a_preempted_run_is_distinguished_from_a_lost_one(tmp_path: Path, cloud: FakeCloud) -> None:
    said = "gpu-01 was preempted: its cloud took the spot machine back"
    assert fate(tmp_path, cloud, cloud.vanish, SPOT) == ("preempted", said, True)


def test_a_preempted_cluster_whose_record_another_call_dropped_is_distinguished_from_a_lost_one(
    tmp_path: Path, cloud: FakeCloud
) -> None:
    said = "gpu-01 is gone: its cloud took the spot machine back, or it was taken down"
    assert fate(tmp_path, cloud, cloud.forget, SPOT) == ("preempted", said, True)


def test_a_cluster_that_is_not_spot_and_is_gone_was_lost(tmp_path: Path, cloud: FakeCloud) -> None:
    assert fate(tmp_path, cloud, cloud.vanish) == ("lost", "gpu-01 went down: its cloud finds it gone", False)


def test_an_evicted_pod_is_preempted_with_the_reason(tmp_path: Path, cloud: FakeCloud) -> None:
    reason, said, refused = fate(tmp_path, cloud, cloud.evict)
    assert (reason, refused) == ("preempted", True)
    assert said == f"gpu-01 was evicted: {' '.join(recorded.evicted('gpu-01-s1').split())}"


def test_a_cluster_that_somebody_stopped_is_reported_with_what_keeps_it_down(tmp_path: Path, cloud: FakeCloud) -> None:
    said = "gpu-01 was stopped outside Cockpit, and is launched again: `cockpit hold gpu-01` keeps it down"
    assert fate(tmp_path, cloud, cloud.stop) == ("lost", said, False)


def test_a_cluster_that_somebody_took_down_is_reported_with_what_keeps_it_down(
    tmp_path: Path, cloud: FakeCloud
) -> None:
    said = "gpu-01 was taken down outside Cockpit, and is launched again: `cockpit hold gpu-01` keeps it down"
    assert fate(tmp_path, cloud, cloud.forget) == ("lost", said, False)


def test_a_spot_cluster_is_marked_as_spot(tmp_path: Path, cloud: FakeCloud) -> None:
    night = FakeNight(tmp_path, cloud, task=SPOT)
    night.up("gpu-01")
    assert [report.spot for report in night.of(ClusterReady)] == [True]
    night.close()


def test_a_quota_refusal_does_not_count_as_a_failure_of_the_cluster(tmp_path: Path, cloud: FakeCloud) -> None:
    cloud.refuses_launches = exceptions.ResourcesUnavailableError(fake_cloud.QUOTA)
    night = FakeNight(tmp_path, cloud)
    night.fleet.launch("gpu-01")
    night.until(lambda: night.of(ClusterTrouble))
    (trouble,) = night.of(ClusterTrouble)
    assert trouble.refused and not trouble.final
    assert "QUOTA_EXCEEDED: Quota 'NVIDIA_H100_GPUS' exceeded" in trouble.message
    night.close()


def test_a_status_that_takes_long_loses_nothing(tmp_path: Path, cloud: FakeCloud) -> None:
    night = FakeNight(tmp_path, cloud)
    night.up("gpu-01")
    night.run("e0001.1")
    cloud.status_takes_s = 2.0
    night.fleet._clusters["gpu-01"].check()
    cloud.finish("gpu-01-s1", "1.25")
    night.until(lambda: night.of(JobEnded))
    assert [(end.reason, end.exit_code) for end in night.of(JobEnded)] == [("exited", 0)]
    assert not night.of(ClusterTrouble)
    night.close()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (exceptions.ApiServerAuthenticationError(fake_cloud.EXPIRED), "run `sky api login`; runs are kept"),
        (exceptions.ApiServerConnectionError("https://sky.example.org"), "API server"),
        (exceptions.APIVersionMismatchError(fake_cloud.OLDER), "install the server's version, then restart the worker"),
    ],
)
def test_a_run_is_kept_while_the_api_server_refuses_and_its_result_is_taken(
    tmp_path: Path, cloud: FakeCloud, error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "REPORTED_AFTER_S", 0.1)
    night = FakeNight(tmp_path, cloud)
    night.up("gpu-01")
    night.run("e0001.1")
    cloud.fails = error
    night.fleet._clusters["gpu-01"].check()
    night.until(lambda: any(said in getattr(report, "message", "") for report in night.seen))
    assert not night.of(JobEnded) and not night.of(ClusterTrouble)
    cloud.finish("gpu-01-s1", "1.25")
    cloud.fails = None
    night.until(lambda: night.of(JobEnded))
    assert [(end.reason, end.exit_code) for end in night.of(JobEnded)] == [("exited", 0)]
    night.close()


def test_a_job_of_somebody_else_is_shown_once(tmp_path: Path, cloud: FakeCloud) -> None:
    night = FakeNight(tmp_path, cloud)
    night.up("gpu-01")
    cloud.strange_job("gpu-01-s1", "their-training")
    for _ in range(3):
        night.fleet._clusters["gpu-01"].check()
    night.until(lambda: night.of(FleetTrouble))
    night.fleet._clusters["gpu-01"].check()
    night.run("e0001.1")
    (told,) = night.of(FleetTrouble)
    assert told.text == (
        "gpu-01 has job 2 (their-training) of bob, which this session did not submit: runs wait behind it."
        " `sky cancel gpu-01-s1 2` ends it"
    )
    night.close()


def test_an_autostop_that_somebody_changed_is_reported_once(tmp_path: Path, cloud: FakeCloud) -> None:
    night = FakeNight(tmp_path, cloud)
    night.up("gpu-01")
    sweeps = cloud.sweeps
    night.until(lambda: cloud.sweeps > sweeps + 3)
    assert not night.of(FleetTrouble), "the session set it itself"
    cloud.clusters["gpu-01-s1"].autostop = (5, False)
    night.until(lambda: night.of(FleetTrouble))
    cloud.clusters["gpu-01-s1"].autostop = (-1, False)
    night.until(lambda: len(night.of(FleetTrouble)) == 2)
    back = "`sky autostop gpu-01-s1 -i 30 --down` sets it back"
    assert [trouble.text for trouble in night.of(FleetTrouble)] == [
        f"somebody set the autostop of gpu-01: it is stopped after 5 min without a job; {back}",
        f"somebody turned the autostop of gpu-01 off: without work it is billed until it is taken down; {back}",
    ]
    night.close()


def test_a_job_that_somebody_cancelled_ends_so(tmp_path: Path, cloud: FakeCloud) -> None:
    night = FakeNight(tmp_path, cloud)
    night.up("gpu-01")
    night.run("e0001.1")
    cloud._cancel("gpu-01-s1", [2])
    night.until(lambda: night.of(JobEnded))
    (end,) = night.of(JobEnded)
    assert (end.reason, end.message) == ("cancelled", "somebody cancelled it on its cluster")
    night.close()


def test_another_users_cluster_of_our_name_is_neither_used_nor_torn_down(tmp_path: Path, cloud: FakeCloud) -> None:
    (theirs,) = read_task(SPOT, tmp_path / "experiment.yaml").resources
    cloud.clusters["gpu-01-s1"] = FakeCluster("gpu-01-s1", theirs, "run: x\n", 1, user="bob")
    night = FakeNight(tmp_path, cloud)
    night.fleet.launch("gpu-01")
    night.until(lambda: night.of(ClusterTrouble))
    (trouble,) = night.of(ClusterTrouble)
    assert trouble.final and "somebody launched by hand" in trouble.message
    assert not cloud.launches and not cloud.downs and not night.of(JobSubmitted)
    night.close()


def test_a_run_whose_exec_failed_with_its_cluster_goes_back_to_the_queue(tmp_path: Path, cloud: FakeCloud) -> None:
    night = FakeNight(tmp_path, cloud)
    night.up("gpu-01")
    night.run("e0001.1")
    cloud.exec_fails = recorded.error("queue while the pod goes", "gpu-01-s1")
    cloud.forget("gpu-01-s1")
    night.submit("e0002.1")
    night.until(lambda: night.of(JobEnded) and night.of(JobRefused))
    assert [(end.job, end.reason) for end in night.of(JobEnded)] == [("e0001.1", "lost")]
    assert [refused.job for refused in night.of(JobRefused)] == ["e0002.1"]
    (trouble,) = night.of(ClusterTrouble)
    assert trouble.lost and not trouble.billed
    night.close()
