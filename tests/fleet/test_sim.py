"""The simulated fleet keeps the Fleet protocol, on a virtual clock, over a world that outlives its worker."""

import hashlib
import math
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from cockpit.core.model import Outcome
from cockpit.core.session import FleetSpec
from cockpit.fleet.base import (
    ClusterEnded,
    ClusterReady,
    ClusterStep,
    ClusterTrouble,
    Expected,
    FleetError,
    Job,
    JobEnded,
    JobRefused,
    JobStarted,
    JobSubmitted,
    Report,
)
from cockpit.fleet.run_log import RunLog, RunVerdict
from cockpit.fleet.sim.fleet import SimFleet, open_sim, sim_spec
from cockpit.fleet.sim.records import ClusterIs
from cockpit.fleet.sim.run import Hazards
from cockpit.fleet.sim.world import LAUNCH_STEPS, Latencies
from cockpit.session.clock import JumpClock

Kind = TypeVar("Kind")

START = 1_700_000_000.0
CALM = Hazards(launch_failure=0, losses_per_cluster_hour=0, fault=0, hang=0)
TRAIN = "DEPTH = 8\nASPECT_RATIO = 64\nMATRIX_LR = 0.04\n\n\ndef train():\n    return DEPTH\n"


class SimNight:
    """A session's folder and its fleet, driven as a worker would drive it."""

    def __init__(self, folder: Path, spec: FleetSpec, hazards: Hazards = CALM, latencies: Latencies | None = None):
        self.folder, self.spec, self.hazards, self.latencies = folder, spec, hazards, latencies
        self.reports: list[Report] = []
        folder.mkdir(exist_ok=True)
        self.open()

    def open(self) -> None:
        fleet, clock = open_sim(self.spec, self.folder / "sim.db", START, self.latencies, self.hazards)
        assert isinstance(clock, JumpClock)
        self.fleet: SimFleet = fleet
        self.clock = clock

    def job(self, name: str, cluster: str, train: str = TRAIN, seed: int = 0, limit_s: float = 600.0) -> Job:
        source = self.folder / "runs" / name
        source.mkdir(parents=True, exist_ok=True)
        (source / "train.py").write_text(train)
        (source / "prepare.py").write_text("TIME_BUDGET = 300\n")
        return Job(name, cluster, source, self.log_path(name), {"SEED": str(seed)}, (), limit_s)

    def log_path(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def take(self) -> list[Report]:
        found = self.fleet.poll()
        self.reports += found
        return found

    def until(self, kind: type[Kind], about: str, most_s: float = 36_000.0) -> Kind:
        """Let time jump until there is a report of this kind about this job or cluster; an earlier one counts."""
        end = self.clock.now() + most_s
        while True:
            for report in self.reports:
                if isinstance(report, kind) and about == getattr(report, "job", getattr(report, "cluster", "")):
                    return report
            assert self.clock.now() < end, f"no {kind.__name__} about {about}"
            if not self.take():
                self.clock.wait(threading.Event(), end)

    def up(self, *clusters: str) -> None:
        for cluster in clusters:
            self.fleet.launch(cluster)
        for cluster in clusters:
            self.until(ClusterReady, cluster)

    def result(self, name: str) -> RunLog:
        log = RunLog()
        log.feed(self.log_path(name).read_bytes(), 0.0)
        log.finish(0.0)
        return log

    def score(self, name: str) -> float:
        verdict = self.verdict(name)
        assert verdict.metrics is not None, verdict
        return verdict.metrics.score

    def verdict(self, name: str) -> RunVerdict:
        source = self.folder / "runs" / name
        train, prepare = (
            hashlib.sha256((source / file).read_bytes()).hexdigest() for file in ("train.py", "prepare.py")
        )
        return self.result(name).verdict(None, train, prepare)


@pytest.fixture
def night(tmp_path: Path) -> Iterator[SimNight]:
    made = SimNight(tmp_path, sim_spec(2, 1, speed=0))
    yield made
    made.fleet.close()


def run(night: SimNight, name: str, cluster: str = "gpu-01", train: str = TRAIN, seed: int = 0) -> JobEnded:
    night.up(cluster)
    night.fleet.submit(night.job(name, cluster, train, seed))
    ended = night.until(JobEnded, name)
    assert isinstance(ended, JobEnded)
    return ended


def test_each_editable_and_each_protected_file_is_read_and_hashed(night: SimNight) -> None:
    def split(name: str, config: str) -> JobEnded:
        night.up("gpu-01")
        job = night.job(name, "gpu-01", "MATRIX_LR = 0.04\n")
        (job.source / "cfg.yaml").write_text(config)
        (job.source / "fixed.json").write_text("{}")
        hashed = msgspec.structs.replace(job, hashed=("cfg.yaml", "fixed.json"), protected=("fixed.json",))
        night.fleet.submit(hashed)
        return night.until(JobEnded, name)

    first = split("e0000.1", "ASPECT_RATIO: 64\n")
    assert first.evidence is not None and set(first.evidence.before) == {
        "train.py", "prepare.py", "cfg.yaml", "fixed.json",
    }  # fmt: skip
    assert first.evidence.before["cfg.yaml"] == hashlib.sha256(b"ASPECT_RATIO: 64\n").hexdigest()
    split("e0001.1", "ASPECT_RATIO: 96\n")
    assert night.score("e0001.1") < night.score("e0000.1") - 0.005
    assert split("e0002.1", "ASPECT_RATIO: [\n").exit_code == 1


def test_the_fleet_is_marked_simulated_and_has_thirteen_h100_and_three_h200() -> None:
    spec = sim_spec()
    assert spec.simulated
    assert Counter(cluster.hardware for cluster in spec.clusters) == {"H100": 13, "H200": 3}


def test_a_run_prints_what_train_py_prints_and_proves_which_code_ran(night: SimNight) -> None:
    ended = run(night, "e0000.1")
    assert (ended.reason, ended.exit_code) == ("exited", 0)
    verdict = night.verdict("e0000.1")
    assert verdict.outcome is Outcome.VALID
    assert verdict.metrics is not None
    assert verdict.metrics.score == pytest.approx(1.0, abs=0.003)
    assert verdict.metrics.depth == 8
    assert verdict.metrics.num_steps == pytest.approx(953, rel=0.02)
    curve = night.result("e0000.1").curve()
    assert len(curve) == 20
    assert [loss for _, loss in curve[:4]] == sorted((loss for _, loss in curve[:4]), reverse=True)


def test_each_step_of_a_job_is_reported_once_and_in_order(night: SimNight) -> None:
    run(night, "e0000.1")
    about = [type(r) for r in night.reports if getattr(r, "job", "") == "e0000.1"]
    assert about == [JobSubmitted, JobStarted, JobEnded]
    assert [r.at for r in night.reports] == sorted(r.at for r in night.reports)


def test_the_next_job_of_a_cluster_starts_after_the_gap_of_a_queue(night: SimNight) -> None:
    night.up("gpu-01")
    for name in ("e0000.1", "e0001.1"):
        night.fleet.submit(night.job(name, "gpu-01"))
    started = night.until(JobStarted, "e0001.1")
    ended = next(r for r in night.reports if isinstance(r, JobEnded))
    assert 6 <= started.at - ended.at <= 13


def test_the_scheduler_serves_a_limited_number_of_requests_at_once(night: SimNight) -> None:
    latencies = Latencies(launch_s=(100, 100), submit_s=(10, 10), requests_at_once=2, launches_at_once=1)
    busy = SimNight(night.folder / "busy", sim_spec(3, 0, speed=0), latencies=latencies)
    busy.up("gpu-01", "gpu-02", "gpu-03")
    ready = [r.at - START for r in busy.reports if isinstance(r, ClusterReady)]
    assert ready == [100, 200, 300]
    at = busy.clock.now()
    for number, cluster in enumerate(("gpu-01", "gpu-02", "gpu-03", "gpu-01")):
        busy.fleet.submit(busy.job(f"e000{number}.1", cluster))
    busy.until(JobSubmitted, "e0003.1")
    assert [r.at - at for r in busy.reports if isinstance(r, JobSubmitted)] == [10, 10, 20, 20]
    busy.fleet.close()


def test_a_submission_never_waits_for_launches(night: SimNight) -> None:
    night.up("gpu-01")
    for cluster in ("gpu-02", "gpu-03"):
        night.fleet.launch(cluster)
    at = night.clock.now()
    night.fleet.submit(night.job("e0000.1", "gpu-01"))
    assert night.until(JobSubmitted, "e0000.1").at - at <= 9


def test_a_known_name_is_never_started_again(night: SimNight) -> None:
    job = night.job("e0000.1", "gpu-01")
    night.up("gpu-01")
    night.fleet.submit(job)
    night.fleet.submit(job)
    night.until(JobEnded, "e0000.1")
    night.fleet.submit(job)
    assert [type(r) for r in night.take()] == [JobSubmitted, JobStarted, JobEnded]
    night.clock.wait(threading.Event(), night.clock.now() + 3600)
    night.take()
    assert night.fleet.starts() == {"e0000.1": 1}


def test_a_job_for_a_cluster_that_is_down_is_refused_and_can_be_submitted_again(night: SimNight) -> None:
    job = night.job("e0000.1", "gpu-01")
    night.fleet.submit(job)
    assert "not up" in night.until(JobRefused, "e0000.1").message
    night.up("gpu-01")
    night.fleet.submit(job)
    night.until(JobEnded, "e0000.1")
    assert night.fleet.starts() == {"e0000.1": 1}


def test_a_job_without_its_code_is_refused_with_a_reason(night: SimNight) -> None:
    night.up("gpu-01")
    job = night.job("e0000.1", "gpu-01")
    (job.source / "train.py").unlink()
    night.fleet.submit(job)
    assert "cannot be read" in night.until(JobRefused, "e0000.1").message


def test_a_job_can_be_cancelled_queued_starting_or_running(night: SimNight) -> None:
    night.up("gpu-01")
    for number in range(3):
        night.fleet.submit(night.job(f"e000{number}.1", "gpu-01"))
    night.until(JobStarted, "e0000.1")
    night.clock.wait(threading.Event(), night.clock.now() + 100)
    for name in ("e0000.1", "e0001.1", "e0002.1"):
        night.fleet.cancel(name)
    for name in ("e0000.1", "e0001.1", "e0002.1"):
        night.until(JobEnded, name)
    assert {r.job: r.reason for r in night.reports if isinstance(r, JobEnded)} == dict.fromkeys(
        ("e0000.1", "e0001.1", "e0002.1"), "cancelled"
    )
    assert night.fleet.starts() == {"e0000.1": 1, "e0001.1": 0, "e0002.1": 0}
    assert b"val_bpb" not in night.log_path("e0000.1").read_bytes()


def test_cancelling_an_ended_job_reports_how_it_ended(night: SimNight) -> None:
    run(night, "e0000.1")
    night.fleet.cancel("e0000.1")
    assert [(r.reason, r.exit_code) for r in night.take() if isinstance(r, JobEnded)] == [("exited", 0)]


def test_a_hanging_run_ends_at_its_limit_without_a_result(tmp_path: Path) -> None:
    night = SimNight(tmp_path, sim_spec(1, 0, speed=0), Hazards(0, 0, 0, hang=1.0))
    ended = run(night, "e0000.1")
    started = next(r for r in night.reports if isinstance(r, JobStarted))
    assert ended.reason == "timeout"
    assert ended.at - started.at == 600
    assert night.verdict("e0000.1").outcome is not Outcome.VALID


def test_down_ends_the_jobs_and_reports_when_the_cluster_is_gone(night: SimNight) -> None:
    night.up("gpu-01")
    night.fleet.submit(night.job("e0000.1", "gpu-01"))
    night.until(JobStarted, "e0000.1")
    night.fleet.down("gpu-01")
    night.until(ClusterEnded, "gpu-01")
    assert [r.reason for r in night.reports if isinstance(r, JobEnded)] == ["cancelled"]
    night.fleet.submit(night.job("e0001.1", "gpu-01"))
    night.until(JobRefused, "e0001.1")


def test_down_withdraws_a_launch(night: SimNight) -> None:
    night.fleet.launch("gpu-01")
    night.fleet.down("gpu-01")
    night.until(ClusterEnded, "gpu-01")
    night.clock.wait(threading.Event(), night.clock.now() + 600)
    assert not any(isinstance(r, ClusterReady) for r in night.reports + night.take())


def test_a_lost_cluster_loses_its_jobs_and_can_be_launched_again(tmp_path: Path) -> None:
    night = SimNight(tmp_path, sim_spec(1, 0, speed=0), Hazards(0, losses_per_cluster_hour=20, fault=0, hang=0))
    night.up("gpu-01")
    for number in range(200):
        if any(isinstance(r, ClusterTrouble) for r in night.reports):
            break
        night.fleet.submit(night.job(f"e{number:04d}.1", "gpu-01"))
        night.until(JobEnded, f"e{number:04d}.1")
    else:
        raise AssertionError("never lost")
    lost = [r for r in night.reports if isinstance(r, JobEnded)][-1]
    assert lost.reason == "lost"
    assert b"COCKPIT_END" not in night.log_path(lost.job).read_bytes()
    night.reports.clear()
    night.fleet.launch("gpu-01")
    night.until(ClusterReady, "gpu-01")


def test_a_failed_launch_is_reported_and_the_next_try_may_succeed(tmp_path: Path) -> None:
    night = SimNight(tmp_path, sim_spec(1, 0, speed=0), Hazards(launch_failure=0.5))
    outcomes = []
    for _ in range(40):
        night.fleet.launch("gpu-01")
        night.clock.wait(threading.Event(), night.clock.now() + 200)
        outcomes += [type(r) for r in night.take() if isinstance(r, ClusterReady | ClusterTrouble)]
        if ClusterReady in outcomes:
            break
    assert ClusterReady in outcomes


def test_a_slower_scheduler_is_one_setting(tmp_path: Path) -> None:
    night = SimNight(tmp_path, sim_spec(1, 0, speed=0), latencies=Latencies(launch_s=(1000, 1000)))
    night.up("gpu-01")
    assert night.clock.now() - START == 1000


# The world outlives the worker


def test_a_restarted_worker_finds_what_runs_and_what_ended_in_between(night: SimNight) -> None:
    night.up("gpu-01", "gpu-02")
    jobs = [night.job(f"e000{n}.1", f"gpu-0{n % 2 + 1}") for n in range(4)]
    for job in jobs[:3]:
        night.fleet.submit(job)
    for job in jobs[:3]:
        night.until(JobSubmitted, job.name)
    night.clock.wait(threading.Event(), night.clock.now() + 50)
    night.take()
    night.open()  # the first process was killed: nothing was closed
    night.fleet.recover(Expected(("gpu-01", "gpu-02", "gpu-03"), tuple(jobs)))
    found = night.take()
    assert {r.cluster: type(r) for r in found if hasattr(r, "cluster")} == {
        "gpu-01": ClusterReady,
        "gpu-02": ClusterReady,
        "gpu-03": ClusterTrouble,
    }
    assert Counter(type(r) for r in found if hasattr(r, "job")) == {JobSubmitted: 3, JobStarted: 2, JobRefused: 1}
    for job in jobs[:3]:
        night.until(JobEnded, job.name)
        assert night.verdict(job.name).outcome is Outcome.VALID
    night.open()
    night.fleet.recover(Expected(("gpu-01",), tuple(jobs)))
    assert Counter(type(r) for r in night.take() if hasattr(r, "job")) == {
        JobSubmitted: 3, JobStarted: 3, JobEnded: 3, JobRefused: 1,
    }  # fmt: skip
    assert set(night.fleet.starts().values()) == {1}


def test_a_torn_log_is_completed_byte_for_byte(tmp_path: Path) -> None:
    logs = []
    for tear in (False, True):
        night = SimNight(tmp_path / str(tear), sim_spec(1, 0, speed=0))
        night.up("gpu-01")
        night.fleet.submit(night.job("e0000.1", "gpu-01"))
        night.until(JobStarted, "e0000.1")
        night.clock.wait(threading.Event(), night.clock.now() + 100)
        night.take()
        if tear:
            whole = night.log_path("e0000.1").read_bytes()
            night.log_path("e0000.1").write_bytes(whole[:-17])
            night.open()
            night.fleet.recover(Expected(("gpu-01",), ()))
        night.until(JobEnded, "e0000.1")
        logs.append(night.log_path("e0000.1").read_bytes())
    assert logs[0] == logs[1]


def test_a_world_reopened_at_every_step_equals_one_that_was_never_closed(tmp_path: Path) -> None:
    def play(folder: Path, reopen: bool) -> dict[str, tuple[float, str, int]]:
        ran_on: dict[str, str] = {}
        hazards = Hazards(launch_failure=0.2, losses_per_cluster_hour=1.0, fault=0.1, hang=0.05)
        night = SimNight(folder, sim_spec(3, 1, speed=0, seed=5), hazards)
        for cluster in ("gpu-01", "gpu-02", "gpu-03", "gpu-04"):
            night.fleet.launch(cluster)
        submitted = 0
        while submitted < 60:
            for report in night.take():
                if isinstance(report, ClusterReady | JobEnded):
                    cluster = report.cluster if isinstance(report, ClusterReady) else ran_on[report.job]
                    if night.fleet._world.clusters[cluster].is_ is ClusterIs.UP:
                        ran_on[f"e{submitted:04d}.1"] = cluster
                        night.fleet.submit(night.job(f"e{submitted:04d}.1", cluster))
                        submitted += 1
                elif isinstance(report, ClusterTrouble):
                    night.fleet.launch(report.cluster)
            if reopen:
                night.open()
            night.clock.wait(threading.Event(), math.inf)
        return {job.name: (job.ended_at, job.reason, job.starts) for job in night.fleet._world.all_jobs()}

    assert play(tmp_path / "kept", False) == play(tmp_path / "reopened", True)


def test_a_job_that_is_over_is_kept_on_the_disk_alone_and_is_still_known(night: SimNight) -> None:
    for number in range(3):
        ended = run(night, f"e000{number}.1")
    again = night.job("e0002.1", "gpu-01")
    for _ in range(2):
        assert not night.fleet._world.jobs
        night.fleet.submit(again)
        assert ended in night.take()
        night.fleet.cancel("e0002.1")
        assert night.take() == [ended]
        night.open()
    assert night.fleet.starts() == {f"e000{number}.1": 1 for number in range(3)}


def test_time_continues_from_where_it_stood(night: SimNight) -> None:
    night.up("gpu-01")
    at = night.clock.now()
    night.open()
    assert night.clock.now() == at


def test_a_file_that_is_not_a_world_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "sim.db").write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(FleetError, match=r"cannot be read .* start a new session"):
        open_sim(sim_spec(speed=0), tmp_path / "sim.db", START)


