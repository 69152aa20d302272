"""The script that runs on a cluster is run here: it is a shell script, and this machine has a shell."""

import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from cockpit.core.model import Outcome
from cockpit.core.session import RunAccess
from cockpit.fleet.base import Job, JobEnded
from cockpit.fleet.node.confinement import Wall, available, environment_paths
from cockpit.fleet.node.start import RAN_BEFORE, environments_of, shown_folders
from cockpit.fleet.run_log import RunLog, RunVerdict
from cockpit.fleet.sky.jobs import ended
from cockpit.fleet.sky.log import JobLines
from cockpit.fleet.sky.task import (
    NO_PYTHON,
    absolute_mounts,
    key_of,
    run_script,
    stage,
    stage_folder,
    write_order,
)
from tests.fleet.runner_lines import end_line, start_line

CONFINED = RunAccess(confine=True)
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


def script(a_job: Job, command: str, access: RunAccess = CONFINED, again: bool = False) -> Path:
    """Stage a job as the fleet does, `again` without removing what is there. Returns the shared folder of the node."""
    workdir = stage_folder(a_job) if again else stage(a_job, NAME)
    write_order(a_job, NAME, command, (), access)
    return workdir


def run(
    a_job: Job,
    command: str = "python3 -u train.py",
    access: RunAccess = CONFINED,
    environment: dict[str, str] | None = None,
    within_s: float = 60.0,
    made: Path | None = None,
) -> tuple[JobLines, int]:
    """Run a job on this machine as a node does. Returns its lines, and the exit status.

    `made` is the environment that its set-up has made.
    """
    workdir = script(a_job, command, access)
    if made is not None:
        (workdir / ".venv").symlink_to(made)
    lines = JobLines(NAME, 0, key_of(a_job, NAME))
    done = subprocess.run(
        ["bash", "-c", run_script(NAME)], cwd=workdir, capture_output=True, text=True, timeout=within_s, check=False,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    a_job.log_path.write_bytes(lines.feed("".join(f"({NAME}, pid=1) {line}\n" for line in done.stdout.split("\n"))))
    return lines, done.returncode


def report(a_job: Job, lines: JobLines) -> JobEnded:
    return ended(a_job, "FAILED", 1.0, lines.start is not None, lines.end, "", "")


def verdict(a_job: Job, lines: JobLines) -> RunVerdict:
    """Judge a run as the worker does."""
    log = RunLog()
    log.feed(a_job.log_path.read_bytes(), 0.0)
    end = report(a_job, lines)
    return log.verdict(end.exit_code, *hashes(a_job), evidence=end.evidence)


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def hashes(a_job: Job) -> tuple[str, str]:
    return sha(a_job.source / "train.py"), sha(a_job.source / "prepare.py")


def test_a_runner_on_a_node_hashes_the_code_before_and_after_and_says_its_wall(tmp_path: Path) -> None:
    a_job = job(tmp_path)
    lines, code = run(a_job)
    evidence = report(a_job, lines).evidence
    assert code == 0 and evidence is not None and evidence.before == evidence.after
    assert (evidence.before["train.py"], evidence.before["prepare.py"]) == hashes(a_job)
    assert verdict(a_job, lines).outcome is Outcome.VALID
    assert lines.start is not None and lines.start.wall == available().wall


def test_a_runner_on_a_node_hashes_each_editable_and_each_protected_file(tmp_path: Path) -> None:
    train = "print('may write:', os.access('fixed.json', os.W_OK) and os.getuid() != 0)\nprint('val_bpb: 1.5')"
    plain = job(tmp_path, f"import os\n{train}", more={"cfg.yaml": "lr: 1\n", "fixed.json": "{}"})
    a_job = msgspec.structs.replace(plain, hashed=("cfg.yaml", "fixed.json"), protected=("fixed.json",))
    lines, code = run(a_job)
    evidence = report(a_job, lines).evidence
    assert code == 0 and evidence is not None
    assert evidence.before["cfg.yaml"] == hashlib.sha256(b"lr: 1\n").hexdigest()
    assert evidence.before["fixed.json"] == hashlib.sha256(b"{}").hexdigest()
    assert "may write: False" in a_job.log_path.read_text()


def test_a_run_that_writes_its_configuration_is_a_mismatch(tmp_path: Path) -> None:
    plain = job(tmp_path, "open('cfg.yaml', 'a').write('x')\nprint('val_bpb: 1.5')", more={"cfg.yaml": "lr: 1\n"})
    a_job = msgspec.structs.replace(plain, hashed=("cfg.yaml",))
    lines, _ = run(a_job)
    said = verdict(a_job, lines)
    assert said.outcome is Outcome.MISMATCH and "changed cfg.yaml while it ran" in said.message


def test_a_run_on_a_node_can_be_left_unconfined_and_says_so(tmp_path: Path) -> None:
    lines, _ = run(job(tmp_path), access=RunAccess())
    assert lines.start is not None and lines.start.wall == "unconfined"


def test_a_run_that_changes_its_code_and_restores_it_is_a_mismatch(tmp_path: Path) -> None:
    edits = "code = open('prepare.py').read(); open('prepare.py', 'w').write('x'); open('prepare.py', 'w').write(code)"
    a_job = job(tmp_path, f"{edits}\nprint('val_bpb: 1.5')")
    lines, code = run(a_job)
    said = verdict(a_job, lines)
    assert code == 0 and said.outcome is Outcome.MISMATCH and "changed prepare.py while it ran" in said.message


def test_a_run_that_forges_the_lines_of_its_runner_is_judged_by_the_real_ones(tmp_path: Path) -> None:
    train = "\n".join(
        [
            "open('train.py', 'a').write('# more')",
            f"print({start_line('guess')!r})",
            f"print({end_line('guess')!r})",
            "print('COCKPIT_START train_sha256=a prepare_sha256=b')",
            "print('COCKPIT_END train_sha256=a prepare_sha256=b exit=0')",
            "print('val_bpb: 1.5')",
        ]
    )
    a_job = job(tmp_path, train)
    lines, _ = run(a_job)
    assert verdict(a_job, lines).outcome is Outcome.MISMATCH


@pytest.mark.skipif(available().wall is Wall.NONE, reason="no run can be confined here")
def test_a_run_on_a_node_sees_no_other_run_no_runner_and_no_sealed_shard(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for secret in (
        "sky_workdir/variants/e0002.1/train.py",
        ".aws/credentials",
        "sky_logs/1/run.log",
        "data-sealed/text",
    ):
        (home / secret).parent.mkdir(parents=True)
        (home / secret).write_text("secret")
    for shown in ("software/tool", "data/text"):
        (home / shown).parent.mkdir()
        (home / shown).write_text("shown")
    train = f"""
import os, socket
home = {str(home)!r}
found = [os.path.join(where, name) for where, _, names in os.walk(home) for name in names]
print('found:', sorted(os.path.relpath(path, home) for path in found))
print('others:', os.path.exists('../../runners'), os.path.exists('../../variants/another'))
try:
    open(os.path.join(home, 'software', 'left'), 'w')
except OSError:
    print('read-only')
try:
    socket.create_connection(('127.0.0.1', int(os.environ['PORT'])), 1)
except OSError:
    print('no network')
"""
    a_job = job(tmp_path, train)
    (stage_folder(a_job) / "variants" / "another").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        own = {"HOME": str(home), "COCKPIT_DATA_DIR": str(home / "data"), "PORT": port}
        _, code = run(a_job, environment=own)
    printed = a_job.log_path.read_text()
    assert code == 0, printed
    assert "found: ['data/text', 'software/tool']" in printed
    assert "others: False False" in printed and "read-only" in printed and "no network" in printed


@pytest.mark.skipif(available().wall is Wall.NONE, reason="this machine cannot confine a run")
@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("{venv}/bin/python -u train.py", ""),
        ("source {venv}/bin/activate\npython -u train.py", ""),
        ("python -u train.py", "{venv}/bin"),
        ('PYTHON={venv}/bin/python\n"$PYTHON" -u train.py', ""),
    ],
)
def test_a_run_sees_the_environment_that_its_task_names_and_nothing_beside_it(
    tmp_path: Path, command: str, path: str
) -> None:
    venv = tmp_path / "environments" / "own"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True, timeout=60)
    (tmp_path / "environments" / "secret").write_text("")
    train = f"import os, sys\nprint(sys.prefix, os.path.exists({str(venv.parent / 'secret')!r}))\nprint('val_bpb: 1.5')"
    a_job = job(tmp_path, train)
    own = {"PATH": f"{path.format(venv=venv)}:{os.environ['PATH']}"} if path else {}
    lines, status = run(a_job, command.format(venv=venv), environment=own)
    text = a_job.log_path.read_text()
    assert status == 0 and lines.start is not None and lines.start.wall == str(available().wall), text
    assert f"{venv} False" in text


