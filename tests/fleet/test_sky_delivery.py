"""A failed or cancelled exec leaves no job behind, and a job that never begins has a deadline."""

from pathlib import Path

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")

from sky.skylet.job_lib import JobStatus

from cockpit.fleet.base import ClusterTrouble, Expected, Job, JobEnded, JobRefused, JobStarted, JobSubmitted
from cockpit.fleet.sky import client, deadlines, delivery
from cockpit.fleet.sky.deadlines import BEGIN_WITHIN_S, end_of
from cockpit.fleet.sky.follow import SkyRun
from cockpit.fleet.sky.jobs import JobRow
from tests.fleet.fake_cloud import FakeCloud, FakeJob
from tests.fleet.fake_night import FakeNight, quick

pytestmark = pytest.mark.timeout(120)
CLUSTER = "gpu-01-s1"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    monkeypatch.setattr(delivery, "RETRY_S", (0.02,) * 4)
    monkeypatch.setattr(delivery, "LOOK_AGAIN_S", 0.05)


def is_late(night: FakeNight, cloud: FakeCloud, name: str) -> None:
    """Submit a job with an exec that hangs, until it is cancelled and the run is refused."""
    cloud.exec_hangs = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "SUBMIT_LIMIT_S", 0.3)
        night.submit(name)
        night.until(lambda: night.of(JobRefused))
    cloud.exec_hangs = False


def jobs(cloud: FakeCloud, name: str) -> list[FakeJob]:
    return [job for job in cloud.clusters[CLUSTER].jobs if job.name == f"{name}-s1"]


def test_a_job_that_a_cancelled_exec_only_reserved_did_not_arrive(
    night: FakeNight, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "QUEUED_WITHIN_S", 0.2)
    cloud.exec_reserves = True
    is_late(night, cloud, "e0001.1")
    night.run("e0001.1")
    assert [report.job for report in night.of(JobSubmitted)] == ["e0001.1"]
    cloud.finish(CLUSTER, "1.25")
    night.until(lambda: night.of(JobEnded))
    assert [(end.reason, end.exit_code) for end in night.of(JobEnded)] == [("exited", 0)]


