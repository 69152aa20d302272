"""The devices of this machine: every class is the full name of its accelerator, and a run may have several."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cockpit.fleet.local.devices import devices_of_command, devices_of_script, driver_trouble, gpu_class, slots

Says = Callable[..., None]
EIGHT = "\n".join(f"{i}, GPU-000{i}, NVIDIA H100 80GB HBM3" for i in range(8))


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Says:
    """Stands in for a command of a maker: (name, its output, its exit status)."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for variable in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def install(name: str, output: str, status: int = 0) -> None:
        (folder / name).write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\nexit {status}\n")
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


TWO_OF_A_KIND = """\
0, GPU-aaaa, NVIDIA GeForce RTX 4090
1, GPU-bbbb, NVIDIA GeForce RTX 3060
2, GPU-cccc, NVIDIA GeForce RTX 4090
3, GPU-dddd, NVIDIA GeForce RTX 3060"""
SLICED = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa)
  MIG 3g.40gb     Device  0: (UUID: MIG-1111)
  MIG 1g.10gb     Device  1: (UUID: MIG-2222)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb)"""


@pytest.mark.parametrize(
    ("visible", "used"),
    [
        (None, ["GPU-aaaa", "GPU-bbbb", "GPU-cccc", "GPU-dddd"]),
        ("2,0", ["GPU-cccc", "GPU-aaaa"]),
        ("GPU-c,GPU-a", ["GPU-cccc", "GPU-aaaa"]),
        ("1,-1,0", ["GPU-bbbb"]),
        ("0,9,1", ["GPU-aaaa"]),
        ("0,0", ["GPU-aaaa"]),
        ("G", [""]),
        ("-1", [""]),
        ("", [""]),
        ("NoDevFiles", [""]),
    ],
)
def test_the_visible_devices_are_read_as_cuda_reads_them(
    says: Says, monkeypatch: pytest.MonkeyPatch, visible: str | None, used: list[str]
) -> None:
    says("nvidia-smi", TWO_OF_A_KIND)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [slot.device for slot in slots(count=len(used))] == used


def test_a_run_with_several_devices_has_them_of_one_class(says: Says) -> None:
    says("nvidia-smi", TWO_OF_A_KIND)
    assert [(slot.hardware, slot.device) for slot in slots(gpus_per_run=2)] == [
        ("2xRTX-4090", "GPU-aaaa,GPU-cccc"),
        ("2xRTX-3060", "GPU-bbbb,GPU-dddd"),
    ]
    assert [slot.hardware for slot in slots(gpus_per_run=4)] == ["4xRTX-4090+RTX-3060"]


@pytest.mark.parametrize(
    ("visible", "used"),
    [
        (None, ["MIG-1111", "MIG-2222", "GPU-bbbb"]),
        ("0", ["MIG-1111", "MIG-2222"]),
        ("MIG-2222", ["MIG-2222"]),
        ("GPU-b", ["GPU-bbbb"]),
    ],
)
def test_a_divided_gpu_is_its_slices(
    says: Says, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, used: list[str]
) -> None:
    says("nvidia-smi", "")
    two = "0, GPU-aaaa, NVIDIA H100 80GB HBM3\n1, GPU-bbbb, NVIDIA H100 80GB HBM3"
    command = f"#!/bin/sh\n[ \"$1\" = -L ] && cat <<'END' && exit 0\n{SLICED}\nEND\ncat <<'END'\n{two}\nEND\n"
    (tmp_path / "bin" / "nvidia-smi").write_text(command)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = slots()
    assert [slot.device for slot in found] == used
    by_id = {slot.device: slot.hardware for slot in found}
    assert by_id.get("MIG-2222", "H100-80GB-HBM3-MIG-1g.10gb") == "H100-80GB-HBM3-MIG-1g.10gb"


def test_a_gpu_that_is_lost_takes_no_other_with_it(says: Says) -> None:
    lost = "Unable to determine the device handle for GPU 0000:41:00.0: GPU is lost.  Reboot the system, please"
    says("nvidia-smi", f"0, GPU-aaaa, NVIDIA H100 PCIe\n{lost}", status=15)
    assert [slot.device for slot in slots()] == ["GPU-aaaa"]


@pytest.mark.parametrize(
    "output",
    [
        "Failed to initialize NVML: Driver/library version mismatch",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver, so, please, check it.",
        "No devices were found",
    ],
)
def test_a_driver_that_does_not_answer_leaves_the_cores(says: Says, output: str) -> None:
    says("nvidia-smi", output, status=9)
    says("rocm-smi", output, status=1)
    assert {slot.hardware for slot in slots()} == {"CPU"}
    assert driver_trouble() == output


def test_a_driver_that_lists_a_gpu_says_nothing(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    says("nvidia-smi", EIGHT)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert driver_trouble() == ""


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
    ("variable", "visible", "used"),
    [
        ("HIP_VISIBLE_DEVICES", "10,2", [("MI250", "10"), ("MI300X", "2")]),
        ("CUDA_VISIBLE_DEVICES", "1", [("MI300X", "1")]),
        ("ROCR_VISIBLE_DEVICES", "2", [("MI300X", "2")]),
        ("HIP_VISIBLE_DEVICES", "1,7x,2", [("MI300X", "1")]),
    ],
)
def test_the_visible_amd_devices_are_read_as_hip_reads_them(
    says: Says, monkeypatch: pytest.MonkeyPatch, variable: str, visible: str, used: list[tuple[str, str]]
) -> None:
    cards = ", ".join(f'"card{i}": {{"Card Series": "N/A", "Card Model": "Instinct MI300X"}}' for i in range(10))
    says("rocm-smi", f'{{{cards}, "card10": {{"Card series": "Instinct MI250"}}, "system": {{"Driver": "6"}}}}')
    says("nvidia-smi", "")
    monkeypatch.setenv(variable, visible)
    found = slots()
    assert [(slot.hardware, slot.device) for slot in found] == used
    limited_by = "ROCR_VISIBLE_DEVICES" if variable.startswith("ROCR") else "HIP_VISIBLE_DEVICES"
    assert {slot.device_variable for slot in found} == {limited_by}


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
        ("mpirun -np 4 python train.py", 4),
        ("horovodrun -np 2 -H localhost:2 python train.py", 2),
        ("python train.py -n 4", 1),
        ("deepspeed train.py --deepspeed ds.json", 2),
        ("deepspeed --include localhost:0,1,3 train.py", 3),
        ("deepspeed --include=localhost:0 train.py", 2),
        ("python train.py --deepspeed ds.json", 1),
        ("python -m torch.distributed.launch --nproc_per_node=2 train.py", 2),
        ("env OMP_NUM_THREADS=1 torchrun --nproc-per-node=auto train.py", 2),
        ("python train.py --devices 2 --accelerator gpu", 2),
        ("python train.py --gpus 0,1", 2),
        ("python train.py --gpus 0", 1),
        ("python train.py --device 3", 1),
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