# Results


def test_the_same_seed_job_and_code_give_the_same_log_in_any_process(tmp_path: Path) -> None:
    logs = []
    for folder in ("a", "b"):
        night = SimNight(tmp_path / folder, sim_spec(1, 0, speed=0, seed=3))
        run(night, "e0000.1")
        logs.append(night.log_path("e0000.1").read_bytes())
    assert logs[0] == logs[1]


def test_repeats_differ_by_noise_only(night: SimNight) -> None:
    scores = []
    for number in range(12):
        run(night, f"e0000.{number + 1}", seed=number)
        scores.append(night.score(f"e0000.{number + 1}"))
    assert len(set(scores)) == 12
    assert max(scores) - min(scores) < 0.003


def test_a_comment_changes_only_the_noise_and_a_patch_has_its_own_effect(night: SimNight) -> None:
    run(night, "e0000.1")
    job = night.job("e0001.1", "gpu-01", "# faster!\n" + TRAIN)
    patched = night.job("e0002.1", "gpu-01", TRAIN.replace("return DEPTH", "return DEPTH + 1"))
    for each in (job, patched):
        night.fleet.submit(each)
    runs = {known.name: known.run for known in night.fleet._world.all_jobs()}
    sources = night.fleet._world._sources
    assert sources.read(job).code == sources.read(night.job("e0000.1", "gpu-01")).code
    assert sources.read(patched).code != sources.read(job).code
    assert runs["e0001.1"].val_bpb == pytest.approx(runs["e0000.1"].val_bpb, abs=0.003)


