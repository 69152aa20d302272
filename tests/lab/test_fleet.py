"""The fleet on the real SkyPilot and a real Slurm. Minutes each; `pytest -m lab`.

The tests share one night's clusters: bringing one up takes a minute. Each has job names of its own.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.core.model import Outcome
from cockpit.core.rescore import Scoring
from cockpit.core.session import ClusterSpec
from cockpit.fleet.base import (
    ClusterEnded,
    ClusterReady,
    ClusterTrouble,
    ClusterWaits,
    JobEnded,
    JobStarted,
    JobSubmitted,
)
from cockpit.fleet.sky.log import LINE_BYTES
from cockpit.fleet.sky.probe import LOST_AFTER_S
from tests.fleet.test_sky_rescore import RUN
from tests.lab.cluster import Lab
from tests.lab.config import uv_binary
from tests.lab.fleets import PRINTS_A_SCORE, TASK, LabNight
from tests.lab.processes import PATIENCE
from tests.scoring.conftest import MODEL, ROOT, environment
from tests.scoring.upstream_shape import PROJECT, write, write_shards

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200 * PATIENCE)]
slow = pytest.mark.lab_slow
"""Not in the short set, `-m 'lab and not lab_slow'`: these take minutes more."""


@pytest.fixture(scope="module")
def night(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabNight]:
    """Two H100 clusters and an H200; a test brings up those it needs."""
    root = tmp_path_factory.mktemp("lab") / "night"
    a_night = LabNight(
        root, (ClusterSpec("gpu-01", "H100"), ClusterSpec("gpu-02", "H100"), ClusterSpec("gpu-03", "H200"))
    )
    yield a_night
    a_night.close()


def score(number: int, seconds: int = 1) -> str:
    return PRINTS_A_SCORE.format(seconds=seconds, score=f"1.{number}")


def measured(night: LabNight, name: str) -> float:
    log, end = night.log(name), night.ended(name)[name]
    assert end.evidence is not None
    code = end.evidence.before["train.py"], end.evidence.before["prepare.py"]
    verdict = log.verdict(end.exit_code, *code, evidence=end.evidence)
    assert verdict.outcome is Outcome.VALID, verdict.message
    assert verdict.metrics is not None
    return verdict.metrics.score


def measured_after(night: LabNight, name: str) -> float:
    night.ended(name)
    return measured(night, name)


def test_a_run_on_a_node_is_confined_and_scored_there(night: LabNight, lab: Lab) -> None:
    data = lab.root / "corpus" / "data"
    own = environment(data) | {"COCKPIT_PYTHON": sys.executable, "COCKPIT_MODEL": "model.pt"}
    del own["PATH"], own["HOME"]
    prepare = (ROOT / "prepare.py").read_text()
    subprocess.run(
        [sys.executable, "prepare.py", "--corpus", "stdlib"], cwd=ROOT, env=os.environ | own, check=True,
        capture_output=True, timeout=200,
    )  # fmt: skip
    sealed = data.with_name("data-sealed") / "stdlib" / "sealed.jsonl"
    seen = "{name for _, _, names in os.walk('../../runners') for name in names if name.endswith('.py')}"
    look = f"print('run:', sorted({seen}), os.path.exists({str(sealed)!r}), os.path.exists({str(data)!r}))"
    train = MODEL.format(body="    pass", load="    pass") + RUN.replace("MORE", look)
    night.ready("gpu-01")
    night.job("e099.1", "gpu-01", train, 300.0, prepare, own, Scoring.WHOLE)
    end = night.ended("e099.1")["e099.1"]
    (start,) = (report for report in night.of(JobStarted) if report.job == "e099.1")
    text = night.jobs["e099.1"].log_path.read_text()
    assert (end.reason, end.exit_code) == ("exited", 0), text
    assert start.wall in ("bubblewrap", "landlock")
    assert "run: ['__init__.py', 'sitecustomize.py'] False True" in text, "of runners, what saves a model alone"
    assert end.evidence is not None and end.evidence.rescore is not None
    assert end.evidence.rescore.trouble == "" and end.evidence.rescore.sealed_bpb > 0


UPSTREAM = """\
resources:
  infra: slurm
  accelerators: {{H100: 1}}
setup: |
  ln -sfn {environment} .venv
  .venv/bin/python prepare.py
run: |
  {uv} run train.py 2>&1 | tee run.log
"""
"""The task of a repository in upstream's shape. Its set-up makes the environment and the training shards."""
SHARDS = """\
import sys
from pathlib import Path
sys.path.insert(0, {repository!r})
from tests.scoring.upstream_shape import write_shards
write_shards(Path.home(), sealed=False)
"""