def test_a_reserved_job_that_is_queued_in_time_has_arrived(
    night: FakeNight, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SUBMIT_LIMIT_S", 0.3)
    cloud.exec_hangs = cloud.exec_reserves = True
    night.submit("e0001.1")
    night.until(lambda: cloud.refreshes and jobs(cloud, "e0001.1"))
    jobs(cloud, "e0001.1")[0].wait_as(JobStatus.PENDING)
    night.until(lambda: night.of(JobSubmitted))
    assert len(cloud.tasks) == 1 and not night.of(JobRefused)


def test_a_job_that_arrives_after_its_exec_was_cancelled_is_cancelled(night: FakeNight, cloud: FakeCloud) -> None:
    is_late(night, cloud, "e0001.1")
    cloud.strange_job(CLUSTER, "their-training")
    cloud.arrive_late(CLUSTER)
    night.until(lambda: [job.status for job in jobs(cloud, "e0001.1")] == [JobStatus.CANCELLED])
    assert {number for _, number in cloud.cancelled} == {3}, "the job of somebody else is left alone"


def test_a_job_that_is_sent_again_runs_and_its_first_copy_does_not(
    night: FakeNight, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "LOOK_AGAIN_S", 3600.0)  # only the next delivery looks
    is_late(night, cloud, "e0001.1")
    cloud.arrive_late(CLUSTER)
    night.run("e0001.1")
    first, second = jobs(cloud, "e0001.1")
    assert (first.status, second.status) == (JobStatus.CANCELLED, JobStatus.RUNNING)
    assert "e0001.1-s1" not in str(cloud.tasks[-1].run).split("cd ")[0], "its folder is not removed below it"


def test_a_run_that_is_cancelled_before_its_job_is_queued_leaves_no_job(night: FakeNight, cloud: FakeCloud) -> None:
    night.run("e0001.1")
    night.run("e0002.1", waits_for_start=False)
    (waiting,) = jobs(cloud, "e0002.1")
    waiting.wait_as(JobStatus.INIT)
    night.fleet.cancel("e0002.1")
    night.until(lambda: night.of(JobEnded))
    waiting.wait_as(JobStatus.PENDING)
    night.until(lambda: waiting.status is JobStatus.CANCELLED)
    assert [job.status for job in jobs(cloud, "e0001.1")] == [JobStatus.RUNNING]


def test_a_restarted_worker_ends_the_jobs_that_no_run_waits_for(night: FakeNight, cloud: FakeCloud) -> None:
    night.run("e0001.1")
    night.run("e0002.1", waits_for_start=False)
    cloud.strange_job(CLUSTER, "their-training")
    kept = night.fleet._clusters["gpu-01"].runs[0].job
    night.fleet.close()
    later = FakeNight(night.root, cloud)
    later.fleet.recover(Expected(("gpu-01",), (kept,)))
    ours, left, theirs = cloud.clusters[CLUSTER].jobs[1:]
    later.until(lambda: left.status is JobStatus.CANCELLED)
    assert (ours.status, theirs.status) == (JobStatus.RUNNING, JobStatus.RUNNING)
    later.close()


def test_a_job_that_never_begins_goes_back_to_the_queue_and_a_second_one_fails_the_cluster(
    night: FakeNight, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "BEGIN_WITHIN_S", 0.3)
    cloud.begins = False
    night.submit("e0001.1")
    night.until(lambda: night.of(JobRefused))
    assert night.of(JobRefused)[0].message.startswith("gpu-01 did not begin e0001.1 within")
    night.until(lambda: [job.status for job in jobs(cloud, "e0001.1")] == [JobStatus.CANCELLED])
    assert not night.of(ClusterTrouble)
    night.submit("e0002.1")
    night.until(lambda: night.of(ClusterTrouble))
    (trouble,) = night.of(ClusterTrouble)
    assert trouble.message == "gpu-01 began none of 2 jobs" and trouble.lost and trouble.billed
    assert not night.of(JobEnded)


def test_a_job_behind_that_of_somebody_else_waits(
    night: FakeNight, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "BEGIN_WITHIN_S", 0.1)
    cloud.strange_job(CLUSTER, "their-training")
    cloud.begins = False
    night.submit("e0001.1")
    refreshes = cloud.refreshes
    night.until(lambda: cloud.refreshes > refreshes + 3)
    assert not night.of(JobRefused)
    cloud.clusters[CLUSTER].jobs[1].end(JobStatus.SUCCEEDED)
    night.until(lambda: night.of(JobRefused))


def test_a_run_that_began_resets_the_count_of_those_that_did_not(
    night: FakeNight, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "BEGIN_WITHIN_S", 0.3)
    for number in (1, 2):
        cloud.begins = False
        night.submit(f"e000{number}.1")
        night.until(lambda number=number: len(night.of(JobRefused)) == number)  # type: ignore[misc]
        cloud.begins = True
        night.run(f"e000{number}.2")
        cloud.finish(CLUSTER, "1.5")
        night.until(lambda number=number: len(night.of(JobEnded)) == number)  # type: ignore[misc]
    assert len(night.of(JobStarted)) == 2 and not night.of(ClusterTrouble)


def run() -> SkyRun:
    return SkyRun(Job("e0001.1", "gpu-01", Path(), Path(), {}, (), 600.0), id=2, sent_at=1000.0, due_at=1000.0)


@pytest.mark.parametrize(
    ("row", "now", "ended"),
    [
        (JobRow(2, "e0001.1", "PENDING"), 2000.0, "refused"),
        (JobRow(2, "e0001.1", "SETTING_UP"), 2000.0, "refused"),
        (JobRow(2, "e0001.1", "RUNNING", 1000.0), 1000.0 + 600.0 + BEGIN_WITHIN_S - 1, ""),
        (JobRow(2, "e0001.1", "RUNNING", 1000.0), 1000.0 + 600.0 + BEGIN_WITHIN_S + 1, "lost"),
        (JobRow(2, "e0001.1", "FAILED", 1000.0, 1100.0), 9000.0, ""),
        (None, 9000.0, ""),
    ],
)
def test_a_run_with_a_silent_runner_ends_at_its_limit(row: JobRow | None, now: float, ended: str) -> None:
    report = end_of(run(), row, [row] if row else [], {2}, "gpu-01", now)
    match report:
        case JobRefused():
            assert ended == "refused"
        case JobEnded():
            assert (report.reason, ended) == ("lost", "lost")
        case None:
            assert ended == ""