def test_a_bin_folder_of_the_home_does_not_show_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "ann"
    for folder in (home / "bin", home / "own" / "bin", tmp_path / "bin"):
        folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    path = f"{home}/bin:{tmp_path}/bin:/bin"
    shown = set(environments_of(f"{home}/bin/go && {home}/own/bin/python train.py", {"PATH": path}))
    assert home / "own" in shown and not shown & {home, tmp_path, Path("/")}


def test_a_hidden_folder_of_the_home_shows_its_programs_and_no_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "ann"
    for name in (".cargo/bin", ".cargo/registry", ".local/bin", ".local/lib", ".local/share/keyrings", ".own/bin",
                 ".own/data", ".ssh", "corpus", ".docker/bin"):  # fmt: skip
        (home / name).mkdir(parents=True)
    (home / ".own" / "pyvenv.cfg").write_text("")
    for key in (".cargo/credentials.toml", ".docker/config.json"):
        (home / key).write_text("a key")
    monkeypatch.setenv("HOME", str(home))
    shown = {str(path.relative_to(home)) for path in shown_folders() if path.is_relative_to(home)}
    assert shown == {".cargo/bin", ".docker/bin", ".local/bin", ".local/lib", ".own", "corpus"}
    on_the_path = set(environments_of("true", {"PATH": f"{home}/.cargo/bin:{home}/.own/bin"}))
    assert {home / ".cargo/bin", home / ".own"} <= on_the_path and home / ".cargo" not in on_the_path
    program = home / ".local" / "bin" / "python-of-mine"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert home / ".local" not in environment_paths([str(program)])


