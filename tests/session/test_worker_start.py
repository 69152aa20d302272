"""The start of a worker is awaited while its process works, however busy the machine is."""

import signal
from pathlib import Path

import psutil
import pytest

from cockpit.session import worker_process
from cockpit.session.ledger import Ledger
from cockpit.session.lock import WorkerError
from cockpit.session.paths import SessionFolder
from cockpit.session.worker_process import SILENT_S, SignsOfWork


def silent(seconds: range, work: SignsOfWork, uses_s: float) -> list[int]:
    """Return the seconds at which a process counts as silent that uses so much processor time in each."""

    def is_silent(second: int) -> bool:
        return work.is_silent(float(second), lambda: uses_s * second)

    return [second for second in seconds if is_silent(second)]


def test_a_process_that_works_is_awaited_for_an_hour() -> None:
    assert silent(range(3600), SignsOfWork(began=0.0), uses_s=0.01) == []


def test_a_process_that_does_no_work_is_awaited_no_longer() -> None:
    work = SignsOfWork(began=0.0)
    assert silent(range(60), work, uses_s=0.01) == []
    last = 60  # its time falls to none, which is a change too
    assert silent(range(last, 120), work, uses_s=0.0)[0] == last + SILENT_S + 1


def words_of(process: psutil.Process) -> list[str]:
    """Return a process's command; empty for one that has ended."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def test_a_worker_that_hangs_as_it_starts_is_one_sentence_with_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, time\nif 'cockpit.worker.main' in sys.orig_argv:\n    time.sleep(600)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(worker_process, "SILENT_S", 2.0)
    folder = SessionFolder(tmp_path / "night")
    Ledger.create(folder.ledger).close()
    with pytest.raises(WorkerError) as hung:
        worker_process.start(folder)
    (watchdog,) = (one for one in psutil.Process().children() if f"--session={folder.root}" in words_of(one))
    (process,) = watchdog.children()
    process.kill()
    assert watchdog.wait(20) == 128 + signal.SIGKILL
    assert str(hung.value) == (
        f"the worker (process {watchdog.pid}) has done no work for 2 s, and its start is not over:"
        f" see {folder.worker_log}"
    )
