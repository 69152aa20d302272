"""Logs of any kind delay nothing. One that another program takes away says nothing about the code."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cockpit.core.events import Ended
from cockpit.core.intents import Draft, Hold
from cockpit.core.model import Outcome
from cockpit.fleet.base import ClusterReady, Evidence, JobEnded
from cockpit.fleet.node import capped_log
from cockpit.fleet.node.capped_log import Log
from cockpit.fleet.sky import log as sky_log
from cockpit.fleet.sky.log import RunLogFile
from cockpit.session import lock, worker_process
from cockpit.session.client import SessionClient
from cockpit.session.paths import SessionFolder
from cockpit.worker.reports import READ_BYTES
from tests.faults.kills import approved
from tests.fleet.flaky import FlakySky, Watched
from tests.fleet.test_runner import Run
from tests.worker.sessions import SCRIPT, local_session, state_of, wait_for
from tests.worker.test_long_logs import ENDS, Following


def in_its_place(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.unlink()
        make(path)

    return change


CHANGES: dict[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "cut": lambda path: os.truncate(path, 0),
    "a folder": in_its_place(Path.mkdir),
    "a pipe": in_its_place(os.mkfifo),
    "a link to nothing": in_its_place(lambda path: path.symlink_to("nowhere")),
    "a link to itself": in_its_place(lambda path: path.symlink_to(path)),
    "a link to an endless file": in_its_place(lambda path: path.symlink_to("/dev/zero")),
    "another, shorter log": in_its_place(lambda path: path.write_bytes(b"val_bpb: 0.1\n")),
}


def verdicts(following: Following, *reports: JobEnded) -> list[Ended]:
    found = following.tick(19.0, *reports)
    for now in range(20, 30):
        found += following.tick(float(now))
    return [event for event in found if isinstance(event, Ended)]


@pytest.mark.parametrize("change", CHANGES)
def test_a_log_that_is_taken_away_while_it_is_read_loses_the_run(tmp_path: Path, change: str) -> None:
    """Crash no variant for it: a baseline that crashes ends the session."""
    following = Following(tmp_path, clusters=2)
    following.prints("e0.0", 2 * READ_BYTES, ENDS)
    following.prints("e0.1", 1000, ENDS)
    following.tick(10.0)
    CHANGES[change](following.path("e0.0"))
    ended = {one.attempt: one for one in verdicts(following, *(JobEnded(5.0, f"e0.{n}", "exited", 0) for n in (0, 1)))}
    assert ended["e0.0"].outcome is Outcome.LOST and "e0.0.log" in ended["e0.0"].message
    assert ended["e0.1"].outcome is Outcome.VALID, "the other run is judged"


@pytest.mark.parametrize("change", [*CHANGES][:-1])
def test_a_log_that_is_taken_away_before_it_is_read_loses_the_run(tmp_path: Path, change: str) -> None:
    following = Following(tmp_path, clusters=1)
    following.prints("e0.0", 1000, ENDS)
    CHANGES[change](following.path("e0.0"))
    (ended,) = verdicts(following, JobEnded(5.0, "e0.0", "exited", 0))
    assert ended.outcome in (Outcome.LOST, Outcome.MISMATCH) and ended.metrics is None


FILES = {"train.py": "t", "prepare.py": "p"}
EVIDENCE = Evidence(FILES, FILES, [])
"""The word of a runner on a run whose code was the ledger's."""


@pytest.mark.parametrize("change", CHANGES)
def test_a_log_that_is_taken_away_between_the_end_of_its_run_and_its_first_read_loses_the_run(
    tmp_path: Path, change: str
) -> None:
    """Crash no variant for it, and take no score from another log: the runner tells how many bytes it wrote."""
    following = Following(tmp_path, clusters=1)
    following.prints("e0.0", 1000, ENDS)
    size = following.path("e0.0").stat().st_size
    CHANGES[change](following.path("e0.0"))
    (ended,) = verdicts(following, JobEnded(5.0, "e0.0", "exited", 0, evidence=EVIDENCE, log_bytes=size))
    assert ended.outcome is Outcome.LOST and ended.metrics is None
    assert "e0.0.log" in ended.message


def test_a_log_to_which_the_output_of_a_score_command_was_added_is_whole(tmp_path: Path) -> None:
    following = Following(tmp_path, clusters=1)
    following.prints("e0.0", 1000, ENDS)
    size = following.path("e0.0").stat().st_size
    following.prints("e0.0", 0, b"more\n")
    (ended,) = verdicts(following, JobEnded(5.0, "e0.0", "exited", 0, evidence=EVIDENCE, log_bytes=size))
    assert ended.outcome is Outcome.VALID


def test_a_run_that_failed_is_a_crash_without_its_log_too(tmp_path: Path) -> None:
    following = Following(tmp_path, clusters=1)
    following.prints("e0.0", 1000, b"ValueError: no\n")
    size = following.path("e0.0").stat().st_size
    CHANGES["cut"](following.path("e0.0"))
    (ended,) = verdicts(following, JobEnded(5.0, "e0.0", "exited", 1, evidence=EVIDENCE, log_bytes=size))
    assert ended.outcome is Outcome.CRASH


def test_a_run_on_this_machine_tells_the_bytes_of_its_log(tmp_path: Path) -> None:
    run = Run(tmp_path, "print('val_bpb: 0.98')\n")
    assert run.ended().log_bytes == run.job.log_path.stat().st_size > 0


