"""Locks on devices: two sessions never use one device, and a lock ends with the processes that hold it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cockpit.core.session import ClusterSpec
from cockpit.fleet.base import ClusterReady, ClusterWaits, FleetTrouble, Job, JobEnded, Report
from cockpit.fleet.local.device_locks import DeviceLocks, Holder
from cockpit.fleet.local.fleet import LocalFleet
from tests.worker.sessions import wait_for

GPU, OTHER, CORES = (
    ClusterSpec("gpu-01", "H100", device="GPU-aaaa", device_variable="CUDA_VISIBLE_DEVICES"),
    ClusterSpec("gpu-02", "H100", device="GPU-bbbb", device_variable="CUDA_VISIBLE_DEVICES"),
    ClusterSpec("cpu-01", "CPU"),
)
HOLD = """
import sys
from pathlib import Path
from cockpit.fleet.local.device_locks import DeviceLocks, Holder
locks = DeviceLocks(Holder("/sessions/theirs", "bob"), Path(sys.argv[1]))
assert not locks.take(["GPU-aaaa"])
print("held", flush=True)
sys.stdin.read()
"""


def locks(folder: Path, session: str = "/sessions/mine", user: str = "ann") -> DeviceLocks:
    return DeviceLocks(Holder(session, user), folder)


@contextmanager
def fleet(folder: Path, *specs: ClusterSpec, session: str = "/sessions/mine") -> Iterator[LocalFleet]:
    made = LocalFleet(specs, threading.Event(), locks=locks(folder, session))
    for spec in specs:
        made.launch(spec.name)
    try:
        yield made
    finally:
        made.close()


def said(reports: list[Report]) -> list[str]:
    """Return what a fleet reports, the times left out."""
    return [
        f"{report.cluster} ready" if isinstance(report, ClusterReady)
        else report.message if isinstance(report, ClusterWaits)
        else report.text if isinstance(report, FleetTrouble)
        else type(report).__name__
        for report in reports
    ]  # fmt: skip


def test_a_device_is_one_session_s_and_the_other_waits_until_it_is_given_up(tmp_path: Path) -> None:
    with ExitStack() as open_fleets:
        first = open_fleets.enter_context(fleet(tmp_path, GPU, OTHER, session="/sessions/theirs"))
        assert said(first.poll()) == ["gpu-01 ready", "gpu-02 ready"]
        second = open_fleets.enter_context(fleet(tmp_path, GPU))
        assert said(second.poll()) == ["GPU-aaaa is used by session theirs of ann: it starts when that session ends"]
        assert said(second.poll()) == []
        first.down("gpu-01")
        assert said(second.poll()) == ["gpu-01 ready"]
        first.launch("gpu-01")
        assert said(first.poll())[-1].startswith("GPU-aaaa is used by session mine of ann")


def test_a_slot_of_several_devices_takes_all_or_none(tmp_path: Path) -> None:
    holds = locks(tmp_path, "/sessions/theirs")
    assert holds.take(["GPU-bbbb"]) == ""
    wants = locks(tmp_path)
    assert wants.take(["GPU-aaaa", "GPU-bbbb"]).startswith("GPU-bbbb is used by session theirs")
    assert holds.take(["GPU-aaaa"]) == ""


def test_slots_that_share_a_device_in_one_session_both_run(tmp_path: Path) -> None:
    twin = ClusterSpec("gpu-02", "H100", device=GPU.device, device_variable=GPU.device_variable)
    with fleet(tmp_path, GPU, twin) as shared:
        assert said(shared.poll()) == ["gpu-01 ready", "gpu-02 ready"]
        shared.down("gpu-01")
        assert locks(tmp_path, "/sessions/theirs").take(["GPU-aaaa"])
        shared.down("gpu-02")
        assert not locks(tmp_path, "/sessions/theirs").take(["GPU-aaaa"])


def test_cores_are_shared_and_it_is_reported_once(tmp_path: Path) -> None:
    more = ClusterSpec("cpu-02", "CPU")
    with fleet(tmp_path, CORES, session="/sessions/theirs"), fleet(tmp_path, CORES, more) as second:
        assert said(second.poll()) == [
            "this machine's CPU is used by session theirs of ann too: each session slows the other's runs",
            "cpu-01 ready",
            "cpu-02 ready",
        ]


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with fleet(tmp_path, GPU) as waits:
        assert said(waits.poll()) == ["GPU-aaaa is used by session theirs of bob: it starts when that session ends"]
        holder.send_signal(signal.SIGKILL)
        holder.wait(30)
        assert said(waits.poll()) == ["gpu-01 ready"]
    holder.communicate()


def test_a_run_that_outlives_its_worker_keeps_the_device_and_the_next_worker_has_it(tmp_path: Path) -> None:
    source = tmp_path / "e0001.1"
    source.mkdir()
    go = tmp_path / "go"
    os.mkfifo(go)
    (source / "train.py").write_text(f"open({str(go)!r}).read()\n")
    job = Job("e0001.1", "gpu-01", source, tmp_path / "log", {}, (sys.executable, "train.py"), 60.0)
    with fleet(tmp_path, GPU) as worker:
        worker.submit(job)
        wait_for((tmp_path / "e0001.1.run" / "started").exists, 30, "the run to start")
    stranger = locks(tmp_path, "/sessions/theirs")
    assert stranger.take(["GPU-aaaa"]).startswith("GPU-aaaa is used by session mine of ann")
    with fleet(tmp_path, GPU) as again:
        assert said(again.poll()) == ["gpu-01 ready"]
        again.submit(job)
        go.write_text("")
        ended: list[Report] = []

        def has_ended() -> bool:
            ended.extend(again.poll())
            return any(isinstance(report, JobEnded) for report in ended)

        wait_for(has_ended, 30, "the run to end")
        wait_for(lambda: not again._running, 30, "the fleet to forget it")


@pytest.mark.parametrize("text", ["", "{", '{"session": "/a/\\u001b[2J", "user": "x"}', "[" * 5000])
def test_text_that_another_user_put_into_a_lock_is_not_shown(tmp_path: Path, text: str) -> None:
    holds = locks(tmp_path, "/sessions/theirs")
    holds.take(["GPU-aaaa"])
    (tmp_path / "GPU-aaaa.lock").write_text(text)
    assert locks(tmp_path).take(["GPU-aaaa"]) == "GPU-aaaa is used by another program"


def test_any_user_may_lock_and_none_may_remove_another_s_file(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    held = locks(folder)
    assert held.take(["GPU-aaaa"]) == ""
    assert folder.stat().st_mode & 0o7777 == 0o1777
    assert (folder / "GPU-aaaa.lock").stat().st_mode & 0o777 == 0o666
    link = folder / "GPU-bbbb.lock"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        held.take(["GPU-bbbb"])
    assert not (tmp_path / "elsewhere").exists()
