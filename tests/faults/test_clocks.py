"""A wall clock that jumps, while a worker runs or between two, moves no run's time and takes no time back."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from cockpit.core.model import Outcome
from cockpit.fleet.base import JobEnded, JobStarted
from cockpit.fleet.local.devices import slots
from cockpit.fleet.local.fleet import LocalFleet, processes_of
from cockpit.session import worker_process
from cockpit.session.clock import WallClock
from cockpit.session.reader import LedgerReader
from cockpit.worker.main import build
from tests.fleet.test_runner import Run, until
from tests.worker.sessions import end_baseline, local_session, state_of, wait_for

DAY_S = 86_400.0
JUMPS_S = [-DAY_S, -3_600.0, 3_600.0, DAY_S]
SCORE = "print('val_bpb: 0.98')\n"


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_a_clock_that_jumped_during_a_run_changes_no_run_s_time(tmp_path: Path, jump_s: float) -> None:
    clock = WallClock()
    submitted = clock.now()
    run = Run(tmp_path, SCORE)
    until(lambda: (run.notes / "ended.json").exists())
    for name in ("started", "ended.json"):
        note = json.loads((run.notes / name).read_text())
        note["at"] += jump_s
        (run.notes / name).write_text(json.dumps(note))
    fleet = LocalFleet(slots(1), threading.Event(), clock=clock)
    fleet.submit(run.job)
    reports = fleet.poll()
    started = next(one for one in reports if isinstance(one, JobStarted))
    ended = next(one for one in reports if isinstance(one, JobEnded))
    assert submitted <= started.at <= ended.at <= clock.now()


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_a_note_of_an_earlier_start_of_the_system_is_never_in_the_future(tmp_path: Path, jump_s: float) -> None:
    run = Run(tmp_path, SCORE)
    until(lambda: (run.notes / "ended.json").exists())
    for name in ("started", "ended.json"):
        note = json.loads((run.notes / name).read_text()) | {"boot": "another", "steady": 1e9}
        note["at"] += jump_s
        (run.notes / name).write_text(json.dumps(note))
    fleet = LocalFleet(slots(1), threading.Event())
    fleet.submit(run.job)
    assert all(0 <= report.at <= time.time() for report in fleet.poll())


@pytest.mark.parametrize("jump_s", [-DAY_S, -3_600.0])
def test_a_worker_that_starts_after_the_clock_was_set_back_continues_from_the_last_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    folder = end_baseline(local_session(tmp_path, clusters=1, mode="autopilot", proposer="search"))
    ended_before = sum(state_of(folder).outcome_counts.values())
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + jump_s)
    worker = build(folder, threading.Event(), threading.Event())
    worker.start()
    end = time.monotonic() + 60
    while sum(worker.state.outcome_counts.values()) == ended_before:
        assert time.monotonic() < end, "no run ended after the clock was set back"
        worker.tick()
        time.sleep(0.02)
    worker.close("the test is over")
    reader = LedgerReader(folder)
    times = [event.at for event in reader.since(0)]
    reader.close()
    back = [event_at for event_at, before in zip(times[1:], times, strict=False) if event_at < before - 60]
    assert not back, "time went back"
    run_s = [one.ended_at - one.started_at for one in worker.state.attempts.values() if one.ended_at and one.started_at]
    assert all(0 <= seconds < 120 for seconds in run_s)


def test_a_worker_that_is_stopped_and_continues_loses_nothing(tmp_path: Path) -> None:
    folder = local_session(tmp_path, clusters=2, mode="autopilot", proposer="search")
    pid = worker_process.start(folder).pid
    try:
        wait_for(lambda: state_of(folder).outcome_counts, 60, "the baseline to end")
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, 10, "the worker to stop")
        before = sum(state_of(folder).outcome_counts.values())
        os.kill(pid, signal.SIGCONT)
        wait_for(lambda: sum(state_of(folder).outcome_counts.values()) > before + 1, 60, "runs after the pause")
    finally:
        worker_process.terminate(folder)
    assert set(state_of(folder).outcome_counts) <= {Outcome.VALID, Outcome.CANCELLED}


def test_a_run_that_stops_itself_ends_at_its_limit(tmp_path: Path) -> None:
    run = Run(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n", time_limit_s=1.0)
    assert run.ended().reason == "timeout"
    until(lambda: not processes_of(run.job))
