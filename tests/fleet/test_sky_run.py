"""The script that runs on a cluster is run here: it is a shell script, and this machine has a shell."""

import hashlib
import os
import subprocess
from pathlib import Path

import psutil
import pytest

from cockpit.core.model import Outcome
from cockpit.fleet.base import Job
from cockpit.fleet.run_log import RunLog
from cockpit.fleet.sky.task import absolute_mounts, canonical_class, run_script, stage

NAME = "e0001.1-s1"
"""The job's name on its cluster."""


def job(
    tmp_path: Path, train: str = "print('val_bpb: 1.5')", limit_s: float = 30.0, more: dict[str, str] | None = None
) -> Job:
    source = tmp_path / "runs" / "e0001.1"
    source.mkdir(parents=True)
    (source / "train.py").write_text(train)
    (source / "prepare.py").write_text("")
    for name, text in (more or {}).items():
        (source / name).write_text(text)
    return Job("e0001.1", "gpu-01", source, tmp_path / "log", {"EXPERIMENT_ID": "e0001.1"}, (), limit_s)


def run(a_job: Job, command: str = "python3 -u train.py") -> tuple[RunLog, int]:
    workdir = stage(a_job, NAME)
    done = subprocess.run(
        ["bash", "-c", run_script(a_job, NAME, command)], cwd=workdir, capture_output=True, timeout=60, check=False
    )
    log = RunLog()
    log.feed(done.stdout, 0.0)
    return log, done.returncode


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def hashes(a_job: Job) -> tuple[str, str]:
    return sha(a_job.source / "train.py"), sha(a_job.source / "prepare.py")


def test_a_run_prints_the_hashes_of_its_code_before_and_after(tmp_path: Path) -> None:
    a_job = job(tmp_path)
    log, code = run(a_job)
    assert (log.started, log.ended, code) == (hashes(a_job), hashes(a_job), 0)
    assert log.verdict(None, *hashes(a_job)).outcome is Outcome.VALID


def test_a_run_that_changes_its_code_and_restores_it_is_a_mismatch(tmp_path: Path) -> None:
    edits = "code = open('prepare.py').read(); open('prepare.py', 'w').write('x'); open('prepare.py', 'w').write(code)"
    a_job = job(tmp_path, f"{edits}\nprint('val_bpb: 1.5')")
    log, code = run(a_job)
    assert code == 0 and log.ended == ("changed", "changed")
    verdict = log.verdict(None, *hashes(a_job))
    assert verdict.outcome is Outcome.MISMATCH and "changed while it ran" in verdict.message


def test_a_mark_that_is_printed_after_the_script_s_own_changes_nothing(tmp_path: Path) -> None:
    a_job = job(tmp_path)
    train, prepare = hashes(a_job)
    log = RunLog()
    good = f"train_sha256={train} prepare_sha256={prepare}"
    bad = "train_sha256=changed prepare_sha256=changed"
    log.feed(f"COCKPIT_START {good}\nval_bpb: 1.5\nCOCKPIT_END {bad} exit=0\nCOCKPIT_END {good} exit=0\n".encode(), 0.0)
    assert log.verdict(None, train, prepare).outcome is Outcome.MISMATCH


def test_a_run_that_changes_its_code_is_a_mismatch(tmp_path: Path) -> None:
    a_job = job(tmp_path, "open('train.py', 'a').write('# more')\nprint('val_bpb: 1.5')")
    log, _ = run(a_job)
    assert log.verdict(None, *hashes(a_job)).outcome is Outcome.MISMATCH


@pytest.mark.parametrize("train", ["raise SystemExit(7)", "import os; os._exit(7)", "print('no end', end=''); exit(7)"])
def test_a_crash_keeps_its_exit_code(tmp_path: Path, train: str) -> None:
    log, code = run(job(tmp_path, train))
    assert (log.exit_code, code) == (7, 7)


