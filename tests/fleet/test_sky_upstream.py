"""An unmodified karpathy/autoresearch on a node, in a small shape: its model is scored there, outside its run, whatever
starts it; the node is this machine."""

import shutil
import sys
from pathlib import Path

import pytest

from cockpit.core.rescore import Rescore, Scoring
from cockpit.core.session import RunAccess
from cockpit.fleet.base import Job
from cockpit.fleet.node.confinement import Wall, available
from cockpit.fleet.node.start import environment_of_set_up, python_of
from tests.fleet.test_sky_run import CONFINED, report, run
from tests.scoring.upstream_shape import PROJECT, write, write_shards

pytestmark = pytest.mark.timeout(400)
HERE = Path(sys.prefix)
PYTHON = '"$UV_PROJECT_ENVIRONMENT/bin/python" -u train.py'
"""Starts the script with the environment that `uv run` would take."""


def scored(
    tmp_path: Path, command: str, more: str = "", hub: bool = True, made: Path = HERE, access: RunAccess = CONFINED
) -> tuple[Rescore, str]:
    """Run the small upstream on a node. Returns its score from outside and its log."""
    source, home, shards = tmp_path / "runs" / "e0001.1", tmp_path / "home", tmp_path / "hub"
    source.mkdir(parents=True)
    shards.mkdir()
    write(source, hub=shards.as_uri())
    (source / "train.py").write_text((source / "train.py").read_text() + more)
    (source / "pyproject.toml").write_text(PROJECT)
    write_shards(home)
    sealed = home / ".cache" / "autoresearch-sealed"
    if hub:
        shutil.copy(sealed / "upstream" / "shard_00002.parquet", shards)
    shutil.rmtree(sealed)
    own = {"EXPERIMENT_ID": "e0001.1", "COCKPIT_MODEL": "model.pt"}
    job = Job("e0001.1", "gpu-01", source, tmp_path / "log", own, (), 180.0, rescore=Scoring.WHOLE)
    there = own | {"HOME": str(home), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    lines, code = run(job, command, access, there, within_s=300, made=made)
    log = job.log_path.read_text()
    evidence = report(job, lines).evidence
    assert code == 0 and evidence is not None and evidence.rescore is not None, log
    return evidence.rescore, log


def printed(log: str) -> float:
    return next(float(line.split()[1]) for line in log.splitlines() if line.startswith("val_bpb:"))


def with_uv() -> list[str]:
    return ["uv run train.py 2>&1 | tee run.log"] if shutil.which("uv") and (HERE / "pyvenv.cfg").exists() else []


@pytest.mark.skipif(available().wall is Wall.NONE, reason="this machine cannot confine a run")
@pytest.mark.parametrize("command", [f"sh -c 'exec {PYTHON}'", *with_uv()])
def test_a_model_of_upstream_is_scored_on_the_public_text_and_on_a_shard_that_the_node_fetches(
    tmp_path: Path, command: str
) -> None:
    look = "print('sees:', os.path.exists(os.path.expanduser('~/.cache/autoresearch-sealed')))\n"
    found, log = scored(tmp_path, command, look)
    assert found.trouble == found.failed == "", log
    assert found.public_bpb == pytest.approx(printed(log), abs=1e-3), "under the same autocast, by the same text"
    assert found.whole and found.sealed_bpb > 0 and "causality" in found.passed
    assert "cockpit: fetching shard_00002.parquet, which no run sees" in log and "sees: False" in log


@pytest.mark.skipif(available().wall is Wall.NONE, reason="this machine cannot confine a run")
def test_a_hub_that_gives_no_shard_is_one_sentence_and_costs_the_run_nothing(tmp_path: Path) -> None:
    found, log = scored(tmp_path, PYTHON, hub=False)
    assert printed(log) > 0
    assert "cockpit: the sealed shard shard_00002.parquet could not be fetched: " in log
    assert found.trouble.startswith("the sealed shard in ") and "is missing" in found.trouble


@pytest.mark.skipif(available().wall is Wall.NONE, reason="this machine cannot confine a run")
def test_a_command_that_keeps_python_from_the_variables_leaves_no_model_and_says_so(tmp_path: Path) -> None:
    start = "exec(compile(open('train.py').read(), 'train.py', 'exec'))"
    command = f'"$UV_PROJECT_ENVIRONMENT/bin/python" -I -c "import sys; sys.path.insert(0, \'.\'); {start}"'
    found, log = scored(tmp_path, command)
    assert printed(log) > 0
    assert found.trouble.startswith("the run left no model")


def test_an_environment_has_its_own_start_up_module_behind_that_of_the_run(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("import builtins\nbuiltins.started_with = 'theirs'\n")
    command = f'PYTHONPATH="$PYTHONPATH:{theirs}" {sys.executable} -u train.py'
    found, log = scored(
        tmp_path, command, "print('with:', started_with)\n", access=RunAccess(confine=True, readable=(str(theirs),))
    )
    assert "with: theirs" in log and found.trouble == ""


def test_the_scorer_takes_the_python_that_the_task_names_or_that_of_its_set_up(tmp_path: Path) -> None:
    for name in ("named", "workdir/.venv", "workdir/other"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin" / "python").symlink_to(sys.executable)
    workdir, named = tmp_path / "workdir", str(tmp_path / "named" / "bin" / "python")
    made = environment_of_set_up(workdir, {})
    assert made == workdir / ".venv" and environment_of_set_up(tmp_path / "named", {}) is None
    assert environment_of_set_up(workdir, {"UV_PROJECT_ENVIRONMENT": "other"}) == workdir / "other"
    assert python_of({}, made) == str(made / "bin" / "python")
    assert python_of({"COCKPIT_PYTHON": named}, made) == named
