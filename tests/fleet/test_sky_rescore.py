"""A run on a node of a cluster is scored there, outside the run; the node is this machine."""

import shutil
import sys
from pathlib import Path

import pytest

from cockpit.core.rescore import Rescore, Scoring
from cockpit.fleet.base import Job
from cockpit.fleet.sky.task import stage_folder
from tests.fleet.test_sky_run import report, run
from tests.scoring.conftest import MODEL, ROOT, data, environment

__all__ = ["data"]
pytestmark = pytest.mark.timeout(400)
RUN = """
if __name__ == "__main__":
    import os, pathlib
    pathlib.Path(os.environ["COCKPIT_MODEL"]).write_bytes(b"weights")
    MORE
    print("val_bpb: 1.0")
"""


def scored(tmp_path: Path, data: Path, more: str = "", load: str = "    pass") -> tuple[Rescore, str]:
    """Run a train.py on a node, and return its score from outside and its log."""
    source = tmp_path / "runs" / "e0001.1"
    source.mkdir(parents=True)
    shutil.copy(ROOT / "prepare.py", source)
    (source / "train.py").write_text(MODEL.format(body="    pass", load=load) + RUN.replace("MORE", more))
    job = Job("e0001.1", "gpu-01", source, tmp_path / "log", {}, (), 100.0, rescore=Scoring.WHOLE)
    own = environment(data) | {"COCKPIT_MODEL": "model.pt", "COCKPIT_PYTHON": sys.executable}
    lines, code = run(job, '"$COCKPIT_PYTHON" -u train.py', environment=own, within_s=300)
    evidence = report(job, lines).evidence
    assert code == 0 and evidence is not None and evidence.rescore is not None, job.log_path.read_text()
    assert not list(stage_folder(job).rglob("probing")), "the copies of the model are removed"
    return evidence.rescore, job.log_path.read_text()


def test_a_run_on_a_node_is_scored_there_on_the_public_text_and_the_sealed_shard(tmp_path: Path, data: Path) -> None:
    found, _ = scored(tmp_path, data)
    assert found.trouble == "" and found.failed == ""
    assert found.whole and found.public_bpb > 0 and found.sealed_bpb > 0 and len(found.passed) == 5


def test_neither_the_run_nor_the_server_of_its_model_sees_the_sealed_shard_on_a_node(
    tmp_path: Path, data: Path
) -> None:
    sealed = data.with_name(f"{data.name}-sealed") / "stdlib" / "sealed.jsonl"
    look = f"[os.path.exists(path) for path in ({str(data / 'stdlib')!r}, {str(sealed)!r})]"
    found, log = scored(
        tmp_path, data, f"print('run:', {look})", f"    import os; raise RuntimeError(('server', {look}))"
    )
    assert "run: [True, False]" in log
    assert "('server', [False, False])" in found.trouble
