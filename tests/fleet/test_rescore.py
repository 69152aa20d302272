"""A run of this machine whose score is computed outside it, by its runner, after its end."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.core.rescore import Scoring
from cockpit.core.session import ClusterSpec, RunAccess
from cockpit.fleet.base import Expected, Job, JobEnded
from cockpit.fleet.local.fleet import LocalFleet
from cockpit.fleet.node import runner
from cockpit.fleet.node.confinement import Wall, available
from cockpit.fleet.node.disk import RetryForRoom
from cockpit.fleet.node.job import ScorerJob
from cockpit.fleet.node.system_calls import Confinement
from tests.fleet.test_local import until
from tests.scoring.conftest import MODEL, ROOT, environment

pytestmark = pytest.mark.timeout(200)
ONE = (ClusterSpec("cpu-01", "CPU"),)
RUN = """
if __name__ == "__main__":
    import os, pathlib
    pathlib.Path(os.environ["COCKPIT_MODEL"]).write_bytes(b"weights")
    MORE
    print("val_bpb: 1.0")
"""
EDITS_ITSELF = "pathlib.Path('prepare.py').write_text('EVAL_TOKENS = 256')"


@pytest.fixture
def job(tmp_path: Path, data: Path) -> Iterator[Job]:
    source = tmp_path / "runs" / "e0001.1"
    source.mkdir(parents=True)
    shutil.copy(ROOT / "prepare.py", source)
    (source / "train.py").write_text(MODEL.format(body="    pass", load="    pass") + RUN.replace("MORE", ""))
    own = environment(data) | {"COCKPIT_MODEL": "model.pt"}
    log = tmp_path / "e0001.1.log"
    yield Job("e0001.1", "cpu-01", source, log, own, (sys.executable, "-u", "train.py"), 60.0, rescore=Scoring.WHOLE)


def ended(job: Job) -> JobEnded:
    fleet = LocalFleet(ONE, threading.Event(), RunAccess(confine=True))
    fleet.submit(job)
    found = until(fleet, JobEnded, 120)
    assert isinstance(found, JobEnded)
    return found


def test_the_runner_reports_the_score_of_the_model_that_the_run_left(job: Job) -> None:
    found = ended(job)
    assert (found.reason, found.exit_code) == ("exited", 0)
    assert found.evidence is not None and found.evidence.rescore is not None
    assert found.evidence.rescore.trouble == ""
    assert found.evidence.rescore.public_bpb > 0 and found.evidence.rescore.sealed_bpb > 0
    assert found.evidence.wall_s > 0


def test_code_that_the_run_edits_scores_nothing(job: Job) -> None:
    train = job.source / "train.py"
    train.write_text(train.read_text().replace('print("val', f'{EDITS_ITSELF}\n    print("val'))
    found = ended(job)
    assert found.evidence is not None and found.evidence.rescore is not None
    assert found.evidence.changed == ["prepare.py"]
    assert found.evidence.rescore.whole, "the scorer uses the prepare.py that was there before the run"


def scorer_job(program: str, time_limit_s: float) -> ScorerJob:
    """Return the job of a scorer that is a Python program."""
    return {
        "command": [sys.executable, "-I", "-c", program], "environment": {}, "time_limit_s": time_limit_s,
        "confinement": Confinement(Wall.NONE, locks=False), "model": "model.pt", "work": {},
        "limits": {"memory_mb": 100, "disk_mb": 0, "processes": 2_000, "cores": 0},
    }  # fmt: skip


def test_a_model_that_is_larger_than_the_disk_is_not_copied(tmp_path: Path) -> None:
    """Leave a file with holes: it takes no room until it is copied."""
    model = tmp_path / "model.pt"
    model.touch()
    os.truncate(model, shutil.disk_usage(tmp_path).free)
    found = runner.score(scorer_job("", 60.0), str(tmp_path), str(tmp_path), RetryForRoom([], 0.0))
    assert "MB is too large to copy" in str(found["trouble"])


SCORERS = {
    "held = bytearray(300 << 20); held[::4096] = b'x' * len(held[::4096]); import time; time.sleep(60)": (
        r"it used [\d,]+ MB of memory, past its limit of 100 MB"
    ),
    "import time; time.sleep(60)": r"it was not done within 3 s",
    "import os; print('the last line', flush=True); os._exit(7)": r"it ended with 7: the last line",
    "import sys; open(sys.argv[2], 'w').write('{')": r"Expecting property name .*",
    "import sys; open(sys.argv[2], 'w').write('[1]')": r"'list' object has no attribute 'items'",
    "import sys; open(sys.argv[2], 'w').write('{\"a\": \"' + 'x' * (1 << 20) + '\"}')": r"Unterminated string .*",
}
"""Programs in the scorer's place, each with the end of its one sentence."""


