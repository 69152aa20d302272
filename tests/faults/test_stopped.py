"""A process that is stopped or silent holds up its own work only, and what it was to do is done afterwards."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cockpit.core.model import Outcome
from cockpit.fleet.local import fleet as local
from cockpit.fleet.local.fleet import processes_of
from cockpit.session import ledger as ledgers
from cockpit.session import lock, snapshot_process, worker_process
from cockpit.session.clock import WallClock
from cockpit.session.ledger import Ledger
from cockpit.session.paths import SessionFolder
from cockpit.variant.errors import VariantError
from cockpit.variant.git import objects, repository
from cockpit.variant.store import VariantStore
from cockpit.worker import loop
from cockpit.worker.supervisor import run_session
from tests.faults.checks import a_fold_from_nothing_is_the_state, nothing_counted_twice
from tests.fleet.test_runner import Run, until
from tests.fleet.test_score_command import GUESSES, verdict
from tests.session.test_ledger import a_running_story
from tests.worker.sessions import SCRIPT, local_session, state_of, wait_for
from tests.worker.sessions import repository as make_repository


def children(pid: int, word: str) -> list[psutil.Process]:
    """Return the processes below one whose command holds a word."""
    found = []
    for one in psutil.Process(pid).children(recursive=True):
        try:
            if any(word in part for part in one.cmdline()):
                found.append(one)
        except psutil.Error:
            continue
    return found


def the_child(pid: int, word: str) -> psutil.Process:
    wait_for(lambda: children(pid, word), 30, f"a process {word}")
    return children(pid, word)[0]


def git_processes_of(repo: Path) -> list[psutil.Process]:
    """Return the open git processes of a repository; those of other tests in this process are left alone."""
    return [one for one in children(os.getpid(), "cat-file") if one.cwd() == str(repo)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VariantStore]:
    made = VariantStore(make_repository(tmp_path / "repo"), "night")
    yield made
    made.close()


def has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_git_process_that_is_stopped_is_replaced(
    store: VariantStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = store.baseline()
    monkeypatch.setattr(objects, "GIT_WITHIN_S", 0.3)
    read = objects.Objects(store._repo)  # it has nothing in memory
    tree = read.tree_name(variant.commit)
    mine = git_processes_of(tmp_path / "repo")
    for one in mine:
        one.suspend()
    assert b"train.py" in read.read(tree, "tree")
    wait_for(lambda: any(has_ended(one) for one in mine), 10, "its end")


def test_a_store_is_closed_while_its_git_process_is_stopped(store: VariantStore, tmp_path: Path) -> None:
    store.baseline()
    (mine,) = git_processes_of(tmp_path / "repo")
    mine.suspend()
    closing = threading.Thread(target=store.close, daemon=True)
    closing.start()
    closing.join(20)
    assert not closing.is_alive()


def test_a_git_that_does_not_answer_is_an_error_with_a_sentence(
    store: VariantStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = tmp_path / "bin" / "git"
    silent.parent.mkdir()
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    monkeypatch.setenv("PATH", f"{silent.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(repository, "GIT_WITHIN_S", 0.3)
    with pytest.raises(VariantError, match=r"`git for-each-ref` failed in .*: it has not answered within 0.3 s"):
        store.experiments()
    assert repository.ownership_problem(tmp_path) == ""


@pytest.mark.timeout(120)
def test_a_worker_ends_while_its_git_process_is_stopped(tmp_path: Path) -> None:
    folder = local_session(tmp_path, clusters=1, mode="manual")
    pid = worker_process.start(folder).pid
    try:
        wait_for(lambda: state_of(folder).outcome_counts, 60, "the baseline to end")
        the_child(pid, "cat-file").suspend()
    finally:
        assert worker_process.terminate(folder)
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, 20, "its end")


def test_a_process_that_packs_a_snapshot_and_is_stopped_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "PACKED_IN_A_TICK", 0)
    ledger = Ledger.create(tmp_path / "night" / "ledger.db")
    ledger.append(a_running_story())
    state = ledger.state()
    ledger.begin_snapshot(state)
    first = ledger._snapshot_process._child
    assert first is not None
    os.kill(first.pid, signal.SIGSTOP)
    ledger.begin_snapshot(state)
    assert ledger._snapshot_process._child is first, "it may be slow"
    monkeypatch.setattr(snapshot_process, "WRITTEN_WITHIN_S", 0.0)
    ledger.begin_snapshot(state)
    assert first.returncode == -signal.SIGKILL
    assert ledger._snapshot_process.wait() == 0
    assert SessionFolder(ledger.path.parent).snapshot.exists()
    ledger.close()


STOP_IN_ITS_SLEEP = 1.0


@pytest.mark.timeout(120)
def test_a_worker_that_was_stopped_says_so_and_gives_its_runs_their_whole_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let one sleep of the worker last too long, as where its process or its machine was stopped."""
    folder = local_session(tmp_path, clusters=1, mode="manual", script=SCRIPT.replace("SECONDS = 0.6", "SECONDS = 6"))
    stop, wake = threading.Event(), threading.Event()
    monkeypatch.setattr(loop, "STOPPED_S", STOP_IN_ITS_SLEEP)
    worker = threading.Thread(target=run_session, args=(folder, stop, wake))
    worker.start()
    try:
        wait_for(lambda: any(one.started_at for one in state_of(folder).attempts.values()), 60, "a run")
        began = state_of(folder).worker_began
        sleep, left = WallClock.wait, [1]

        def longer(clock: WallClock, event: threading.Event, until: float) -> None:
            if left[0]:
                left[0] -= 1
                time.sleep(2 * STOP_IN_ITS_SLEEP)
            sleep(clock, event, until)

        monkeypatch.setattr(WallClock, "wait", longer)
        wait_for(lambda: state_of(folder).outcome_counts, 60, "the run to end")
    finally:
        stop.set()
        wake.set()
        worker.join(30)
    state = state_of(folder)
    assert state.worker_began > began
    (said,) = (one.text for one in state.messages if "the worker was stopped for" in one.text)
    assert said.endswith("each run gets its whole limit again")
    assert state.outcome_counts == {Outcome.VALID: 1}
    nothing_counted_twice(folder)


