"""A pipe, device or huge file in the place of a session's file neither blocks a command nor fills memory."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cockpit.session import worker_process
from cockpit.session.paths import SessionFolder
from tests.cli.shell import environment
from tests.worker.sessions import sim_session, state_of, wait_for

WITHIN_S = 100.0
MEMORY_BYTES = 4 << 30


def hole(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


STRANGE: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "link to an endless file": lambda path: path.symlink_to("/dev/zero"),
    "hole of 1 TB": hole,
}
FILES = ["events.log", "snapshot", "progress.live", "worker.json", "worker.lock", "inbox.db", "ledger.db"]
DERIVED = {"snapshot", "progress.live", "worker.json", "inbox.db"}
"""Files without which a session works."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a session that has run."""
    place = tmp_path_factory.mktemp("ran")
    folder = sim_session(place, speed=300.0, clusters=2, mode="autopilot", proposer="search")
    worker_process.start(folder)
    wait_for(lambda: state_of(folder).seq > 30, 60, "some events")
    worker_process.terminate(folder)
    return place


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", STRANGE)
def test_another_kind_of_file_in_its_place_is_reported_or_left_out(
    ran: Path, tmp_path: Path, name: str, kind: str
) -> None:
    folder = SessionFolder(tmp_path / "sessions" / "night")
    shutil.copytree(ran / "sessions" / "night", folder.root)
    path = folder.root / name
    path.unlink(missing_ok=True)
    STRANGE[kind](path)
    statuses = {}
    for command in ("status", "start", "stop --leave"):
        done = subprocess.run(
            [sys.executable, "-m", "cockpit", *command.split()],
            cwd=ran / "repo", env=environment(tmp_path / "sessions", COCKPIT_SESSION="night"), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=WITHIN_S, preexec_fn=limited,
        )  # fmt: skip
        statuses[command] = done.returncode
        assert done.returncode in (0, 1) and "Traceback" not in done.stderr, f"{command}: {done.stderr}"
        assert len(done.stderr.splitlines()) <= 1, f"{command}: {done.stderr}"
    if name in DERIVED:
        assert statuses["start"] == 0 and state_of(folder).seq > 30, folder.worker_log.read_text()[-2_000:]
