"""This machine as a fleet, at its edges: what is asked of it while a runner is still on its way."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cockpit.fleet.base import Expected, Job, JobEnded, JobRefused, JobStarted, Report
from cockpit.fleet.local import LocalFleet, slots

NOTES_ITSELF = "import os, time; open(os.environ['NOTES'], 'a').write('ran '); time.sleep(float(os.environ['SLEEPS']))"


@pytest.fixture
def job(tmp_path: Path) -> Callable[[str, float], Job]:
    def made(name: str, sleeps_s: float) -> Job:
        source = tmp_path / "runs" / name
        source.mkdir(parents=True)
        return Job(
            name, "cpu-01", source, tmp_path / f"{name}.log",
            {"NOTES": str(tmp_path / "notes.txt"), "SLEEPS": str(sleeps_s)}, (sys.executable, "-c", NOTES_ITSELF), 60.0,
        )  # fmt: skip

    return made


def fleet() -> LocalFleet:
    return LocalFleet(slots(1), threading.Event())


def until(of: LocalFleet, kind: type[Report]) -> Report:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for report in of.poll():
            if isinstance(report, kind):
                return report
        time.sleep(0.02)
    raise AssertionError(f"there was no {kind.__name__}")


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_run_that_is_cancelled_before_it_has_begun_is_ended_as_cancelled(job: Callable[[str, float], Job]) -> None:
    of = fleet()
    of.submit(job("e0001.1", 60))
    of.cancel("e0001.1")
    ended = until(of, JobEnded)
    assert isinstance(ended, JobEnded) and ended.reason == "cancelled"


def test_a_worker_killed_while_a_runner_was_on_its_way_has_it_run_once(
    job: Callable[[str, float], Job], tmp_path: Path
) -> None:
    one = job("e0001.1", 0.1)
    fleet().submit(one)  # and is killed: nothing of it has been seen to start
    after = fleet()
    after.recover(Expected((), (one,)))
    assert isinstance(until(after, JobStarted), JobStarted)
    ended = until(after, JobEnded)
    assert isinstance(ended, JobEnded) and (ended.reason, ended.exit_code) == ("exited", 0)
    assert (tmp_path / "notes.txt").read_text() == "ran "


def test_a_run_that_never_reached_its_slot_can_be_submitted_again(job: Callable[[str, float], Job]) -> None:
    after = fleet()
    after.recover(Expected((), (job("e0001.1", 0.1),)))
    refused = until(after, JobRefused)
    assert isinstance(refused, JobRefused) and refused.job == "e0001.1"


def test_a_wall_clock_that_is_set_while_a_run_goes_on_loses_nothing(
    job: Callable[[str, float], Job], tmp_path: Path
) -> None:
    of = fleet()
    of.submit(job("e0001.1", 1.0))
    until(of, JobStarted)
    os.utime(tmp_path / "runs" / "e0001.1.run" / "started", (0, 0))
    ended = until(of, JobEnded)
    assert isinstance(ended, JobEnded) and (ended.reason, ended.exit_code) == ("exited", 0)


def test_a_run_whose_runner_was_killed_is_lost_and_leaves_no_process(
    job: Callable[[str, float], Job], tmp_path: Path
) -> None:
    of = fleet()
    of.submit(job("e0001.1", 60))
    child = tmp_path / "runs" / "e0001.1.run" / "child.json"
    end = time.monotonic() + 30
    while not child.exists() and time.monotonic() < end:
        time.sleep(0.02)
    until(of, JobStarted)
    os.kill(json.loads(child.with_name("started").read_text())["pid"], signal.SIGKILL)
    ended = until(of, JobEnded)
    assert isinstance(ended, JobEnded) and (ended.reason, ended.message) == ("lost", "its runner was killed")
    gone = json.loads(child.read_text())["pid"]
    while lives(gone):
        assert time.monotonic() < end
        time.sleep(0.02)
