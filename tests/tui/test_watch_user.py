"""Watching as another Unix user, who may read by group only: the kernel keeps a watcher from acting.

The session is made, and its worker started, under the strictest umask.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.cli.steer import send_and_await
from cockpit.core.intents import Draft, Propose
from cockpit.session import worker_process
from cockpit.session.inbox import Inbox
from cockpit.session.paths import SessionFolder
from tests.tui import become
from tests.tui.terminal import ROOT, Terminal, needs_tmux, terminal
from tests.worker.sessions import kill, local_session, state_of, wait_for

pytestmark = [
    needs_tmux,
    pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user"),
]

USER, GROUP, STRANGERS = 64_901, 64_902, 64_903

TRIES = """
import os, sys
wrong = []
for folder, _, names in os.walk(sys.argv[1], onerror=wrong.append):
    for path in (os.path.join(folder, name) for name in names):
        secret = os.path.basename(path).startswith(("inbox.db", "ledger.db", "worker.lock", "worker.start"))
        if secret == os.access(path, os.R_OK) or os.access(path, os.W_OK):
            wrong.append(path)
    if os.access(folder, os.W_OK):
        wrong.append(folder)
print("wrong:", wrong)
"""


def as_user(folder: SessionFolder, group: int, *arguments: str) -> list[str]:
    code = folder.root.parents[1] / "code"
    return [sys.executable, become.__file__, str(USER), str(group), str(code), *arguments]


def watching(folder: SessionFolder) -> list[str]:
    return as_user(folder, GROUP, "-m", "cockpit", "watch", str(folder.root))


@pytest.fixture
def session() -> Iterator[SessionFolder]:
    """A session of root's in a folder of the group, with a measured baseline and no worker."""
    place = Path(tempfile.mkdtemp(prefix="cockpit-group-"))
    place.chmod(0o755)
    shutil.copytree(ROOT / "cockpit", place / "code" / "cockpit", ignore=shutil.ignore_patterns("__pycache__"))
    (place / "sessions").mkdir()
    os.chown(place / "sessions", 0, GROUP)
    (place / "sessions").chmod(0o2750)
    before = os.umask(0o077)
    try:
        folder = local_session(place, clusters=1, mode="manual")
        worker_process.start(folder)
        wait_for(lambda: state_of(folder).outcome_counts, 40, "the baseline")
        worker_process.terminate(folder)
        yield folder
    finally:
        os.umask(before)
        worker_process.terminate(folder)
        shutil.rmtree(place)


def looks(screen: Terminal, worker: str) -> None:
    screen.wait_for("WATCHING root's", "cpu-01", f"worker {worker}")
    screen.press("3")
    screen.wait_for("step 00000", "follow")
    screen.press("1")
    screen.wait_for("for ")


def test_a_member_of_the_group_reads_all_but_the_inbox_and_writes_nothing(session: SessionFolder) -> None:
    Inbox(session.inbox).open()
    tried = subprocess.run(as_user(session, GROUP, "-c", TRIES, str(session.root)), capture_output=True, text=True)
    assert (tried.stdout, tried.stderr) == ("wrong: []\n", "")


def test_a_member_sees_a_live_session_and_no_key_acts(session: SessionFolder) -> None:
    worker_process.start(session)
    with terminal(watching(session)) as screen:
        looks(screen, "running")
        for key in ("a", "A", "r", "x", "H", "E", "m", "i", "space", "s"):
            screen.press(key)
        shown = screen.wait_for("WATCHING root's")
        assert not any(word in shown for word in ("Cancel", "Save the log", "write to the proposer"))
        worker_process.terminate(session)
        screen.wait_for("worker stopped")
        worker_process.start(session)
        screen.wait_for("worker running")
    inbox = Inbox(session.inbox)
    assert inbox.after(0) == []
    inbox.close()
    assert {path.stat().st_uid for path in session.root.rglob("*")} == {0}


def test_a_member_sees_a_stopped_session_and_follows_its_next_worker(session: SessionFolder) -> None:
    assert not session.ledger.with_name("ledger.db-wal").exists()
    with terminal(watching(session)) as screen:
        looks(screen, "stopped")
        worker_process.start(session)
        screen.wait_for("worker running")
        send_and_await(session, Propose(Draft("ann", "which rate?", factors={"MATRIX_LR": [0.02, 0.05]})))
        screen.press("2")
        screen.wait_for("which rate?")


@pytest.mark.parametrize("log_bytes", [None, 32, 0])
def test_a_member_sees_a_session_whose_worker_was_killed(session: SessionFolder, log_bytes: int | None) -> None:
    """Check a log that the killed worker wrote in full, its header alone, or not at all."""
    log = session.ledger.with_name("ledger.db-wal")
    worker_process.start(session)
    wait_for(lambda: log.exists() and log.stat().st_size > 32, 20, "the worker to write")
    kill(session)
    if log_bytes is not None:
        os.truncate(log, log_bytes)
    with terminal(watching(session)) as screen:
        looks(screen, "stopped")


def test_a_stranger_gets_one_sentence(session: SessionFolder) -> None:
    with terminal(as_user(session, STRANGERS, "-m", "cockpit", "watch", str(session.root)), width=200) as screen:
        said = screen.wait_for("ended with 1").split("ended with")[0].strip()
    assert said.startswith("cockpit: ") and "you may not use" in said
    assert "\n" not in said
