"""A cluster's job table is read, and the end of a job translated."""

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.fleet.base import Evidence, Job
from cockpit.fleet.notes import EndNote
from cockpit.fleet.sky.jobs import JobRow, ended, first_by_name, job_table, plausible_time, was_set_up
from cockpit.fleet.sky.task import SETUP

JOB = Job("e0001.1", "gpu-01", Path(), Path(), {}, (), 600.0)


def test_a_table_is_read_oldest_first_with_times_that_may_be_missing() -> None:
    waits = {"job_id": 3, "job_name": "b", "status": "PENDING", "start_at": None, "end_at": None}
    done = {"job_id": 2, "job_name": "a", "status": "SUCCEEDED", "start_at": 10.0, "end_at": 20.5}
    assert job_table([waits, done]) == [JobRow(2, "a", "SUCCEEDED", 10.0, 20.5), JobRow(3, "b", "PENDING")]


def test_the_first_of_two_jobs_of_a_name_counts() -> None:
    rows = [JobRow(5, "e0001.1", "FAILED"), JobRow(4, "e0001.1", "RUNNING")]
    assert first_by_name(rows)["e0001.1"].id == 4


@pytest.mark.parametrize("status", ["FAILED_DRIVER", "CANCELLED"])
def test_a_job_that_never_ran_does_not_stand_for_a_later_one_of_its_name(status: str) -> None:
    rows = [JobRow(4, "e0001.1", status, 0.0, 9.0), JobRow(5, "e0001.1", "PENDING")]
    assert first_by_name(rows)["e0001.1"].id == 5
    assert first_by_name(rows[:1])["e0001.1"].id == 4


def test_a_cluster_is_set_up_when_its_latest_set_up_succeeded() -> None:
    assert not was_set_up([])
    assert was_set_up([JobRow(1, SETUP, "FAILED_SETUP"), JobRow(2, SETUP, "SUCCEEDED")])
    assert not was_set_up([JobRow(1, SETUP, "SUCCEEDED"), JobRow(2, SETUP, "RUNNING")])


def noted(reason: Literal["exited", "timeout", "cancelled", "limit", "lost"], code: int | None = 0) -> EndNote:
    return EndNote(5.0, reason, code, "", Evidence({"train.py": "a"}, {"train.py": "a"}, []))


@pytest.mark.parametrize(
    ("status", "began", "note", "cancelled", "reason"),
    [
        ("SUCCEEDED", True, noted("exited"), "", "exited"),
        ("FAILED", True, noted("exited", 1), "", "exited"),
        ("FAILED", True, noted("limit", -9), "", "limit"),
        ("FAILED", True, noted("timeout", -9), "", "timeout"),
        ("CANCELLED", True, noted("cancelled", -15), "timeout", "timeout"),
        ("CANCELLED", True, noted("cancelled", -15), "", "cancelled"),
        ("CANCELLED", True, noted("exited"), "cancelled", "exited"),
        ("FAILED", False, None, "", "lost"),
        ("CANCELLED", True, None, "cancelled", "cancelled"),
        ("CANCELLED", True, None, "timeout", "timeout"),
        ("CANCELLED", True, None, "", "cancelled"),
        ("FAILED_SETUP", False, None, "", "setup"),
        ("FAILED_DRIVER", True, None, "", "lost"),
        ("GONE", True, None, "", "lost"),
    ],
)
def test_the_end_of_a_job_follows_from_its_status_and_from_its_runners_note(
    status: str, began: bool, note: EndNote | None, cancelled: str, reason: str
) -> None:
    report = ended(JOB, status, 1.0, began, note, cancelled, "")
    assert report.reason == reason
    assert report.evidence == (note.evidence if note else None)


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
def test_a_run_that_began_and_whose_runner_noted_no_end_is_lost(status: str) -> None:
    # It may have killed its runner: a score that it printed is not believed.
    report = ended(JOB, status, 1.0, True, None, "", "")
    assert (report.reason, report.message) == ("lost", "its runner was killed")


@given(cluster_time=st.floats(0, 1e10), now=st.floats(0, 1e10), since=st.floats(0, 1e10))
def test_no_clock_can_put_an_event_in_the_future_or_before_its_cause(
    cluster_time: float, now: float, since: float
) -> None:
    at = plausible_time(cluster_time, now, min(since, now))
    assert min(since, now) <= at <= now


def test_a_plausible_time_is_kept() -> None:
    assert plausible_time(150.0, 200.0, 100.0) == 150.0


@pytest.mark.parametrize("cluster_time", [0.0, -5.0, float("nan"), float("inf"), float("-inf")])
def test_a_missing_or_invalid_time_is_taken_as_now(cluster_time: float) -> None:
    assert plausible_time(cluster_time, 200.0, 100.0) == 200.0
