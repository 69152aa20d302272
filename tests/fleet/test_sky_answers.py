"""Answers that the real SkyPilot gave on the lab are read by the real client."""

import re
from pathlib import Path

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")

from cockpit.fleet.sky.failures import understood
from cockpit.fleet.sky.jobs import first_by_name, job_table, was_set_up
from cockpit.fleet.sky.probe import went_down
from cockpit.fleet.sky.remains import is_billed
from tests.fleet import recorded
from tests.fleet.fake_cloud import FakeCloud
from tests.fleet.fake_night import client_of

NAME = "gpu-01-s1"
EVICTED = " ".join(recorded.evicted(NAME).split())
UNHEALTHY = (
    f"Cluster is abnormal because {NAME}-0000abcd-head is not ready (Terminated unexpectedly. Last known state: Unknown"
    " reason.). Transitioned to INIT (details: cluster is unhealthy)."
)


@pytest.mark.parametrize(
    ("kind", "status", "reason", "billed"),
    [
        ("up", "UP", "", True),
        ("launching", "INIT", "Instances launched on kubernetes in cockpit-lab", True),
        (
            "unhealthy",
            "INIT",
            UNHEALTHY,
            True,
        ),
        (
            "evicted",
            "INIT",
            EVICTED,
            True,
        ),
    ],
)
def test_a_record_is_that_of_its_session(tmp_path: Path, kind: str, status: str, reason: str, billed: bool) -> None:
    record = client_of(tmp_path, FakeCloud())._record(recorded.status(kind, NAME))
    assert (record.name, record.status, record.reason) == (NAME, status, reason)
    assert (record.session, record.session_id, record.spot) == ("night", "s1", False)
    assert record.asked_at > 0
    assert is_billed(record, lambda one: True) is billed
    assert not is_billed(record, lambda one: False), "it is another session's"


def test_a_fleet_of_which_one_was_evicted_is_read_in_one_answer(tmp_path: Path) -> None:
    client = client_of(tmp_path, FakeCloud())
    records = [client._record(recorded.status_of(answer)) for answer in recorded.ANSWERS["fleet"]]
    assert {(record.session_id, record.status, "Evicted" in record.reason) for record in records} == {
        ("s1", "INIT", True),
        ("s2", "INIT", False),
        ("s3", "INIT", False),
    }
    (evicted,) = [record for record in records if record.session_id == "s1"]
    lost = went_down("gpu-01", evicted, evicted, was_spot=False)
    assert lost.preempted and not lost.billed


def test_a_job_table_has_the_set_up_and_the_runs() -> None:
    rows = job_table(recorded.queue(NAME))
    assert [row.id for row in rows] == sorted(row.id for row in rows) and was_set_up(rows)
    run = first_by_name(rows)["e0000.1-s1"]
    assert run.has_ended and 0 < run.started_at < run.ended_at


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        (
            "queue of a cluster whose pod is gone",
            "gone",
            "It was either autodowned, or manually terminated in console.",
        ),
        ("queue of a cluster that is INIT", "gone", "(status: INIT)"),
        ("queue while the pod goes", "other", 'pods "gpu-01-s1-0000abcd-head" not found'),
        ("queue while the node is away", "other", "connect to h100-01: no route to host"),
        ("queue that was cancelled", "cancelled", "is cancelled by another process"),
        ("launch while the pod of its name goes", "refused", "Failed to provision all possible launchable resources."),
        ("exec while Kubernetes does not answer", "server", "check if the Kubernetes cluster"),
    ],
)
def test_an_error_is_one_plain_line_of_its_kind(name: str, kind: str, said: str) -> None:
    error = understood(recorded.error(name, NAME))
    assert error.kind == kind and said in str(error)
    assert not re.search(r"[\x1b\n]", str(error))


def test_nothing_of_the_machine_that_it_was_recorded_on_is_kept() -> None:
    text = (Path(recorded.__file__).parent / "data" / "sky_answers.json").read_text()
    assert not re.search(r"/(?:home|tmp|var|work|Users)/", text)
