"""A wall clock that jumps, while a worker runs or between two, moves no run's time and takes no time back."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from cockpit.core.model import AttemptStatus, Outcome
from cockpit.fleet.base import JobEnded, JobStarted
from cockpit.fleet.local.devices import slots
from cockpit.fleet.local.fleet import LocalFleet, processes_of
from cockpit.fleet.sim.fleet import open_sim, sim_spec
from cockpit.fleet.sim.records import WorldFile
from cockpit.fleet.sky.deadlines import unended
from cockpit.session import worker_process
from cockpit.session.clock import WallClock, boot_id, session_time
from cockpit.session.heartbeat import read_heartbeat, write_heartbeat
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.worker.build import build
from cockpit.worker.loop import Worker
from tests.faults.checks import a_fold_from_nothing_is_the_state, nothing_counted_twice
from tests.fleet.flaky import FlakySky, Watched
from tests.fleet.test_runner import Run, until
from tests.worker.sessions import SCRIPT, end_baseline, local_session, state_of, wait_for

DAY_S = 86_400.0
TO_1970_S, TO_2100_S = -56 * 365.25 * DAY_S, 74 * 365.25 * DAY_S
JUMPS_S = [TO_1970_S, -DAY_S, -3_600.0, 3_600.0, DAY_S, TO_2100_S]
SCORE = "print('val_bpb: 0.98')\n"


def ticked(worker: Worker, done: Callable[[], bool]) -> None:
    """Let the worker tick until it is done."""
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end, "nothing ended"
        worker.tick()
        time.sleep(0.02)


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


def set_wall(patch: pytest.MonkeyPatch, jump_s: float) -> None:
    wall = time.time
    patch.setattr(time, "time", lambda: wall() + jump_s)


def set_steady(patch: pytest.MonkeyPatch, jump_s: float) -> None:
    steady = time.clock_gettime
    patch.setattr(time, "clock_gettime", lambda clock: steady(clock) + jump_s)


def start_anew(patch: pytest.MonkeyPatch, place: Path) -> None:
    """Let the system be one that was started again."""
    (place / "boot_id").write_text("another")
    patch.setattr("cockpit.session.clock.BOOT_ID", place / "boot_id")


@pytest.mark.parametrize("jump_s", JUMPS_S)
@pytest.mark.parametrize(("anew", "steady"), [(False, False), (True, False), (False, True)])
def test_a_run_outlives_a_worker_and_a_jump_of_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float, anew: bool, steady: bool
) -> None:
    """Leave a run without a worker, set the clocks, and start the next worker: the run ends with its score.

    `anew`: the system counts as started again. `steady`: the clock is set that no system sets, as by tools that fake
    the time of a process.
    """
    folder = local_session(tmp_path, clusters=1, mode="manual", script=SCRIPT.replace("SECONDS = 0.6", "SECONDS = 3"))
    first = build(folder, threading.Event(), threading.Event())
    first.start()
    ticked(first, lambda: any(one.status is AttemptStatus.RUNNING for one in first.state.attempts.values()))
    first.close("the test stops it")
    set_wall(monkeypatch, jump_s)
    if anew:
        start_anew(monkeypatch, tmp_path)
    if steady:
        set_steady(monkeypatch, jump_s)
    second = build(folder, threading.Event(), threading.Event())
    second.start()
    ticked(second, lambda: bool(second.state.outcome_counts))
    second.close("the test is over")
    (run,) = second.state.attempts.values()
    assert (run.outcome, run.cancelling) == (Outcome.VALID, "")


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_a_session_clock_continues_after_the_wall_clock_was_set_between_two_workers(
    monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    first = WallClock()
    before = first.now()
    set_wall(monkeypatch, jump_s)
    second = WallClock(before, boot_id(), first.origin)
    assert before <= second.now() < before + 60
    assert abs(session_time(boot_id(), second.origin, 0.0) - second.now()) < 1
    assert session_time("another", second.origin, 7.0) == 7.0, "another machine knows the wall clock alone"


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_a_simulated_clock_continues_after_the_wall_clock_was_set_between_two_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    spec = sim_spec(speed=60.0)
    fleet, clock = open_sim(spec, tmp_path / "world", 1_000.0)
    before = clock.now()
    fleet.close()
    set_wall(monkeypatch, jump_s)
    fleet, clock = open_sim(spec, tmp_path / "world", 1_000.0)
    assert before <= clock.now() < before + 60 * 60
    fleet.close()


def test_a_simulated_clock_never_goes_back_where_the_system_was_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = sim_spec(speed=60.0)
    fleet, clock = open_sim(spec, tmp_path / "world", 1_000.0)
    time.sleep(0.1)
    fleet.launch("gpu-01")
    fleet.close()
    before = WorldFile(tmp_path / "world").now
    assert before > 1_000.0
    set_wall(monkeypatch, -DAY_S)
    start_anew(monkeypatch, tmp_path)
    fleet, clock = open_sim(spec, tmp_path / "world", 1_000.0)
    assert clock.now() >= before
    fleet.close()


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_a_heartbeat_ages_however_the_clock_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    folder = SessionFolder(tmp_path)
    write_heartbeat(folder)
    set_wall(monkeypatch, jump_s)
    beat = read_heartbeat(folder)
    assert beat is not None and beat.age_s() < 60
    set_steady(monkeypatch, 100.0)
    assert 100 <= beat.age_s() < 160


@pytest.mark.parametrize("jump_s", JUMPS_S)
@pytest.mark.parametrize("known", [True, False])
def test_a_run_on_a_cluster_is_found_again_whatever_the_cluster_s_clock_reads(
    tmp_path: Path, jump_s: float, known: bool
) -> None:
    """Find a run again whose start the cluster notes by another clock. `known`: the ledger has its start."""
    sky = FlakySky()
    first = Watched(tmp_path, sky)
    first.cluster.recover([])
    first.cluster.submit(first.job())
    first.until(lambda: first.of(JobStarted))
    first.cluster.close()
    (row,) = [row for row in sky.rows if not row.has_ended]
    sky.rows[sky.rows.index(row)] = msgspec.structs.replace(row, started_at=time.time() + jump_s)
    second = Watched(tmp_path, sky)
    since = first.of(JobStarted)[0].at if known else time.time() - 5
    second.cluster.recover([msgspec.structs.replace(second.job(), since=since)])
    second.until(lambda: second.of(JobStarted))
    now = second.parts.clock.now()
    assert since <= second.of(JobStarted)[0].at <= now
    assert unended(second.cluster.runs, now, 0.0) == []
    assert unended(second.cluster.runs, now + 601.0, 0.0) == ["e0001.1"]
    sky.ends.set()
    second.cluster.close()


@pytest.mark.parametrize("jump_s", [TO_1970_S, -DAY_S, -3_600.0])
def test_a_worker_that_starts_after_the_clock_was_set_back_continues_from_the_last_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    folder = end_baseline(local_session(tmp_path, clusters=1, mode="autopilot", proposer="search"))
    ended_before = sum(state_of(folder).outcome_counts.values())
    set_wall(monkeypatch, jump_s)
    start_anew(monkeypatch, tmp_path)
    worker = build(folder, threading.Event(), threading.Event())
    worker.start()
    ticked(worker, lambda: sum(worker.state.outcome_counts.values()) > ended_before)
    worker.close("the test is over")
    reader = LedgerReader(folder)
    times = [event.at for event in reader.since(0)]
    reader.close()
    back = [event_at for event_at, before in zip(times[1:], times, strict=False) if event_at < before - 60]
    assert not back, "time went back"
    run_s = [one.ended_at - one.started_at for one in worker.state.attempts.values() if one.ended_at and one.started_at]
    assert all(0 <= seconds < 120 for seconds in run_s)


def ends_one_more(worker: Worker) -> Callable[[], bool]:
    """Return the question if more runs have ended than by now."""
    before = sum(worker.state.outcome_counts.values())
    return lambda: sum(worker.state.outcome_counts.values()) > before


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("first_s", "then_s"), [(TO_1970_S, TO_2100_S), (TO_2100_S, TO_1970_S)])
def test_a_session_that_begins_in_1970_or_in_2100_runs_on_after_the_clock_was_set_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_s: float, then_s: float
) -> None:
    """Make a session at a wrong date, then set the clock right, then wrong the other way, while it runs."""
    set_wall(monkeypatch, first_s)
    folder = local_session(tmp_path, clusters=1, confine=False, mode="autopilot", proposer="search")
    worker = build(folder, threading.Event(), threading.Event())
    worker.start()
    for jump_s in (0.0, -first_s, then_s):
        set_wall(monkeypatch, jump_s)
        ticked(worker, ends_one_more(worker))
    worker.close("the test is over")
    assert set(worker.state.outcome_counts) == {Outcome.VALID}
    assert 0 <= worker.state.now - worker.state.session.created_at < 120
    nothing_counted_twice(folder)
    a_fold_from_nothing_is_the_state(folder)


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
