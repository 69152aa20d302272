"""Mishaps in the middle of something, and an API server that half works, on the fake cloud through the real SkyClient.

In each, no run is lost that could be kept, none runs twice, one outage is one failure, and one sentence tells it.
"""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")

import requests
from sky import exceptions
from sky.utils.status_lib import ClusterStatus

from cockpit.core.session import ClusterSpec
from cockpit.fleet.base import (
    ClusterEnded,
    ClusterReady,
    ClusterTrouble,
    ClusterWaits,
    FleetTrouble,
    JobEnded,
    JobRefused,
    JobStarted,
    JobSubmitted,
)
from cockpit.fleet.sky import probe
from cockpit.fleet.sky.failures import understood
from cockpit.fleet.sky.task_file import read_task
from tests.fleet import fake_cloud
from tests.fleet.fake_cloud import FakeCloud, FakeCluster
from tests.fleet.fake_night import TASK, FakeNight, quick

pytestmark = pytest.mark.timeout(240)
CLUSTER = "gpu-01-s1"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


def runs_on(cloud: FakeCloud, cluster: str = CLUSTER) -> Counter[str]:
    """Return the number of jobs of each name that arrived on a cluster."""
    return Counter(job.name for job in cloud.clusters[cluster].jobs if job.name.startswith("e0"))


# Evictions


def test_an_eviction_during_an_exec_is_one_failure_and_neither_run_is_lost_twice(
    night: FakeNight, cloud: FakeCloud
) -> None:
    night.run("e0001.1")
    cloud.exec_hangs = True
    night.submit("e0002.1")
    night.until(lambda: cloud.under_way("sky.exec"))
    cloud.evict(CLUSTER)
    cloud.end_requests("sky.exec")  # the pod that it copied to is gone
    night.until(lambda: night.of(JobEnded) and night.of(JobRefused))
    (trouble,) = night.of(ClusterTrouble)
    assert trouble.refused and trouble.message.startswith("gpu-01 was evicted: ")
    assert [(end.job, end.reason) for end in night.of(JobEnded)] == [("e0001.1", "preempted")]
    assert [one.job for one in night.of(JobRefused)] == ["e0002.1"]
    cloud.exec_hangs = False
    night.up("gpu-01")
    night.until(lambda: len(night.of(ClusterReady)) == 2)
    for name in ("e0001.2", "e0002.1"):
        night.submit(name)
    night.until(lambda: {"e0001.2", "e0002.1"} <= {one.job for one in night.of(JobSubmitted)})
    assert set(runs_on(cloud).values()) == {1}


def test_two_clusters_that_are_evicted_at_once_are_two_sentences_and_a_third_works_on(
    tmp_path: Path, cloud: FakeCloud
) -> None:
    names = ("gpu-01", "gpu-02", "gpu-03")
    night = FakeNight(tmp_path, cloud, *(ClusterSpec(name) for name in names))
    night.up(*names)
    for number, name in enumerate(names, 1):
        night.run(f"e000{number}.1", name)
    cloud.evict("gpu-01-s1")
    cloud.evict("gpu-02-s1")
    for name in names:
        night.fleet._clusters[name].check()
    night.until(lambda: len(night.of(JobEnded)) == 2)
    assert sorted(one.cluster for one in night.of(ClusterTrouble)) == ["gpu-01", "gpu-02"]
    assert {end.reason for end in night.of(JobEnded)} == {"preempted"}
    cloud.finish("gpu-03-s1", "1.25")
    night.until(lambda: len(night.of(JobEnded)) == 3)
    assert night.of(JobEnded)[-1].reason == "exited"
    night.close()


# Actions of other people


