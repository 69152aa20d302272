"""Things that others do to a session's clusters, on the fake cloud through the real SkyClient."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")

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
)
from cockpit.fleet.sky import probe, submissions
from cockpit.fleet.sky.task_file import read_task
from tests.fleet.fake_cloud import FakeCloud, FakeCluster
from tests.fleet.fake_night import TASK, FakeNight, quick

pytestmark = pytest.mark.timeout(120)
CLUSTER = "gpu-01-s1"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


# A launch of another task


def test_runs_continue_while_somebody_launches_another_task_on_their_cluster(
    night: FakeNight, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "REPORTED_AFTER_S", 0.1)
    night.run("e0001.1")
    cloud.begin_another_launch(CLUSTER)
    night.until(lambda: any("`sky launch` works on it" in waits.message for waits in night.of(ClusterWaits)))
    cloud.end_another_launch(CLUSTER)
    night.until(lambda: night.of(FleetTrouble))
    cloud.finish(CLUSTER, "1.25")
    night.until(lambda: night.of(JobEnded))
    assert [(end.reason, end.exit_code) for end in night.of(JobEnded)] == [("exited", 0)]
    night.until(lambda: night.of(ClusterWaits)[-1].message == "")
    assert not night.of(ClusterTrouble)
    (told,) = night.of(FleetTrouble)
    assert told.text == (
        "somebody launched another task on gpu-01 (`sky launch`), whose set-up may have changed what runs find there:"
        f" `sky down {CLUSTER}` has it launched and set up anew"
    )


def test_a_cluster_with_the_task_of_somebody_else_is_still_the_sessions(night: FakeNight, cloud: FakeCloud) -> None:
    cloud.end_another_launch(CLUSTER)
    night.run("e0001.1")
    night.fleet.down("gpu-01")
    night.until(lambda: night.of(ClusterEnded))
    assert cloud.downs == [CLUSTER] and not cloud.clusters


def test_a_launch_by_somebody_else_that_never_ends_loses_the_cluster_once(
    night: FakeNight, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "LAUNCHED_ELSEWHERE_S", 0.3)
    night.run("e0001.1")
    cloud.begin_another_launch(CLUSTER)
    night.until(lambda: night.of(JobEnded))
    (trouble,) = night.of(ClusterTrouble)
    assert trouble.lost and trouble.billed and night.of(JobEnded)[0].reason == "lost"


def test_a_cluster_of_another_user_in_place_of_the_sessions_is_left_alone(night: FakeNight, cloud: FakeCloud) -> None:
    (theirs,) = read_task("run: x\nresources: {accelerators: H100:1}\n", night.root / "experiment.yaml").resources
    bobs = FakeCluster(CLUSTER, theirs, "run: x\n", 1, user="bob")
    bobs.status = ClusterStatus.UP
    night.run("e0001.1")
    cloud.clusters[CLUSTER] = bobs
    night.until(lambda: night.of(JobEnded))
    (trouble,) = night.of(ClusterTrouble)
    said = "gpu-01 was taken down outside Cockpit, and somebody launched another cluster of its name"
    assert (trouble.message, trouble.lost, trouble.billed) == (said, True, False)
    night.fleet.down("gpu-01")
    night.until(lambda: night.of(ClusterEnded))
    assert cloud.downs == [] and cloud.clusters == {CLUSTER: bobs}


# Jobs of others


def test_many_jobs_of_somebody_else_are_one_sentence_of_bounded_length(night: FakeNight, cloud: FakeCloud) -> None:
    for _ in range(1000):
        cloud.strange_job(CLUSTER, "sweep" * 1000, user="bob" * 1000)
    night.fleet._clusters["gpu-01"].check()
    night.until(lambda: night.of(FleetTrouble))
    cloud.strange_job(CLUSTER, "one-more")

    def looked_and_told() -> bool:
        night.fleet._clusters["gpu-01"].check()  # a look that is asked for during another is left out
        return len(night.of(FleetTrouble)) == 2

    night.until(looked_and_told)
    many, one = night.of(FleetTrouble)
    assert many.text.startswith(
        "gpu-01 has 1,000 jobs that this session did not submit, the first of them job 2 (sweep"
    )
    assert len(many.text) < 400
    assert one.text.startswith("gpu-01 has job 1002 (one-more) of bob, which this session did not submit")


# A launch that somebody ends


@pytest.mark.parametrize("ends", ["api cancel", "down"])
def test_a_launch_that_somebody_ended_is_asked_for_again_and_has_not_failed(
    tmp_path: Path, cloud: FakeCloud, ends: str
) -> None:
    cloud.room = {"H100": 0, "H200": 0}
    night = FakeNight(tmp_path, cloud)
    night.fleet.launch("gpu-01")
    night.until(lambda: CLUSTER in cloud.clusters)
    if ends == "down":
        cloud._down(CLUSTER)
    else:
        cloud.end_requests("sky.launch")
    night.until(lambda: night.of(ClusterTrouble))
    (trouble,) = night.of(ClusterTrouble)
    assert trouble.refused and not trouble.final
    assert trouble.message == (
        "somebody ended the launch of gpu-01 outside Cockpit, and it is launched again: `cockpit hold gpu-01` keeps it"
        " down"
    )
    cloud.room["H100"] = 1
    night.up("gpu-01")
    assert list(cloud.clusters) == [CLUSTER]
    night.close()


def test_execs_that_somebody_cancels_do_not_fail_the_cluster(
    night: FakeNight, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submissions, "REFUSED_AT_MOST", 2)
    for number in range(3):
        cloud.exec_hangs = True
        night.submit(f"e000{number}.1")
        night.until(lambda: cloud.under_way("sky.exec"))
        cloud.end_requests("sky.exec")
        night.until(lambda number=number: len(night.of(JobRefused)) == number + 1)  # type: ignore[misc]
    cloud.exec_hangs = False
    night.run("e0009.1")
    assert not night.of(ClusterTrouble)


# Room


def test_a_launch_gets_the_class_that_the_session_itself_gives_back(tmp_path: Path, cloud: FakeCloud) -> None:
    cloud.room = {"H100": 1, "H200": 0}
    night = FakeNight(tmp_path, cloud, ClusterSpec("gpu-01", "H100"), ClusterSpec("gpu-02"))
    night.up("gpu-01")
    cloud.prefers = "H100"
    night.fleet.launch("gpu-02")

    def waits_for_h200() -> bool:
        second = cloud.clusters.get("gpu-02-s1")
        return second is not None and len(cloud.launches) == 3 and "H200" in second.resources.accelerators

    night.until(waits_for_h200)
    night.fleet.down("gpu-01")
    night.until(lambda: len(night.of(ClusterReady)) == 2)
    assert night.of(ClusterReady)[1].hardware == "H100"
    assert not night.of(ClusterTrouble)
    night.close()


def test_the_remains_of_a_refused_launch_do_not_bind_the_next_one_to_its_class(
    tmp_path: Path, cloud: FakeCloud
) -> None:
    cloud.room, cloud.refuses_full = {"H100": 0, "H200": 0}, True
    night = FakeNight(tmp_path, cloud)
    night.fleet.launch("gpu-01")
    night.until(lambda: night.of(ClusterTrouble))
    assert cloud.clusters[CLUSTER].status is ClusterStatus.INIT
    left = next(iter(cloud.clusters[CLUSTER].resources.accelerators))
    cloud.room[{"H100": "H200", "H200": "H100"}[left]] = 1
    night.up("gpu-01")
    assert len(night.of(ClusterTrouble)) == 1 and cloud.downs == [CLUSTER]
    night.close()


# A cluster that was adopted


def adopted(tmp_path: Path, cloud: FakeCloud) -> FakeNight:
    """Return a night with a run on a cluster that a person launched."""
    (theirs,) = read_task("run: x\nresources: {accelerators: H100:1}\n", tmp_path / "experiment.yaml").resources
    mine = cloud.clusters["mine"] = FakeCluster("mine", theirs, "run: x\n", 1)
    mine.status, mine.is_launching = ClusterStatus.UP, False
    cloud.strange_job("mine", "its-set-up")
    mine.jobs[0].over.set()
    night = FakeNight(tmp_path, cloud, task=TASK)
    night.fleet.launch("mine", adopted=True)
    night.until(lambda: night.of(ClusterReady))
    night.run("e0001.1", "mine")
    return night


@pytest.mark.parametrize(
    ("happens", "said", "next_said", "final"),
    [
        (
            FakeCloud.forget,
            "mine was taken down outside Cockpit",
            "there is no cluster mine to take over: `sky status` lists those there are",
            True,
        ),
        (
            FakeCloud.stop,
            "mine was stopped outside Cockpit",
            "mine is stopped: `sky start mine` lets it be used",
            False,
        ),
        (
            FakeCloud.break_in_half,
            "mine went down: SkyPilot finds it INIT: the Ray cluster is unhealthy",
            "mine is INIT (the Ray cluster is unhealthy): it is used once it is UP",
            False,
        ),
    ],
)
def test_an_adopted_cluster_is_never_launched_nor_taken_down(
    tmp_path: Path, cloud: FakeCloud, happens: Callable[[FakeCloud, str], None], said: str, next_said: str, final: bool
) -> None:
    night = adopted(tmp_path, cloud)
    happens(cloud, "mine")
    night.fleet._clusters["mine"].check()
    night.until(lambda: night.of(JobEnded))
    night.fleet.launch("mine", adopted=True)
    night.until(lambda: len(night.of(ClusterTrouble)) == 2)
    lost, again = night.of(ClusterTrouble)
    assert (lost.message, lost.lost) == (said, True)
    assert (again.message, again.lost, again.final, again.refused) == (next_said, False, final, not final)
    assert not cloud.launches and not cloud.downs
    night.close()


def test_an_adopted_cluster_that_its_person_starts_again_is_used_again(tmp_path: Path, cloud: FakeCloud) -> None:
    night = adopted(tmp_path, cloud)
    cloud.stop("mine")
    night.fleet._clusters["mine"].check()
    night.until(lambda: night.of(JobEnded))
    mine = cloud.clusters["mine"]
    mine.status = mine.real_status = ClusterStatus.UP
    night.fleet.launch("mine", adopted=True)
    night.until(lambda: len(night.of(ClusterReady)) == 2)
    night.run("e0001.2", "mine")
    assert [start.job for start in night.of(JobStarted)] == ["e0001.1", "e0001.2"]
    night.close()