@pytest.mark.parametrize("program", SCORERS, ids=["memory", "time", "crash", "no JSON", "no object", "too long"])
def test_a_scorer_that_fails_gives_one_sentence(tmp_path: Path, program: str) -> None:
    work = scorer_job(program, 3.0 if program.startswith("import time") else 60.0)
    (tmp_path / "scorer.json").write_text(json.dumps(work))
    code = (
        "import json, sys\nfrom cockpit.fleet.node import runner\nfrom cockpit.fleet.node.disk import RetryForRoom\n"
        "scorer = json.load(open(sys.argv[1] + '/scorer.json'))\n"
        "print(json.dumps(runner.score(scorer, sys.argv[1], sys.argv[1], RetryForRoom([], 0.0))))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    trouble = json.loads(ran.stdout)["trouble"]
    assert re.fullmatch(f"the scorer gave no score: {SCORERS[program]}", trouble), trouble


def test_a_run_that_fails_is_not_scored(job: Job) -> None:
    (job.source / "train.py").write_text("raise SystemExit(3)")
    found = ended(job)
    assert found.exit_code == 3
    assert found.evidence is not None and found.evidence.rescore is None


def test_a_restarted_worker_finds_the_score_of_a_run_once(job: Job) -> None:
    first = LocalFleet(ONE, threading.Event(), RunAccess(confine=True))
    first.submit(job)
    first.close()  # as a kill would: its runner continues
    second = LocalFleet(ONE, threading.Event(), RunAccess(confine=True))
    second.recover(Expected(("cpu-01",), (job,)))
    found = until(second, JobEnded, 120)
    assert isinstance(found, JobEnded)
    assert not [one for one in second.poll() if isinstance(one, JobEnded)]
    assert found.evidence is not None and found.evidence.rescore is not None
    note = json.loads((job.source.parent / "e0001.1.run" / "ended.json").read_text())
    assert note["evidence"]["rescore"]["public_bpb"] == found.evidence.rescore.public_bpb


def test_the_server_of_the_model_sees_neither_text_nor_sealed_shard(job: Job, data: Path) -> None:
    sealed = data.with_name(f"{data.name}-sealed") / "stdlib" / "sealed.jsonl"
    look = f"    import os; raise RuntimeError([os.path.exists(p) for p in ({str(data)!r}, {str(sealed)!r})])"
    (job.source / "train.py").write_text(MODEL.format(body="    pass", load=look) + RUN.replace("MORE", ""))
    found = ended(job)
    assert found.evidence is not None and found.evidence.rescore is not None
    assert "[False, False]" in found.evidence.rescore.trouble


@pytest.mark.skipif(available().wall is not Wall.BUBBLEWRAP, reason="Landlock has no exceptions in a folder")
def test_the_servers_of_a_model_write_to_no_disk_whose_free_room_both_can_read(job: Job) -> None:
    look = "    import os; raise RuntimeError([os.access(p, os.W_OK) for p in ('.', 'train.py', '/tmp')])"
    (job.source / "train.py").write_text(MODEL.format(body="    pass", load=look) + RUN.replace("MORE", ""))
    found = ended(job)
    assert found.evidence is not None and found.evidence.rescore is not None
    assert "[False, False, True]" in found.evidence.rescore.trouble
