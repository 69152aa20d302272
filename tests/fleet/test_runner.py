"""Promises of the runner of a local run: its evidence is out of the run's reach, and no run outlives or floods it."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cockpit.core.model import Outcome
from cockpit.core.session import RunAccess
from cockpit.fleet.base import Job, JobEnded, JobStarted, Report
from cockpit.fleet.local import fleet as local
from cockpit.fleet.local.devices import slots
from cockpit.fleet.local.fleet import LocalFleet, processes_of
from cockpit.fleet.node import capped_log, command, folders, job_setup, runner, usage
from cockpit.fleet.node.confinement import Wall, available
from cockpit.fleet.node.job import ResourceLimits
from cockpit.fleet.run_log import RunLog, RunVerdict
from cockpit.worker.cleaning import removing

SCORE = "print('val_bpb: 0.98')\n"
WHATEVER = RunAccess()
CONFINED = RunAccess(confine=True)


class Run:
    """A script run on a fleet of one slot."""

    def __init__(self, place: Path, script: str, time_limit_s: float = 30.0, access: RunAccess = WHATEVER) -> None:
        source = place / "runs" / "e0001.1"
        source.mkdir(parents=True)
        self.train = source / "train.py"
        self.train.write_text(script)
        self.code = hashlib.sha256(script.encode()).hexdigest()
        command = (sys.executable, "-u", "train.py")
        self.job = Job("e0001.1", "cpu-01", source, place / "e0001.1.log", {"SEED": "1"}, command, time_limit_s)
        self.notes = source.with_name("e0001.1.run")
        self.fleet = LocalFleet(slots(1), threading.Event(), access)
        self.fleet.submit(self.job)

    def until(self, kind: type[Report], within_s: float = 30.0) -> Report:
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            for report in self.fleet.poll():
                if isinstance(report, kind):
                    return report
            time.sleep(0.02)
        raise AssertionError(f"no {kind.__name__} within {within_s} s")

    def ended(self, within_s: float = 30.0) -> JobEnded:
        report = self.until(JobEnded, within_s)
        assert isinstance(report, JobEnded)
        return report

    def log(self) -> str:
        return self.job.log_path.read_text() if self.job.log_path.exists() else ""

    def verdict(self) -> RunVerdict:
        ended = self.ended()
        log = RunLog()
        log.feed(self.job.log_path.read_bytes(), ended.at)
        log.finish(ended.at)
        return log.verdict(ended.exit_code, self.code, "", evidence=ended.evidence)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_hashes_are_the_runner_s_and_a_forged_mark_is_text(tmp_path: Path) -> None:
    forged = "COCKPIT_START train_sha256=00 prepare_sha256=00"
    run = Run(tmp_path, f"print({forged!r})\n{SCORE}print('COCKPIT_END train_sha256=00 prepare_sha256= exit=7')\n")
    assert run.verdict().outcome is Outcome.VALID


def test_code_that_was_edited_and_restored_while_it_ran_does_not_count(tmp_path: Path) -> None:
    edit = (
        "import os\n"
        "code, times = open('train.py').read(), os.stat('train.py')\n"
        "open('train.py', 'w').write('easier')\n"
        "open('train.py', 'w').write(code)\n"
        "os.utime('train.py', ns=(times.st_atime_ns, times.st_mtime_ns))\n"
    )
    found = Run(tmp_path, edit + SCORE).verdict()
    assert found.outcome is Outcome.MISMATCH and "train.py" in found.message


def test_the_last_line_of_a_log_has_an_end(tmp_path: Path) -> None:
    run = Run(tmp_path, "import sys\nsys.stdout.write('val_bpb: 0.98')\n")
    assert run.verdict().outcome is Outcome.VALID
    assert run.log() == "val_bpb: 0.98\n"


def test_code_that_is_not_the_ledger_s_does_not_count(tmp_path: Path) -> None:
    run = Run(tmp_path, SCORE)
    run.code = "0" * 64
    assert run.verdict().outcome is Outcome.MISMATCH


@pytest.mark.parametrize("access", [WHATEVER, CONFINED])
def test_a_process_that_left_the_run_s_session_ends_with_it(tmp_path: Path, access: RunAccess) -> None:
    marker = f"{os.getpid()}.25"
    escape = f"import subprocess\nsubprocess.Popen(['sleep', '{marker}'], start_new_session=True)\n"
    assert Run(tmp_path, escape + SCORE, access=access).ended().exit_code == 0
    assert subprocess.run(["pgrep", "-f", f"sleep {marker}"], check=False, capture_output=True).returncode == 1


def test_a_run_that_floods_its_log_is_capped_and_still_scored(tmp_path: Path) -> None:
    """Print three times the size that a log keeps. Later output is sampled by the second, however long that takes."""
    size = 3 * (capped_log.HEAD_BYTES + capped_log.TAIL_BYTES)
    flood = (
        "import sys\n"
        "print('first line', flush=True)\n"
        "line = ('grad is nan ' * 80 + '\\n') * 1000\n"
        f"for _ in range({size} // len(line)):\n"
        "    sys.stdout.write(line)\n"
    )
    began = time.monotonic()
    run = Run(tmp_path, flood + SCORE)
    assert run.verdict().outcome is Outcome.VALID
    took_s = time.monotonic() - began
    log = run.job.log_path.read_bytes()
    assert log.startswith(b"first line") and log.endswith(b"val_bpb: 0.98\n")
    assert b"[cockpit cut " in log
    samples = (took_s + 2) * capped_log.SAMPLE_BYTES
    assert len(log) < capped_log.HEAD_BYTES + capped_log.TAIL_BYTES + command.READ_BYTES + samples


def test_ten_thousand_lines_a_second_are_kept_whole(tmp_path: Path) -> None:
    steps = (
        "import time\n"
        "for tenth in range(10):\n"
        "    print('\\n'.join(f'step {1000 * tenth + i:05d} (1.0%) | loss: 2.5' for i in range(1000)), flush=True)\n"
        "    time.sleep(0.05)\n"
    )
    run = Run(tmp_path, steps + SCORE)
    assert run.verdict().outcome is Outcome.VALID
    lines = run.job.log_path.read_text().splitlines()
    assert lines[:-1] == [f"step {i:05d} (1.0%) | loss: 2.5" for i in range(10_000)]


def test_a_runner_that_is_stopped_does_not_hold_its_slot_past_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "RUNNER_GRACE_S", 0.5)
    run = Run(tmp_path, "import time\ntime.sleep(60)\n", time_limit_s=1.0)
    run.until(JobStarted)
    until(lambda: bool(processes_of(run.job)))
    pid = json.loads((run.notes / "started").read_text())["pid"]
    os.kill(pid, signal.SIGSTOP)
    ended = run.ended(within_s=15)
    assert (ended.reason, ended.message) == ("timeout", "its runner did not answer at its time limit")
    until(lambda: not processes_of(run.job))
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_a_note_that_names_another_process_kills_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "30"], start_new_session=True) as other:
        try:
            rewrite = f"open('../e0001.1.run/child.json', 'w').write('{{\"pid\": {other.pid}}}')\n"
            run = Run(tmp_path, f"{rewrite}print('rewritten', flush=True)\nimport time\ntime.sleep(60)\n")
            run.until(JobStarted)
            until(lambda: "rewritten" in run.log())
            os.kill(json.loads((run.notes / "started").read_text())["pid"], signal.SIGKILL)
            assert run.ended().reason == "lost"
            assert other.poll() is None
            until(lambda: not processes_of(run.job))
        finally:
            other.kill()


def test_a_run_past_its_memory_limit_ends_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_setup, "MEMORY_SHARE", 60 * 2**20 / psutil.virtual_memory().total)
    hog = "import time\nheld = bytearray(200 << 20)\ntime.sleep(60)\n"
    ended = Run(tmp_path, hog, access=CONFINED).ended()
    assert ended.reason == "limit" and "of memory, past its limit of 60 MB" in ended.message


@pytest.mark.skipif(available().wall is not Wall.BUBBLEWRAP, reason="the run's /tmp is this machine's")
@pytest.mark.parametrize(
    "hog",
    [
        "open('/tmp/held', 'wb').write(bytes(200 << 20))",
        "open('/dev/shm/held', 'wb').write(bytes(200 << 20))",
        "os.write(os.memfd_create('held'), bytes(200 << 20))",
    ],
)
def test_memory_that_is_held_in_files_counts_towards_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hog: str
) -> None:
    monkeypatch.setattr(job_setup, "MEMORY_SHARE", 100 * 2**20 / psutil.virtual_memory().total)
    code = f"import os, time\nif not os.fork():\n    {hog}\n    time.sleep(60)\nos.wait()\n"
    ended = Run(tmp_path, code.replace("bytes(200 << 20)", "bytes(1 << 20) * 200"), access=CONFINED).ended()
    assert ended.reason == "limit" and "of memory, past its limit of 100 MB" in ended.message


def test_a_run_may_fill_its_share_of_the_free_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free_mb = shutil.disk_usage(tmp_path).free / 2**20
    found = job_setup.limits(4, 1, True, tmp_path)["disk_mb"]
    assert found == pytest.approx(min(job_setup.DISK_MB_AT_MOST, free_mb / 8), rel=0.2)
    monkeypatch.setattr(job_setup, "DISK_MB_AT_MOST", 7)
    assert job_setup.limits(1, 1, True, tmp_path)["disk_mb"] == 7
    assert job_setup.limits(1, 1, False, tmp_path)["disk_mb"] == 0


def test_a_run_past_its_limit_of_processes_ends_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_setup, "PROCESSES_AT_MOST", 5)
    many = "import subprocess, time\nheld = [subprocess.Popen(['sleep', '60']) for _ in range(20)]\ntime.sleep(60)\n"
    ended = Run(tmp_path, many, access=CONFINED).ended()
    assert ended.reason == "limit" and "processes, past its limit of 5" in ended.message


UNCOUNTED = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork() == 0:
    while time.process_time() < 4:
        pass
    os._exit(0)
try:
    os.wait()
except ChildProcessError:
    pass
"""