def test_sky_down_of_all_clusters_is_one_sentence_for_each_and_ends_a_launch_without_a_failure(
    tmp_path: Path, cloud: FakeCloud
) -> None:
    cloud.room = {"H100": 2, "H200": 0}
    night = FakeNight(tmp_path, cloud, *(ClusterSpec(f"gpu-0{number}", "H100") for number in (1, 2, 3)))
    night.up("gpu-01", "gpu-02")
    night.run("e0001.1", "gpu-01")
    night.run("e0002.1", "gpu-02")
    night.fleet.launch("gpu-03")
    night.until(lambda: "gpu-03-s1" in cloud.clusters)
    for name in list(cloud.clusters):
        cloud._down(name)
    night.until(lambda: len(night.of(ClusterTrouble)) == 3)
    said = {trouble.cluster: trouble for trouble in night.of(ClusterTrouble)}
    for name in ("gpu-01", "gpu-02"):
        assert said[name].message == (
            f"{name} was taken down outside Cockpit, and is launched again: `cockpit hold {name}` keeps it down"
        )
    assert said["gpu-03"].refused and not said["gpu-03"].lost
    assert sorted((end.job, end.reason) for end in night.of(JobEnded)) == [("e0001.1", "lost"), ("e0002.1", "lost")]
    for name in said:
        night.fleet.launch(name)
    cloud.room["H100"] = 3
    night.until(lambda: len(night.of(ClusterReady)) == 5)
    night.close()


def test_an_autostop_of_a_minute_is_reported_and_a_cluster_that_it_ends_is_one_failure(
    night: FakeNight, cloud: FakeCloud
) -> None:
    sweeps = cloud.sweeps
    night.until(lambda: cloud.sweeps > sweeps + 3)
    cloud.clusters[CLUSTER].autostop = (1, True)
    night.until(lambda: night.of(FleetTrouble))
    cloud.forget(CLUSTER)  # it was idle for a minute
    night.until(lambda: night.of(ClusterTrouble))
    (told,), (trouble,) = night.of(FleetTrouble), night.of(ClusterTrouble)
    assert told.text == (
        "somebody set the autostop of gpu-01: it is taken down after 1 min without a job;"
        f" `sky autostop {CLUSTER} -i 30 --down` sets it back"
    )
    assert trouble.lost and not trouble.billed
    night.up("gpu-01")
    assert cloud.launches[-1][2]["idle_minutes_to_autostop"] == 30


@pytest.mark.parametrize("adopts", [False, True])
def test_a_cluster_that_somebody_launched_again_on_other_hardware_is_lost_once(
    tmp_path: Path, cloud: FakeCloud, adopts: bool
) -> None:
    """SkyPilot changes no accelerators of a cluster: it was taken down and launched under the same name."""
    file = tmp_path / "experiment.yaml"
    (h100,) = read_task("run: x\nresources: {accelerators: H100:1}\n", file).resources
    (h200,) = read_task("run: x\nresources: {accelerators: H200:1}\n", file).resources
    name, remote = ("mine", "mine") if adopts else ("gpu-01", CLUSTER)

    def by_hand(resources: Any) -> FakeCluster:
        made = FakeCluster(remote, resources, "run: x\n", 1)
        made.status, made.is_launching = ClusterStatus.UP, False
        cloud.clusters[remote] = made
        cloud.strange_job(remote, "its-set-up", user="ann")
        made.jobs[0].over.set()
        return made

    if adopts:
        by_hand(h100)
    night = FakeNight(tmp_path, cloud, task=TASK.replace("H100: 1, H200: 1", "H100: 1"))
    night.fleet.launch(name, adopted=adopts)
    night.until(lambda: night.of(ClusterReady))
    night.run("e0001.1", name)
    by_hand(h200)
    night.until(lambda: night.of(JobEnded))
    (end,), (trouble,) = night.of(JobEnded), night.of(ClusterTrouble)
    remedy = "it is used as it is" if adopts else "that one is taken down, and it is launched again"
    said = f"somebody took {name} down and launched one with H200 of its name: {remedy}"
    assert (trouble.message, trouble.lost, trouble.billed) == (said, True, not adopts)
    assert (end.job, end.reason, end.message) == ("e0001.1", "lost", said)
    night.fleet.launch(name, adopted=adopts)
    night.until(lambda: len(night.of(ClusterReady)) == 2)
    assert night.of(ClusterReady)[1].hardware == ("H200" if adopts else "H100")
    assert cloud.downs == ([] if adopts else [CLUSTER])
    night.run("e0001.2", name)
    night.close()


