"""The shapes of twelve task files of SkyPilot's examples/ and llm/ folders: each is taken, or refused with a sentence.

The fields are those of each file, the commands are others.
"""

from pathlib import Path

import pytest

pytest.importorskip("sky", reason="SkyPilot is not installed")

from cockpit.fleet.base import FleetError
from cockpit.fleet.sky.parts import LaunchOrder
from cockpit.fleet.sky.task_file import describe
from tests.fleet.fake_cloud import FakeCloud
from tests.fleet.fake_night import client_of

pytestmark = pytest.mark.timeout(120)

TAKEN = {
    "examples/autonomous-code-optimization": (
        (
            "resources: {cpus: 4+, memory: 8+}\nworkdir: .\n"
            'envs: {EXPERIMENT_ID: baseline, EXPERIMENT_DESC: "x", BUILD_CMD: "make -j$(nproc)", BENCH_TIMEOUT: 300}\n'
            "setup: make\n"
        ),
        {},
        ("it names no accelerator: clusters have no GPU",),
    ),
    "examples/aws-neuron/multi-accelerator, with its token": (
        "resources: {accelerators: {A100: 1, Inferentia: 6}, disk_size: 512, ports: 9000}\nenvs: {HF_TOKEN: abc}\n",
        {"A100": 1, "Inferentia": 6},
        ("a cluster has 6 Inferentia: each run gets all of them, unless gpus_per_run is less",),
    ),
    "llm/axolotl/axolotl-spot, with its values": (
        (
            "name: axolotl\n"
            "resources: {accelerators: A100:1, cloud: gcp, use_spot: True, image_id: 'docker:winglian/axolotl:main'}\n"
            "workdir: mistral\nenvs: {HF_TOKEN: abc, BUCKET: my-bucket}\n"
            "file_mounts: {/notebook: {name: '${BUCKET}', mode: MOUNT}}\n"
        ),
        {"A100": 1},
        (
            "it may run on spot machines: a preempted run is retried elsewhere",
            "its file_mounts are copied when a cluster is launched",
        ),
    ),
    "examples/aws_efa/efa_slurm": (
        "name: nccl-efa-slurm\nresources: {accelerators: A100:8}\nnum_nodes: 2\n",
        {"A100": 16},
        ("a cluster has 16 A100 on 2 nodes, and each run gets all of them",),
    ),
    "examples/distributed-pytorch/train": (
        "resources: {cpus: 4+, accelerators: L4}\nnum_nodes: 2\nsetup: git clone x\n",
        {"L4": 2},
        ("a cluster has 2 L4 on 2 nodes, and each run gets all of them",),
    ),
    "examples/cosmos3-finetuning": (
        (
            "resources:\n  accelerators: {H100:8, H200:8}\n  image_id: docker:nvcr.io/nvidia/pytorch:25.09-py3\n"
            '  disk_size: 1000\nnum_nodes: 1\nenvs: {MAX_ITER: "500"}\nsecrets: {HF_TOKEN: ""}\n'
        ),
        {"H100": 8, "H200": 8},
        (
            "a cluster has 8 H100: each run gets all of them, unless gpus_per_run is less",
            "a cluster has 8 H200: each run gets all of them, unless gpus_per_run is less",
        ),
    ),
    "examples/amd/amd_pytorch_mnist": (
        (
            "resources: {cloud: kubernetes, image_id: 'docker:rocm/pytorch-training:v25.6', accelerators: 'MI300X:2',"
            " cpus: 128, memory: 512+}\n"
        ),
        {"MI300X": 2},
        ("a cluster has 2 MI300X: each run gets all of them, unless gpus_per_run is less",),
    ),
    "llm/gemma4, without its service": (
        "resources: {accelerators: {L4:4, A100:1, A100-80GB:1, H100:1}, ports: 8081, disk_tier: best}\n",
        {"L4": 4, "A100": 1, "A100-80GB": 1, "H100": 1},
        ("a cluster has 4 L4: each run gets all of them, unless gpus_per_run is less",),
    ),
    "llm/llama-3_2, without its service": (
        "resources: {accelerators: {L4:1, L40S:1, L40:1, A10G:1, A10:1, A100:1, H100:1}, cpus: 8+, disk_tier: best}\n",
        {"L4": 1, "L40S": 1, "L40": 1, "A10G": 1, "A10": 1, "A100": 1, "H100": 1},
        (),
    ),
    "a task of examples/elastic_training": (
        (
            "resources: {infra: kubernetes, cpus: 1, job_recovery: {strategy: FAILOVER, max_restarts_on_errors: 2}}\n"
            "event_callback: echo done\n"
        ),
        {},
        (
            "it names no accelerator: clusters have no GPU",
            "its `job_recovery` is for managed jobs, and is not used: a lost run is retried on another cluster",
            "its `event_callback` is for managed jobs, and is not used: `on_event` in cockpit.toml runs a command",
        ),
    ),
}
REFUSED = {
    "llm/gpt-2/gpt2-pipeline": (
        "name: gpt2-data\nresources: {cpus: 64+}\n---\nname: train\nrun: x\nresources: {accelerators: A100:1}\n",
        "experiment.yaml: it has 2 tasks: a run is one task, without `---`",
    ),
    "llm/gemma4": (
        (
            "resources: {accelerators: {L4:4, A100:1}, ports: 8081}\n"
            "service: {replicas: 2, readiness_probe: {path: /v1/chat/completions}}\n"
        ),
        "experiment.yaml has a `service` or `pool`, which Cockpit cannot run: remove it",
    ),
    "llm/axolotl/axolotl-spot": ("envs:\n  HF_TOKEN: # TODO\n", "Environment variable 'HF_TOKEN' is None."),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_public_task_is_taken_with_what_becomes_of_it(tmp_path: Path, name: str) -> None:
    text, gpus, words = TAKEN[name]
    (tmp_path / "mistral").mkdir()
    (tmp_path / "experiment.yaml").write_text(f"{text}run: python train.py\n")
    found = describe(tmp_path / "experiment.yaml")
    assert (list(found.gpus.items()), found.words) == (list(gpus.items()), words)


@pytest.mark.parametrize("name", REFUSED)
def test_a_public_task_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    text, said = REFUSED[name]
    (tmp_path / "experiment.yaml").write_text(f"run: python train.py\n{text}")
    with pytest.raises(FleetError) as refused:
        describe(tmp_path / "experiment.yaml")
    assert said in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["examples/cosmos3-finetuning", "llm/gemma4, without its service"])
def test_a_launch_asks_for_the_disk_ports_and_image_of_a_public_task(tmp_path: Path, name: str) -> None:
    cloud = FakeCloud()
    client_of(tmp_path, cloud, f"{TAKEN[name][0]}run: x\n").launch(
        LaunchOrder("gpu-01-s1", tmp_path), lambda request: None
    )
    for one in cloud.launches[0][1]:
        asked = (one.disk_size, one.ports, one.extract_docker_image(), one.disk_tier and one.disk_tier.value)
        assert asked in [
            (1000, None, "nvcr.io/nvidia/pytorch:25.09-py3", None),
            (256, ["8081"], None, "best"),
        ]
