"""One outage is one failure; a bad task file holds submissions; sessions of one name never touch each other."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cockpit.fleet.base import (
    ClusterEnded,
    ClusterReady,
    ClusterTrouble,
    ClusterWaits,
    JobEnded,
    JobRefused,
    JobStarted,
    JobSubmitted,
)
from cockpit.fleet.sky import cluster as sky_cluster
from cockpit.fleet.sky import follow, probe
from cockpit.fleet.sky.parts import ClusterRecord, SessionIdentity, SkyError
from tests.fleet.flaky import FlakySky, Watched

GONE = SkyError("gone", "Cluster 'gpu-01' does not exist.")
BAD_FILE = SkyError("task", "/repo/experiment.yaml cannot be used: while parsing a flow node")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "RETRY_S", (0.02,))
    monkeypatch.setattr(sky_cluster, "RETRY_S", (0.02,) * 4)
    monkeypatch.setattr(follow, "RETRY_S", (0.02,))


def up(place: Path, sky: FlakySky) -> Watched:
    it = Watched(place, sky)
    it.cluster.recover([])
    it.until(lambda: it.of(ClusterReady))
    return it


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    it = up(tmp_path, FlakySky())
    yield it
    it.sky.ends.set()
    it.cluster.close()


def settled(watched: Watched) -> None:
    """Wait until the cluster has done all that was asked of it."""
    quiet = 0
    while quiet < 10:
        before = len(watched.reports)
        time.sleep(0.05)
        quiet = quiet + 1 if len(watched.reports) == before else 0


def gone(sky: FlakySky) -> None:
    sky.found, sky.cloud_fails = None, GONE


def down_in_records(sky: FlakySky) -> None:
    assert sky.found is not None
    sky.found = ClusterRecord("gpu-01", "INIT", "night", "H100", 3.0, {"H100": 1}, "", 1.0)
    sky.cloud_fails = SkyError("other", "Invalid payload string:")


def server_refuses(sky: FlakySky) -> None:
    sky.found, sky.refuses = None, GONE


OUTAGES = [gone, down_in_records, server_refuses]


@pytest.mark.parametrize("outage", OUTAGES)
def test_one_outage_is_one_failure_however_much_was_queued(
    watched: Watched, outage: Callable[[FlakySky], None]
) -> None:
    watched.cluster.submit(watched.job("e0001.1"))
    watched.until(lambda: watched.of(JobStarted))
    outage(watched.sky)
    for number in range(2, 6):
        watched.cluster.submit(watched.job(f"e000{number}.1"))
        watched.cluster.check()
    watched.cluster.cancel("e0001.1")
    watched.until(lambda: len(watched.of(JobEnded)) + len(watched.of(JobRefused)) == 5)
    watched.cluster.check()
    settled(watched)
    assert len([trouble for trouble in watched.of(ClusterTrouble) if trouble.lost]) == 1
    about = [report.job for report in watched.of(JobEnded)] + [report.job for report in watched.of(JobRefused)]
    assert sorted(about) == [f"e000{number}.1" for number in range(1, 6)]


def test_a_run_of_a_lost_cluster_is_not_submitted(watched: Watched) -> None:
    gone(watched.sky)
    watched.cluster.check()
    for number in range(1, 4):
        watched.cluster.submit(watched.job(f"e000{number}.1"))
    watched.until(lambda: len(watched.of(JobEnded)) + len(watched.of(JobRefused)) == 3)
    assert watched.sky.submitted == []


def test_a_second_outage_after_the_cluster_came_back_is_another_failure(watched: Watched) -> None:
    sky = watched.sky
    for outages in (1, 2):
        record = sky.found
        gone(sky)
        watched.cluster.check()
        watched.until(lambda outages=outages: len(watched.of(ClusterTrouble)) == outages)  # type: ignore[misc]
        sky.found, sky.cloud_fails = record, None
        watched.cluster.recover([])
        watched.until(lambda outages=outages: len(watched.of(ClusterReady)) == outages + 1)  # type: ignore[misc]


def test_a_bad_task_file_holds_submissions_in_their_order_and_loses_nothing(watched: Watched) -> None:
    running = watched.job("e0001.1")
    watched.cluster.submit(running)
    watched.until(lambda: watched.of(JobStarted))
    watched.sky.refuses = BAD_FILE
    for number in range(2, 5):
        watched.cluster.submit(watched.job(f"e000{number}.1"))
    watched.until(lambda: watched.of(ClusterWaits))
    for _ in range(3):
        watched.cluster.retry()
    settled(watched)
    assert [waits.message for waits in watched.of(ClusterWaits)] == [f"gpu-01 gets no new runs: {BAD_FILE}"]
    assert not watched.of(ClusterTrouble) and not watched.of(JobEnded) and not watched.of(JobRefused)
    watched.cluster.cancel("e0003.1")
    watched.until(lambda: watched.of(JobEnded))
    watched.sky.refuses = None
    watched.cluster.retry()
    watched.until(lambda: len(watched.of(JobSubmitted)) == 3)
    assert watched.sky.submitted == ["e0001.1", "e0002.1", "e0004.1"]
    watched.until(lambda: watched.of(ClusterWaits)[-1].message == "")
    assert [(end.job, end.reason) for end in watched.of(JobEnded)] == [("e0003.1", "cancelled")]


def test_a_launch_with_a_bad_task_file_is_tried_again_and_is_not_a_failure(tmp_path: Path) -> None:
    sky = FlakySky()
    sky.found, sky.refuses = None, BAD_FILE
    watched = Watched(tmp_path, sky)
    watched.cluster.launch()
    watched.until(lambda: watched.of(ClusterTrouble))
    (trouble,) = watched.of(ClusterTrouble)
    assert trouble.refused and not trouble.final and "experiment.yaml cannot be used" in trouble.message
    watched.cluster.close()


OURS, THEIRS = SessionIdentity("night", "s111111"), SessionIdentity("night", "s222222")


def test_two_sessions_of_one_name_have_their_own_clusters_and_jobs(tmp_path: Path) -> None:
    sky = FlakySky(OURS)
    sky.others = [ClusterRecord("gpu-01-s222222", "UP", "night", "H100", 3.0, {"H100": 1}, "", 1.0, "s222222")]
    watched = up(tmp_path, sky)
    watched.cluster.submit(watched.job())
    watched.until(lambda: watched.of(JobStarted))
    assert sky.rows[-1].name == "e0001.1-s111111"
    watched.cluster.down()
    watched.until(lambda: watched.of(ClusterEnded))
    assert sky.downs == ["gpu-01-s111111"]
    watched.cluster.close()


@pytest.mark.parametrize("owner", [THEIRS, SessionIdentity("night"), SessionIdentity("day", "s111111")])
def test_a_cluster_with_the_mark_of_another_session_is_neither_used_nor_torn_down(
    tmp_path: Path, owner: SessionIdentity
) -> None:
    sky = FlakySky(OURS)
    name = OURS.remote_name("gpu-01")
    sky.found = ClusterRecord(name, "UP", owner.name, "H100", 3.0, {"H100": 1}, "", 1.0, owner.id)
    watched = Watched(tmp_path, sky)
    watched.cluster.launch()
    watched.until(lambda: watched.of(ClusterTrouble))
    assert watched.of(ClusterTrouble)[0].final
    watched.cluster.down()
    watched.until(lambda: watched.of(ClusterEnded))
    assert "left alone" in watched.of(ClusterEnded)[0].message and not sky.downs
    watched.cluster.close()


def test_a_session_made_before_sessions_had_an_id_keeps_its_names(tmp_path: Path) -> None:
    watched = up(tmp_path, FlakySky(SessionIdentity("night")))
    watched.cluster.submit(watched.job())
    watched.until(lambda: watched.of(JobStarted))
    assert watched.sky.rows[-1].name == "e0001.1"
    watched.cluster.close()


def test_an_adopted_cluster_keeps_its_own_name(tmp_path: Path) -> None:
    sky = FlakySky(OURS)
    sky.found = ClusterRecord("gpu-01", "UP", "", "H100", 3.0, {"H100": 1}, "", 1.0)
    watched = Watched(tmp_path, sky)
    watched.cluster.adopt()
    watched.cluster.launch()
    watched.until(lambda: watched.of(ClusterReady))
    watched.cluster.submit(watched.job())
    watched.until(lambda: watched.of(JobStarted))
    assert sky.rows[-1].name == "e0001.1-s111111", "two sessions may adopt one cluster"
    watched.cluster.close()


def test_a_run_that_started_before_exec_returned_started_then(watched: Watched) -> None:
    watched.sky.submit_takes_s = 1.0
    watched.cluster.submit(watched.job())
    watched.until(lambda: watched.of(JobStarted))
    assert watched.of(JobSubmitted)[0].at - watched.of(JobStarted)[0].at > 0.8


def test_a_run_on_several_nodes_starts_and_ends(tmp_path: Path) -> None:
    sky = FlakySky()
    sky.prefix = "(head, rank=0, pid=5)"
    watched = up(tmp_path, sky)
    watched.cluster.submit(watched.job())
    watched.until(lambda: watched.of(JobStarted))
    sky.finish("1.25")
    watched.until(lambda: watched.of(JobEnded))
    assert (watched.of(JobEnded)[0].reason, watched.of(JobEnded)[0].exit_code) == ("exited", 0)
    watched.cluster.close()


def test_a_cancellation_that_fails_is_tried_again(watched: Watched) -> None:
    watched.cluster.submit(watched.job())
    watched.until(lambda: watched.of(JobStarted))
    watched.sky.server_fails = SkyError("server", "Could not connect to SkyPilot API server")
    watched.cluster.cancel("e0001.1", "timeout")
    time.sleep(0.2)
    assert watched.sky.cancelled == []
    watched.sky.server_fails = None
    settled(watched)
    watched.cluster.retry()
    watched.until(lambda: watched.sky.cancelled)
    watched.cluster.retry()
    settled(watched)
    assert watched.sky.cancelled == [2]