@pytest.mark.timeout(300)
def test_a_child_whose_parent_ignores_its_end_is_counted(tmp_path: Path) -> None:
    """Count what the kernel does not: it adds no time of such a child to its parent's."""
    ended = Run(tmp_path, UNCOUNTED, 120.0, CONFINED).ended(150)
    assert ended.evidence is not None
    assert ended.evidence.cpu_s > 1.0


def test_children_that_live_between_two_measurements_are_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measure a process that is always idle, whose children work a quarter of a second each, one after the other."""
    now = 0.0

    def fields(pid: int) -> list[str]:
        began = 0.0 if pid == 1 else (pid - 1000) / 4
        ticks = 0 if pid == 1 else round(100 * (now - began))
        return ["S", "0"] + ["0"] * 9 + [str(ticks), "0"] + ["0"] * 6 + [str(round(100 * began))]

    limits = usage.Limits({"memory_mb": 0, "processes": 0, "disk_mb": 0, "cores": 0}, str(tmp_path))
    monkeypatch.setattr(usage, "descendants", lambda pid: [0, 1, 1000 + int(4 * now)])
    monkeypatch.setattr(usage, "stat_fields", fields)
    monkeypatch.setattr(usage, "resident_bytes", lambda pid: 0)
    monkeypatch.setattr(usage, "unmapped_bytes", lambda pids: 0)
    monkeypatch.setattr(os, "sysconf", lambda name: 100)
    monkeypatch.setattr(time, "clock_gettime", lambda clock: now)
    began = time.monotonic()
    for _ in range(100):
        now += 1.07
        assert limits.exceeded(0, began + now) == ""
    assert limits.processor_s() == pytest.approx(now, rel=0.1)


def test_a_run_that_keeps_its_neighbours_cores_busy_is_past_its_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = usage.Limits({"memory_mb": 0, "processes": 0, "disk_mb": 0, "cores": 1e-9}, str(tmp_path))
    monkeypatch.setattr(usage, "CORES_SLACK_S", 0.0)
    said = limits.exceeded(os.getppid(), time.monotonic() + 1)
    assert "cores busy, past its share of 1e-09, which its neighbours need" in said
    assert limits.processor_s() > 0


def test_a_started_run_says_how_it_is_confined(tmp_path: Path) -> None:
    for name, access in (("open", WHATEVER), ("walled", CONFINED)):
        started = Run(tmp_path / name, SCORE, access=access).until(JobStarted)
        assert isinstance(started, JobStarted)
        expected = str(available().wall) if access.confine else "unconfined"
        assert started.wall == expected


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[[int], Path]:
    def made(files: int) -> Path:
        for number in range(files):
            (tmp_path / f"{number}.txt").write_text("x" * 5000)
        return tmp_path

    return made


def test_a_folder_s_bytes_are_counted_and_too_many_files_are_past_any_limit(
    folder_of: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(10)
    assert 50_000 <= folders.folder_bytes(str(folder)) <= 200_000
    limits: ResourceLimits = {"memory_mb": 0, "processes": 0, "disk_mb": 1, "cores": 0}
    kept = usage.Limits(limits, str(folder))
    assert kept.exceeded(os.getpid(), time.monotonic()) == ""
    monkeypatch.setattr(folders, "COUNTED", 9)
    kept = usage.Limits(limits, str(folder))
    said = "its folder holds more than 9 files and folders, or one that cannot be listed"
    assert kept.exceeded(os.getpid(), time.monotonic()) == said
    monkeypatch.setattr(folders, "COUNTED", 99)
    assert folders.folder_bytes(str(folder)) < folders.NOT_MEASURED
    for number in range(90):
        (folder / f"folder-{number}").mkdir()
    assert folders.folder_bytes(str(folder)) == folders.NOT_MEASURED, "folders take room too"


def nested(top: Path, levels: int, name: str) -> None:
    """Make folders in one another, past the longest path if need be, and a file in the last."""
    at = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=at)
        inner = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    file = os.open("held", os.O_CREAT | os.O_WRONLY, dir_fd=at)
    os.write(file, bytes(5000))
    os.close(file)
    os.close(at)


def test_the_scorer_gets_the_packages_of_a_variant_beside_its_script(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in (
        "train.py", "parts/__init__.py", "parts/attention.py", ".venv/other.py", "parts/data.bin", "parts/model.yaml",
        "other.yaml",
    ):  # fmt: skip
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    runner.copy_code(str(source), str(tmp_path / "room"), ["parts/model.yaml", "parts/data.bin"])
    for room in ("code", *runner.SERVER_FOLDERS):
        files = (path for path in (tmp_path / "room" / room).rglob("*") if path.is_file())
        copied = sorted(path.relative_to(tmp_path / "room" / room).as_posix() for path in files)
        assert copied == ["parts/__init__.py", "parts/attention.py", "parts/model.yaml", "train.py"]


def test_folders_of_any_depth_are_measured_and_removed(tmp_path: Path) -> None:
    """Go deeper than Python calls itself, and then deeper than a path may be."""
    run = tmp_path / "run"
    run.mkdir()
    nested(run, 1_500, "a")
    assert 5000 <= folders.folder_bytes(str(run)) < folders.NOT_MEASURED
    assert sum(1 for _ in folders.walk(str(run))) == 1_501
    nested(run, 30, "b" * 200)
    assert folders.folder_bytes(str(run)) == folders.NOT_MEASURED, "its files cannot be listed by a path"
    for _ in removing((run,)):
        pass
    assert not run.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_files_that_no_folder_names_any_more_count_towards_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "memory_mounts", lambda pid: {})  # the folder may lie in memory
    with (tmp_path / "named").open("wb") as named, (tmp_path / "gone").open("wb") as gone:
        for file in (named, gone):
            file.write(bytes(50_000))
            file.flush()
        before = usage.nameless_bytes([os.getpid()])
        (tmp_path / "gone").unlink()
        assert usage.nameless_bytes([os.getpid()]) - before == os.fstat(gone.fileno()).st_blocks * 512 >= 50_000


def to_file(path: Path) -> None:
    path.unlink()
    path.write_text("val_bpb: 0.1\n")


def to_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES: dict[str, Callable[[Path], None]] = {
    "removed": Path.unlink,
    "cut": lambda path: os.truncate(path, 3),
    "replaced by a file": to_file,
    "replaced by a link": to_link,
    "replaced by a folder": to_folder,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_whose_log_another_program_changed_is_lost_and_no_crash(tmp_path: Path, change: str) -> None:
    go = tmp_path / "go"
    waits = f"import os, time\nprint('first', flush=True)\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)\n"
    run = Run(tmp_path, waits + SCORE)
    until(lambda: "first" in run.log())
    CHANGES[change](run.job.log_path)
    go.touch()
    ended = run.ended()
    assert (ended.reason, ended.message) == ("lost", capped_log.CHANGED)
