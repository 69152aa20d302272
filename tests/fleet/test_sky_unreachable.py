"""An unreachable cluster is not a lost one: this machine may be offline, and its run may still be going."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cockpit.fleet.base import (
    ClusterEnded,
    ClusterReady,
    ClusterTrouble,
    JobEnded,
    JobRefused,
    JobStarted,
    JobSubmitted,
)
from cockpit.fleet.sky import cluster as sky_cluster
from cockpit.fleet.sky import follow, probe
from cockpit.fleet.sky.jobs import JobRow
from cockpit.fleet.sky.parts import ClusterRecord, SkyError
from cockpit.fleet.sky.probe import ClusterLost, ClusterProbe
from cockpit.fleet.sky.requests import LongRequests
from tests.fleet.flaky import FlakySky, Watched

NO_ROUTE = SkyError("other", "ssh: connect to host login: No route to host")
NO_SERVER = SkyError("server", "Could not connect to SkyPilot API server")


class Hours:
    """Time that passes only while it is slept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.at: dict[float, Callable[[], None]] = {}

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for moment in [moment for moment in self.at if moment <= self.now]:
            self.at.pop(moment)()


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> Hours:
    passing = Hours()
    monkeypatch.setattr(probe, "time", passing)
    return passing


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "RETRY_S", (0.02,))
    monkeypatch.setattr(sky_cluster, "RETRY_S", (0.02,) * 4)
    monkeypatch.setattr(follow, "RETRY_S", (0.02,))


@pytest.fixture
def watched(tmp_path: Path, quick: None) -> Iterator[Watched]:
    """A cluster that is up."""
    it = Watched(tmp_path, FlakySky())
    it.cluster.recover([])
    it.until(lambda: it.of(ClusterReady))
    yield it
    it.sky.server_fails = NO_SERVER  # ends the readers of logs
    it.cluster.close()


def asked(
    sky: FlakySky, trust_records: bool = False, told: Callable[[str], None] = lambda sentence: None
) -> tuple[ClusterRecord, list[JobRow]] | None:
    one = ClusterProbe(
        "gpu-01",
        lambda: "gpu-01",
        sky,
        LongRequests(),
        lambda record: True,
        lambda: None,
        lambda: False,
        lambda: False,
        told,
    )
    return one.ask(trust_records)


@pytest.mark.parametrize("trust_records", [False, True])
@pytest.mark.parametrize("failure", [("cloud_fails", NO_ROUTE), ("server_fails", NO_SERVER)])
def test_a_cluster_is_asked_for_hours_while_nothing_answers(
    hours: Hours, failure: tuple[str, SkyError], trust_records: bool
) -> None:
    sky = FlakySky()
    setattr(sky, failure[0], failure[1])
    hours.at[8 * 3600.0] = lambda: setattr(sky, failure[0], None)
    told: list[str] = []
    assert asked(sky, trust_records, told.append) == (sky.found, sky.rows)
    assert hours.now >= 8 * 3600
    assert told == [f"gpu-01 is unreachable; its run may still be going: {failure[1]}", ""]


def test_a_cluster_that_does_not_answer_though_its_cloud_says_it_is_up_is_lost(hours: Hours) -> None:
    sky = FlakySky()
    sky.jobs = lambda cluster: (_ for _ in ()).throw(NO_ROUTE)  # type: ignore[method-assign]
    with pytest.raises(ClusterLost, match="gpu-01 does not answer: ssh: connect") as lost:
        asked(sky)
    assert lost.value.hangs
    assert probe.LOST_AFTER_S < hours.now < 2 * probe.LOST_AFTER_S


def test_a_cluster_that_its_cloud_says_is_gone_is_lost_at_once(hours: Hours) -> None:
    sky = FlakySky()
    sky.found = None
    with pytest.raises(ClusterLost, match="gpu-01 was taken down outside Cockpit, and is launched again") as lost:
        asked(sky)
    assert not lost.value.hangs and hours.now == 0


@pytest.mark.parametrize("failure", [("cloud_fails", NO_ROUTE), ("server_fails", NO_SERVER)])
def test_a_run_continues_while_nothing_answers_and_its_result_is_taken(
    watched: Watched, failure: tuple[str, SkyError]
) -> None:
    job = watched.job()
    watched.cluster.submit(job)
    watched.until(lambda: watched.of(JobStarted))
    setattr(watched.sky, *failure)
    watched.cluster.check()
    watched.cluster.submit(watched.job("e0002.1"))
    time.sleep(0.5)
    assert not watched.of(JobEnded) and not watched.of(ClusterTrouble)
    watched.sky.finish("1.25")
    setattr(watched.sky, failure[0], None)
    watched.until(lambda: watched.of(JobEnded))
    ended = watched.of(JobEnded)[0]
    assert (ended.job, ended.reason, ended.exit_code) == ("e0001.1", "exited", 0)
    assert "val_bpb: 1.25" in job.log_path.read_text()


