"""`cockpit stop` on a worker that ends already."""

from pathlib import Path

import pytest

from cockpit.cli import ending
from cockpit.session.heartbeat import write_heartbeat
from cockpit.session.inbox import Inbox
from cockpit.session.lock import WorkerLock
from tests.worker.sessions import sim_session


@pytest.mark.parametrize("how", ["drain", "cancel", "leave"])
def test_stop_waits_for_a_worker_that_ends_and_says_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    folder = sim_session(tmp_path, speed=1.0)
    monkeypatch.setenv("COCKPIT_SESSIONS", str(folder.root.parent))
    held = WorkerLock.take(folder)
    write_heartbeat(folder, stopped=True)
    monkeypatch.setattr("cockpit.cli.ending.time.sleep", lambda seconds: held.release())
    assert ending.stop("night", how, yes=True, wait_s=0.0) == "session night was ending already, and has stopped"
    inbox = Inbox(folder.inbox)
    assert inbox.after(0) == []  # the next worker is not asked to end
    inbox.close()
