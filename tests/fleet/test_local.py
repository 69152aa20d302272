"""This machine as a fleet: its slots, requests while a runner is starting, and notes that cannot be read."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from cockpit.core.session import ClusterSpec
from cockpit.fleet.base import Expected, Job, JobEnded, JobRefused, JobStarted, Report
from cockpit.fleet.local.devices import slots
from cockpit.fleet.local.fleet import LocalFleet, processes_of

RUN_NOTE = "import os, time; open(os.environ['NOTES'], 'a').write('ran '); time.sleep(float(os.environ['SLEEPS']))"


@pytest.fixture
def job(tmp_path: Path) -> Callable[[str, float], Job]:
    def made(name: str, sleeps_s: float) -> Job:
        source = tmp_path / "runs" / name
        source.mkdir(parents=True)
        return Job(
            name, "cpu-01", source, tmp_path / f"{name}.log",
            {"NOTES": str(tmp_path / "notes.txt"), "SLEEPS": str(sleeps_s)}, (sys.executable, "-c", RUN_NOTE), 60.0,
        )  # fmt: skip

    return made


@pytest.fixture
def three_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for nvidia-smi on a machine with two H100s and an A100."""
    said = (
        "0, GPU-aa-1, NVIDIA H100 80GB HBM3",
        "1, GPU-bb-2, NVIDIA H100 80GB HBM3",
        "2, GPU-cc-3, NVIDIA A100-SXM4-40GB",
    )
    command = tmp_path / "bin" / "nvidia-smi"
    command.parent.mkdir()
    command.write_text("".join(["#!/bin/sh\n", *(f"echo '{line}'\n" for line in said)]))
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("three_gpus")
@pytest.mark.parametrize(
    ("visible", "count", "named"),
    [
        (
            None,
            0,
            ["gpu-01 H100-80GB-HBM3 GPU-aa-1", "gpu-02 H100-80GB-HBM3 GPU-bb-2", "gpu-03 A100-SXM4-40GB GPU-cc-3"],
        ),
        ("2,0", 0, ["gpu-01 A100-SXM4-40GB GPU-cc-3", "gpu-02 H100-80GB-HBM3 GPU-aa-1"]),
        ("GPU-bb", 2, ["gpu-01 H100-80GB-HBM3 GPU-bb-2", "gpu-02 H100-80GB-HBM3 GPU-bb-2"]),
        ("", 1, ["cpu-01 CPU "]),
    ],
)
def test_each_usable_device_has_a_slot(
    visible: str | None, count: int, named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [f"{slot.name} {slot.hardware} {slot.device}" for slot in slots(count)] == named


def test_a_run_sees_only_the_device_of_its_slot(
    job: Callable[[str, float], Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "all of them")
    says = (sys.executable, "-c", "import os; print('sees', repr(os.environ['CUDA_VISIBLE_DEVICES']))")
    two = (ClusterSpec("cpu-01", "CPU"), ClusterSpec("gpu-01", "H100", device="GPU-bb-2"))
    for cluster, seen in (("cpu-01", "sees ''"), ("gpu-01", "sees 'GPU-bb-2'")):
        one = msgspec.structs.replace(job(f"{cluster}.1", 0), cluster=cluster, command=says)
        of = LocalFleet(two, threading.Event())
        of.submit(one)
        until(of, JobEnded)
        assert seen in one.log_path.read_text()


def fleet() -> LocalFleet:
    return LocalFleet(slots(1), threading.Event())


def until(of: LocalFleet, kind: type[Report], within_s: float = 30) -> Report:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        for report in of.poll():
            if isinstance(report, kind):
                return report
        time.sleep(0.02)
    raise AssertionError(f"no {kind.__name__} within {within_s:.0f} s")


def test_a_run_cancelled_before_its_runner_started_ends_as_cancelled(job: Callable[[str, float], Job]) -> None:
    of = fleet()
    of.submit(job("e0001.1", 60))
    of.cancel("e0001.1")
    ended = until(of, JobEnded)
    assert isinstance(ended, JobEnded) and ended.reason == "cancelled"


def test_a_worker_killed_while_a_runner_was_starting_runs_it_once(
    job: Callable[[str, float], Job], tmp_path: Path
) -> None:
    one = job("e0001.1", 0.1)
    fleet().submit(one)  # and is killed before it has seen the start
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


def test_setting_the_wall_clock_during_a_run_loses_nothing(job: Callable[[str, float], Job], tmp_path: Path) -> None:
    of = fleet()
    of.submit(job("e0001.1", 1.0))
    until(of, JobStarted)
    os.utime(tmp_path / "runs" / "e0001.1.run" / "started", (0, 0))
    ended = until(of, JobEnded)
    assert isinstance(ended, JobEnded) and (ended.reason, ended.exit_code) == ("exited", 0)


def test_a_run_whose_runner_was_killed_is_lost_and_leaves_no_process(
    job: Callable[[str, float], Job], tmp_path: Path
) -> None:
    of, one = fleet(), job("e0001.1", 60)
    of.submit(one)
    until(of, JobStarted)
    end = time.monotonic() + 30
    while not processes_of(one):
        assert time.monotonic() < end
        time.sleep(0.02)
    started = tmp_path / "runs" / "e0001.1.run" / "started"
    os.kill(json.loads(started.read_text())["pid"], signal.SIGKILL)
    ended = until(of, JobEnded)
    assert isinstance(ended, JobEnded) and (ended.reason, ended.message) == ("lost", "its runner was killed")
    while processes_of(one):
        assert time.monotonic() < end
        time.sleep(0.02)


END = {"at": 1.0, "reason": "exited", "exit_code": 0, "message": ""}
BAD_NOTES = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"{" * 3000,
    b"[" * 100_000,
    b"\xff\xfe",
    json.dumps(END | {"exit_code": 10**5000 // 10**4990}).encode(),
    b'{"at": 1.0, "reason": "exited", "message": "", "exit_code": ' + b"9" * 5000 + b"}",
    json.dumps(END | {"reason": "because"}).encode(),
    json.dumps(END | {"at": None}).encode(),
    json.dumps(END | {"evidence": []}).encode(),
    b'{"at": NaN, "reason": "exited", "exit_code": 0, "message": ""}',
]


@pytest.mark.parametrize("note", BAD_NOTES, ids=range(len(BAD_NOTES)))
def test_a_note_that_cannot_be_read_ends_nothing(note: bytes, job: Callable[[str, float], Job]) -> None:
    of, one = fleet(), job("e0001.1", 1.0)
    of.submit(one)
    until(of, JobStarted)
    (one.source.parent / "e0001.1.run" / "ended.json").write_bytes(note)
    ended = until(of, JobEnded)
    assert isinstance(ended, JobEnded) and (ended.reason, ended.exit_code) == ("exited", 0)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("note", ["started", "ended.json"])
@pytest.mark.parametrize("kind", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_another_kind_of_file_in_the_place_of_a_note_delays_nothing(
    note: str, kind: Callable[[Path], object], job: Callable[[str, float], Job]
) -> None:
    of, one = fleet(), job("e0001.1", 1.0)
    of.submit(one)
    until(of, JobStarted)
    path = one.source.parent / "e0001.1.run" / note
    path.unlink(missing_ok=True)
    kind(path)
    for _ in range(5):
        of.poll()
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()
    assert isinstance(until(of, JobEnded), JobEnded)
    for process in processes_of(one):
        process.kill()


def test_a_note_from_the_future_is_taken_as_now(job: Callable[[str, float], Job]) -> None:
    of, one = fleet(), job("e0001.1", 60)
    of.submit(one)
    until(of, JobStarted)
    (one.source.parent / "e0001.1.run" / "ended.json").write_text(json.dumps(END | {"at": 1e308}))
    ended = until(of, JobEnded)
    assert isinstance(ended, JobEnded) and ended.at <= time.time()
    for process in processes_of(one):
        process.kill()


def test_a_note_that_names_another_process_gets_no_signal(job: Callable[[str, float], Job]) -> None:
    of, one = fleet(), job("e0001.1", 60)
    of.submit(one)
    until(of, JobStarted)
    started = one.source.parent / "e0001.1.run" / "started"
    true_pid = json.loads(started.read_text())["pid"]
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        try:
            for pid in (other.pid, 0, -1, 10**12):
                started.write_text(json.dumps({"pid": pid, "at": 1.0}))
                of.cancel("e0001.1")
            time.sleep(0.2)
            assert other.poll() is None
            started.write_text(json.dumps({"pid": true_pid, "at": 1.0}))
            of.cancel("e0001.1")
            ended = until(of, JobEnded)
            assert isinstance(ended, JobEnded) and ended.reason == "cancelled"
        finally:
            other.kill()