@pytest.mark.parametrize("failure", [("cloud_fails", NO_ROUTE), ("server_fails", NO_SERVER)])
def test_a_restarted_worker_while_nothing_answers_waits_and_takes_the_result(
    tmp_path: Path, quick: None, failure: tuple[str, SkyError]
) -> None:
    sky = FlakySky()
    first = Watched(tmp_path, sky)
    first.cluster.recover([])
    first.cluster.submit(first.job())
    first.until(lambda: first.of(JobStarted))
    first.cluster.close()
    setattr(sky, *failure)
    sky.finish("1.5")
    second = Watched(tmp_path, sky)
    second.cluster.recover([second.job()])
    time.sleep(0.5)
    assert second.reports == []
    setattr(sky, failure[0], None)
    second.until(lambda: second.of(JobEnded))
    assert [(end.reason, end.exit_code) for end in second.of(JobEnded)] == [("exited", 0)]
    assert sky.submitted == ["e0001.1"]
    second.cluster.close()


@pytest.mark.parametrize("error", [NO_ROUTE, NO_SERVER, SkyError("late", "SkyPilot did not answer within 5 minutes")])
def test_a_job_that_arrived_though_submitting_it_failed_is_not_submitted_again(
    watched: Watched, error: SkyError
) -> None:
    sky = watched.sky
    sky.arrives_first, sky.cloud_fails = True, error
    watched.cluster.submit(watched.job())
    watched.until(lambda: sky.submitted)
    assert not watched.of(JobRefused)
    sky.cloud_fails = None
    watched.until(lambda: watched.of(JobSubmitted))
    assert sky.submitted == ["e0001.1"]
    assert not watched.of(JobRefused)


def test_a_launch_while_the_server_is_away_is_not_a_failure_of_the_cluster(tmp_path: Path, quick: None) -> None:
    sky = FlakySky()
    sky.found, sky.server_fails = None, NO_SERVER
    watched = Watched(tmp_path, sky)
    watched.cluster.launch()
    watched.until(lambda: watched.of(ClusterTrouble))
    trouble = watched.of(ClusterTrouble)[0]
    assert trouble.refused and not trouble.final
    watched.cluster.close()


@pytest.mark.parametrize(("had", "final"), [("H100", False), ("H200", True), ("", True)])
def test_a_class_that_cannot_be_found_is_asked_for_again_if_a_cluster_of_it_exists(
    tmp_path: Path, quick: None, had: str, final: bool
) -> None:
    sky = FlakySky()
    sky.found, sky.refuses = None, SkyError("absent", "Catalog does not contain any instances: 1x H100.")
    sky.others = [ClusterRecord("gpu-02", "UP", "night", had, 3.0, {had: 1}, "")] if had else []
    watched = Watched(tmp_path, sky)
    watched.cluster.launch()
    watched.until(lambda: watched.of(ClusterTrouble))
    trouble = watched.of(ClusterTrouble)[0]
    assert (trouble.final, trouble.refused) == (final, not final)
    assert trouble.message.startswith("gpu-01 cannot be had")
    watched.cluster.close()


def test_a_reader_on_a_dead_connection_is_replaced_once_its_job_has_ended(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sky_cluster, "STUCK_AFTER_S", 0.0)
    watched.sky.new_streams_hang = True
    watched.cluster.submit(watched.job())
    watched.until(lambda: watched.of(JobStarted))
    watched.sky.finish("1.75")
    watched.sky.new_streams_hang = False
    watched.cluster.check()
    watched.until(lambda: watched.of(JobEnded))
    assert watched.of(JobEnded)[0].reason == "exited"
    assert watched.job().log_path.read_text().count("COCKPIT_RUNNER start") == 1


def test_a_cluster_that_stopped_when_idle_has_not_failed(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sky_cluster, "IDLE_SLACK_S", 60.0 * watched.sky.idle_minutes)
    watched.sky.found = None
    watched.cluster.check()
    watched.until(lambda: watched.of(ClusterEnded))
    assert watched.of(ClusterEnded)[0].message == "it ended itself: nothing ran on it for 30 min"
    assert not watched.of(ClusterTrouble)


def test_a_cluster_that_is_gone_before_its_idle_minutes_are_over_was_lost(watched: Watched) -> None:
    watched.sky.found = None
    watched.cluster.check()
    watched.until(lambda: watched.of(ClusterTrouble))
    assert watched.of(ClusterTrouble)[0].lost


def test_a_cluster_that_takes_no_jobs_has_failed(watched: Watched) -> None:
    watched.sky.refuses = SkyError("invalid", "the task asks for 8 GPUs, and the cluster has 1")
    for number in range(3):
        watched.cluster.submit(watched.job(f"e000{number}.1"))
    watched.until(lambda: watched.of(ClusterTrouble))
    assert len(watched.of(JobRefused)) == 3
    assert watched.of(ClusterTrouble)[0].message == (
        "gpu-01 took none of 3 jobs: the task asks for 8 GPUs, and the cluster has 1"
    )