def test_a_run_of_skypilot_tells_the_bytes_of_its_log_here(tmp_path: Path) -> None:
    sky = FlakySky()
    watched = Watched(tmp_path, sky)
    watched.cluster.recover([])
    watched.until(lambda: watched.of(ClusterReady))
    job = watched.job()
    watched.cluster.submit(job)
    watched.until(lambda: sky.submitted)
    sky.finish("0.97")
    watched.until(lambda: watched.of(JobEnded))
    assert watched.of(JobEnded)[0].log_bytes == job.log_path.stat().st_size > 0
    watched.cluster.close()


FLOODS = {
    "carriage returns": b"\r",
    "zeros": b"\0",
    "line ends": b"\n",
    "one line": b"x",
    "escapes": b"\x1b[",
    "bytes that are no text": b"\xff\xfe",
    "marks of an end": b"COCKPIT_END exit=1 ",
    "scores": b"val_bpb: 0.1\r",
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_one_kind_is_read_in_bounded_pieces_and_the_run_is_judged(tmp_path: Path, flood: str) -> None:
    following = Following(tmp_path, clusters=2)
    for name in ("e0.0", "e0.1"):
        following.prints(name, 1000)
        with following.path(name).open("ab") as log:
            log.write(FLOODS[flood] * (2 * READ_BYTES // len(FLOODS[flood])) + b"\n")
        following.prints(name, 0, ENDS)
    ended = verdicts(following, *(JobEnded(5.0, f"e0.{n}", "exited", 0) for n in (0, 1)))
    assert [one.outcome for one in ended] == [Outcome.VALID] * 2
    assert {one.metrics.score for one in ended if one.metrics} == {1.25}


HOURS = 3
FLOOD_A_SECOND = b"x" * ((1 << 16) - 1) + b"\n"


@pytest.mark.parametrize("writer", ["runner", "sky"])
def test_a_flood_of_hours_takes_less_and_less_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    now, sizes = [1.0], [0]
    module = capped_log if writer == "runner" else sky_log
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    log = Log(str(tmp_path / "log")) if writer == "runner" else RunLogFile(tmp_path / "log")
    put = log.write if isinstance(log, Log) else log.append

    def counted(data: bytes) -> None:
        sizes[0] += len(data)

    monkeypatch.setattr(log, "_put" if writer == "runner" else "_write", counted)
    if isinstance(log, Log):
        log._written = capped_log.HEAD_BYTES
    else:
        log.size_bytes = sky_log.HEAD_BYTES
    first = 0
    for second in range(HOURS * 3600):
        now[0] += 1.0
        put(FLOOD_A_SECOND)
        first = first or (sizes[0] if second == 3600 else 0)
    assert sizes[0] < 250 << 20
    assert sizes[0] < 2.5 * first, "the first hour takes the most"
    log.close()


GIBIBYTE = 1 << 30
FLOODING = SCRIPT.replace("SECONDS = 0.6", "SECONDS = 0.1").replace(
    'print("---")',
    """
BLOCK = (b"x" * 1023 + b"\\n") * 1024
printed = 0
while MATRIX_LR != 0.04 and (printed < GIBIBYTE or not os.path.exists(GO)):
    printed += os.write(1, BLOCK)
print("---")
""",
)
"""A script that prints a gigabyte and more until a file is there, in every run but the baseline's."""


@pytest.mark.timeout(280)
def test_a_person_is_answered_while_two_runs_print_a_gigabyte_each(tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = FLOODING.replace("GIBIBYTE", str(GIBIBYTE)).replace("GO", repr(str(go)))
    folder = local_session(tmp_path, clusters=2, script=script, confine=False, mode="manual")
    approved(folder, Draft("human", "does it matter?", factors={"MATRIX_LR": [0.05, 0.06]}))
    worker_process.start(folder)
    client = SessionClient(folder, "ann")
    try:
        wait_for(lambda: len(flooding(folder)) == 2, 120, "two floods")
        number = client.send(Hold())
        wait_for(lambda: is_taken(folder, number), 60, "the answer")
        state = state_of(folder)
        assert state.held and len(state.in_flight) == 2, "the floods go on"
        go.touch()
        wait_for(lambda: has_ended(folder), 180, "the floods to end")
    finally:
        go.touch()
        client.close()
        worker_process.terminate(folder)
    assert state_of(folder).outcome_counts.keys() == {Outcome.VALID}
    for attempt in state.in_flight:
        assert folder.log(attempt).stat().st_size < 4 * capped_log.HEAD_BYTES


def flooding(folder: SessionFolder) -> list[str]:
    """Return the runs whose logs have reached what is kept in full."""
    logs = {name: folder.log(name) for name in state_of(folder).in_flight}
    return [name for name, log in logs.items() if log.exists() and log.stat().st_size >= capped_log.HEAD_BYTES]


def is_taken(folder: SessionFolder, number: int) -> bool:
    """Return True if an intent was taken. The heartbeat must not become old meanwhile."""
    assert lock.worker_status(folder).state == "running"
    return state_of(folder).intent >= number


def has_ended(folder: SessionFolder) -> bool:
    assert lock.worker_status(folder).state == "running"
    return not state_of(folder).in_flight