def test_a_run_that_is_stopped_with_its_runner_past_its_limit_is_lost_and_no_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop a run and its runner, as a machine that is paused does: a baseline that times out would end the session."""
    patched = "import cockpit.fleet.node.command as c; c.STOPPED_S = 0.5; from cockpit.fleet.node.runner import main"
    monkeypatch.setattr(local, "RUNNER", local.RUNNER.replace("from cockpit.fleet.node.runner import main", patched))
    run = Run(tmp_path, "import time\nprint('first', flush=True)\ntime.sleep(60)\n", time_limit_s=2.0)
    until(lambda: "first" in run.log())
    both = [*processes_of(run.job), psutil.Process(json.loads((run.notes / "started").read_text())["pid"])]
    for one in both:
        one.suspend()
    time.sleep(2.5)
    for one in both:
        one.resume()
    ended = run.ended()
    assert ended.reason == "lost" and "it was stopped for" in ended.message
    until(lambda: not processes_of(run.job))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("which", ["worker", "runner", "run", "all"])
def test_processes_that_are_stopped_for_seconds_and_continue_lose_nothing(tmp_path: Path, which: str) -> None:
    folder = local_session(tmp_path, clusters=2, mode="autopilot", proposer="search")
    pid = worker_process.start(folder).pid
    try:
        wait_for(lambda: state_of(folder).outcome_counts, 60, "the baseline to end")
        wait_for(lambda: state_of(folder).in_flight, 60, "a run")
        below = psutil.Process(pid).children(recursive=True)
        runners = [one for one in below if "cockpit.fleet.node.runner" in " ".join(one.cmdline())]
        chosen = {
            "worker": [psutil.Process(pid)],
            "runner": runners,
            "run": [child for one in runners for child in one.children(recursive=True)],
            "all": [psutil.Process(pid), *below],
        }[which]
        for one in chosen:
            if one.is_running():
                one.suspend()
        time.sleep(1.5)
        for one in chosen:
            if one.is_running():
                one.resume()
        before = sum(state_of(folder).outcome_counts.values())
        wait_for(lambda: sum(state_of(folder).outcome_counts.values()) > before + 3, 60, "runs after the pause")
        assert lock.worker_status(folder).pid == pid
    finally:
        worker_process.terminate(folder)
    assert set(state_of(folder).outcome_counts) <= {Outcome.VALID, Outcome.CANCELLED}
    nothing_counted_twice(folder)
    a_fold_from_nothing_is_the_state(folder)


def test_a_score_command_that_is_stopped_ends_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "SCORING_LIMIT_S", 1.0)
    found = verdict(tmp_path, GUESSES, "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n")
    assert found.metrics is None and "its score command did not end within its time limit" in found.message
