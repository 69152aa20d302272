"""Every shape of a task file is read by the installed SkyPilot, and what becomes of it is said."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")

from cockpit.fleet.base import FleetError, Job
from cockpit.fleet.sky.parts import LaunchOrder
from cockpit.fleet.sky.task import stage
from cockpit.fleet.sky.task_file import TaskReading, describe, read_task
from tests.fleet.fake_cloud import FakeCloud
from tests.fleet.fake_night import client_of

pytestmark = pytest.mark.timeout(120)


def reading(folder: Path, text: str, infra: str = "") -> TaskReading:
    (folder / "experiment.yaml").write_text(text)
    return describe(folder / "experiment.yaml", infra)


def places(task: Any) -> list[tuple[str, bool]]:
    return [(one.infra.to_str() or "", one.use_spot) for one in task.resources]


@pytest.mark.parametrize(
    ("resources", "classes", "gpus"),
    [
        ("", (), {}),
        ("resources:", (), {}),
        ("resources: {}", (), {}),
        ("resources: {accelerators: H100}", ("H100",), {"H100": 1}),
        ("resources: {accelerators: 'RTX4090:2'}", ("RTX4090",), {"RTX4090": 2}),
        ("resources: {accelerators: {H100: 1, H200: 1}}", ("H100", "H200"), {"H100": 1, "H200": 1}),
        ("resources: {accelerators: {H200: 1, H100: 1}}", ("H200", "H100"), {"H100": 1, "H200": 1}),
        ("resources: {accelerators: ['H100:8', 'H200:4']}", ("H100", "H200"), {"H100": 8, "H200": 4}),
        ("resources: {any_of: [{accelerators: A100:1}, {accelerators: H100:1}]}", ("A100", "H100"), None),
        ("resources: {ordered: [{accelerators: H200:1}, {accelerators: H100:1}]}", ("H200", "H100"), None),
        ("resources: {accelerators: {A100-80GB: 1, A100: 1}}  # or H100", ("A100-80GB", "A100"), None),
        (
            "# An A100 is too small.\nresources: {accelerators: [H100, 'A100:2']}",
            ("H100", "A100"),
            {"H100": 1, "A100": 2},
        ),
        ("resources: {accelerators: 'H100: 8'}", ("H100",), {"H100": 8}),
        ("resources: {accelerators: 'A10:0.167'}", ("A10:0.167",), {"A10:0.167": 1}),
        ("resources: {accelerators: tpu-v5litepod-8}", ("tpu-v5litepod-8",), {"tpu-v5litepod-8": 1}),
        ("resources: {accelerators: {H100: 1, L4: 1}, any_of: [{infra: aws}, {infra: gcp}]}", ("H100", "L4"), None),
        ("resources: {cpus: 4+, memory: 16+}", (), {}),
        ("resources: {infra: k8s/my-context, accelerators: H100:1}", ("H100",), {"H100": 1}),
        ("num_nodes: 2\nresources: {accelerators: H100:8}", ("H100",), {"H100": 16}),
    ],
)
def test_resources_are_those_that_skypilot_reads(
    tmp_path: Path, resources: str, classes: tuple[str, ...], gpus: dict[str, int] | None
) -> None:
    found = reading(tmp_path, f"run: x\n{resources}\n")
    assert found.classes == classes
    assert gpus is None or found.gpus == gpus


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("resources: {accelerators: 4090}", "4090 is not valid under any of the given schemas"),
        ("envs: {TOKEN: null}", "Environment variable 'TOKEN' is None"),
        ("resources: {acceleratorz: H100}", "did you mean 'accelerators'"),
        ("envs: {A: 1}\nenvs: {B: 2}", "envs"),
        ("resources:\n\taccelerators: H100", "found character that cannot start any token"),
        ("num_nodes: 0", "num_nodes should be a positive int"),
        ("secrets: [HF_TOKEN]", "use dict form"),
        ("---\nrun: y", "it has 2 tasks: a run is one task, without `---`"),
        ("pool: {workers: 2}", "experiment.yaml has a `service` or `pool`, which Cockpit cannot run"),
    ],
)
def test_a_shape_that_cannot_be_used_is_refused_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(FleetError) as refused:
        reading(tmp_path, f"run: x\n{text}\n")
    assert said in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("resources: {accelerators: H100:1}", ""),
        ("", "it names no accelerator: clusters have no GPU"),
        (
            "resources: {accelerators: H100:8}",
            "a cluster has 8 H100: each run gets all of them, unless gpus_per_run is less",
        ),
        ("num_nodes: 2\nresources: {accelerators: H100:8}", "a cluster has 16 H100 on 2 nodes, and each run gets all"),
        ("resources: {accelerators: H100:1, use_spot: true}", "a preempted run is retried elsewhere"),
        (
            "resources: {any_of: [{infra: k8s, accelerators: H100:1}, {infra: aws, accelerators: H100:8}]}",
            "a node may have 1 or 8 H100: each number is a class of its own",
        ),
        ("resources: {accelerators: 'A10:0.167'}", "a run gets 0.167 A10, which counts as one GPU and is a"),
        ("workdir: {url: 'https://github.com/a/b', ref: main}", "its workdir, the repository https://github.com/a/b,"),
        ("resources: {autostop: 10}", "its `autostop` is replaced"),
        ("secrets: {HF_TOKEN: null}", "the secret HF_TOKEN has no value here"),
        ("volumes: {/mnt/data: corpus}", "runs of all variants share its volumes: /mnt/data"),
        ("file_mounts: {/data: s3://bucket/x}", "its file_mounts are copied when a cluster is launched"),
    ],
)
def test_the_result_of_each_shape_is_reported(tmp_path: Path, text: str, said: str) -> None:
    words = reading(tmp_path, f"run: x\n{text}\n").words
    assert any(said in word for word in words) if said else not words


def test_a_pipelines_name_before_one_task_is_taken_as_sky_launch_takes_it(tmp_path: Path) -> None:
    assert reading(tmp_path, "name: night\n---\nrun: x\nresources: {accelerators: H100:1}\n").classes == ("H100",)


def test_a_variable_that_every_run_gets_needs_no_value(tmp_path: Path) -> None:
    assert (
        read_task("run: x\nenvs: {SEED: null, EXPERIMENT_ID: null}\n", tmp_path / "experiment.yaml").envs["SEED"] == ""
    )


def test_another_place_keeps_only_the_alternatives_that_are_there(tmp_path: Path) -> None:
    text = "run: x\nresources:\n  accelerators: H100:1\n  any_of: [{infra: aws, use_spot: true}, {infra: k8s/ctx}]\n"
    assert places(read_task(text, tmp_path / "experiment.yaml", "k8s/ctx")) == [("kubernetes/ctx", False)]
    moved = places(read_task(text, tmp_path / "experiment.yaml", "slurm/lab"))
    assert [place for place, _ in moved] == ["slurm/lab", "slurm/lab"]


def test_another_place_goes_before_the_one_of_the_file(tmp_path: Path) -> None:
    text = "run: x\nresources: {cloud: aws, region: us-east-1, cpus: 4, accelerators: H100:1}\n"
    (one,) = read_task(text, tmp_path / "experiment.yaml", "slurm/lab").resources
    assert (one.infra.to_str(), one.cpus, dict(one.accelerators)) == ("slurm/lab", "4", {"H100": 1})


ALL = """\
name: mine
num_nodes: 2
resources:
  accelerators: H100:8
  image_id: docker:nvcr.io/nvidia/pytorch:24.07-py3
