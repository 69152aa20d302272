"""A worker runs a session to a result in any surroundings that its machine gives it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cockpit.core.intents import Say
from cockpit.core.model import Outcome
from cockpit.fleet.node.signals import UNUSED
from cockpit.session import lock, worker_process
from cockpit.session.client import SessionClient
from cockpit.session.ledger_errors import LedgerError
from cockpit.session.lock import WorkerError
from cockpit.session.paths import SessionFolder
from tests.faults.checks import a_fold_from_nothing_is_the_state, nothing_counted_twice, numbered_bodies
from tests.worker.sessions import ROOT, SCRIPT, local_session, sim_session, state_of, wait_for

QUICK = SCRIPT.replace("SECONDS = 0.6", "SECONDS = 0.1")


def environment(without: tuple[str, ...] = (), **given: str) -> dict[str, str]:
    return (
        {name: value for name, value in os.environ.items() if name not in without} | {"PYTHONPATH": str(ROOT)} | given
    )


SURROUNDINGS: dict[str, tuple[str, dict[str, str]]] = {
    "no HOME, TERM, PATH, USER": ("", environment(("HOME", "TERM", "PATH", "USER", "LOGNAME", "SHELL", "LANG"))),
    "a HOME that is missing": ("", environment(HOME="/nowhere/at/all", XDG_STATE_HOME="/nowhere")),
    "a HOME that is a file": ("", environment(HOME="/etc/hostname")),
    "a temporary folder that is missing": ("", environment(TMPDIR="/nowhere/at/all")),
    "locale C": ("", environment(("LANG",), LC_ALL="C")),
    "ASCII alone": ("", environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii")),
    "a time zone far east": ("", environment(TZ="Pacific/Kiritimati")),
    "a time zone that is unknown": ("", environment(TZ=":/etc/hostname")),
    "64 open files": ("ulimit -n 64; ", environment()),
    "40 open files": ("ulimit -n 40; ", environment()),
    "no core files, little stack": ("ulimit -c 0; ulimit -s 1024; ", environment()),
    "a umask that hides all": ("umask 777; ", environment()),
    "signals that are ignored": ("trap '' INT TERM HUP CHLD PIPE USR1 ALRM; ", environment()),
    "standard files that are closed": ("exec <&- >&- 2>&-; ", environment()),
    "git variables of another repository": (
        "",
        environment(GIT_DIR="/nowhere", GIT_INDEX_FILE="/nowhere", GIT_WORK_TREE="/"),
    ),
    "warnings that are errors": ("", environment(PYTHONWARNINGS="error")),
}


def carried_through(folder: SessionFolder, before: str, given: dict[str, str]) -> None:
    log = folder.worker_log.open("ab")
    worker = subprocess.Popen(
        ["/bin/sh", "-c", f'{before}exec "$0" -m cockpit.worker.main "$1"', sys.executable, str(folder.root)],
        env=given,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    log.close()
    try:
        wait_for(
            lambda: worker.poll() is not None or state_of(folder).outcome_counts.get(Outcome.VALID),
            60,
            f"a result: {folder.worker_log.read_text()[-2_000:]}",
        )
        assert worker.poll() is None, folder.worker_log.read_text()[-3_000:]
        client = SessionClient(folder, "ann")
        number = client.send(Say("Is it warm there?"))
        client.close()
        wait_for(lambda: state_of(folder).intent >= number, 20, "the intent to be taken")
    finally:
        worker.terminate()
        try:
            worker.wait(30)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
            raise
    nothing_counted_twice(folder)
    a_fold_from_nothing_is_the_state(folder)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_a_worker_comes_to_results_in_any_surroundings(tmp_path: Path, name: str) -> None:
    before, given = SURROUNDINGS[name]
    carried_through(local_session(tmp_path, clusters=1, script=QUICK, confine=False, mode="manual"), before, given)


PLACES = {
    "spaces": "a b  c",
    "letters of other scripts": "größe-日本-🚀",
    "a quote and a dollar": 'it\'s $HOME; `id` "x" & %41 #1 ?',
    "a line break": "a\nb",
    "a leading dash": "-rf",
    "very long": "/".join(["x" * 80] * 4),
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", PLACES)
def test_a_session_lies_on_any_path(tmp_path: Path, name: str) -> None:
    place = tmp_path / PLACES[name]
    place.mkdir(parents=True)
    carried_through(local_session(place, clusters=1, script=QUICK, mode="manual"), "", environment())


def test_a_path_that_sqlite_cannot_open_is_reported_as_such(tmp_path: Path) -> None:
    place = tmp_path.joinpath(*["x" * 100] * 5)
    place.mkdir(parents=True)
    with pytest.raises(LedgerError, match=r"has a path of .* bytes, and SQLite opens none above 500"):
        local_session(place, clusters=1)


SIGNALS = [
    number for number in signal.valid_signals()
    if number in UNUSED or number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGWINCH, signal.SIGXFSZ, signal.SIGTTOU,
                                      signal.SIGTSTP, signal.SIGURG, signal.SIGCHLD, signal.SIGCONT)
]  # fmt: skip


@pytest.mark.timeout(180)
def test_signals_that_mean_nothing_end_neither_worker_nor_runner(tmp_path: Path) -> None:
    folder = local_session(
        tmp_path, clusters=1, script=SCRIPT.replace("SECONDS = 0.6", "SECONDS = 5"), confine=False, mode="manual"
    )
    worker = psutil.Process(worker_process.start(folder).pid)
    try:
        wait_for(lambda: "Started" in kinds(folder), 60, "a run")
        (runner,) = [child for child in worker.children() if "cockpit.fleet.node.runner" in " ".join(child.cmdline())]
        for number in SIGNALS:
            worker.send_signal(number)
            runner.send_signal(number)
        wait_for(lambda: state_of(folder).outcome_counts, 60, "the run to end")
        assert state_of(folder).outcome_counts == {Outcome.VALID: 1}
        assert lock.worker_status(folder).pid == worker.pid
    finally:
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGQUIT):
            worker.send_signal(number)
    wait_for(lambda: lock.worker_status(folder).state == "stopped", 30, "the worker to end")
    assert kinds(folder)[-1] == "WorkerStopped"
    nothing_counted_twice(folder)


def test_the_word_to_end_is_heard_while_the_lock_of_its_event_is_held() -> None:
    code = (
        "import os, signal, threading\n"
        "from cockpit.worker.main import set_when_asked_to_end\n"
        "stop = threading.Event()\n"
        "set_when_asked_to_end(stop)\n"
        "with stop._cond:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('not held up', flush=True)\n"
        "assert stop.wait(60)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=120, check=True
    )
    assert ran.stdout == "not held up\n"


def kinds(folder: SessionFolder) -> list[str]:
    return [str(event["kind"]) for _, event in numbered_bodies(folder.ledger)]


@pytest.mark.timeout(240)
def test_one_runs_of_several_workers_that_start_at_once(tmp_path: Path) -> None:
    folder = sim_session(tmp_path, speed=60.0, clusters=2)
    for _ in range(20):
        command = [sys.executable, "-m", "cockpit.worker.main", str(folder.root)]
        both = [
            subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(2)
        ]
        wait_for(lambda both=both: any(one.poll() is not None for one in both), 60, "one to be refused")
        (refused,) = [one for one in both if one.poll() is not None]
        (running,) = [one for one in both if one is not refused]
        said, _ = refused.communicate()
        assert refused.returncode == 1 and "a worker already runs session night" in said.splitlines()[-1]
        running.terminate()
        running.communicate(timeout=60)
        assert running.returncode == 0
    bodies = [event for _, event in numbered_bodies(folder.ledger)]
    turns = [event["kind"] for event in bodies if event["kind"] in ("WorkerStarted", "WorkerStopped")]
    assert turns == ["WorkerStarted", "WorkerStopped"] * 20
    nothing_counted_twice(folder)


def test_a_session_s_folder_with_10000_files_of_others_runs(tmp_path: Path) -> None:
    folder = local_session(tmp_path, clusters=1, script=QUICK, confine=False, mode="manual")
    for place in (folder.root, folder.runs, folder.root / "logs", folder.artifacts):
        place.mkdir(exist_ok=True)
        for number in range(10_000):
            (place / f"{number:05}.tmp").touch()
    carried_through(folder, "", environment())


@pytest.mark.timeout(120)
def test_a_copy_of_a_running_session_is_not_run_and_opens_later(tmp_path: Path) -> None:
    folder = sim_session(tmp_path, speed=60.0, clusters=2)
    pid = worker_process.start(folder).pid
    try:
        wait_for(lambda: state_of(folder).in_flight, 30, "a run")
        copied = SessionFolder(tmp_path / "elsewhere" / "night")
        shutil.copytree(folder.root, copied.root)
        assert state_of(copied).session == state_of(folder).session
        with pytest.raises(WorkerError, match=f"night is a copy of a session that process {pid} runs: end that first"):
            worker_process.start(copied)
        assert lock.worker_status(folder).pid == pid
    finally:
        worker_process.terminate(folder)
    worker_process.start(copied)
    worker_process.terminate(copied)
    for one in (folder, copied):
        nothing_counted_twice(one)
        a_fold_from_nothing_is_the_state(one)
