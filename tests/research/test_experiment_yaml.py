"""experiment.yaml: the script that SkyPilot runs on a cluster, run in bash on train.py files of every kind."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TASK: dict[str, Any] = yaml.safe_load((ROOT / "experiment.yaml").read_text())

GOOD = "print('---'); print('val_bpb:          0.997900'); print('peak_vram_mb:     45060.2')\n"


def run_experiment(folder: Path, experiment: str = "e0001", **environment: str) -> subprocess.CompletedProcess[str]:
    script = folder / "run.sh"
    script.write_text(TASK["run"])
    known = {name: str(value) for name, value in TASK["envs"].items()}
    return subprocess.run(
        ["bash", str(script)],
        cwd=folder,
        env=os.environ | known | {"COCKPIT_PYTHON": sys.executable, "EXPERIMENT_ID": experiment} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def variant(folder: Path, train: str, prepare: str = "", experiment: str = "e0001") -> Path:
    """Return a variant's folder of its own, as it lies in the workdir."""
    own = folder / "variants" / experiment
    own.mkdir(parents=True)
    (own / "train.py").write_text(train)
    (own / "prepare.py").write_text(prepare)
    return own


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_result_is_reported_with_the_hashes_of_what_ran_before_and_after(tmp_path: Path) -> None:
    variant(tmp_path, GOOD, "# prepare\n")
    done = run_experiment(tmp_path)
    hashes = f"train_sha256={sha256(GOOD)} prepare_sha256={sha256('# prepare' + chr(10))}"
    lines = done.stdout.splitlines()
    assert lines[0] == f"COCKPIT_START {hashes}"
    assert f"COCKPIT_END {hashes} exit=0" in lines
    assert "EXPERIMENT_STATUS: done" in lines
    assert "EXPERIMENT_RESULT: e0001 val_bpb=0.997900 memory_gb=44.0" in lines
    assert done.returncode == 0


def test_a_variant_runs_its_own_code_and_leaves_its_log_beside_it(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('CODE of the workdir')\n" + GOOD)
    (tmp_path / "prepare.py").write_text("")
    own = variant(tmp_path, "print('CODE of the variant')\n" + GOOD)
    done = run_experiment(tmp_path)
    assert "CODE of the variant" in done.stdout
    assert "CODE of the workdir" not in done.stdout
    assert "CODE of the variant" in (own / "run.log").read_text()


def test_the_baseline_runs_in_the_workdir_itself(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(GOOD)
    (tmp_path / "prepare.py").write_text("")
    done = run_experiment(tmp_path, "baseline")
    assert "EXPERIMENT_RESULT: baseline val_bpb=0.997900" in done.stdout


@pytest.mark.parametrize(
    ("what", "train"),
    [
        ("an exception", "raise RuntimeError('boom')"),
        ("an exit code after a score", GOOD + "import sys; sys.exit(3)"),
        ("no output at all", ""),
        ("a NaN", "print('val_bpb:          nan')"),
        ("an infinity", "print('val_bpb:          inf')"),
        ("an empty score", "print('val_bpb:')"),
        ("words for a score", "print('val_bpb: $(touch injected) `touch injected`')"),
        ("two scores", GOOD + GOOD),
        ("a syntax error", "def"),
        ("a death by signal", "import os; os.kill(os.getpid(), 9)"),
    ],
)
def test_a_run_without_one_finite_score_and_a_clean_exit_is_a_crash(tmp_path: Path, what: str, train: str) -> None:
    own = variant(tmp_path, train)
    done = run_experiment(tmp_path)
    assert "EXPERIMENT_STATUS: crash" in done.stdout, what
    assert "EXPERIMENT_RESULT" not in done.stdout
    assert done.returncode != 0
    assert re.search(r"^COCKPIT_END .* exit=\d+$", done.stdout, re.MULTILINE)
    assert not (own / "injected").exists()


def test_code_that_changes_itself_changes_the_hashes(tmp_path: Path) -> None:
    variant(tmp_path, GOOD + "open('train.py', 'a').write('# changed')\n")
    done = run_experiment(tmp_path)
    start, end = re.findall(r"^COCKPIT_(?:START|END) train_sha256=(\w{64})", done.stdout, re.MULTILINE)
    assert start != end


def test_a_run_that_hangs_is_ended_at_its_time_limit(tmp_path: Path) -> None:
    variant(tmp_path, "import time; print('started', flush=True); time.sleep(600)")
    done = run_experiment(tmp_path, COCKPIT_TIME_LIMIT_S="1")
    assert "exit=124" in done.stdout
    assert "EXPERIMENT_STATUS: crash" in done.stdout


def test_a_name_with_spaces_and_quotes_stays_data(tmp_path: Path) -> None:
    name = "e1 \"$(touch injected)\" 'x'"
    variant(tmp_path, GOOD, experiment=name)
    done = run_experiment(tmp_path, name)
    assert f"EXPERIMENT_RESULT: {name} val_bpb=0.997900" in done.stdout
    assert not list(tmp_path.rglob("injected"))


def test_setup_and_run_are_valid_bash_and_need_only_what_every_image_has() -> None:
    for script in (TASK["setup"], TASK["run"]):
        subprocess.run(["bash", "-n", "-c", script], check=True)
    assert not re.search(r"\b(bc|jq|perl|python3)\b", TASK["run"])


def test_setup_installs_the_versions_that_the_project_pins() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for requirement in project["project"]["optional-dependencies"]["local"]:
        assert f"'{requirement}'" in TASK["setup"]


def set_up(folder: Path, *programs: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the set-up offline on a machine that has these programs and bash, and none of this one's Pythons."""
    (folder / "bin").mkdir()
    for program in ("bash", *programs):
        (folder / "bin" / Path(program).name).symlink_to(shutil.which(program) or program)
    (folder / "prepare.py").write_text("print('prepared')\n")
    known = {name: str(value) for name, value in TASK["envs"].items()}
    alone = {"HOME": str(folder / "home"), "PATH": str(folder / "bin"), "UV_OFFLINE": "1", "UV_NO_CACHE": "1"}
    return subprocess.run(
        ["bash", "-c", TASK["setup"]],
        cwd=folder,
        env=known | alone | {"UV_PYTHON_INSTALL_DIR": str(folder / "pythons")} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_setup_with_a_python_of_the_persons_needs_nothing_else(tmp_path: Path) -> None:
    done = set_up(tmp_path, COCKPIT_PYTHON=sys.executable)
    assert (done.returncode, done.stdout) == (0, "prepared\n"), done.stderr


def test_setup_where_no_python_can_be_downloaded_says_what_to_give(tmp_path: Path) -> None:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if uv is None:
        pytest.skip("uv is not installed")
    done = set_up(tmp_path, uv)
    assert done.returncode == 1
    said = "No Python 3.11 to 3.13 is here and none can be downloaded: give one as COCKPIT_PYTHON."
    assert done.stdout.splitlines()[-1] == said


def test_setup_where_uv_cannot_be_installed_says_what_to_give(tmp_path: Path) -> None:
    done = set_up(tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == (
        "uv is not here and cannot be installed: give a Python with the packages of train.py as COCKPIT_PYTHON."
    )


def test_skypilot_accepts_the_task_with_either_class_and_every_variable() -> None:
    pytest.importorskip("sky", reason="SkyPilot is not installed")
    check = (
        "import sky; task = sky.Task.from_yaml('experiment.yaml');"
        "print(sorted(next(iter(r.accelerators)) for r in task.resources), task.envs['EXPERIMENT_ID'])"
    )
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.split("\n")[-2] == "['H100', 'H200'] baseline", done.stderr
