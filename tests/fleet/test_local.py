"""This machine as a fleet, at its edges: what is asked of it while a runner is still on its way."""

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

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