config:
  kubernetes: {provision_timeout: 900}
envs: {A: 1}
secrets: {TOKEN: abc}
volumes: {/mnt/data: corpus}
file_mounts: {/mine: ./mine}
workdir: {url: 'https://github.com/a/b'}
setup: pip install uv
run: python train.py
"""


def test_a_launch_passes_all_of_the_task_on(tmp_path: Path) -> None:
    cloud = FakeCloud()
    client = client_of(tmp_path, cloud, ALL)
    client.launch(LaunchOrder("gpu-01-s1", tmp_path), lambda request: None)
    (task,) = cloud.launched_tasks
    (one,) = task.resources
    assert (task.num_nodes, dict(one.accelerators)) == (2, {"H100": 8})
    assert one.image_id == {None: "docker:nvcr.io/nvidia/pytorch:24.07-py3"}
    assert one.cluster_config_overrides == {"kubernetes": {"provision_timeout": 900}}
    assert task.envs["A"] == "1" and task.envs["COCKPIT_SESSION"] == "night"
    assert task.secrets["TOKEN"].get_secret_value() == "abc"
    assert task.volumes == {"/mnt/data": "corpus"}
    assert task.file_mounts == {"/mine": str(tmp_path / "mine")}
    assert (task.workdir, task.setup, task.run) == (str(tmp_path), "pip install uv", "true")


def test_a_run_gets_the_nodes_and_the_variables_of_its_task(tmp_path: Path) -> None:
    cloud = FakeCloud()
    client = client_of(tmp_path, cloud, ALL)
    client.launch(LaunchOrder("gpu-01-s1", tmp_path), lambda request: None)
    source = tmp_path / "runs" / "e0001.1"
    source.mkdir(parents=True)
    job = Job("e0001.1", "gpu-01", source, tmp_path / "log", {"SEED": "7"}, (), 60.0)
    client.submit(job, "gpu-01-s1", stage(job, "e0001.1-s1"), {"H100": 8.0})
    (task,) = cloud.tasks
    assert (task.num_nodes, task.name, task.setup) == (2, "e0001.1-s1", None)
    assert [dict(one.accelerators) for one in task.resources] == [{"H100": 8}]
    assert (task.envs["A"], task.envs["SEED"]) == ("1", "7")
    assert task.secrets["TOKEN"].get_secret_value() == "abc"


def test_a_cluster_of_two_nodes_counts_the_gpus_of_both(tmp_path: Path) -> None:
    cloud = FakeCloud()
    client = client_of(tmp_path, cloud, ALL)
    client.launch(LaunchOrder("gpu-01-s1", tmp_path), lambda request: None)
    record = client.clusters(["gpu-01-s1"])["gpu-01-s1"]
    assert (record.gpus, record.session, record.session_id) == (16, "night", "s1")


EXAMPLE = Path(__file__).parent / "data" / "skypilot_example.yaml"
"""experiment.yaml of SkyPilot's examples/autoresearch, in its shape."""


def test_the_shape_of_skypilots_own_example_is_read_without_a_change(tmp_path: Path) -> None:
    found = reading(tmp_path, EXAMPLE.read_text())
    assert (found.classes, found.words) == (("H100",), ())
