"""Room that runs out, of any kind, costs only time: the worker waits, tells it, and continues when there is some."""

import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cockpit.session import lock, worker_process
from cockpit.session.settings import NewSession
from cockpit.worker.create import SIM_EPOCH
from tests.faults.checks import a_fold_from_nothing_is_the_state, nothing_counted_twice
from tests.worker.sessions import SCRIPT, make, repository, state_of, wait_for

DISKS = {"bytes": "size=6m", "files": "size=64m,nr_inodes=250"}


@pytest.fixture(params=DISKS)
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Mount a disk that has little of something."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", DISKS[request.param], "small", place], capture_output=True
    ).returncode:
        pytest.skip("only root on Linux can make a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def filled(disk: Path) -> Callable[[], None]:
    """Use up all files and bytes of a disk. Returns the function that gives them back."""
    mine = []
    for number in range(100_000):
        path = disk / f"filler-{number}"
        try:
            with path.open("wb", buffering=0) as file:
                mine.append(path)
                file.write(bytes(1 << 16))
        except OSError:
            break

    def give_back() -> None:
        for path in mine:
            path.unlink()

    return give_back


@pytest.mark.timeout(180)
@pytest.mark.parametrize("fleet", ["sim", "local"])
def test_a_disk_without_room_is_waited_out(disk: Path, tmp_path: Path, fleet: str) -> None:
    if (
        fleet == "local"
        and "nr_inodes" in Path("/proc/mounts").read_text().partition(f" {disk} ")[2].partition("\n")[0]
    ):
        pytest.skip("unsolved: a worker of real runs was once found stopped on a disk without files")
    repo = repository(tmp_path / "repo", SCRIPT.replace("RUNS_FILE", repr(str(tmp_path / "runs.txt"))))
    at = SIM_EPOCH if fleet == "sim" else 1.0
    folder = make(disk, repo, NewSession(fleet=fleet, clusters=2, mode="autopilot", proposer="search"), at, speed=300.0)
    worker_process.start(folder)
    try:
        for _ in range(3):
            wait_for(lambda: state_of(folder).in_flight, 60, "a run")
            pid, give_back = lock.worker_status(folder).pid, filled(disk)
            seq = state_of(folder).seq
            wait_for(lambda seq=seq: lock.worker_status(folder).note or state_of(folder).seq > seq + 5, 60, "a word")
            give_back()
            seq = state_of(folder).seq
            wait_for(lambda seq=seq: state_of(folder).seq > seq + 5, 90, "the session to continue")
            assert lock.worker_status(folder).pid == pid
    finally:
        worker_process.terminate(folder)
    assert "crash" not in {one.outcome for one in state_of(folder).attempts.values()}
    nothing_counted_twice(folder)
    a_fold_from_nothing_is_the_state(folder)


@pytest.mark.timeout(180)
def test_a_limit_of_the_size_of_files_is_waited_out(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", SCRIPT)
    new = NewSession(fleet="sim", clusters=2, mode="autopilot", proposer="search")
    folder = make(tmp_path, repo, new, SIM_EPOCH, speed=600.0)
    worker = psutil.Process(worker_process.start(folder).pid)
    try:
        wait_for(lambda: state_of(folder).in_flight, 60, "a run")
        worker.rlimit(psutil.RLIMIT_FSIZE, (1 << 14, resource.RLIM_INFINITY))
        wait_for(lambda: lock.worker_status(folder).note, 60, "a word")
        assert "is full" in lock.worker_status(folder).note
        worker.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        seq = state_of(folder).seq
        wait_for(lambda: state_of(folder).seq > seq + 5, 90, "the session to continue")
        assert lock.worker_status(folder).pid == worker.pid
    finally:
        worker_process.terminate(folder)
    nothing_counted_twice(folder)
    a_fold_from_nothing_is_the_state(folder)