def test_a_run_waits_behind_500_jobs_of_somebody_else_and_then_runs_once(night: FakeNight, cloud: FakeCloud) -> None:
    for _ in range(500):
        cloud.strange_job(CLUSTER, "sweep")
    cloud.begins = False
    night.run("e0001.1", waits_for_start=False)
    night.fleet._clusters["gpu-01"].check()
    night.until(lambda: night.of(FleetTrouble))
    (told,) = night.of(FleetTrouble)
    assert told.text.startswith("gpu-01 has 500 jobs that this session did not submit")
    assert not night.of(JobEnded) and not night.of(JobRefused) and not night.of(ClusterTrouble)
    assert runs_on(cloud) == {"e0001.1-s1": 1}


# An API server that half works


def http_error(status: int, text: str) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(f"{status} Server Error: {text} for url: https://sky.example.org/exec", response=response)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (http_error(500, "Internal Server Error"), "server"),
        (http_error(502, "Bad Gateway"), "server"),
        (http_error(429, "Too Many Requests"), "server"),
        (http_error(404, "Not Found"), "other"),
        (RuntimeError("Failed to get request 1234-abcd: 500 Internal Server Error"), "server"),
        (
            RuntimeError(
                "Failed to get request ID from SkyPilot API server at https://sky.example.org. Response: 200 <html>"
            ),
            "server",
        ),
        (RuntimeError("Failed to start SkyPilot API server at http://127.0.0.1:46580\nView logs at: x"), "server"),
        (requests.exceptions.JSONDecodeError("Expecting value", "<html>", 0), "server"),
    ],
)
def test_an_answer_that_is_not_one_is_the_servers_failure(error: Exception, kind: str) -> None:
    found = understood(error)
    assert found.kind == kind and "\n" not in str(found)


@pytest.mark.parametrize("error", [http_error(500, "Internal Server Error"), http_error(502, "Bad Gateway")])
def test_runs_go_on_while_half_of_the_calls_fail_and_none_runs_twice(
    night: FakeNight, cloud: FakeCloud, error: Exception
) -> None:
    cloud.fails_half = error
    names = ["e0001.1", "e0002.1"]
    for name in names:
        night.submit(name)

    def all_submitted() -> bool:
        for refused in [one for one in night.of(JobRefused) if one.job in names]:
            night.seen.remove(refused)
            night.submit(refused.job)  # as a worker does
        return {one.job for one in night.of(JobSubmitted)} >= set(names)

    night.until(all_submitted, 90)
    for number in range(len(names)):
        cloud.finish(CLUSTER, "1.25", number + 1)
    night.until(lambda: len(night.of(JobEnded)) == len(names), 90)
    assert {end.reason for end in night.of(JobEnded)} == {"exited"}
    assert set(runs_on(cloud).values()) == {1} and len(runs_on(cloud)) == len(names)
    assert not night.of(ClusterTrouble)
    cloud.fails_half = None


def without(field: str) -> Callable[[Any], Any]:
    """Return an API server's way to write an answer that leaves a field out."""
    return lambda record: {name: value for name, value in dict(record).items() if name != field}