def test_a_crash_that_a_pipe_hides_from_the_exit_code_is_a_crash(tmp_path: Path) -> None:
    """SkyPilot's own example ends with `echo`, whatever train.py did."""
    a_job = job(tmp_path, "raise ValueError('no such depth')")
    log, code = run(a_job, "python3 -u train.py 2>&1 | tee run.log\necho EXPERIMENT_STATUS: crash")
    assert (log.exit_code, code) == (0, 0)
    verdict = log.verdict(None, *hashes(a_job))
    assert verdict.outcome is Outcome.CRASH


def test_a_task_that_leaves_its_shell_early_still_reports_its_end(tmp_path: Path) -> None:
    log, code = run(job(tmp_path), "set -e\ncd /\nfalse\n# a comment at the end")
    assert (log.exit_code, code) == (1, 1)
    assert log.ended is not None


def test_a_run_past_its_limit_is_ended_with_all_it_started(tmp_path: Path) -> None:
    a_job = job(tmp_path, limit_s=2.0)
    # A shell: on a busy machine Python may take as long as the limit to start.
    log, code = run(a_job, "sh -c 'sleep 987654 & echo $! > child; wait'")
    assert (log.exit_code, code) == (124, 124)
    child = int((stage_of(a_job) / "child").read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_second_job_of_the_same_name_leaves_without_running(tmp_path: Path) -> None:
    a_job = job(tmp_path)
    run(a_job)
    again = subprocess.run(
        ["bash", "-c", run_script(a_job, NAME, "echo ran")],
        cwd=stage_of(a_job).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "ran\n" not in again.stdout.replace("it ran here before", "")
    assert "COCKPIT_START" not in again.stdout


def test_a_run_whose_folder_did_not_arrive_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", run_script(job(tmp_path), NAME, "echo ran")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "its folder did not arrive" in done.stdout


def test_only_the_variant_is_synced_with_files_that_gitignore_names(tmp_path: Path) -> None:
    a_job = job(tmp_path, more={".gitignore": "prepare.py\n"})
    workdir = stage(a_job, NAME)
    files = {str(path.relative_to(workdir)) for path in workdir.rglob("*") if path.is_file()}
    folder = f"variants/{NAME}"
    assert files == {".skyignore", f"{folder}/train.py", f"{folder}/prepare.py", f"{folder}/.gitignore"}


def stage_of(a_job: Job) -> Path:
    return a_job.source.parent / f"{a_job.source.name}.run" / "variants" / NAME


def test_each_node_of_a_cluster_with_a_shared_home_runs_the_script_once(tmp_path: Path) -> None:
    a_job = job(tmp_path)
    workdir = stage(a_job, NAME)
    printed = [
        subprocess.run(
            ["bash", "-c", run_script(a_job, NAME, "echo ran")], cwd=workdir, capture_output=True, text=True,
            timeout=60, check=False, env={**os.environ, "SKYPILOT_NODE_RANK": rank},
        ).stdout
        for rank in ("0", "1", "1")
    ]  # fmt: skip
    assert ["\nran\n" in text for text in printed] == [True, True, False]


def test_local_mounts_are_taken_from_the_folder_of_the_task_file() -> None:
    mounts = {"/data": "data", "/home": "~/x", "/bucket": "s3://b", "/abs": "/srv/x", "/store": {"source": "./y"}}
    local = {"/data": "/repo/data", "/store": {"source": "/repo/y"}}
    assert absolute_mounts(mounts, Path("/repo")) == {**mounts, **local}


@pytest.mark.parametrize(
    ("said", "name"),
    [("h100", "H100"), ("H100", "H100"), ("a100-80gb", "A100-80GB"), ("tpu-v5e", "tpu-v5e"), ("RTXA6000", "RTXA6000")],
)
def test_a_class_is_spelled_as_skypilot_spells_it(said: str, name: str) -> None:
    assert canonical_class(said) == name