@pytest.mark.skipif(available().wall is Wall.NONE, reason="this machine cannot confine a run")
def test_a_path_that_a_confined_run_does_not_see_is_reported_with_the_setting_that_shows_it(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    command = f"cat {corpus}/text; ls /usr /dev/null /no/such/file; echo $HOME/data; python3 -u train.py"
    (corpus / "text").write_text("")
    a_job = job(tmp_path)
    run(a_job, command)
    said = [line for line in a_job.log_path.read_text().splitlines() if line.startswith("cockpit: ")]
    assert said == [
        f"cockpit: {corpus}/text is on this node, and a confined run does not see it: list it in `readable`"
    ]
    seen = job(tmp_path / "again")
    run(seen, command, RunAccess(confine=True, readable=(str(corpus),)))
    assert "cockpit: " not in seen.log_path.read_text()


def test_the_key_of_a_runner_is_gone_before_its_run_starts(tmp_path: Path) -> None:
    a_job = job(tmp_path, "import glob; print('orders:', glob.glob('../../runners/*/order.json'))")
    _, code = run(a_job, access=RunAccess())
    assert code == 0 and "orders: []" in a_job.log_path.read_text()
    assert not (stage_folder(a_job) / "runners" / NAME / "order.json").exists()


def test_a_job_that_is_sent_again_keeps_the_key_of_its_runner(tmp_path: Path) -> None:
    a_job = job(tmp_path)
    script(a_job, "true")
    key = key_of(a_job, NAME)
    script(a_job, "true", again=True)
    assert key and key_of(a_job, NAME) == key


@pytest.mark.parametrize("train", ["raise SystemExit(7)", "import os; os._exit(7)", "print('no end', end=''); exit(7)"])
def test_a_crash_keeps_its_exit_code(tmp_path: Path, train: str) -> None:
    a_job = job(tmp_path, train)
    lines, code = run(a_job)
    assert (report(a_job, lines).exit_code, code) == (7, 7)


def test_a_crash_that_a_pipe_hides_from_the_exit_code_is_a_crash(tmp_path: Path) -> None:
    """SkyPilot's own example ends with `echo`, whatever train.py did."""
    a_job = job(tmp_path, "raise ValueError('no such depth')")
    lines, code = run(a_job, "python3 -u train.py 2>&1 | tee run.log\necho EXPERIMENT_STATUS: crash")
    assert (report(a_job, lines).exit_code, code) == (0, 0)
    assert verdict(a_job, lines).outcome is Outcome.CRASH


def test_a_task_that_leaves_its_shell_early_still_reports_its_end(tmp_path: Path) -> None:
    a_job = job(tmp_path)
    lines, code = run(a_job, "set -e\ncd /\nfalse\n# a comment at the end")
    assert (report(a_job, lines).exit_code, code) == (1, 1)


def test_a_run_past_its_limit_is_ended_with_all_it_started(tmp_path: Path) -> None:
    a_job = job(tmp_path, limit_s=2.0)
    # A shell: on a busy machine Python may take as long as the limit to start.
    lines, code = run(a_job, "sh -c 'sleep 987654 & wait'")
    assert (report(a_job, lines).reason, code) == ("timeout", 124)
    assert not [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", "987654"]]


def test_a_carriage_return_of_a_run_on_a_node_ends_a_line(tmp_path: Path) -> None:
    """SkyPilot's log stream from Kubernetes shows none: what follows one would have no prefix there."""
    train = """
import os, sys, time
for data in (b"\\rstep 1", b"\\rstep 2 ", b"\\r", b"\\n", b"\\nval_bpb: 1.5\\r\\n", b"\\r"):
    os.write(1, data)
    time.sleep(0.2)
"""
    a_job = job(tmp_path, train)
    run(a_job, within_s=60)
    assert a_job.log_path.read_text().partition("step 1")[2].startswith("\nstep 2 \n\nval_bpb: 1.5\n")


def test_a_second_job_of_the_same_name_leaves_without_running(tmp_path: Path) -> None:
    a_job = job(tmp_path)
    run(a_job)
    workdir = script(a_job, "echo ran", again=True)
    again = subprocess.run(
        ["bash", "-c", run_script(NAME)], cwd=workdir, capture_output=True, text=True, timeout=60, check=False
    )
    assert again.stdout == "cockpit: it ran here before\n" and again.returncode == RAN_BEFORE


def test_a_run_whose_folder_did_not_arrive_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", run_script(NAME)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "its folder did not arrive" in done.stdout


def test_a_node_without_a_python_for_the_runner_says_so(tmp_path: Path) -> None:
    workdir = script(job(tmp_path), "echo ran")
    done = subprocess.run(
        ["/bin/bash", "-c", run_script(NAME)], cwd=workdir, capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout == "cockpit: its node has no Python 3.9 or later\n" and done.returncode == NO_PYTHON


def test_only_the_variant_is_synced_with_files_that_gitignore_names(tmp_path: Path) -> None:
    a_job = job(tmp_path, more={".gitignore": "prepare.py\n"})
    workdir = stage(a_job, NAME)
    files = {str(path.relative_to(workdir)) for path in workdir.rglob("*") if path.is_file()}
    folder = f"variants/{NAME}"
    assert {name for name in files if not name.startswith("runners/")} == {
        ".skyignore", f"{folder}/train.py", f"{folder}/prepare.py", f"{folder}/.gitignore",
    }  # fmt: skip
    assert all(name.startswith(f"runners/{NAME}/cockpit/") for name in files if name.startswith("runners/"))


def test_each_node_of_a_cluster_with_a_shared_home_runs_the_script_once(tmp_path: Path) -> None:
    a_job = job(tmp_path)
    workdir = script(a_job, "echo ran")
    printed = [
        subprocess.run(
            ["bash", "-c", run_script(NAME)], cwd=workdir, capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "SKYPILOT_NODE_RANK": rank, "SKYPILOT_NUM_NODES": "2"},
        ).stdout
        for rank in ("0", "1", "1")
    ]  # fmt: skip
    assert ["\nran\n" in text for text in printed] == [True, True, False]


def test_local_mounts_are_taken_from_the_folder_of_the_task_file() -> None:
    mounts = {"/data": "data", "/home": "~/x", "/bucket": "s3://b", "/abs": "/srv/x", "/store": {"source": "./y"}}
    local = {"/data": "/repo/data", "/store": {"source": "/repo/y"}}
    assert absolute_mounts(mounts, Path("/repo")) == {**mounts, **local}