def test_a_too_large_batch_runs_out_of_memory_on_an_h100_and_runs_on_an_h200(night: SimNight) -> None:
    wide = "DEVICE_BATCH_SIZE = 256\n" + TRAIN
    run(night, "e0000.1", "gpu-01", wide)
    run(night, "e0001.1", "gpu-03", wide)
    crashed = night.verdict("e0000.1")
    assert crashed.outcome is Outcome.CRASH
    assert "OutOfMemoryError" in crashed.message
    assert night.verdict("e0001.1").outcome is Outcome.VALID


def test_code_that_does_not_compile_crashes_at_once(night: SimNight) -> None:
    ended = run(night, "e0000.1", train="def train(:\n")
    assert ended.exit_code == 1
    assert "SyntaxError" in night.verdict("e0000.1").message


def test_a_launch_shows_its_steps_in_order_and_a_full_scheduler_that_it_waits(tmp_path: Path) -> None:
    night = SimNight(tmp_path / "night", sim_spec(4, 1, speed=0))
    clusters = [f"gpu-0{number}" for number in range(1, 6)]
    night.up(*clusters)
    waits = "waits for a place among the launches under way"
    for name in clusters:
        steps = [one.message for one in night.reports if isinstance(one, ClusterStep) and one.cluster == name]
        said = [words.format(hardware="H100") for _, words in LAUNCH_STEPS]
        assert [step.replace("H200", "H100") for step in steps if step != waits] == said
        assert waits not in steps[1:]
    waited = [one.cluster for one in night.reports if isinstance(one, ClusterStep) and one.message == waits]
    assert waited == clusters[Latencies().launches_at_once :]


def test_a_launch_that_fails_never_reaches_its_set_up(tmp_path: Path) -> None:
    night = SimNight(tmp_path / "night", sim_spec(1, 0, speed=0), Hazards(launch_failure=1))
    night.fleet.launch("gpu-01")
    night.until(ClusterTrouble, "gpu-01")
    assert [one.message for one in night.reports if isinstance(one, ClusterStep)] == [
        words.format(hardware="H100") for _, words in LAUNCH_STEPS[:2]
    ]
