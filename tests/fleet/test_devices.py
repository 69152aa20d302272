"""The devices of this machine: every class is the full name of its accelerator, and a run may have several."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cockpit.fleet.local.devices import devices_of_command, devices_of_script, gpu_class, slots

Says = Callable[[str, str], None]
EIGHT = "\n".join(f"{i}, GPU-000{i}, NVIDIA H100 80GB HBM3" for i in range(8))


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Says:
    """Stands in for a command of a maker: (name, its output)."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for variable in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def install(name: str, output: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\n")
        (folder / name).chmod(0o755)

    return install


@pytest.mark.parametrize(
    ("name", "hardware"),
    [
        ("NVIDIA H100 80GB HBM3", "H100-80GB-HBM3"),
        ("NVIDIA H100 PCIe", "H100-PCIe"),
        ("NVIDIA GeForce RTX 4090", "RTX-4090"),
        ("NVIDIA GeForce RTX 3060", "RTX-3060"),
        ("NVIDIA RTX 4000 Ada Generation", "RTX-4000-Ada-Generation"),
        ("AMD Instinct MI300X", "MI300X"),
        ("", "GPU"),
    ],
)
def test_a_class_is_the_full_name_of_the_accelerator(name: str, hardware: str) -> None:
    assert gpu_class(name) == hardware


def test_a_mig_slice_is_a_device_of_its_own_class(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    says("nvidia-smi", "0, GPU-eeee5555, NVIDIA H100 80GB HBM3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-377e0049-554c-540b-93c6-d0976f8426cb")
    [slot] = slots()
    assert slot.device == "MIG-377e0049-554c-540b-93c6-d0976f8426cb"
    assert slot.hardware == "H100-80GB-HBM3-MIG"


def test_one_run_may_have_all_devices(says: Says) -> None:
    says("nvidia-smi", EIGHT)
    [slot] = slots(gpus_per_run=8)
    assert slot.gpus == 8
    assert slot.hardware == "8xH100-80GB-HBM3"
    assert slot.device.split(",") == [f"GPU-000{i}" for i in range(8)]


def test_slots_of_two_devices_share_none(says: Says) -> None:
    says("nvidia-smi", EIGHT)
    given = [device for slot in slots(gpus_per_run=2) for device in slot.device.split(",")]
    assert sorted(given) == [f"GPU-000{i}" for i in range(8)]


def test_a_run_that_needs_more_devices_than_there_are_is_refused(says: Says) -> None:
    says("nvidia-smi", EIGHT)
    with pytest.raises(ValueError, match="a run needs 9 devices, and this machine has 8"):
        slots(gpus_per_run=9)


def test_an_amd_device_is_limited_by_its_own_variable(says: Says) -> None:
    says(
        "rocm-smi", '{"card0": {"Card Series": "AMD Instinct MI300X"}, "card1": {"Card Series": "AMD Instinct MI300X"}}'
    )
    says("nvidia-smi", "")
    assert [(slot.hardware, slot.device, slot.device_variable) for slot in slots()] == [
        ("MI300X", "0", "HIP_VISIBLE_DEVICES"),
        ("MI300X", "1", "HIP_VISIBLE_DEVICES"),
    ]


@pytest.mark.parametrize(
    ("command", "count"),
    [
        ("", 1),
        ("python train.py", 1),
        ("torchrun --nproc_per_node=8 train.py", 8),
        ("torchrun --standalone --nproc-per-node 4 train.py --num_processes_of_data 2", 4),
        ("accelerate launch --num_processes 2 train.py", 2),
        ("deepspeed --num_gpus=3 train.py", 3),
        ("python train.py --nproc_per_node", 1),
        ("torchrun --nproc_per_node=gpu train.py", 2),
    ],
)
def test_a_command_shows_how_many_devices_a_run_has(says: Says, command: str, count: int) -> None:
    says("nvidia-smi", "\n".join(EIGHT.splitlines()[:2]))
    assert devices_of_command(command.split()) == count


@pytest.mark.parametrize(
    ("script", "count"),
    [
        ('"""Run by torchrun --standalone --nproc_per_node=8 train.py"""', 8),
        ("# torchrun --nproc-per-node 4 train.py", 4),
        ("# torchrun --nproc_per_node=16 train.py", 1),
        ("# python train.py\n# torchrun --nproc_per_node=8 train.py", 1),
        ("# python -u train.py\n# torchrun --nproc_per_node=8 train.py", 1),
        ("nproc_per_node = 8", 1),
    ],
)
def test_a_script_that_names_only_torchrun_has_as_many_devices(says: Says, script: str, count: int) -> None:
    says("nvidia-smi", EIGHT)
    assert devices_of_script(script) == count