@pytest.mark.parametrize("field", ["status_updated_at", "handle", "status", "job_id", "start_at"])
def test_answers_in_the_shape_of_another_version_lose_no_run(
    night: FakeNight, cloud: FakeCloud, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "REPORTED_AFTER_S", 0.1)
    night.run("e0001.1")
    cloud.answers_as = without(field)
    night.fleet._clusters["gpu-01"].check()
    night.until(lambda: night.of(ClusterWaits))
    (told,) = night.of(ClusterWaits)
    assert f"KeyError: '{field}'" in told.message and "install the server's version" in told.message
    assert not night.of(ClusterTrouble) and not night.of(JobEnded) and not night.of(FleetTrouble)
    cloud.answers_as = None
    cloud.finish(CLUSTER, "1.25")
    night.until(lambda: night.of(JobEnded))
    assert [(end.reason, end.exit_code) for end in night.of(JobEnded)] == [("exited", 0)]


def test_a_launch_with_answers_of_another_shape_is_asked_for_again(tmp_path: Path, cloud: FakeCloud) -> None:
    night = FakeNight(tmp_path, cloud)
    cloud.answers_as = lambda record: SimpleNamespace(name="gpu-01")
    cloud.clusters["other"] = FakeCluster("other", None, "run: x\n", 1)
    night.fleet.launch("gpu-01")
    night.until(lambda: night.of(ClusterTrouble))
    (trouble,) = night.of(ClusterTrouble)
    assert trouble.refused and not trouble.final and "install the server's version" in trouble.message
    cloud.answers_as = None
    night.up("gpu-01")
    night.close()


def test_a_login_that_expires_during_a_launch_leaves_one_cluster_and_no_failure(
    tmp_path: Path, cloud: FakeCloud
) -> None:
    cloud.room = {"H100": 0, "H200": 0}
    night = FakeNight(tmp_path, cloud)
    night.fleet.launch("gpu-01")
    night.until(lambda: CLUSTER in cloud.clusters)
    cloud.fails = exceptions.ApiServerAuthenticationError(fake_cloud.EXPIRED)
    night.until(lambda: night.of(ClusterTrouble))
    (trouble,) = night.of(ClusterTrouble)
    assert trouble.refused and not trouble.final and "run `sky api login`; runs are kept" in trouble.message
    cloud.room = {}  # the launch that was under way succeeds
    night.until(lambda: cloud.clusters[CLUSTER].status is ClusterStatus.UP)
    cloud.fails = None
    night.up("gpu-01")
    assert list(cloud.clusters) == [CLUSTER] and not cloud.downs
    night.run("e0001.1")
    assert len(night.of(ClusterTrouble)) == 1
    night.close()


# Nodes


def test_a_set_up_on_a_full_disk_is_one_sentence_with_its_last_line(tmp_path: Path, cloud: FakeCloud) -> None:
    cloud.setup_fails, cloud.setup_says = True, "OSError: [Errno 28] No space left on device: '/root/.cache/data.bin'"
    night = FakeNight(tmp_path, cloud)
    night.fleet.launch("gpu-01")
    night.until(lambda: night.of(ClusterTrouble))
    (trouble,) = night.of(ClusterTrouble)
    assert trouble.message == (
        f"the set-up of gpu-01 failed: {cloud.setup_says}; all of it is in {tmp_path / 'logs' / 'gpu-01.setup.log'}"
    )
    assert trouble.billed and not trouble.final and not trouble.refused
    night.fleet.down("gpu-01")
    night.until(lambda: night.of(ClusterEnded))
    assert not cloud.clusters
    night.close()


@pytest.mark.parametrize("back_s", [30.0, 3600.0, 100_000.0])
def test_a_clock_that_goes_back_during_a_run_ends_it_once_and_not_before_it_began(
    night: FakeNight, cloud: FakeCloud, back_s: float
) -> None:
    night.run("e0001.1")
    cloud.clock_off_s = -back_s
    cloud.finish(CLUSTER, "1.25")
    night.until(lambda: night.of(JobEnded))
    (start,), (end,) = night.of(JobStarted), night.of(JobEnded)
    assert (end.reason, end.exit_code) == ("exited", 0)
    assert start.at <= end.at <= time.time()
    night.run("e0002.1")
    assert night.of(JobStarted)[1].at >= end.at