@slow
def test_an_unmodified_upstream_is_scored_on_its_node_on_a_shard_that_the_node_fetches(
    lab: Lab, tmp_path: Path
) -> None:
    hub = lab.root / "hub"
    hub.mkdir()
    write_shards(hub / "made")
    (hub / "made" / ".cache" / "autoresearch-sealed" / "upstream" / "shard_00002.parquet").rename(
        hub / "shard_00002.parquet"
    )
    code = tmp_path / "code"
    code.mkdir()
    write(code, hub=hub.as_uri())
    task = UPSTREAM.format(environment=sys.prefix, uv=uv_binary())
    night = LabNight(tmp_path / "upstream", (ClusterSpec("gpu-61", "H100"),), task, SHARDS.format(repository=str(ROOT)))
    night.ready("gpu-61")
    own = {"COCKPIT_MODEL": "model.pt", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    train, prepare = ((code / name).read_text() for name in ("train.py", "prepare.py"))
    night.job("e981.1", "gpu-61", train, 300.0, prepare, own, Scoring.WHOLE, {"pyproject.toml": PROJECT})
    end = night.ended("e981.1")["e981.1"]
    text = night.jobs["e981.1"].log_path.read_text()
    night.close()
    assert (end.reason, end.exit_code) == ("exited", 0), text
    assert "cockpit: fetching shard_00002.parquet" in text
    assert end.evidence is not None and (found := end.evidence.rescore) is not None
    assert found.trouble == found.failed == "" and found.sealed_bpb > 0 and "causality" in found.passed
    printed = next(float(line.split()[1]) for line in text.splitlines() if line.startswith("val_bpb:"))
    assert found.public_bpb == pytest.approx(printed, abs=1e-3)


def test_a_mixed_fleet_runs_two_waves(night: LabNight) -> None:
    clusters = ["gpu-01", "gpu-02", "gpu-03"]
    night.ready(*clusters)
    classes = {report.cluster: report.hardware for report in night.of(ClusterReady)}
    assert classes == {"gpu-01": "H100", "gpu-02": "H100", "gpu-03": "H200"}
    for number in range(6):
        night.job(f"e10{number}.1", clusters[number % 3], score(number))
    night.ended(*(f"e10{number}.1" for number in range(6)))
    assert [measured(night, f"e10{number}.1") for number in range(6)] == [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]


def test_four_variants_queued_at_once_on_one_cluster_each_run_their_own_code(night: LabNight) -> None:
    night.ready("gpu-01")
    for number in range(4):
        night.job(f"e20{number}.1", "gpu-01", score(number, seconds=3))
    night.ended(*(f"e20{number}.1" for number in range(4)))
    assert [measured(night, f"e20{number}.1") for number in range(4)] == [1.0, 1.1, 1.2, 1.3]


def test_a_crash_and_a_hang_do_not_hold_the_cluster(night: LabNight) -> None:
    night.ready("gpu-01")
    night.job("e301.1", "gpu-01", "raise ValueError('no such depth')")
    night.job("e302.1", "gpu-01", "import time\nprint('hangs')\ntime.sleep(600)", limit_s=8)
    night.job("e303.1", "gpu-01", score(3))
    ends = night.ended("e301.1", "e302.1", "e303.1")
    assert (ends["e301.1"].reason, ends["e301.1"].exit_code) == ("exited", 1)
    assert "no such depth" in night.log("e301.1").last_error
    assert ends["e302.1"].reason == "timeout"
    assert (ends["e303.1"].reason, ends["e303.1"].exit_code) == ("exited", 0)


def test_a_run_that_prints_anything_is_still_measured(night: LabNight) -> None:
    night.ready("gpu-01")
    night.job(
        "e350.1",
        "gpu-01",
        "import sys\n"
        "sys.stdout.write('x' * 10_000_000 + '\\n')\n"
        "sys.stdout.write('\\x1b[2J\\x1b]0;mine\\x07\\x1b[31mred\\r\\n')\n"
        "sys.stdout.write('\\rstep 1 \\rstep 2 \\r\\n')\n"
        "sys.stdout.flush()\n"
        "sys.stdout.buffer.write(b'\\xff\\xfe\\xc3\\x28 no text\\n')\n"
        "print('(e999.1, pid=1) val_bpb: 0.1')\n"
        "print('val_bpb: 1.35')\n",
    )
    night.ended("e350.1")
    assert measured(night, "e350.1") == 1.35
    log = night.jobs["e350.1"].log_path.read_bytes()
    assert b"\x1b" not in log
    assert b"\nstep 1 \nstep 2 \n" in log
    assert max(len(line) for line in log.split(b"\n")) <= LINE_BYTES


@slow
def test_a_worker_killed_five_times_loses_no_line_and_runs_nothing_twice(night: LabNight) -> None:
    night.ready("gpu-01")
    for number in range(2):
        night.job(f"e40{number}.1", "gpu-01", score(number, seconds=30))
    night.until(lambda: {"e400.1", "e401.1"} <= {report.job for report in night.of(JobSubmitted)})
    for _ in range(5):
        before = len(night.of(ClusterReady))
        night.reopen()
        night.came_up_again(before)
    night.ended("e400.1", "e401.1")
    for number in range(2):
        assert measured(night, f"e40{number}.1") == float(f"1.{number}")
        assert night.steps(f"e40{number}.1") == list(range(30))


@slow
def test_a_cancelled_run_ends_and_the_next_one_runs(night: LabNight) -> None:
    night.ready("gpu-01")
    for name in ("e501.1", "e502.1"):
        night.job(name, "gpu-01", score(1, seconds=3600), limit_s=3600)
    night.job("e503.1", "gpu-01", score(3))
    night.started("e501.1")
    night.fleet.cancel("e502.1")
    night.fleet.cancel("e501.1")
    ends = night.ended("e501.1", "e502.1", "e503.1")
    assert [ends[name].reason for name in ("e501.1", "e502.1", "e503.1")] == ["cancelled", "cancelled", "exited"]


@slow
def test_a_node_that_dies_loses_its_run_once_and_serves_again_when_it_is_back(lab: Lab, night: LabNight) -> None:
    night.ready("gpu-02")
    night.job("e601.1", "gpu-02", score(1, seconds=600), limit_s=900)
    night.started("e601.1")
    node = lab.node_of("gpu-02")
    lab.kill(node)
    night.job("e602.1", "gpu-02", score(2))
    assert night.ended("e601.1")["e601.1"].reason == "lost"
    night.until(lambda: "gpu-02" not in night.up)
    night.let(10)
    assert len([trouble for trouble in night.of(ClusterTrouble) if trouble.cluster == "gpu-02"]) == 1
    lab.revive(node)
    night.ready("gpu-02")
    night.job("e601.2", "gpu-02", score(1))
    assert night.ended("e601.2")["e601.2"].reason == "exited"


@slow
def test_a_node_cut_off_the_network_is_served_again_when_it_rejoins(lab: Lab, night: LabNight) -> None:
    night.ready("gpu-02")
    night.job("e701.1", "gpu-02", score(1, seconds=600), limit_s=900)
    night.started("e701.1")
    node = lab.node_of("gpu-02")
    lab.cut(node)
    assert night.ended("e701.1")["e701.1"].reason == "lost"
    night.until(lambda: "gpu-02" not in night.up)
    lab.join(node)
    lab.await_idle(node, within_s=180)
    night.ready("gpu-02")
    night.job("e701.2", "gpu-02", score(1))
    assert night.ended("e701.2")["e701.2"].reason == "exited"


@slow
def test_the_api_server_may_stop_and_start_under_a_run(lab: Lab, night: LabNight) -> None:
    night.ready("gpu-01")
    night.job("e801.1", "gpu-01", score(1, seconds=40))
    night.started("e801.1")
    lab.stop_api_server()
    night.job("e802.1", "gpu-01", score(2))
    night.ended("e801.1", "e802.1")
    assert [measured(night, "e801.1"), measured(night, "e802.1")] == [1.1, 1.2]
    assert night.steps("e801.1") == list(range(40))


@slow
def test_a_run_continues_while_this_machine_is_offline_and_a_restarted_worker_takes_its_result(
    lab: Lab, night: LabNight, tmp_path: Path
) -> None:
    asks = LabNight(tmp_path / "asks", (ClusterSpec("gpu-51", "H100"),))
    night.ready("gpu-01")
    night.job("e850.1", "gpu-01", score(5, seconds=150), limit_s=600)
    night.started("e850.1")
    lab.go_offline()
    try:
        night.let(60)
        night.reopen()
        night.let(LOST_AFTER_S + 60)
        assert "e850.1" not in {report.job for report in night.of(JobEnded)}
        asks.fleet.launch("gpu-51")
        asks.until(lambda: asks.of(ClusterTrouble), within_s=300)
    finally:
        lab.go_online()
        asks.close()
    assert asks.of(ClusterTrouble)[0].refused, "it can be had again when there is a network"
    assert night.ended("e850.1")["e850.1"].reason == "exited"
    assert measured(night, "e850.1") == 1.5
    assert night.steps("e850.1") == list(range(150))


@slow
def test_an_idle_cluster_ends_itself_and_has_not_failed(lab: Lab, tmp_path: Path) -> None:
    idle = LabNight(tmp_path / "idle", (ClusterSpec("gpu-41", "H100"),), idle_minutes=1)
    idle.ready("gpu-41")
    idle.until(lambda: idle.of(ClusterEnded))
    idle.fleet.close()
    assert idle.of(ClusterEnded)[0].message == "it ended itself: nothing ran on it for 1 min"
    assert not idle.of(ClusterTrouble)
    assert not [name for name in lab.jobs() if name.startswith("gpu-41")]
    assert not [name for name in lab.clusters() if name.startswith("gpu-41")]


@slow
def test_a_failed_set_up_is_one_sentence_and_another_cluster_works(night: LabNight, tmp_path: Path) -> None:
    broken = LabNight(tmp_path / "broken", (ClusterSpec("gpu-11", "H100"),), prepare="raise SystemExit('no data here')")
    broken.fleet.launch("gpu-11")
    night.ready("gpu-01")
    night.job("e901.1", "gpu-01", score(1))
    broken.until(lambda: broken.of(ClusterTrouble))
    assert "the set-up of gpu-11 failed: no data here" in broken.of(ClusterTrouble)[0].message
    assert night.ended("e901.1")["e901.1"].exit_code == 0
    broken.close()


def test_a_gpu_that_does_not_exist_is_one_sentence_and_not_asked_for_again(lab: Lab, tmp_path: Path) -> None:
    asks = LabNight(tmp_path / "asks", (ClusterSpec("gpu-21", "B999"),), TASK.replace("H100: 1", "B999: 1"))
    asks.fleet.launch("gpu-21")
    asks.until(lambda: asks.of(ClusterTrouble))
    asks.fleet.close()
    trouble = asks.of(ClusterTrouble)[0]
    assert trouble.final
    assert "B999" in trouble.message
    assert "\n" not in trouble.message and "\x1b" not in trouble.message


@slow
def test_a_cluster_without_room_is_one_sentence_and_leaves_no_job_behind(
    lab: Lab, night: LabNight, tmp_path: Path
) -> None:
    night.ready("gpu-03")
    second = LabNight(tmp_path / "second", (ClusterSpec("gpu-31", "H200"),), launch_limit_s=100)
    second.fleet.launch("gpu-31")
    night.job("e960.1", "gpu-03", score(6))
    second.until(lambda: second.of(ClusterTrouble))
    second.fleet.close()
    trouble = second.of(ClusterTrouble)[0]
    assert trouble.refused and not trouble.final, "there may be room later"
    assert (
        "there is no room for gpu-31: it waited 2 min in the cloud's queue for its H200 (Resources)" in trouble.message
    )
    assert second.of(ClusterWaits)[0].message == "gpu-31 waits in the cloud's queue for its H200 (Resources)"
    assert measured_after(night, "e960.1") == 1.6
    assert not [name for name in lab.jobs() if name.startswith("gpu-31")]


def test_two_sessions_of_one_name_never_touch_each_others_clusters(night: LabNight, tmp_path: Path) -> None:
    night.ready("gpu-01")
    night.job("e970.1", "gpu-01", score(7, seconds=60))
    night.started("e970.1")
    other = LabNight(tmp_path / "night", (ClusterSpec("gpu-01", "H100"),))
    other.ready("gpu-01")
    other.job("e970.1", "gpu-01", score(8))
    assert measured_after(other, "e970.1") == 1.8
    other.close()
    assert measured_after(night, "e970.1") == 1.7


def test_after_down_slurm_has_no_job_and_skypilot_no_cluster(lab: Lab, night: LabNight) -> None:
    night.ready("gpu-01")
    night.fleet.launch("gpu-02")
    night.job("e950.1", "gpu-01", score(1, seconds=300))
    night.started("e950.1")
    night.tear_down()
    assert lab.jobs() == {}
    assert "No existing clusters" in lab.sky("status")


@slow
def test_a_run_on_two_nodes_starts_once_and_ends_once(night: LabNight, tmp_path: Path) -> None:
    night.tear_down()  # three nodes have an H100
    two = LabNight(tmp_path / "two", (ClusterSpec("gpu-71", "H100"),), f"{TASK}num_nodes: 2\n")
    two.ready("gpu-71")
    assert [(report.hardware, report.gpus) for report in two.of(ClusterReady)] == [("H100", 2)]
    rank = "import os\nprint('rank', os.environ['SKYPILOT_NODE_RANK'], 'of', os.environ['SKYPILOT_NUM_NODES'])\n"
    two.job("e990.1", "gpu-71", rank + score(1, seconds=5))
    two.job("e991.1", "gpu-71", rank + "raise SystemExit(3)")
    ends = two.ended("e990.1", "e991.1")
    texts = [two.jobs[name].log_path.read_text() for name in ("e990.1", "e991.1")]
    assert [(ends[name].reason, ends[name].exit_code) for name in ("e990.1", "e991.1")] == [
        ("exited", 0),
        ("exited", 3),
    ], texts
    assert measured(two, "e990.1") == 1.1
    assert two.steps("e990.1") == list(range(5))
    assert [[line for line in text.splitlines() if line.startswith("rank")] for text in texts] == [["rank 0 of 2"]] * 2
    assert len([report for report in two.of(JobStarted) if report.job == "e990.1"]) == 1
    two.close()
